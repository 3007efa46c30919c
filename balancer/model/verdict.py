"""Reasons of verdicts, numbered as in C (datapath/c/layout.h)."""

from enum import IntEnum, unique


@unique
class Reason(IntEnum):
    """Reasons, as counted by the forwarder."""

    NOT_FOR_VIP = 0
    SERVICE_PORT = 1
    OWN_LOCATOR = 2
    FORWARDED = 3
    DELIVERED = 4
    REPLY_FORWARDED = 5
    REPLY_RETURNED = 6
    RESET_UNKNOWN_ID = 7
    RESET_OWNER_DOWN = 8
    DROP_ID_ZERO = 9
    DROP_FRAGMENT = 10
    DROP_TRUNCATED = 11
    DROP_UNKNOWN_ID = 12
    DROP_UNKNOWN_TUNNEL = 13
    DROP_WRONG_OWNER = 14
    DROP_WRONG_SENDER = 15
    DROP_BAD_INNER = 16
    DROP_UNKNOWN_INGRESS = 17
    DROP_TOO_BIG = 18
    DROP_FAILED = 19
    DROP_ANSWER_BUDGET = 20
    ICMP_FORWARDED = 21
    ICMP_DELIVERED = 22
    DROP_CONGESTION = 23
    DROP_OTHER_PORT = 24
    DROP_NO_ROUTE = 25
    ICMP_TOO_BIG = 26
    REPLY_REROUTED = 27
    DROP_INGRESS_DOWN = 28
    DROP_STALE = 29
    DROP_SYN_BUDGET = 30
    DROP_SOURCE_BUDGET = 31
    DROP_NOT_ADMITTED = 32
    SITE_FORWARDED = 33
    SITE_CHAINED = 34
    SITE_DELIVERED = 35
    REPLY_DIRECT = 36
    DROP_ERROR_BUDGET = 37
    DROP_SITE_BUDGET = 38
    DROP_MARTIAN = 39
    DROP_EXTENSION = 40
    DROP_NOT_TCP = 41


EXPLAINED: dict[Reason, str] = {
    Reason.NOT_FOR_VIP: "not addressed to a VIP: to the kernel, unchanged",
    Reason.SERVICE_PORT: "first subflow, or another port below the locators: to the local listener",
    Reason.OWN_LOCATOR: "locator of this edge: to the local listener",
    Reason.FORWARDED: "locator of another edge: through the tunnel to its owner",
    Reason.DELIVERED: "came through a tunnel for this edge: marked with its ingress and delivered",
    Reason.REPLY_FORWARDED: "reply of this edge on a forwarded subflow: through the tunnel to its ingress",
    Reason.REPLY_RETURNED: "reply of another edge that this edge forwarded: out to the client",
    Reason.RESET_UNKNOWN_ID: "SYN to an id that no edge has: answered with RST",
    Reason.RESET_OWNER_DOWN: "SYN to an edge that is down: answered with RST",
    Reason.DROP_ID_ZERO: "locator of id 0, which is reserved",
    Reason.DROP_FRAGMENT: "IP fragment: its port is unknown",
    Reason.DROP_TRUNCATED: "truncated TCP header, or inconsistent lengths",
    Reason.DROP_UNKNOWN_ID: "not a SYN, to an id that no edge has",
    Reason.DROP_UNKNOWN_TUNNEL: "tunnel packet from an address of no edge",
    Reason.DROP_WRONG_OWNER: "tunnel packet to the VIP that is not for this edge",
    Reason.DROP_WRONG_SENDER: "tunnel packet from the VIP with another locator than its sender's",
    Reason.DROP_BAD_INNER: "tunnel packet with an invalid inner packet",
    Reason.DROP_UNKNOWN_INGRESS: "reply whose ingress edge was removed from the table",
    Reason.DROP_TOO_BIG: "does not fit into the tunnel, and its sender cannot be notified",
    Reason.DROP_FAILED: "the kernel refused to change the packet",
    Reason.DROP_ANSWER_BUDGET: "not answered with RST or ICMP, above --budget-answers",
    Reason.ICMP_FORWARDED: "ICMP error about a forwarded subflow: through the tunnel to its owner",
    Reason.ICMP_DELIVERED: "ICMP error that came through a tunnel: delivered",
    Reason.DROP_CONGESTION: "congestion experienced in the tunnel by a packet without ECN (RFC 6040)",
    Reason.DROP_OTHER_PORT: "to an address locator, but not to the service port",
    Reason.DROP_NO_ROUTE: "reply of another edge, and no outside interface leads to its client",
    Reason.ICMP_TOO_BIG: "does not fit into the tunnel: its sender is notified by ICMP",
    Reason.REPLY_REROUTED: "reply whose ingress is down or removed: to the edge by which its packets now arrive",
    Reason.DROP_INGRESS_DOWN: "reply whose ingress edge is down, and no packet has arrived by another since",
    Reason.DROP_STALE: "SYN to an id that no edge has, while the table is stale",
    Reason.DROP_SYN_BUDGET: "SYN above the owner's limit, --budget-owner-syns",
    Reason.DROP_SOURCE_BUDGET: "SYN above the limit of one address or IPv6 /64, --budget-source-syns",
    Reason.DROP_NOT_ADMITTED: "flow that its owner has not answered, above --budget-owner-packets",
    Reason.SITE_FORWARDED: "first subflow that another edge of the site takes: to that edge",
    Reason.SITE_CHAINED: "first subflow begun before the ring changed: to the edge that had it",
    Reason.SITE_DELIVERED: "first subflow that another edge of the site handed on: to the local listener",
    Reason.REPLY_DIRECT: "reply of this edge on a forwarded subflow of a VIP with direct replies: by its own route",
    Reason.DROP_ERROR_BUDGET: "ICMP error above the limit of its subflow's owner, --budget-owner-errors",
    Reason.DROP_SITE_BUDGET: "handed on at a site, above the owner's limit, --budget-site-packets",
    Reason.DROP_MARTIAN: "from an address that no client can have, or from its own destination",
    Reason.DROP_EXTENSION: "IPv6 extension headers, behind which no locator is looked for",
    Reason.DROP_NOT_TCP: "to another edge's address locator, neither TCP nor an ICMP error",
}
