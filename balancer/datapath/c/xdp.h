/* The fast path, in XDP: a segment of a running subflow goes into the tunnel and out by the backbone before the kernel
 * makes a packet of it, and what a flood brings ends here. Decided by the code that tc uses. Everything else is passed up
 * to tc as it came, and counted there alone: SYNs (the MSS), ICMP, what is too big or to be answered, IP options, a next
 * hop whose hardware address is not known, a reason that is being captured.
 *
 * As in packet.h offsets are constants, so that CAP_PERFMON is not needed. */
#pragma once

#define AF_INET 2
#define AF_INET6 10
#define HOP_JIFFIES 25 /* 25 to 250 ms, as the kernel was built */

struct segment {
    struct packet packet;
    __u32 size; /* of the frame */
};

/* The next hop's hardware addresses, asked of the routes again and again, but not for each packet (some 100 ns). */
static __always_inline struct hop *find_hop(struct xdp_md *ctx, const struct node *node, const struct edge *edge,
                                            __u32 id)
{
    __u32 key = id % HOPS;
    struct hop *hop = bpf_map_lookup_elem(&hops, &key);
    if (!hop)
        return 0;
    if (bpf_jiffies64() < hop->until && same_address(&hop->tunnel, &edge->tunnel))
        return hop;

    struct bpf_fib_lookup route = {.ifindex = node->config->backbone_index};
    if (edge->kind & OUTER_V6) {
        route.family = AF_INET6;
        copy_address((struct address *)route.ipv6_src, node->config->own_v6.word);
        copy_address((struct address *)route.ipv6_dst, edge->tunnel.word);
    } else {
        route.family = AF_INET;
        route.ipv4_src = node->config->own_v4.word[3];
        route.ipv4_dst = edge->tunnel.word[3];
    }
    if (bpf_fib_lookup(ctx, &route, sizeof(route), BPF_FIB_LOOKUP_OUTPUT) != BPF_FIB_LKUP_RET_SUCCESS ||
        route.ifindex != node->config->backbone_index)
        return 0;
    __builtin_memcpy(hop->hardware, route.dmac, ETH_ALEN);
    __builtin_memcpy(hop->hardware + ETH_ALEN, route.smac, ETH_ALEN);
    copy_address(&hop->tunnel, edge->tunnel.word);
    hop->until = bpf_jiffies64() + HOP_JIFFIES;
    return hop;
}

/* `size` is known when this is compiled. */
static __always_inline int xdp_encap(struct xdp_md *ctx, const struct node *node, const struct packet *inner,
                                const struct edge *edge, const struct hop *hop, int size)
{
    int v6 = size == IPV6 || size == IPV6 + GUE_HEADER;

    if (bpf_xdp_adjust_head(ctx, -size) < 0)
        return XDP_PASS;
    __u8 *data = (__u8 *)(long)ctx->data, *end = (__u8 *)(long)ctx->data_end;
    if (data + ETHERNET + size > end)
        return XDP_DROP; /* cannot be: there is room for it now */
    __builtin_memcpy(data, hop->hardware, sizeof(hop->hardware));
    *(__be16 *)(data + ETHERTYPE) = v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
    data += ETHERNET;
    if (v6)
        fill_v6((struct ipv6hdr *)data, inner, edge, &node->config->own_v6);
    else
        fill_v4((struct iphdr *)data, inner, edge, node->config->own_v4.word[3]);
    if (size == IPV4 + GUE_HEADER || size == IPV6 + GUE_HEADER)
        fill_gue((struct gue *)(data + (v6 ? IPV6 : IPV4)), inner, flow_hash(inner, 0));
    return XDP_REDIRECT;
}

static __always_inline int xdp_transmit(struct xdp_md *ctx, const struct node *node, const struct packet *inner,
                                   const struct edge *edge, const struct hop *hop)
{
    switch (edge->kind & (OUTER_V6 | GUE)) {
    case 0:
        return xdp_encap(ctx, node, inner, edge, hop, IPV4);
    case GUE:
        return xdp_encap(ctx, node, inner, edge, hop, IPV4 + GUE_HEADER);
    case OUTER_V6:
        return xdp_encap(ctx, node, inner, edge, hop, IPV6);
    default:
        return xdp_encap(ctx, node, inner, edge, hop, IPV6 + GUE_HEADER);
    }
}

/* A whole TCP segment whose headers are where they mostly are; TOO_SHORT: tc has to look. */
static __always_inline int read_segment(struct xdp_md *ctx, struct segment *segment)
{
    const __u8 *data = (const __u8 *)(long)ctx->data, *end = (const __u8 *)(long)ctx->data_end;
    struct packet *packet = &segment->packet;

    if (data + ETHERNET + IPV4 + TCP > end)
        return TOO_SHORT;
    segment->size = bpf_xdp_get_buff_len(ctx); /* without CAP_PERFMON pointers are not subtracted */
    __be16 type = *(const __be16 *)(data + ETHERTYPE);
    if (type == bpf_htons(ETH_P_IP)) {
        if (parse_v4(packet, (const struct iphdr *)(data + ETHERNET), ETHERNET) < 0 || packet->fragment ||
            packet->protocol != IPPROTO_TCP || packet->l4 != ETHERNET + IPV4)
            return TOO_SHORT;
        return parse_tcp(packet, (const struct tcphdr *)(data + ETHERNET + IPV4), segment->size);
    }
    if (type != bpf_htons(ETH_P_IPV6) || data + ETHERNET + IPV6 + TCP > end)
        return TOO_SHORT;
    if (parse_v6(packet, (const struct ipv6hdr *)(data + ETHERNET), ETHERNET) < 0 || packet->protocol != IPPROTO_TCP)
        return TOO_SHORT;
    return parse_tcp(packet, (const struct tcphdr *)(data + ETHERNET + IPV6), segment->size);
}

/* The one exit of what is not passed up. */
static __always_inline int xdp_finish(const struct node *node, enum reason reason, __u32 edge, __u32 size, int action)
{
    count(BY_XDP, reason, edge, size, 0);
    return action == XDP_REDIRECT ? bpf_redirect(node->config->backbone_index, 0) : action;
}

static __always_inline int xdp_drop(const struct node *node, enum reason reason, __u32 size)
{
    if (node->live->capture == reason + 1) /* tc copies it, and drops it */
        return XDP_PASS;
    return xdp_finish(node, reason, 0, size, XDP_DROP);
}

/* To another edge of the site without a question to this host's sockets; 0: tc asks them. */
static __always_inline __u32 ring_lookup_stateless(const struct node *node, const struct packet *packet)
{
    struct site_flow flow = flow_of_segment(packet, 0);
    struct bucket bucket = find_bucket(node, &flow);
    __u32 own = node->config->own_id;

    return bucket.owner == own || bucket.previous == own ? 0 : bucket.owner;
}

static __always_inline int xdp_decide(struct xdp_md *ctx)
{
    struct segment segment;
    struct packet *packet = &segment.packet;
    struct place place = {};
    struct node node;
    __u32 id;

    if (read_segment(ctx, &segment) < 0 || packet->flags & FLAG_SYN || load_node(&node) < 0 ||
        find_place(&node, &packet->to, &place) < 0)
        return XDP_PASS;
    if (is_martian(packet))
        return xdp_drop(&node, DROP_MARTIAN, segment.size);
    enum reason reason = classify_port(&node, packet, &place, &id);
    if (node.live->capture == reason + 1 || reason == SERVICE_PORT || reason == OWN_LOCATOR)
        return XDP_PASS;
    if (reason == SITE_FORWARDED)
        id = ring_lookup_stateless(&node, packet);
    else if (reason != FORWARDED)
        return xdp_drop(&node, reason, segment.size);

    struct edge *owner = id ? find_edge(&node, id) : 0;
    if (!owner && reason == FORWARDED)
        return xdp_drop(&node, DROP_UNKNOWN_ID, segment.size);
    if (!owner || segment.size - ETHERNET + owner->outer > node.config->backbone_mtu)
        return XDP_PASS;
    struct hop *hop = find_hop(ctx, &node, owner, id);
    if (!hop)
        return XDP_PASS;
    if (reason == FORWARDED ? !owner_may_get(&node, packet, id) : !owner_may_get_of_site(&node, id))
        return xdp_drop(&node, reason == FORWARDED ? DROP_NOT_ADMITTED : DROP_SITE_BUDGET, segment.size);
    int action = xdp_transmit(ctx, &node, packet, owner, hop);
    if (action == XDP_PASS)
        return XDP_PASS;
    return xdp_finish(&node, action == XDP_DROP ? DROP_FAILED : reason, id, segment.size, action);
}

PROGRAM("xdp")
int outside_xdp(struct xdp_md *ctx)
{
    return xdp_decide(ctx);
}

/* Where drivers send from XDP only what has a program itself. */
PROGRAM("xdp")
int backbone_xdp(struct xdp_md *ctx)
{
    return XDP_PASS;
}
