/* The forwarder: three tc programs around one table. balancer/model/decision.py is the same in Python.
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
#include "reset.h"
#include "change.h"

#define INNER_MAP 0x1000 /* BPF_F_INNER_MAP: another size than the template's */
#define MMAPABLE 0x400
#define GENERATIONS 2

BPF_ARRAY(config_map, struct config, 1);
BPF_F_TABLE("array", __u32, struct live, live_map, 1, MMAPABLE);
BPF_PERCPU_ARRAY(counters, struct counter, REASONS);
BPF_ARRAY(reset_budget, __u64, 1);
BPF_TABLE("hash", __u32, __u32, outsides, 64);

/* A generation is made whole in the slot that is not in force; one word then puts it in force. */
BPF_F_TABLE("array", __u32, struct edge, edges_template, 1, MMAPABLE | INNER_MAP);
BPF_ARRAY_OF_MAPS(edges, "edges_template", GENERATIONS);
BPF_F_TABLE("hash", struct address, __u32, tunnels_template, 1, 0);
BPF_ARRAY_OF_MAPS(tunnels, "tunnels_template", GENERATIONS);
BPF_F_TABLE("hash", struct vip_key, struct vip, vips_template, 1, 0);
BPF_ARRAY_OF_MAPS(vips, "vips_template", GENERATIONS);

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

/* What a decision knows of its edge; nothing before the first `load` is done. */
struct node {
    struct config *config;
    struct live *live;
    __u32 slot;
};

static __always_inline int know(struct node *node)
{
    int key = 0;
    node->config = config_map.lookup(&key);
    node->live = live_map.lookup(&key);
    if (!node->config || !node->live || !node->live->ready)
        return -1;
    node->slot = node->live->slot & 1;
    return 0;
}

static __always_inline struct edge *find_edge(const struct node *node, __u32 id)
{
    __u32 slot = node->slot;
    void *generation = edges.lookup(&slot);
    if (!generation)
        return 0;
    struct edge *edge = bpf_map_lookup_elem(generation, &id);
    return edge && edge->state ? edge : 0;
}

static __always_inline __u32 find_sender(const struct node *node, const struct address *address)
{
    __u32 slot = node->slot;
    void *generation = tunnels.lookup(&slot);
    if (!generation)
        return 0;
    __u32 *id = bpf_map_lookup_elem(generation, (void *)address);
    return id ? *id : 0;
}

/* What an address means: a VIP itself, or one of its locators (`prefix`) with the id. */
struct place {
    struct vip vip;
    __u32 prefix;
    __u32 id;
};

static __always_inline int find_place(const struct node *node, const struct address *address, struct place *place)
{
    __u32 slot = node->slot, low_bits = 0xffff;
    struct vip_key key = {.address = *address};
    void *generation = vips.lookup(&slot);
    if (!generation)
        return -1;
    struct vip *vip = bpf_map_lookup_elem(generation, &key);
    place->prefix = 0;
    if (!vip) {
        if (!node->live->prefixes)
            return -1;
        if (!(key.address.word[0] | key.address.word[1]) && key.address.word[2] == bpf_htonl(0xffff))
            low_bits = 0xff;
        place->id = bpf_ntohl(key.address.word[3]) & low_bits;
        key.address.word[3] &= bpf_htonl(~low_bits);
        key.prefix = 1;
        vip = bpf_map_lookup_elem(generation, &key);
        if (!vip)
            return -1;
        place->prefix = 1;
    }
    place->vip = *vip;
    return 0;
}

/* Whose locator an address and port are; 0 if they are none. */
static __always_inline __u32 located(const struct place *place, __u32 port)
{
    if (place->prefix)
        return port == place->vip.service_port ? place->id : 0;
    return place->vip.id_base && port > place->vip.id_base ? port - place->vip.id_base : 0;
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
    __u64 was = *spent_until, until = was;
    if (until < earliest)
        until = earliest;
    if (until > now)
        return 0;
    /* Another processor was faster: this one goes without. */
    return __sync_val_compare_and_swap(spent_until, was, until + SECOND / RESETS_A_SECOND) == was;
}

static __always_inline struct verdict refuse(struct __sk_buff *skb, const struct packet *packet, enum reason reason)
{
    if (!may_reset())
        return say(DROP_RESET_BUDGET, TC_ACT_SHOT);
    if (make_reset(skb, packet) < 0)
        return say(DROP_FAILED, TC_ACT_SHOT);
    return say(reason, bpf_redirect(skb->ifindex, 0));
}

static __always_inline __u32 ip_header(const struct packet *packet)
{
    return packet->version == 4 ? IPV4 : IPV6;
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
                                                   const struct packet *packet, const struct edge *edge,
                                                   enum reason reason)
{
    __u32 taken = node->live->overhead + ip_header(packet) + TCP;

    if (!fits(skb, node, packet, edge))
        return say(DROP_TOO_BIG, TC_ACT_SHOT);
    if (packet->flags & FLAG_SYN && clamp_mss(skb, packet, node->config->backbone_mtu - taken) < 0)
        return say(DROP_FAILED, TC_ACT_SHOT);
    if (put_on(skb, packet, edge, node->config) < 0)
        return say(DROP_FAILED, TC_ACT_SHOT);
    return say(reason, redirect_neighbour(node->config->backbone_index, 0, 0, 0));
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
    return send_through(skb, node, packet, owner, ICMP_FORWARDED);
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
        if (opens)
            return refuse(skb, packet, RESET_UNKNOWN_ID);
        return say(DROP_UNKNOWN_ID, TC_ACT_SHOT);
    }
    if (owner->state == EDGE_DOWN && opens)
        return refuse(skb, packet, RESET_OWNER_DOWN);
    return send_through(skb, node, packet, owner, FORWARDED);
}

static __always_inline struct verdict decide_outside(struct __sk_buff *skb, __u32 l3)
{
    struct packet packet = {};
    struct place place = {};
    struct node node;
    int version = version_of(skb);

    if (!version || know(&node) < 0)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (read_ip(&packet, skb, l3, version) < 0 || find_place(&node, &packet.to, &place) < 0)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (packet.fragment)
        return say(DROP_FRAGMENT, TC_ACT_SHOT);
    if (packet.protocol != IPPROTO_TCP)
        return follow_icmp(skb, &node, &packet, &place);
    if (read_tcp(&packet, skb) < 0)
        return say(DROP_TRUNCATED, TC_ACT_SHOT);

    if (place.prefix && packet.dest != place.vip.service_port)
        return say(DROP_OTHER_PORT, TC_ACT_SHOT);
    if (!place.prefix && (!place.vip.id_base || packet.dest < place.vip.id_base))
        return say(SERVICE_PORT, TC_ACT_OK);
    __u32 id = located(&place, packet.dest);
    if (id == 0)
        return say(DROP_ID_ZERO, TC_ACT_SHOT);
    if (id == node.config->own_id)
        return say(OWN_LOCATOR, TC_ACT_OK);
    return forward(skb, &node, &packet, id);
}

static __always_inline struct verdict deliver(struct __sk_buff *skb, const struct node *node,
                                              const struct packet *outer, const struct packet *inner,
                                              const struct place *place, __u32 sender)
{
    __u32 mine = node->config->own_id;
    enum reason reason = DELIVERED;

    if (inner->protocol != IPPROTO_TCP) {
        if (located(place, quoted_port(inner, skb)) != mine)
            return say(DROP_BAD_INNER, TC_ACT_SHOT);
        reason = ICMP_DELIVERED;
    } else if (located(place, inner->dest) != mine) {
        return say(DROP_WRONG_OWNER, TC_ACT_SHOT);
    }
    if (take_off(skb, outer, inner) < 0)
        return say(DROP_FAILED, TC_ACT_SHOT);
    skb->mark = MARK_TAG | sender;
    return say(reason, TC_ACT_OK);
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
    __u32 index = way_out(skb, node, inner);
    if (!index)
        return say(DROP_NO_ROUTE, TC_ACT_SHOT);
    if (take_off(skb, outer, inner) < 0)
        return say(DROP_FAILED, TC_ACT_SHOT);
    return say(REPLY_RETURNED, redirect_neighbour(index, 0, 0, 0));
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
    if (read_ip(&outer, skb, l3, version) < 0)
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

static __always_inline struct verdict decide_reply(struct __sk_buff *skb, __u32 l3)
{
    struct packet packet = {};
    struct place place = {};
    struct node node;
    int version;

    if ((skb->mark & MARK_MASK) != MARK_TAG)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    version = version_of(skb);
    if (!version || know(&node) < 0)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (read_ip(&packet, skb, l3, version) < 0 || packet.protocol != IPPROTO_TCP || packet.fragment)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (find_place(&node, &packet.from, &place) < 0 || read_tcp(&packet, skb) < 0)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    if (located(&place, packet.source) != node.config->own_id)
        return say(NOT_FOR_VIP, TC_ACT_OK);
    struct edge *ingress = find_edge(&node, skb->mark & INGRESS_MASK);
    /* Never by this edge's own way: the point of a second path is that its replies stay on it. */
    if (!ingress)
        return say(DROP_UNKNOWN_INGRESS, TC_ACT_SHOT);
    skb->mark = 0;
    return send_through(skb, &node, &packet, ingress, REPLY_FORWARDED);
}

int outside_ingress(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return leave(length, decide_outside(skb, ETHERNET));
}

int tunnel_ingress(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return leave(length, decide_tunnel(skb, ETHERNET));
}

int owner_egress(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return leave(length, decide_reply(skb, ETHERNET));
}

#ifdef RAW
int outside_ingress_raw(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return leave(length, decide_outside(skb, 0));
}

int tunnel_ingress_raw(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return leave(length, decide_tunnel(skb, 0));
}

int owner_egress_raw(struct __sk_buff *skb)
{
    __u32 length = skb->len;
    return leave(length, decide_reply(skb, 0));
}
#endif
