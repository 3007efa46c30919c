"""All files of the state folder. A daemon that needs another one adds it here and to docs/node-state.md."""

from node.state.state_file import Daemon, StateFile

CREDENTIAL = StateFile("credential.json", Daemon.AGENT, (Daemon.AGENT,), mode=0o600, durable=True)
PEER_KEY = StateFile("peer.key", Daemon.AGENT, (Daemon.AGENT,), mode=0o600, durable=True)
NODE = StateFile(
    "node.json",
    Daemon.AGENT,
    (Daemon.AGENT, Daemon.EDGE, Daemon.FORWARDER, Daemon.PROBE),
    durable=True,
)
TABLE_KEY = StateFile(
    "table.key",
    Daemon.AGENT,
    (Daemon.AGENT, Daemon.EDGE, Daemon.FORWARDER, Daemon.PROBE),
    durable=True,
)
TABLE = StateFile("table.json", Daemon.AGENT, (Daemon.AGENT, Daemon.FORWARDER, Daemon.PROBE), durable=True)
DESIRED_STATE = StateFile("agent.json", Daemon.AGENT, (Daemon.AGENT, Daemon.EDGE), durable=True)
SERVICES = StateFile(
    "services.json", Daemon.AGENT, (Daemon.AGENT, Daemon.EDGE), durable=True, only_reader=Daemon.EDGE
)
SERVICES_CHANGES = StateFile(
    "services-changes.json", Daemon.AGENT, (Daemon.AGENT, Daemon.EDGE), durable=True, only_reader=Daemon.EDGE
)
SHIELD = StateFile("shield.json", Daemon.AGENT, (Daemon.EDGE,), durable=True, only_reader=Daemon.EDGE)
PURGES = StateFile("purges.json", Daemon.AGENT, (Daemon.AGENT, Daemon.EDGE), durable=True)
FAST_OPEN_KEYS = StateFile(
    "fast-open.keys", Daemon.AGENT, (Daemon.AGENT, Daemon.EDGE), durable=True, only_reader=Daemon.EDGE
)
CONTACT = StateFile("contact", Daemon.AGENT, (Daemon.FORWARDER,))
AGENT_ALIVE = StateFile("agent.alive", Daemon.AGENT, (Daemon.AGENT,))
PROBE_RESULTS = StateFile("probes.json", Daemon.PROBE, (Daemon.AGENT,))
FORWARDER_INSTALL = StateFile("forwarder.json", Daemon.FORWARDER, (Daemon.FORWARDER, Daemon.AGENT))
APPLIED = StateFile("applied.json", Daemon.FORWARDER, (Daemon.AGENT,))
TRAFFIC = StateFile("traffic.json", Daemon.FORWARDER, (Daemon.AGENT,))
HOST_STATE = StateFile("host.json", Daemon.FORWARDER, (Daemon.AGENT,))
HOST_LOCK = StateFile("host.lock", Daemon.FORWARDER, (Daemon.FORWARDER,), mode=0o600)
SERVICES_APPLIED = StateFile(
    "services-applied.json", Daemon.EDGE, (Daemon.AGENT, Daemon.EDGE), durable=True, only_reader=Daemon.AGENT
)
PURGED = StateFile("purged.json", Daemon.EDGE, (Daemon.AGENT, Daemon.EDGE))
EDGE_SOCKET = StateFile("edge.sock", Daemon.EDGE, (Daemon.AGENT,), mode=0o660)

ALL = (
    CREDENTIAL,
    PEER_KEY,
    NODE,
    TABLE_KEY,
    TABLE,
    DESIRED_STATE,
    SERVICES,
    SERVICES_CHANGES,
    SHIELD,
    PURGES,
    FAST_OPEN_KEYS,
    CONTACT,
    AGENT_ALIVE,
    PROBE_RESULTS,
    FORWARDER_INSTALL,
    APPLIED,
    TRAFFIC,
    HOST_STATE,
    HOST_LOCK,
    SERVICES_APPLIED,
    PURGED,
    EDGE_SOCKET,
)
