"""The control plane: edges enrol and keep leases, forwarders follow the forwarding table.

Read `app.py` first. Each domain has the same files: `endpoints` (HTTP), `service` (rules), `repository`
(queries, and nowhere else). Every change to what is stored goes through `store.Store.change`, which also gives
the table its next generation.
"""
