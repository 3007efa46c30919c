/* The forwarder: three tc programs around one table, and before one of them, where a driver takes it, XDP (fast.h). balancer/model/reference/decision.py is the same in Python.
 *
 *   outside_ingress   a secondary subflow enters here: to its owner through the tunnel
 *   tunnel_ingress    from the backbone: deliver what is mine with a mark, return what I sent on
 *   owner_egress      replies that carry the mark go back to the edge they came in by
 *
 * Each has a twin for interfaces whose packets begin with IP (WireGuard, tun).
 */
#include <uapi/linux/if_ether.h>
#include <uapi/linux/in.h>
#include <uapi/linux/in6.h>
#include <uapi/linux/ip.h>
#include <uapi/linux/ipv6.h>
#include <uapi/linux/tcp.h>
#include <uapi/linux/pkt_cls.h>

#include "layout.h"
#include "packet.h"
#include "checksum.h"
#include "flow.h"
#include "tunnel.h"
#include "mss.h"
#include "answer.h"
#include "change.h"
#include "budget.h"
#include "maps.h"
#include "site.h"

struct verdict {
    enum reason reason;
    int action;
    __u32 edge; /* with which a packet was exchanged; 0: with none */
    struct edge *to; /* where it is still to be sent: `act` does that, at one place of each program */
};

static __always_inline struct verdict say(enum reason reason, int action)
{
    struct verdict verdict = {reason, action, 0, 0};
    return verdict;
}

static __always_inline struct verdict say_with(enum reason reason, int action, __u32 edge)
{
    struct verdict verdict = {reason, action, edge, 0};
    return verdict;
}

static __always_inline struct verdict send(enum reason reason, struct edge *to, __u32 edge)
{
    struct verdict verdict = {reason, 0, edge, to};
    return verdict;
}

static __always_inline void add(struct counter *counter, __u32 length)
{
    counter->packets += 1;
    counter->bytes += length;
}

/* A copy of the packet as it is now: dropped packets as they came, others as they leave. */
static __always_inline void capture(struct __sk_buff *skb, enum reason reason, __u32 l3)
{
    struct captured *copy = captures.ringbuf_reserve(sizeof(*copy));
    if (!copy)
        return;
    copy->time = bpf_ktime_get_ns();
    copy->reason = reason;
    copy->length = skb->len;
    copy->raw = l3 == 0;
    /* 1 to CAPTURED; the mask says so to Linux 6.1, which does not learn it from a comparison */
    __u32 kept = (((skb->len < CAPTURED ? skb->len : CAPTURED) - 1) & (CAPTURED - 1)) + 1;
    copy->kept = bpf_skb_load_bytes(skb, 0, copy->data, kept) == 0 ? kept : 0;
    captures.ringbuf_submit(copy, 0);
}

/* `edge`: 0 where it went to none. */
static __always_inline void count(__u32 hook, enum reason reason, __u32 edge, __u32 length, int received)
{
    __u32 key = hook + reason;
    struct counter *counter = counters.lookup(&key);

    if (counter)
        add(counter, length);
    if (edge) {
        struct edge_counter *of_edge = edge_counters.lookup(&edge);
        if (of_edge)
            add(received ? &of_edge->received : &of_edge->sent, length);
    }
}

/* The one exit: every packet is counted under one reason. */
static __always_inline int leave(struct __sk_buff *skb, __u32 l3, __u32 length, int received, struct verdict verdict)
{
    int first = 0;
    struct live *live = live_map.lookup(&first);

    count(BY_TC, verdict.reason, verdict.edge, length, received);
    if (live && live->capture == verdict.reason + 1)
        capture(skb, verdict.reason, l3);
    return verdict.action;
}

static __always_inline struct verdict refuse(struct __sk_buff *skb, const struct node *node,
                                             const struct packet *packet, enum reason reason)
{
    if (!may_answer(node))
        return say(DROP_ANSWER_BUDGET, TC_ACT_SHOT);
    if (make_reset(skb, packet) < 0)
        return say(DROP_FAILED, TC_ACT_SHOT);
    return say(reason, bpf_redirect(skb->ifindex, 0));
}

/* To who sent the packet: out where it came in, or, for a reply, to this host. */
static __always_inline struct verdict tell_too_big(struct __sk_buff *skb, const struct node *node,
                                                   const struct packet *packet, __u32 mtu, enum reason reason)
{
    int here = reason == REPLY_FORWARDED || reason == REPLY_REROUTED;

    /* no errors about errors */
    if (packet->protocol != IPPROTO_TCP || has_options(packet) || reason == SITE_CHAINED)
        return say(DROP_TOO_BIG, TC_ACT_SHOT);
    if (!may_answer(node))
        return say(DROP_ANSWER_BUDGET, TC_ACT_SHOT);
    if (make_too_big(skb, packet, mtu) < 0)
        return say(DROP_FAILED, TC_ACT_SHOT);
    return say(ICMP_TOO_BIG, bpf_redirect(skb->ifindex, here ? BPF_F_INGRESS : 0));
}

static __always_inline int fits(struct __sk_buff *skb, const struct node *node, const struct packet *packet,
                                const struct edge *edge)
{
    __u32 size = skb->len - packet->l3;
    if (skb->gso_size) /* what each segment will be */
        size = skb->gso_size + packet->l4 - packet->l3 + packet->header;
    return size + edge->outer <= node->config->backbone_mtu;
}

static __always_inline struct verdict send_through(struct __sk_buff *skb, const struct node *node,
                                                   const struct packet *packet, const struct edge *edge, __u32 id,
                                                   enum reason reason)
{
    __u32 taken = node->live->overhead + ip_header(packet) + TCP;

    if (!fits(skb, node, packet, edge))
        return tell_too_big(skb, node, packet, node->config->backbone_mtu - edge->outer, reason);
    if (packet->flags & FLAG_SYN && clamp_mss(skb, packet, node->config->backbone_mtu - taken) < 0)
        return say(DROP_FAILED, TC_ACT_SHOT);
    if (put_on(skb, packet, edge, node->config) < 0)
        return say(DROP_FAILED, TC_ACT_SHOT);
    return say_with(reason, leave_by(skb, packet->l3, node->config->backbone_index), id);
}

static __always_inline struct verdict act(struct __sk_buff *skb, const struct node *node, const struct packet *packet,
                                          struct verdict verdict)
{
    if (!verdict.to)
        return verdict;
    return send_through(skb, node, packet, verdict.to, verdict.edge, verdict.reason);
}

/* An error about a forwarded subflow concerns its owner: path MTU discovery would fail without it. */
static __always_inline struct verdict follow_icmp(struct __sk_buff *skb, const struct node *node,
                                                  const struct packet *packet, const struct place *place)
{
    if (!carries_icmp(packet))
        return say(NOT_FOR_VIP, TC_ACT_OK);
    __u32 id = located(place, quoted_port(packet, skb));
    if (!id || id == node->config->own_id)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    struct edge *owner = find_edge(node, id);
    if (!owner)
        return say(DROP_UNKNOWN_ID, TC_ACT_SHOT);
    return send(ICMP_FORWARDED, owner, id);
}

/* The version of the packet that a program is given; 0 if it is not IP, or of a VLAN: its own interface is asked. */
static __always_inline int version_of(struct __sk_buff *skb)
{
    if (skb->vlan_present)
        return 0;
    if (skb->protocol == bpf_htons(ETH_P_IP))
        return 4;
    return skb->protocol == bpf_htons(ETH_P_IPV6) ? 6 : 0;
}

static __always_inline struct verdict forward(struct __sk_buff *skb, const struct node *node,
                                              const struct packet *packet, __u32 id)
{
    int opens = (packet->flags & (FLAG_SYN | FLAG_ACK | FLAG_RST)) == FLAG_SYN;
    struct edge *owner = find_edge(node, id);

    if (!owner) {
        if (!opens)
            return say(DROP_UNKNOWN_ID, TC_ACT_SHOT);
        if (bpf_ktime_get_coarse_ns() > node->live->fresh_until) /* the id may be new */
            return say(DROP_STALE, TC_ACT_SHOT);
        return refuse(skb, node, packet, RESET_UNKNOWN_ID);
    }
    if (opens) {
        if (owner->state == EDGE_DOWN)
            return refuse(skb, node, packet, RESET_OWNER_DOWN);
        if (!source_may_open(node, packet))
            return say(DROP_SOURCE_BUDGET, TC_ACT_SHOT);
        if (!owner_may_get_syn(node, id))
            return say(DROP_SYN_BUDGET, TC_ACT_SHOT);
    } else if (!owner_may_get(node, packet, id)) {
        return say(DROP_NOT_ADMITTED, TC_ACT_SHOT);
    }
    return send(FORWARDED, owner, id);
}

/* A first subflow at a site: to the edge that has its bucket, or had it when it began. */
static __always_inline struct verdict by_the_ring(struct __sk_buff *skb, const struct node *node,
                                                  const struct packet *packet)
{
    enum reason reason = SITE_FORWARDED;
    __u32 id = site_owner(skb, node, packet, 0, &reason);
    struct edge *owner = id && id != node->config->own_id ? find_edge(node, id) : 0;

    if (!owner) /* this edge's; or what the table does not know how to reach is served here */
        return say(SERVICE_PORT, TC_ACT_OK);
    return send(reason, owner, id);
}

/* What a TCP packet to a VIP or locator is: FORWARDED to the edge `id`, SITE_FORWARDED where the ring has to say, else how
 * it ends. */
static __always_inline enum reason sort_by_port(const struct node *node, const struct packet *packet,
                                                const struct place *place, __u32 *id)
{
    *id = 0;
    if (place->prefix && packet->dest != place->vip.service_port)
        return DROP_OTHER_PORT;
    if (!place->prefix && (!place->vip.id_base || packet->dest < place->vip.id_base))
        return node->live->ring && packet->dest == place->vip.service_port ? SITE_FORWARDED : SERVICE_PORT;
    *id = located(place, packet->dest);
    if (!*id)
        return DROP_ID_ZERO;
    return *id == node->config->own_id ? OWN_LOCATOR : FORWARDED;
}

static __always_inline struct verdict meet(struct __sk_buff *skb, const struct node *node, struct packet *packet,
                                           __u32 l3)
{
    struct place place = {};

    if (find_place(node, &packet->to, &place) < 0)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (packet->fragment)
        return say(DROP_FRAGMENT, TC_ACT_SHOT);
    if (packet->protocol != IPPROTO_TCP)
        return follow_icmp(skb, node, packet, &place);
    if (read_first_tcp(packet, skb, l3) < 0)
        return say(DROP_TRUNCATED, TC_ACT_SHOT);

    __u32 id;
    enum reason reason = sort_by_port(node, packet, &place, &id);
    if (reason == SERVICE_PORT || reason == OWN_LOCATOR)
        return say(reason, TC_ACT_OK);
    if (reason == SITE_FORWARDED)
        return by_the_ring(skb, node, packet);
    if (reason != FORWARDED)
        return say(reason, TC_ACT_SHOT);
    return forward(skb, node, packet, id);
}

static __always_inline struct verdict decide_outside(struct __sk_buff *skb, __u32 l3)
{
    struct packet packet = {};
    struct node node;
    int version = version_of(skb);

    if (!version || know(&node) < 0 || read_first_ip(&packet, skb, l3, version) < 0)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    return act(skb, &node, &packet, meet(skb, &node, &packet, l3));
}

/* A first subflow that another edge of the site handed on; its replies go the owner's own way, which is that router's. */
static __always_inline struct verdict deliver_at_site(struct __sk_buff *skb, const struct node *node,
                                                      const struct packet *outer, struct packet *inner, __u32 sender)
{
    enum reason reason = SITE_DELIVERED;
    __u32 id = site_owner(skb, node, inner, sender, &reason);

    if (!id)
        return say(DROP_WRONG_OWNER, TC_ACT_SHOT);
    if (take_off(skb, outer, inner) < 0)
        return say(DROP_FAILED, TC_ACT_SHOT);
    if (id == node->config->own_id)
        return say_with(reason, TC_ACT_OK, sender);
    struct edge *before = find_edge(node, id);
    if (!before)
        return say(DROP_WRONG_OWNER, TC_ACT_SHOT);
    inner->l4 = inner->l4 - inner->l3 + outer->l3;
    inner->l3 = outer->l3;
    if (must_be_told(outer, inner))
        inner->tos |= ECN_CE;
    return send_through(skb, node, inner, before, id, SITE_CHAINED);
}

static __always_inline struct verdict deliver(struct __sk_buff *skb, const struct node *node,
                                              const struct packet *outer, struct packet *inner,
                                              const struct place *place, __u32 sender)
{
    __u32 mine = node->config->own_id;
    enum reason reason = DELIVERED;

    if (inner->protocol != IPPROTO_TCP) {
        if (located(place, quoted_port(inner, skb)) != mine)
            return say(DROP_BAD_INNER, TC_ACT_SHOT);
        reason = ICMP_DELIVERED;
    } else if (node->live->ring && !place->prefix && inner->dest == place->vip.service_port) {
        return deliver_at_site(skb, node, outer, inner, sender);
    } else if (located(place, inner->dest) != mine) {
        return say(DROP_WRONG_OWNER, TC_ACT_SHOT);
    }
    if (reason == DELIVERED && node->live->arrivals)
        note_arrival(node, inner, sender);
    if (take_off(skb, outer, inner) < 0)
        return say(DROP_FAILED, TC_ACT_SHOT);
    skb->mark = (place->vip.direct ? DIRECT_TAG : MARK_TAG) | sender;
    return say_with(reason, TC_ACT_OK, sender);
}

/* By which interface the way back to a client leads; 0 if by none that points outside. */
static __always_inline __u32 way_out(struct __sk_buff *skb, const struct node *node, const struct packet *packet)
{
    struct bpf_fib_lookup route = {.ifindex = node->config->backbone_index};
    if (node->config->outside_index)
        return node->config->outside_index;
    route.l4_protocol = IPPROTO_TCP;
    if (packet->version == 4) {
        route.family = 2;
        route.ipv4_src = packet->from.word[3];
        route.ipv4_dst = packet->to.word[3];
    } else {
        route.family = 10;
        copy_address((struct address *)route.ipv6_src, packet->from.word);
        copy_address((struct address *)route.ipv6_dst, packet->to.word);
    }
    long found = bpf_fib_lookup(skb, &route, sizeof(route), 0);
    if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH)
        return 0;
    __u32 index = route.ifindex;
    return outsides.lookup(&index) ? index : 0;
}

static __always_inline struct verdict give_back(struct __sk_buff *skb, const struct node *node,
                                                const struct packet *outer, const struct packet *inner,
                                                const struct place *place, __u32 sender)
{
    if (located(place, inner->source) != sender)
        return say(DROP_WRONG_SENDER, TC_ACT_SHOT);
    if (node->config->packet_cost)
        admit(node, inner);
    __u32 index = way_out(skb, node, inner);
    if (!index)
        return say(DROP_NO_ROUTE, TC_ACT_SHOT);
    if (take_off(skb, outer, inner) < 0)
        return say(DROP_FAILED, TC_ACT_SHOT);
    return say_with(REPLY_RETURNED, leave_by(skb, outer->l3, index), sender);
}

static __always_inline struct verdict decide_tunnel(struct __sk_buff *skb, __u32 l3)
{
    struct packet outer = {}, inner = {};
    struct place place = {};
    struct node node;
    __u32 at;
    int version = version_of(skb);

    if (!version || know(&node) < 0)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (read_first_ip(&outer, skb, l3, version) < 0)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (version == 4 ? outer.to.word[3] != node.config->own_v4.word[3] : !same(&outer.to, &node.config->own_v6))
        return say(NOT_FOR_VIP, TC_ACT_OK);
    int contained = inner_packet(&outer, skb, &at);
    if (!contained)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    __u32 sender = find_sender(&node, &outer.from);
    if (!sender || sender == node.config->own_id) /* nobody sends itself anything: that address is forged */
        return say(DROP_UNKNOWN_TUNNEL, TC_ACT_SHOT);
    if (outer.fragment)
        return say(DROP_FRAGMENT, TC_ACT_SHOT);
    if (contained < 0 || outer.l4 - outer.l3 != ip_header(&outer))
        return say(DROP_BAD_INNER, TC_ACT_SHOT);
    if (read_ip(&inner, skb, at, contained) < 0 || inner.fragment)
        return say(DROP_BAD_INNER, TC_ACT_SHOT);
    int tcp = inner.protocol == IPPROTO_TCP;
    if (tcp ? read_tcp(&inner, skb) < 0 : !carries_icmp(&inner))
        return say(DROP_BAD_INNER, TC_ACT_SHOT);
    if (must_be_lost(&outer, &inner))
        return say(DROP_CONGESTION, TC_ACT_SHOT);
    if (find_place(&node, &inner.to, &place) == 0)
        return deliver(skb, &node, &outer, &inner, &place, sender);
    if (tcp && find_place(&node, &inner.from, &place) == 0)
        return give_back(skb, &node, &outer, &inner, &place, sender);
    return say(DROP_BAD_INNER, TC_ACT_SHOT);
}

/* To the edge by which the subflow came in; if that is down or gone, to the one by which its packets come now. Never by
 * this edge's own way: the point of a second path is that its replies stay on it. */
static __always_inline struct verdict send_back(struct __sk_buff *skb, const struct node *node,
                                                const struct packet *packet, __u32 id)
{
    struct edge *ingress = find_edge(node, id);
    enum reason lost = ingress ? DROP_INGRESS_DOWN : DROP_UNKNOWN_INGRESS, reason = REPLY_FORWARDED;

    if (!ingress || ingress->state == EDGE_DOWN) {
        __u32 now_by = arrived_by(node, packet);
        ingress = now_by ? find_edge(node, now_by) : 0;
        if (!ingress)
            return say(lost, TC_ACT_SHOT);
        if (now_by != id)
            reason = REPLY_REROUTED;
        id = now_by;
    }
    skb->mark = 0;
    return send_through(skb, node, packet, ingress, id, reason);
}

/* By the owner's own way; what the client sends still comes through a tunnel, so that its MSS is clamped all the same. */
static __always_inline struct verdict reply_directly(struct __sk_buff *skb, const struct node *node,
                                                     const struct packet *packet)
{
    __u32 taken = node->live->overhead + ip_header(packet) + TCP;

    if (packet->flags & FLAG_SYN && clamp_mss(skb, packet, node->config->backbone_mtu - taken) < 0)
        return say(DROP_FAILED, TC_ACT_SHOT);
    return say(REPLY_DIRECT, TC_ACT_OK);
}

static __always_inline struct verdict decide_reply(struct __sk_buff *skb, __u32 l3)
{
    struct packet packet = {};
    struct place place = {};
    struct node node;
    int version;

    __u32 tag = skb->mark & MARK_MASK;
    if (tag != MARK_TAG && tag != DIRECT_TAG)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    version = version_of(skb);
    if (!version || know(&node) < 0)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (read_first_ip(&packet, skb, l3, version) < 0 || packet.protocol != IPPROTO_TCP || packet.fragment)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (find_place(&node, &packet.from, &place) < 0 || read_first_tcp(&packet, skb, l3) < 0)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (located(&place, packet.source) != node.config->own_id)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (tag == DIRECT_TAG)
        return reply_directly(skb, &node, &packet);
    return send_back(skb, &node, &packet, skb->mark & INGRESS_MASK);
}

#ifdef FAST
#include "fast.h"
#endif

int outside_ingress(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return leave(skb, ETHERNET, length, 0, decide_outside(skb, ETHERNET));
}

int tunnel_ingress(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return leave(skb, ETHERNET, length, 1, decide_tunnel(skb, ETHERNET));
}

int owner_egress(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return leave(skb, ETHERNET, length, 0, decide_reply(skb, ETHERNET));
}

#ifdef RAW
int outside_ingress_raw(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return leave(skb, 0, length, 0, decide_outside(skb, 0));
}

int tunnel_ingress_raw(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return leave(skb, 0, length, 1, decide_tunnel(skb, 0));
}

int owner_egress_raw(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return leave(skb, 0, length, 0, decide_reply(skb, 0));
}
#endif
