"""Sequence diagrams of docs/architecture.md: the ways of a packet, a request and an edge id."""

from diagrams.sequence import Message, Participant, Sequence

PACKET = Sequence(
    "A packet of path 1 and its reply",
    (
        Participant("client", "smkex"),
        Participant("edge 2: ingress", "balancer/datapath"),
        Participant("edge 1: forwarder", "balancer/datapath"),
        Participant("edge 1: server", "edge"),
    ),
    (
        Message(0, 1, "SYN or data to the locator", "path1", "VIP, port base + 1"),
        Message(
            1, 1, "outside_ingress or XDP: another's locator", small="owner up, budgets left, MSS clamped"
        ),
        Message(1, 2, "tunnel over the backbone", "path1", "IP in IP or GUE"),
        Message(2, 2, "tunnel_ingress: own locator, known sender"),
        Message(2, 3, "deliver, marked with ingress id 2", "path1", "skb->mark, kept by the socket"),
        Message(3, 2, "reply carries the mark", "path1", "a rule routes it to owner_egress"),
        Message(2, 1, "tunnel to the ingress of the mark", "path1", "never by the owner's own route"),
        Message(1, 1, "tunnel_ingress: the sender's locator"),
        Message(1, 0, "reply to the client", "path1", "leaves where the packet entered"),
    ),
    column=235,
)

REQUEST = Sequence(
    "A request from a session to the origin",
    (
        Participant("client", "smkex/client"),
        Participant("session", "smkex/core, edge"),
        Participant("HTTP", "smkex/http, edge/proxy"),
        Participant("cache", "edge/cache"),
        Participant("origin", "origin"),
    ),
    (
        Message(0, 1, "records on any path", "path0", "sealed once; duplicates dropped"),
        Message(1, 2, "bytes in stream order", small="bounded head, body and pipeline"),
        Message(2, 3, "key: host and target", small="in memory, else the node's index"),
        Message(3, 2, "fresh: stored response", "intent", "Cache-Status: hit"),
        Message(3, 4, "missing: one request", "path1", "a lock: one worker asks"),
        Message(4, 3, "response", "path1", "stored and read while it arrives"),
        Message(2, 1, "response"),
        Message(1, 0, "records, faster path", "path0", "resent if that path fails"),
    ),
    column=188,
)

EDGE_ID = Sequence(
    "The life of an edge id",
    (
        Participant("agent", "balancer/agent"),
        Participant("control plane", "balancer/control"),
        Participant("all forwarders", "balancer/datapath"),
        Participant("edge server", "edge"),
        Participant("client", "smkex/client"),
    ),
    (
        Message(0, 1, "enrol, one-time token", "intent"),
        Message(1, 0, "edge id", "intent", "node.json in the state folder"),
        Message(1, 2, "generation with the id", "intent", "signed; agents verify it"),
        Message(2, 1, "applied generation", "intent", "in heartbeats"),
        Message(1, 0, "99 % have it", "intent", "BIRD may announce the VIP"),
        Message(3, 4, "ServerShare: the id", "path0", "on path 0"),
        Message(4, 4, "locator from VIP and id", small="kept for an hour at most"),
        Message(
            4, 2, "ClientNonce to the locator, on path 1", "path1", "any edge: its forwarder reads the id"
        ),
        Message(2, 3, "tunnel to the owner", "path1"),
        Message(1, 1, "removed: id quarantined", "bad", "a day, once all have applied it"),
    ),
    column=188,
)
