/* The forwarder: three tc programs around one table. balancer/model/decision.py is the same in Python.
 *
 *   outside_ingress   a secondary subflow enters here: to its owner through the tunnel
 *   tunnel_ingress    from the backbone: deliver what is mine with a mark, return what I sent on
 *   owner_egress      replies that carry the mark go back to the edge they came in by
 */
#include <uapi/linux/if_ether.h>
#include <uapi/linux/in.h>
#include <uapi/linux/ip.h>
#include <uapi/linux/tcp.h>
#include <uapi/linux/pkt_cls.h>

#include "layout.h"
#include "packet.h"
#include "tunnel.h"
#include "mss.h"
#include "reset.h"

BPF_ARRAY(config_map, struct config, 1);
BPF_TABLE("hash", __u32, struct edge, edges, 65536);
BPF_TABLE("hash", __u32, __u32, tunnels, 65536);
BPF_PERCPU_ARRAY(counters, struct counter, REASONS);
BPF_ARRAY(reset_budget, __u64, 1);

#define RESETS_A_SECOND 1000ULL
#define RESET_BURST 200ULL
#define SECOND 1000000000ULL

struct verdict {
    enum reason reason;
    int action;
};

static __always_inline struct verdict say(enum reason reason, int action)
{
    struct verdict verdict = {reason, action};
    return verdict;
}

/* The one exit: every packet is counted under one reason. */
static __always_inline int leave(__u32 length, struct verdict verdict)
{
    int key = verdict.reason;
    struct counter *counter = counters.lookup(&key);
    if (counter) {
        counter->packets += 1;
        counter->bytes += length;
    }
    return verdict.action;
}

static __always_inline struct config *configuration(void)
{
    int key = 0;
    struct config *config = config_map.lookup(&key);
    if (!config || !config->ready)
        return 0;
    return config;
}

static __always_inline __u16 mss_limit(const struct config *config)
{
    return config->backbone_mtu - IPV4 - IPV4 - TCP;
}

/* A bucket of time: each RST costs its share of a second, and unused time is kept for a burst. */
static __always_inline int may_reset(void)
{
    int key = 0;
    __u64 *spent_until = reset_budget.lookup(&key);
    if (!spent_until)
        return 0;
    __u64 now = bpf_ktime_get_ns();
    __u64 earliest = now - RESET_BURST * SECOND / RESETS_A_SECOND;
    __u64 until = *spent_until;
    if (until < earliest)
        until = earliest;
    if (until > now)
        return 0;
    *spent_until = until + SECOND / RESETS_A_SECOND;
    return 1;
}

static __always_inline struct verdict refuse(struct __sk_buff *skb, const struct tcp_packet *packet,
                                             enum reason reason)
{
    if (!may_reset())
        return say(DROP_RESET_BUDGET, TC_ACT_SHOT);
    if (make_reset(skb, packet) < 0)
        return say(DROP_FAILED, TC_ACT_SHOT);
    return say(reason, bpf_redirect(skb->ifindex, 0));
}

static __always_inline struct verdict send_through(struct __sk_buff *skb, const struct config *config,
                                                   const struct tcp_packet *packet, __u32 to, enum reason reason)
{
    clamp_mss(skb, packet, mss_limit(config));
    if (!fits(skb, packet, config->backbone_mtu))
        return say(DROP_TOO_BIG, TC_ACT_SHOT);
    if (put_on(skb, &packet->ip, config->own_tunnel, to) < 0)
        return say(DROP_FAILED, TC_ACT_SHOT);
    return say(reason, redirect_neighbour(config->backbone_index, 0, 0, 0));
}

/* An error about a forwarded subflow concerns its owner: path MTU discovery would fail without it. */
static __always_inline struct verdict follow_icmp(struct __sk_buff *skb, const struct config *config,
                                                  const struct tcp_packet *packet)
{
    __u32 port = quoted_port(skb, packet, config->vip);
    if (port <= config->id_base_host || port == config->id_base_host + config->own_id)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    __u32 id = port - config->id_base_host;
    struct edge *owner = edges.lookup(&id);
    if (!owner)
        return say(DROP_UNKNOWN_ID, TC_ACT_SHOT);
    return send_through(skb, config, packet, owner->tunnel, ICMP_FORWARDED);
}

static __always_inline struct verdict decide_outside(struct __sk_buff *skb)
{
    struct tcp_packet packet = {.ip_at = ETHERNET};
    struct config *config = configuration();

    if (!config || skb->protocol != bpf_htons(ETH_P_IP))
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (read_ip(skb, packet.ip_at, &packet.ip) < 0 || packet.ip.daddr != config->vip)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (is_fragment(&packet.ip))
        return say(DROP_FRAGMENT, TC_ACT_SHOT);
    if (packet.ip.protocol != IPPROTO_TCP)
        return follow_icmp(skb, config, &packet);
    if (read_tcp(skb, &packet) < 0)
        return say(DROP_TRUNCATED, TC_ACT_SHOT);

    __u32 port = bpf_ntohs(packet.tcp.dest);
    if (port < config->id_base_host)
        return say(SERVICE_PORT, TC_ACT_OK);
    __u32 id = port - config->id_base_host;
    if (id == 0)
        return say(DROP_ID_ZERO, TC_ACT_SHOT);
    if (id == config->own_id)
        return say(OWN_LOCATOR, TC_ACT_OK);

    int opens = packet.tcp.syn && !packet.tcp.ack && !packet.tcp.rst;
    struct edge *owner = edges.lookup(&id);
    if (!owner) {
        if (opens)
            return refuse(skb, &packet, RESET_UNKNOWN_ID);
        return say(DROP_UNKNOWN_ID, TC_ACT_SHOT);
    }
    if (owner->state == EDGE_DOWN && opens)
        return refuse(skb, &packet, RESET_OWNER_DOWN);
    return send_through(skb, config, &packet, owner->tunnel, FORWARDED);
}

static __always_inline struct verdict deliver(struct __sk_buff *skb, const struct config *config,
                                              const struct iphdr *outer, const struct tcp_packet *inner,
                                              __u32 sender)
{
    __u32 mine = config->id_base_host + config->own_id;
    enum reason reason = DELIVERED;

    if (inner->ip.protocol == IPPROTO_ICMP) {
        if (quoted_port(skb, inner, config->vip) != mine)
            return say(DROP_BAD_INNER, TC_ACT_SHOT);
        reason = ICMP_DELIVERED;
    } else if (bpf_ntohs(inner->tcp.dest) != mine) {
        return say(DROP_WRONG_OWNER, TC_ACT_SHOT);
    }
    if (take_off(skb, outer, &inner->ip) < 0)
        return say(DROP_FAILED, TC_ACT_SHOT);
    skb->mark = MARK_TAG | sender;
    return say(reason, TC_ACT_OK);
}

static __always_inline struct verdict give_back(struct __sk_buff *skb, const struct config *config,
                                                const struct iphdr *outer, const struct tcp_packet *inner,
                                                __u32 sender)
{
    if (bpf_ntohs(inner->tcp.source) != config->id_base_host + sender)
        return say(DROP_WRONG_SENDER, TC_ACT_SHOT);
    if (take_off(skb, outer, &inner->ip) < 0)
        return say(DROP_FAILED, TC_ACT_SHOT);
    return say(REPLY_RETURNED, redirect_neighbour(config->outside_index, 0, 0, 0));
}

static __always_inline struct verdict decide_tunnel(struct __sk_buff *skb)
{
    struct iphdr outer;
    struct tcp_packet inner = {.ip_at = ETHERNET + IPV4};
    struct config *config = configuration();

    if (!config || skb->protocol != bpf_htons(ETH_P_IP))
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (read_ip(skb, ETHERNET, &outer) < 0 || outer.daddr != config->own_tunnel)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (outer.protocol != IPPROTO_IPIP_)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    __u32 from = outer.saddr;
    __u32 *sender = tunnels.lookup(&from);
    if (!sender || *sender == config->own_id) /* nobody sends itself anything: that address is forged */
        return say(DROP_UNKNOWN_TUNNEL, TC_ACT_SHOT);
    if (is_fragment(&outer))
        return say(DROP_FRAGMENT, TC_ACT_SHOT);
    if (outer.ihl != 5 || read_ip(skb, inner.ip_at, &inner.ip) < 0)
        return say(DROP_BAD_INNER, TC_ACT_SHOT);
    if (is_fragment(&inner.ip))
        return say(DROP_BAD_INNER, TC_ACT_SHOT);
    int tcp = inner.ip.protocol == IPPROTO_TCP;
    if (tcp ? read_tcp(skb, &inner) < 0 : inner.ip.protocol != IPPROTO_ICMP)
        return say(DROP_BAD_INNER, TC_ACT_SHOT);
    if (must_be_lost(&outer, &inner.ip))
        return say(DROP_CONGESTION, TC_ACT_SHOT);
    if (inner.ip.daddr == config->vip)
        return deliver(skb, config, &outer, &inner, *sender);
    if (tcp && inner.ip.saddr == config->vip)
        return give_back(skb, config, &outer, &inner, *sender);
    return say(DROP_BAD_INNER, TC_ACT_SHOT);
}

static __always_inline struct verdict decide_reply(struct __sk_buff *skb)
{
    struct tcp_packet packet = {.ip_at = ETHERNET};
    struct config *config = configuration();

    if ((skb->mark & MARK_MASK) != MARK_TAG)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (!config || skb->protocol != bpf_htons(ETH_P_IP))
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (read_ip(skb, packet.ip_at, &packet.ip) < 0 || packet.ip.saddr != config->vip)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (packet.ip.protocol != IPPROTO_TCP || is_fragment(&packet.ip) || read_tcp(skb, &packet) < 0)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (bpf_ntohs(packet.tcp.source) != config->id_base_host + config->own_id)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    __u32 ingress = skb->mark & INGRESS_MASK;
    struct edge *edge = edges.lookup(&ingress);
    /* Never by this edge's own way: the point of a second path is that its replies stay on it. */
    if (!edge)
        return say(DROP_UNKNOWN_INGRESS, TC_ACT_SHOT);
    skb->mark = 0;
    return send_through(skb, config, &packet, edge->tunnel, REPLY_FORWARDED);
}

int outside_ingress(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return leave(length, decide_outside(skb));
}

int tunnel_ingress(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return leave(length, decide_tunnel(skb));
}

int owner_egress(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return leave(length, decide_reply(skb));
}
