"""The files of a node's state folder: by them agent, edge, forwarder and prober of a node exchange state.

docs/node-state.md has a row for each; tests/contract/test_node_state.py holds the page and `catalogue` together.
"""
