// Capture of a control group's connections: programs at the socket calls of its processes.
//
// A connection to a captured address is led to the entrance on loopback; the address that was dialled is kept under
// the socket's cookie, and handed over under the socket's local endpoint before its SYN leaves. What cannot be led
// there (UDP, MPTCP, sockets bound to a device) is refused, so a captured address is never reached any other way.
// Questions to the system's resolvers are led to the resolver on loopback.
//
// Excluded control groups, and sockets with the excluded mark, go as they came. In another network namespace than the
// entrance's, whose loopback is another, captured addresses are refused.

#include <linux/bpf.h>

#define CALL_REFUSED 0
#define CALL_ALLOWED 1
#define DNS_PORT 53
#define TCP 6
#define UDP 17
#define ICMP 1
#define ICMPV6 58
#define INET6 10
#define STREAM 1
#define RAW 3
#define GROUP_DEPTH 12  // levels of control groups that an exclusion is looked for at

// IPv4 addresses are mapped into IPv6; words are as on the wire, ports in the host's order
struct address {
    u32 words[4];
};

struct endpoint {
    u32 words[4];
    u32 port;
};

// what the entrance needs of a connection; `group` is the id of the caller's control group
struct target {
    u32 words[4];
    u32 port;
    u32 uid;
    u64 group;
};

// bcc declares the first with a result of 32 bits
static u64 (*socket_cookie)(void *) = (void *)BPF_FUNC_get_socket_cookie;
static u64 (*namespace_cookie)(void *) = (void *)BPF_FUNC_get_netns_cookie;
static u64 (*group_id)(void) = (void *)BPF_FUNC_get_current_cgroup_id;
static u64 (*ancestor_group_id)(int) = (void *)BPF_FUNC_get_current_ancestor_cgroup_id;

// the verifier wants each of these fields of a context read by itself, in 32 bits
#define READ_ALONE(field) (*(volatile u32 *)&(field))

// ports on loopback of the network namespace with this cookie; no mark is excluded by 0
struct entrances {
    u32 streams;
    u32 resolver;
    u32 excluded_mark;
    u32 excludes_groups;
    u64 namespace;
};

BPF_ARRAY(settings, struct entrances, 1);
BPF_HASH(excluded, u64, u32, 256);
BPF_HASH(captured, struct address, u32, 8192);
BPF_HASH(resolvers, struct address, u32, 16);
BPF_TABLE("lru_hash", u64, struct target, dialled, 65536);
BPF_TABLE("lru_hash", struct endpoint, struct target, handed_over, 65536);

static __always_inline int is_mapped(struct endpoint *at) {
    return at->words[0] == 0 && at->words[1] == 0 && at->words[2] == bpf_htonl(0xffff);
}

static __always_inline struct endpoint read_v4(struct bpf_sock_addr *ctx) {
    struct endpoint at = {};
    at.words[2] = bpf_htonl(0xffff);
    at.words[3] = ctx->user_ip4;
    at.port = bpf_ntohs(ctx->user_port);
    return at;
}

static __always_inline struct endpoint read_v6(struct bpf_sock_addr *ctx) {
    struct endpoint at = {};
    at.words[0] = ctx->user_ip6[0];
    at.words[1] = ctx->user_ip6[1];
    at.words[2] = ctx->user_ip6[2];
    at.words[3] = ctx->user_ip6[3];
    at.port = bpf_ntohs(ctx->user_port);
    return at;
}

static __always_inline void write_v4(struct bpf_sock_addr *ctx, u32 *words, u32 port) {
    ctx->user_ip4 = words[3];
    ctx->user_port = bpf_htons(port);
}

static __always_inline void write_v6(struct bpf_sock_addr *ctx, u32 *words, u32 port) {
    ctx->user_ip6[0] = words[0];
    ctx->user_ip6[1] = words[1];
    ctx->user_ip6[2] = words[2];
    ctx->user_ip6[3] = words[3];
    ctx->user_port = bpf_htons(port);
}

// 127.0.0.1 for a socket that speaks IPv4, else ::1
static __always_inline struct endpoint loopback(struct endpoint *like, u32 port) {
    struct endpoint at = {};
    if (is_mapped(like)) {
        at.words[2] = bpf_htonl(0xffff);
        at.words[3] = bpf_htonl(0x7f000001);
    } else {
        at.words[3] = bpf_htonl(1);
    }
    at.port = port;
    return at;
}

// Whether the caller's control group, or one above it, is excluded.
static __always_inline int in_excluded_group(void) {
#pragma unroll
    for (int level = 0; level < GROUP_DEPTH; level++) {
        u64 id = ancestor_group_id(level);
        if (!id)
            return 0;
        if (excluded.lookup(&id))
            return 1;
    }
    return 0;
}

// Port on loopback that a call to `to` is led to; 0: leave it alone, -1: refuse.
static __always_inline int entrance_for(struct entrances *set, struct endpoint *to, int stream) {
    struct address key = {};
    key.words[0] = to->words[0];
    key.words[1] = to->words[1];
    key.words[2] = to->words[2];
    key.words[3] = to->words[3];
    if (captured.lookup(&key))
        return stream && set->streams ? set->streams : -1;
    if (to->port == DNS_PORT && resolvers.lookup(&key))
        return set->resolver;
    return 0;
}

static __always_inline int lead(struct bpf_sock_addr *ctx, struct endpoint *to, int v6) {
    int zero = 0;
    struct entrances *set = settings.lookup(&zero);
    if (!set)
        return CALL_REFUSED;
    int stream = ctx->type == STREAM && ctx->protocol == TCP;
    int port = entrance_for(set, to, stream);
    if (port == 0)
        return CALL_ALLOWED;
    if (set->excludes_groups && in_excluded_group())
        return CALL_ALLOWED;
    struct bpf_sock *sk = ctx->sk;
    if (!sk)
        return CALL_REFUSED;
    if (set->excluded_mark && sk->mark == set->excluded_mark)
        return CALL_ALLOWED;
    if (namespace_cookie(ctx) != set->namespace)
        return to->port == DNS_PORT && port == set->resolver ? CALL_ALLOWED : CALL_REFUSED;
    if (port < 0 || sk->bound_dev_if)
        return CALL_REFUSED;
    u64 cookie = socket_cookie(ctx);
    struct endpoint entrance = loopback(to, port);
    struct target target = {};
    target.words[0] = to->words[0];
    target.words[1] = to->words[1];
    target.words[2] = to->words[2];
    target.words[3] = to->words[3];
    target.port = to->port;
    target.uid = bpf_get_current_uid_gid();
    target.group = group_id();
    if (dialled.update(&cookie, &target))
        return CALL_REFUSED;
    if (v6)
        write_v6(ctx, entrance.words, entrance.port);
    else
        write_v4(ctx, entrance.words, entrance.port);
    return CALL_ALLOWED;
}

int capture_connect4(struct bpf_sock_addr *ctx) {
    struct endpoint to = read_v4(ctx);
    return lead(ctx, &to, 0);
}

int capture_connect6(struct bpf_sock_addr *ctx) {
    struct endpoint to = read_v6(ctx);
    return lead(ctx, &to, 1);
}

int capture_sendmsg4(struct bpf_sock_addr *ctx) {
    struct endpoint to = read_v4(ctx);
    return lead(ctx, &to, 0);
}

int capture_sendmsg6(struct bpf_sock_addr *ctx) {
    struct endpoint to = read_v6(ctx);
    return lead(ctx, &to, 1);
}

// Whether `at` is one of the entrances: then the program is shown what it dialled.
static __always_inline struct target *shown_instead(struct bpf_sock_addr *ctx, struct endpoint *at) {
    int zero = 0;
    struct entrances *set = settings.lookup(&zero);
    if (!set || (at->port != set->streams && at->port != set->resolver))
        return 0;
    struct endpoint here = loopback(at, at->port);
    if (at->words[0] != here.words[0] || at->words[1] != here.words[1] || at->words[2] != here.words[2] ||
        at->words[3] != here.words[3])
        return 0;
    u64 cookie = socket_cookie(ctx);
    return dialled.lookup(&cookie);
}

static __always_inline int show_v4(struct bpf_sock_addr *ctx) {
    struct endpoint at = read_v4(ctx);
    struct target *instead = shown_instead(ctx, &at);
    if (instead)
        write_v4(ctx, instead->words, instead->port);
    return CALL_ALLOWED;
}

static __always_inline int show_v6(struct bpf_sock_addr *ctx) {
    struct endpoint at = read_v6(ctx);
    struct target *instead = shown_instead(ctx, &at);
    if (instead)
        write_v6(ctx, instead->words, instead->port);
    return CALL_ALLOWED;
}

int show_peer4(struct bpf_sock_addr *ctx) {
    return show_v4(ctx);
}

int show_peer6(struct bpf_sock_addr *ctx) {
    return show_v6(ctx);
}

int show_sender4(struct bpf_sock_addr *ctx) {
    return show_v4(ctx);
}

int show_sender6(struct bpf_sock_addr *ctx) {
    return show_v6(ctx);
}

// An MPTCP socket would connect by subflows of the kernel's own, which no program here sees; nor does one see where
// sockets of UDP-Lite, SCTP, DCCP and L2TP connect to. Raw sockets need CAP_NET_RAW.
// The name is that of what earlier services have pinned.
int refuse_mptcp(struct bpf_sock *ctx) {
    int zero = 0;
    struct entrances *set = settings.lookup(&zero);
    if (ctx->type == RAW || ctx->protocol == TCP || ctx->protocol == UDP || ctx->protocol == ICMP ||
        ctx->protocol == ICMPV6)
        return CALL_ALLOWED;
    return set && set->excludes_groups && in_excluded_group() ? CALL_ALLOWED : CALL_REFUSED;
}

// Before the SYN leaves: the entrance finds what was dialled by the endpoint that it sees as its peer.
int hand_over(struct bpf_sock_ops *ctx) {
    if (ctx->op != BPF_SOCK_OPS_TCP_CONNECT_CB)
        return CALL_ALLOWED;
    u64 cookie = socket_cookie(ctx);
    struct target *to = dialled.lookup(&cookie);
    if (!to)
        return CALL_ALLOWED;
    struct endpoint local = {};
    local.words[2] = bpf_htonl(0xffff);
    local.words[3] = READ_ALONE(ctx->local_ip4);
    if (ctx->family == INET6) {
        local.words[0] = READ_ALONE(ctx->local_ip6[0]);
        local.words[1] = READ_ALONE(ctx->local_ip6[1]);
        local.words[2] = READ_ALONE(ctx->local_ip6[2]);
        local.words[3] = READ_ALONE(ctx->local_ip6[3]);
    }
    local.port = ctx->local_port;
    handed_over.update(&local, to);
    return CALL_ALLOWED;
}
