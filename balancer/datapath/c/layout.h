/* Values shared with Python (balancer/datapath/layout.py): change both. All addresses and ports in network order
 * unless named _host. */
#pragma once

struct config {
    __u32 vip;
    __u32 own_tunnel;
    __u32 own_id;
    __u32 backbone_index;
    __u32 outside_index;
    __u16 service_port_host;
    __u16 id_base_host;
    __u32 backbone_mtu;
    __u32 ready;
};

struct edge {
    __u32 tunnel;
    __u32 state; /* enum edge_state */
};

enum edge_state { EDGE_UP = 1, EDGE_DRAINING = 2, EDGE_DOWN = 3 };

struct counter {
    __u64 packets;
    __u64 bytes;
};

/* Why a packet went the way it went: balancer/model/verdict.py documents each. */
enum reason {
    NOT_FOR_VIP = 0,
    SERVICE_PORT = 1,
    OWN_LOCATOR = 2,
    FORWARDED = 3,
    DELIVERED = 4,
    REPLY_FORWARDED = 5,
    REPLY_RETURNED = 6,
    RESET_UNKNOWN_ID = 7,
    RESET_OWNER_DOWN = 8,
    DROP_ID_ZERO = 9,
    DROP_FRAGMENT = 10,
    DROP_TRUNCATED = 11,
    DROP_UNKNOWN_ID = 12,
    DROP_UNKNOWN_TUNNEL = 13,
    DROP_WRONG_OWNER = 14,
    DROP_WRONG_SENDER = 15,
    DROP_BAD_INNER = 16,
    DROP_UNKNOWN_INGRESS = 17,
    DROP_TOO_BIG = 18,
    DROP_FAILED = 19,
    DROP_RESET_BUDGET = 20,
    ICMP_FORWARDED = 21,
    ICMP_DELIVERED = 22,
    DROP_CONGESTION = 23,
    REASONS = 24,
};

#define MARK_TAG 0x5E000000u
#define MARK_MASK 0xFF000000u
#define INGRESS_MASK 0x0000FFFFu
