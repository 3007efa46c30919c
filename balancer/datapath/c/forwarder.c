/* The forwarder: three tc programs around one table, and the XDP fast path (xdp.h) where a driver takes it. The same
 * decisions in Python: balancer/model/reference/decision.py.
 *
 *   outside_ingress   secondary subflows that enter here: encapsulate to the owner
 *   tunnel_ingress    from the backbone: deliver to this edge with a mark, or return a reply to the client
 *   owner_egress      replies that carry the mark: encapsulate to the ingress edge of their subflow
 *
 * Each has a twin for interfaces whose packets begin with IP (WireGuard, tun).
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/pkt_cls.h>

#include "program.h"
#include "layout.h"
#include "packet.h"
#include "checksum.h"
#include "flow.h"
#include "tunnel.h"
#include "mss.h"
#include "reply.h"
#include "encap.h"
#include "budget.h"
#include "maps.h"
#include "site.h"

struct verdict {
    enum reason reason;
    int action;
    __u32 edge; /* peer edge of the packet, 0 for none */
    struct edge *to; /* edge to encapsulate to, done by `transmit` at one place of each program */
};

static __always_inline struct verdict verdict(enum reason reason, int action)
{
    struct verdict verdict = {reason, action, 0, 0};
    return verdict;
}

static __always_inline struct verdict verdict_with_edge(enum reason reason, int action, __u32 edge)
{
    struct verdict verdict = {reason, action, edge, 0};
    return verdict;
}

static __always_inline struct verdict transmit_verdict(enum reason reason, struct edge *to, __u32 edge)
{
    struct verdict verdict = {reason, 0, edge, to};
    return verdict;
}

static __always_inline void add_packet(struct counter *counter, __u32 length)
{
    counter->packets += 1;
    counter->bytes += length;
}

/* Copy the packet to the ring buffer: dropped packets as received, others as sent. */
static __always_inline void capture(struct __sk_buff *skb, enum reason reason, __u32 l3)
{
    struct captured *copy = bpf_ringbuf_reserve(&captures, sizeof(*copy), 0);
    if (!copy)
        return;
    copy->time = bpf_ktime_get_ns();
    copy->reason = reason;
    copy->length = skb->len;
    copy->raw = l3 == 0;
    /* 1 to CAPTURED; the mask says so to Linux 6.1, which does not learn it from a comparison */
    __u32 kept = (((skb->len < CAPTURED ? skb->len : CAPTURED) - 1) & (CAPTURED - 1)) + 1;
    copy->kept = bpf_skb_load_bytes(skb, 0, copy->data, kept) == 0 ? kept : 0;
    bpf_ringbuf_submit(copy, 0);
}

/* Count a packet under its reason, and under its peer edge unless that is 0. */
static __always_inline void count(__u32 hook, enum reason reason, __u32 edge, __u32 length, int received)
{
    __u32 key = hook + reason;
    struct counter *counter = bpf_map_lookup_elem(&counters, &key);

    if (counter)
        add_packet(counter, length);
    if (edge) {
        struct edge_counter *of_edge = bpf_map_lookup_elem(&edge_counters, &edge);
        if (of_edge)
            add_packet(received ? &of_edge->received : &of_edge->sent, length);
    }
}

/* The one exit: count every packet under exactly one reason. */
static __always_inline int finish(struct __sk_buff *skb, __u32 l3, __u32 length, int received, struct verdict verdict)
{
    int first = 0;
    struct live *live = bpf_map_lookup_elem(&live_map, &first);

    count(BY_TC, verdict.reason, verdict.edge, length, received);
    if (live && live->capture == verdict.reason + 1)
        capture(skb, verdict.reason, l3);
    return verdict.action;
}

static __always_inline struct verdict refuse_with_reset(struct __sk_buff *skb, const struct node *node,
                                             const struct packet *packet, enum reason reason)
{
    if (!may_answer(node))
        return verdict(DROP_ANSWER_BUDGET, TC_ACT_SHOT);
    if (make_reset(skb, packet) < 0)
        return verdict(DROP_FAILED, TC_ACT_SHOT);
    return verdict(reason, bpf_redirect(skb->ifindex, 0));
}

/* Answer the sender: by the ingress interface, or, for a reply, to this host. */
static __always_inline struct verdict refuse_too_big(struct __sk_buff *skb, const struct node *node,
                                                   const struct packet *packet, __u32 mtu, enum reason reason)
{
    int here = reason == REPLY_FORWARDED || reason == REPLY_REROUTED;

    /* RFC 1122 section 3.2.2: no ICMP errors about ICMP errors */
    if (packet->protocol != IPPROTO_TCP || has_options(packet) || reason == SITE_CHAINED)
        return verdict(DROP_TOO_BIG, TC_ACT_SHOT);
    if (!may_answer(node))
        return verdict(DROP_ANSWER_BUDGET, TC_ACT_SHOT);
    if (make_too_big(skb, packet, mtu) < 0)
        return verdict(DROP_FAILED, TC_ACT_SHOT);
    return verdict(ICMP_TOO_BIG, bpf_redirect(skb->ifindex, here ? BPF_F_INGRESS : 0));
}

static __always_inline int fits_tunnel(struct __sk_buff *skb, const struct node *node, const struct packet *packet,
                                const struct edge *edge)
{
    __u32 size = skb->len - packet->l3;
    if (skb->gso_size) /* size of each segment */
        size = skb->gso_size + packet->l4 - packet->l3 + packet->header;
    return size + edge->outer <= node->config->backbone_mtu;
}

static __always_inline struct verdict send_through_tunnel(struct __sk_buff *skb, const struct node *node,
                                                   const struct packet *packet, const struct edge *edge, __u32 id,
                                                   enum reason reason)
{
    __u32 taken = node->live->overhead + ip_header(packet) + TCP;

    if (!fits_tunnel(skb, node, packet, edge))
        return refuse_too_big(skb, node, packet, node->config->backbone_mtu - edge->outer, reason);
    if (packet->flags & FLAG_SYN && clamp_mss(skb, packet, node->config->backbone_mtu - taken) < 0)
        return verdict(DROP_FAILED, TC_ACT_SHOT);
    if (encap(skb, packet, edge, node->config) < 0)
        return verdict(DROP_FAILED, TC_ACT_SHOT);
    return verdict_with_edge(reason, redirect_by(skb, packet->l3, node->config->backbone_index), id);
}

static __always_inline struct verdict transmit(struct __sk_buff *skb, const struct node *node, const struct packet *packet,
                                          struct verdict verdict)
{
    if (!verdict.to)
        return verdict;
    return send_through_tunnel(skb, node, packet, verdict.to, verdict.edge, verdict.reason);
}

/* Whether the port is one of first subflows, whose edge the site's ring selects. */
static __always_inline int is_ring_port(const struct node *node, const struct place *place, __u32 port)
{
    return node->live->ring && !place->prefix && port == place->vip.service_port;
}

/* What is neither TCP nor an ICMP error about a subflow of another edge: the kernel's. But another edge's address is not
 * here: the kernel would send the packet back to where it came from. */
static __always_inline struct verdict leave_to_kernel(const struct node *node, const struct place *place)
{
    if (place->prefix && place->id != node->config->own_id)
        return verdict(DROP_NOT_TCP, TC_ACT_SHOT);
    return verdict(NOT_FOR_VIP, TC_ACT_OK);
}

/* Forward ICMP errors about a subflow to its owner, which needs them for path MTU discovery. */
static __always_inline struct verdict classify_icmp(struct __sk_buff *skb, const struct node *node,
                                                  const struct packet *packet, const struct place *place)
{
    enum reason reason = ICMP_FORWARDED;
    struct quoted quoted = {};

    if (!carries_icmp(packet) || read_quoted(packet, skb, &quoted) < 0)
        return leave_to_kernel(node, place);
    int ring = is_ring_port(node, place, quoted.source);
    struct site_flow flow = flow_of_error(packet, &quoted);
    __u32 id = ring ? site_owner(skb, node, &flow, 0, &reason) : locator_id(place, quoted.source);
    if (!id || id == node->config->own_id)
        return leave_to_kernel(node, place);
    struct edge *owner = find_edge(node, id);
    if (!owner)
        return ring ? verdict(NOT_FOR_VIP, TC_ACT_OK) : verdict(DROP_UNKNOWN_ID, TC_ACT_SHOT);
    if (is_martian(packet))
        return verdict(DROP_MARTIAN, TC_ACT_SHOT);
    if (!owner_may_get_error(node, flow_hash_quoted(packet, &quoted, node->config->seed), id))
        return verdict(DROP_ERROR_BUDGET, TC_ACT_SHOT);
    return transmit_verdict(reason, owner, id);
}

/* IP version of the packet; 0 if it is not IP, or tagged: a VLAN has an interface of its own. */
static __always_inline int version_of(struct __sk_buff *skb)
{
    if (skb->vlan_present)
        return 0;
    if (skb->protocol == bpf_htons(ETH_P_IP))
        return 4;
    return skb->protocol == bpf_htons(ETH_P_IPV6) ? 6 : 0;
}

static __always_inline int opens_flow(const struct packet *packet)
{
    return (packet->flags & (FLAG_SYN | FLAG_ACK | FLAG_RST)) == FLAG_SYN;
}

/* Charge a SYN to its source and to the owner. Return the reason to drop it, 0 if there is none. */
static __always_inline enum reason charge_syn(const struct node *node, const struct packet *packet, __u32 id)
{
    if (!source_may_open(node, packet))
        return DROP_SOURCE_BUDGET;
    return owner_may_get_syn(node, id) ? 0 : DROP_SYN_BUDGET;
}

static __always_inline struct verdict forward(struct __sk_buff *skb, const struct node *node,
                                              const struct packet *packet, __u32 id)
{
    struct edge *owner = find_edge(node, id);
    int opens = opens_flow(packet);

    if (!owner) {
        if (!opens)
            return verdict(DROP_UNKNOWN_ID, TC_ACT_SHOT);
        if (bpf_ktime_get_coarse_ns() > node->live->fresh_until) /* the id may be newer than this table */
            return verdict(DROP_STALE, TC_ACT_SHOT);
        return refuse_with_reset(skb, node, packet, RESET_UNKNOWN_ID);
    }
    if (opens) {
        if (owner->state == EDGE_DOWN)
            return refuse_with_reset(skb, node, packet, RESET_OWNER_DOWN);
        enum reason over = charge_syn(node, packet, id);
        if (over)
            return verdict(over, TC_ACT_SHOT);
    } else if (!owner_may_get(node, packet, id)) {
        return verdict(DROP_NOT_ADMITTED, TC_ACT_SHOT);
    }
    return transmit_verdict(FORWARDED, owner, id);
}

/* A first subflow at a site: forward it to the edge that owns its bucket, or owned it when the subflow began. */
static __always_inline struct verdict ring_lookup(struct __sk_buff *skb, const struct node *node,
                                                  const struct packet *packet)
{
    enum reason reason = SITE_FORWARDED, over;
    struct site_flow flow = flow_of_segment(packet, opens_flow(packet));
    __u32 id = site_owner(skb, node, &flow, 0, &reason);
    struct edge *owner = id && id != node->config->own_id ? find_edge(node, id) : 0;

    if (!owner) /* this edge's own, or the table has no tunnel to the owner: serve it here */
        return verdict(SERVICE_PORT, TC_ACT_OK);
    if (flow.opens)
        over = charge_syn(node, packet, id);
    else
        over = owner_may_get_of_site(node, id) ? 0 : DROP_SITE_BUDGET;
    if (over)
        return verdict(over, TC_ACT_SHOT);
    return transmit_verdict(reason, owner, id);
}

/* Classify a TCP packet to a VIP or locator by its port: FORWARDED to the edge `id`, SITE_FORWARDED when the ring decides,
 * else the final reason. */
static __always_inline enum reason classify_port(const struct node *node, const struct packet *packet,
                                                const struct place *place, __u32 *id)
{
    *id = 0;
    if (place->prefix && packet->dest != place->vip.service_port)
        return DROP_OTHER_PORT;
    if (!place->prefix && (!place->vip.id_base || packet->dest < place->vip.id_base))
        return is_ring_port(node, place, packet->dest) ? SITE_FORWARDED : SERVICE_PORT;
    *id = locator_id(place, packet->dest);
    if (!*id)
        return DROP_ID_ZERO;
    return *id == node->config->own_id ? OWN_LOCATOR : FORWARDED;
}

static __always_inline struct verdict classify(struct __sk_buff *skb, const struct node *node, struct packet *packet,
                                           __u32 l3)
{
    struct place place = {};

    if (find_place(node, &packet->to, &place) < 0)
        return verdict(NOT_FOR_VIP, TC_ACT_OK);
    if (packet->fragment)
        return verdict(DROP_FRAGMENT, TC_ACT_SHOT);
    if (has_extension(packet))
        return verdict(DROP_EXTENSION, TC_ACT_SHOT);
    if (packet->protocol != IPPROTO_TCP)
        return classify_icmp(skb, node, packet, &place);
    if (is_martian(packet))
        return verdict(DROP_MARTIAN, TC_ACT_SHOT);
    if (read_first_tcp(packet, skb, l3) < 0)
        return verdict(DROP_TRUNCATED, TC_ACT_SHOT);

    __u32 id;
    enum reason reason = classify_port(node, packet, &place, &id);
    if (reason == SERVICE_PORT || reason == OWN_LOCATOR)
        return verdict(reason, TC_ACT_OK);
    if (reason == SITE_FORWARDED)
        return ring_lookup(skb, node, packet);
    if (reason != FORWARDED)
        return verdict(reason, TC_ACT_SHOT);
    return forward(skb, node, packet, id);
}

static __always_inline struct verdict decide_outside(struct __sk_buff *skb, __u32 l3)
{
    struct packet packet = {};
    struct node node;
    int version = version_of(skb);

    if (!version || load_node(&node) < 0 || read_first_ip(&packet, skb, l3, version) < 0)
        return verdict(NOT_FOR_VIP, TC_ACT_OK);
    return transmit(skb, &node, &packet, classify(skb, &node, &packet, l3));
}

/* Charge what the ring hands on once more. Return the reason to drop it, 0 if there is none. */
static __always_inline enum reason charge_chained(const struct node *node, const struct site_flow *flow, __u32 id)
{
    if (!flow->error)
        return owner_may_get_of_site(node, id) ? 0 : DROP_SITE_BUDGET;
    __u32 hash = hash_ends(node->config->seed, flow->version, flow->client, flow->vip,
                           flow->client_port << 16 | flow->vip_port);
    return owner_may_get_error(node, hash, id) ? 0 : DROP_ERROR_BUDGET;
}

/* A first subflow's packet that another edge of the site forwarded, or an ICMP error about one. Its replies leave by this
 * edge's own route: both edges are behind the same router. */
static __always_inline struct verdict deliver_at_site(struct __sk_buff *skb, const struct node *node,
                                                      const struct packet *outer, struct packet *inner,
                                                      const struct site_flow *flow, __u32 sender)
{
    enum reason reason = flow->error ? ICMP_DELIVERED : SITE_DELIVERED;
    __u32 id = site_owner(skb, node, flow, sender, &reason);
    struct edge *before = id && id != node->config->own_id ? find_edge(node, id) : 0;

    if (!id || (id != node->config->own_id && !before))
        return verdict(DROP_WRONG_OWNER, TC_ACT_SHOT);
    if (!before) {
        if (decap(skb, outer, inner) < 0)
            return verdict(DROP_FAILED, TC_ACT_SHOT);
        return verdict_with_edge(reason, TC_ACT_OK, sender);
    }
    enum reason over = charge_chained(node, flow, id);
    if (over)
        return verdict(over, TC_ACT_SHOT);
    if (decap(skb, outer, inner) < 0)
        return verdict(DROP_FAILED, TC_ACT_SHOT);
    inner->l4 = inner->l4 - inner->l3 + outer->l3;
    inner->l3 = outer->l3;
    if (must_mark_congestion(outer, inner))
        inner->tos |= ECN_CE;
    if (lower_hop_limit(skb, inner->l3, inner->version) < 0)
        return verdict(DROP_WRONG_OWNER, TC_ACT_SHOT);
    inner->flags &= ~FLAG_SYN; /* its segment size was clamped where it entered; the verifier need not walk that again */
    /* what is too big is never answered here: a constant says so to the verifier */
    struct verdict sent = send_through_tunnel(skb, node, inner, before, id, SITE_CHAINED);
    if (flow->error && sent.reason == SITE_CHAINED)
        sent.reason = ICMP_FORWARDED;
    return sent;
}

static __always_inline struct verdict deliver(struct __sk_buff *skb, const struct node *node,
                                              const struct packet *outer, struct packet *inner,
                                              const struct place *place, __u32 sender)
{
    int tcp = inner->protocol == IPPROTO_TCP;
    struct quoted quoted = {};

    if (!tcp && read_quoted(inner, skb, &quoted) < 0)
        return verdict(DROP_BAD_INNER, TC_ACT_SHOT);
    __u32 port = tcp ? inner->dest : quoted.source;
    if (is_ring_port(node, place, port)) {
        struct site_flow flow = tcp ? flow_of_segment(inner, opens_flow(inner)) : flow_of_error(inner, &quoted);
        return deliver_at_site(skb, node, outer, inner, &flow, sender);
    }
    if (locator_id(place, port) != node->config->own_id)
        return verdict(tcp ? DROP_WRONG_OWNER : DROP_BAD_INNER, TC_ACT_SHOT);
    enum reason reason = tcp ? DELIVERED : ICMP_DELIVERED;
    if (reason == DELIVERED && node->live->arrivals)
        note_arrival(node, inner, sender);
    if (decap(skb, outer, inner) < 0)
        return verdict(DROP_FAILED, TC_ACT_SHOT);
    skb->mark = (place->vip.direct ? DIRECT_TAG : MARK_TAG) | sender;
    return verdict_with_edge(reason, TC_ACT_OK, sender);
}

/* Index of the outside interface that routes lead to the client by; 0 if there is none. */
static __always_inline __u32 outside_interface(struct __sk_buff *skb, const struct node *node, const struct packet *packet)
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
    return bpf_map_lookup_elem(&outsides, &index) ? index : 0;
}

static __always_inline struct verdict return_reply(struct __sk_buff *skb, const struct node *node,
                                                const struct packet *outer, const struct packet *inner,
                                                const struct place *place, __u32 sender)
{
    if (locator_id(place, inner->source) != sender)
        return verdict(DROP_WRONG_SENDER, TC_ACT_SHOT);
    if (node->config->packet_cost)
        admit(node, inner);
    __u32 index = outside_interface(skb, node, inner);
    if (!index)
        return verdict(DROP_NO_ROUTE, TC_ACT_SHOT);
    if (decap(skb, outer, inner) < 0)
        return verdict(DROP_FAILED, TC_ACT_SHOT);
    return verdict_with_edge(REPLY_RETURNED, redirect_by(skb, outer->l3, index), sender);
}

static __always_inline struct verdict decide_tunnel(struct __sk_buff *skb, __u32 l3)
{
    struct packet outer = {}, inner = {};
    struct place place = {};
    struct node node;
    __u32 at;
    int version = version_of(skb);

    if (!version || load_node(&node) < 0)
        return verdict(NOT_FOR_VIP, TC_ACT_OK);
    if (read_first_ip(&outer, skb, l3, version) < 0)
        return verdict(NOT_FOR_VIP, TC_ACT_OK);
    if (version == 4 ? outer.to.word[3] != node.config->own_v4.word[3] : !same_address(&outer.to, &node.config->own_v6))
        return verdict(NOT_FOR_VIP, TC_ACT_OK);
    int contained = inner_packet(&outer, skb, &at);
    if (!contained)
        return verdict(NOT_FOR_VIP, TC_ACT_OK);
    __u32 sender = find_sender(&node, &outer.from);
    if (!sender || sender == node.config->own_id) /* an edge never tunnels to itself: the source is forged */
        return verdict(DROP_UNKNOWN_TUNNEL, TC_ACT_SHOT);
    if (outer.fragment)
        return verdict(DROP_FRAGMENT, TC_ACT_SHOT);
    if (contained < 0 || outer.l4 - outer.l3 != ip_header(&outer))
        return verdict(DROP_BAD_INNER, TC_ACT_SHOT);
    if (read_ip(&inner, skb, at, contained) < 0 || inner.fragment)
        return verdict(DROP_BAD_INNER, TC_ACT_SHOT);
    int tcp = inner.protocol == IPPROTO_TCP;
    if (tcp ? read_tcp(&inner, skb) < 0 : !carries_icmp(&inner))
        return verdict(DROP_BAD_INNER, TC_ACT_SHOT);
    if (must_drop_congestion(&outer, &inner))
        return verdict(DROP_CONGESTION, TC_ACT_SHOT);
    if (find_place(&node, &inner.to, &place) == 0)
        return deliver(skb, &node, &outer, &inner, &place, sender);
    if (tcp && find_place(&node, &inner.from, &place) == 0)
        return return_reply(skb, &node, &outer, &inner, &place, sender);
    return verdict(DROP_BAD_INNER, TC_ACT_SHOT);
}

/* Send a reply to the ingress edge of its subflow; if that is down or removed, to the edge that its packets arrive by now.
 * Never by this edge's own route: replies have to stay on their path. */
static __always_inline struct verdict reply_to_ingress(struct __sk_buff *skb, const struct node *node,
                                                const struct packet *packet, __u32 id)
{
    struct edge *ingress = find_edge(node, id);
    enum reason lost = ingress ? DROP_INGRESS_DOWN : DROP_UNKNOWN_INGRESS, reason = REPLY_FORWARDED;

    if (!ingress || ingress->state == EDGE_DOWN) {
        __u32 now_by = arrival_edge(node, packet);
        ingress = now_by ? find_edge(node, now_by) : 0;
        if (!ingress)
            return verdict(lost, TC_ACT_SHOT);
        if (now_by != id)
            reason = REPLY_REROUTED;
        id = now_by;
    }
    skb->mark = 0;
    return send_through_tunnel(skb, node, packet, ingress, id, reason);
}

/* Reply by the owner's own route. The client's packets still pass a tunnel, so the MSS is clamped as well. */
static __always_inline struct verdict reply_directly(struct __sk_buff *skb, const struct node *node,
                                                     const struct packet *packet)
{
    __u32 taken = node->live->overhead + ip_header(packet) + TCP;

    if (packet->flags & FLAG_SYN && clamp_mss(skb, packet, node->config->backbone_mtu - taken) < 0)
        return verdict(DROP_FAILED, TC_ACT_SHOT);
    return verdict(REPLY_DIRECT, TC_ACT_OK);
}

static __always_inline struct verdict decide_reply(struct __sk_buff *skb, __u32 l3)
{
    struct packet packet = {};
    struct place place = {};
    struct node node;
    int version;

    __u32 tag = skb->mark & MARK_MASK;
    if (tag != MARK_TAG && tag != DIRECT_TAG)
        return verdict(NOT_FOR_VIP, TC_ACT_OK);
    version = version_of(skb);
    if (!version || load_node(&node) < 0)
        return verdict(NOT_FOR_VIP, TC_ACT_OK);
    if (read_first_ip(&packet, skb, l3, version) < 0 || packet.protocol != IPPROTO_TCP || packet.fragment)
        return verdict(NOT_FOR_VIP, TC_ACT_OK);
    if (find_place(&node, &packet.from, &place) < 0 || read_first_tcp(&packet, skb, l3) < 0)
        return verdict(NOT_FOR_VIP, TC_ACT_OK);
    if (locator_id(&place, packet.source) != node.config->own_id)
        return verdict(NOT_FOR_VIP, TC_ACT_OK);
    if (tag == DIRECT_TAG)
        return reply_directly(skb, &node, &packet);
    return reply_to_ingress(skb, &node, &packet, skb->mark & INGRESS_MASK);
}

#ifdef FAST
#include "xdp.h"
#endif

PROGRAM("tc")
int outside_ingress(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return finish(skb, ETHERNET, length, 0, decide_outside(skb, ETHERNET));
}

PROGRAM("tc")
int tunnel_ingress(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return finish(skb, ETHERNET, length, 1, decide_tunnel(skb, ETHERNET));
}

PROGRAM("tc")
int owner_egress(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return finish(skb, ETHERNET, length, 0, decide_reply(skb, ETHERNET));
}

#ifdef RAW
PROGRAM("tc")
int outside_ingress_raw(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return finish(skb, 0, length, 0, decide_outside(skb, 0));
}

PROGRAM("tc")
int tunnel_ingress_raw(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return finish(skb, 0, length, 1, decide_tunnel(skb, 0));
}

PROGRAM("tc")
int owner_egress_raw(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return finish(skb, 0, length, 0, decide_reply(skb, 0));
}
#endif
