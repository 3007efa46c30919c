/* Values shared with Python (balancer/datapath/maps/layout.py): change both. Ports and numbers are in host order;
 * addresses are in network order and always 16 bytes long, IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). */
#pragma once

struct address {
    __u32 word[4];
};

/* Written once, by `load`. */
struct config {
    struct address own_v4; /* this edge's tunnel endpoint; zero: none of this family */
    struct address own_v6;
    __u32 own_id;
    __u32 backbone_index;
    __u32 outside_index; /* 0: several; routes choose the one a reply leaves by */
    __u32 backbone_mtu;
    /* Budgets: cost of one event in nanoseconds; 0: no limit. */
    __u32 answer_cost;  /* a reset or ICMP message sent by this edge */
    __u32 source_cost;  /* a SYN, charged to its source's /32 or /64 */
    __u32 syn_cost;     /* a SYN, charged to the owner */
    __u32 packet_cost;  /* a packet of a flow that is not admitted, charged to the owner above ... */
    __u32 quiet_packets; /* ... this many packets to it in 100 ms on one CPU */
    __u32 seed;         /* of this node's hashes: secret, so that flows cannot be chosen to collide */
    __u32 error_cost; /* an ICMP error, charged to the owner of the subflow that it is about */
    __u32 site_cost;  /* a packet that the ring hands on, charged to the owner above ... */
    __u32 site_quiet; /* ... this many packets to it in 100 ms on one CPU */
};

/* A VIP's address; with `prefix`, the prefix of the addresses that carry an id in their low bits. */
struct vip_key {
    struct address address;
    __u32 prefix;
};

struct vip {
    __u16 service_port;
    __u16 id_base; /* 0: the address carries the id */
    __u32 direct; /* replies leave by the owner's own route */
};

/* What decides which flow is in which bucket of a ring: a secret of the site's edges. */
struct ring_seed {
    __u32 word[2];
};

/* The table's first VIP, which is compared before the map lookup, and the seeds of this edge's ring. */
struct first_vip {
    struct address v4, v6;
    struct vip vip;
    struct ring_seed seed, previous_seed;
};

/* Written by the daemon through mmap; each word is stored atomically. */
struct live {
    __u32 slot;     /* active slot of the two generations */
    __u32 prefixes; /* whether any VIP has address locators */
    __u32 overhead; /* bytes of the largest outer header in the table */
    __u32 ready;
    __u32 arrivals; /* whether to record the edge by which packets arrive: an edge is down or removed */
    __u32 capture;  /* reason whose packets are copied to the ring buffer, plus 1; 0: none */
    __u32 tick;     /* incremented ten times a second */
    __u32 ring; /* whether this edge belongs to a site */
    __u64 fresh_until; /* the table counts as current until then (CLOCK_MONOTONIC, nanoseconds) */
};

/* The edge of the site that takes new flows of a bucket, and the one that did before the last change. */
struct bucket {
    __u16 owner; /* not `current`, which is a macro of the kernel's headers */
    __u16 previous;
};

#define BUCKETS 4096

struct edge {
    struct address tunnel;
    __u32 sum;   /* checksum of the constant words of the outer IPv4 header, not folded */
    __u8 state;  /* enum edge_state; 0: no edge has this id */
    __u8 kind;   /* OUTER_V6, GUE */
    __u16 outer; /* size of the outer header in bytes */
};

enum edge_state { EDGE_UP = 1, EDGE_DRAINING = 2, EDGE_DOWN = 3 };

#define OUTER_V6 1
#define GUE 2

struct counter {
    __u64 packets;
    __u64 bytes;
};

struct edge_counter {
    struct counter sent;
    struct counter received;
};

/* Token buckets of one owner (budget.h). */
struct owner_budget {
    __u64 syns;
    __u64 packets;
    __u64 site;
    __u64 errors;       /* ICMP errors about flows that the owner has answered ... */
    __u64 other_errors; /* ... and about others, which must not use those up */
};

/* Packets that went to an owner unchecked in this tick. */
struct quiet {
    __u32 tick;
    __u32 packets;
};

/* The edge by which a flow's packets last arrived. */
struct arrival {
    __u32 flow;
    __u32 edge;
};

/* Cached next hop of XDP. */
struct hop {
    __u64 until; /* valid until, in jiffies */
    struct address tunnel;
    __u8 hardware[12]; /* destination, source */
    __u32 unused;
};

#define CAPTURED 256

struct captured {
    __u64 time; /* CLOCK_MONOTONIC */
    __u32 reason;
    __u32 length; /* of the packet; at most CAPTURED bytes follow */
    __u32 kept;
    __u32 raw; /* without an Ethernet header */
    __u8 data[CAPTURED];
};

/* Reason of a verdict: balancer/model/verdict.py documents each. */
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
    DROP_ANSWER_BUDGET = 20,
    ICMP_FORWARDED = 21,
    ICMP_DELIVERED = 22,
    DROP_CONGESTION = 23,
    DROP_OTHER_PORT = 24,
    DROP_NO_ROUTE = 25,
    ICMP_TOO_BIG = 26,
    REPLY_REROUTED = 27,
    DROP_INGRESS_DOWN = 28,
    DROP_STALE = 29,
    DROP_SYN_BUDGET = 30,
    DROP_SOURCE_BUDGET = 31,
    DROP_NOT_ADMITTED = 32,
    SITE_FORWARDED = 33,
    SITE_CHAINED = 34,
    SITE_DELIVERED = 35,
    REPLY_DIRECT = 36,
    DROP_ERROR_BUDGET = 37,
    DROP_SITE_BUDGET = 38,
    DROP_MARTIAN = 39,
    DROP_EXTENSION = 40,
    DROP_NOT_TCP = 41,
    REASONS = 42,
};

/* Each reason has one counter per hook. */
#define BY_TC 0
#define BY_XDP REASONS
#define HOOKS 2

#define MARK_TAG 0x5E000000u
#define DIRECT_TAG 0x5D000000u /* VIPs with direct replies: carries the ingress; no rule matches this mark */
#define MARK_MASK 0xFF000000u
#define INGRESS_MASK 0x0000FFFFu
