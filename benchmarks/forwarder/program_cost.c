/* Programs for benchmarks/forwarder/program_cost.py, compiled behind the forwarder's own source. Each restores the packet,
 * so that a test run can repeat it. One flow, or many in turn. */

#define OUTER_ADDRESSES 0x0200ff0a /* any */

struct turn {
    __u32 now, flows;
};

ARRAY_MAP(turns, struct turn, 1); /* benchmarks/forwarder/program_cost.py says of how many flows */

#define PORTS 64000 /* of one client's address */

struct client {
    __u8 host; /* the last byte of its address */
    __be16 port;
};

static __always_inline struct client next_client(void)
{
    int key = 0;
    struct client client = {};
    struct turn *turn = bpf_map_lookup_elem(&turns, &key);
    if (!turn)
        return client;
    turn->now = turn->now + 1 < turn->flows ? turn->now + 1 : 0;
    client.host = 1 + turn->now / PORTS;
    client.port = bpf_htons(1024 + turn->now % PORTS);
    return client;
}

/* The client's address and port: the source of the TCP header at `tcp`, or its destination. */
static __always_inline void vary(struct __sk_buff *skb, __u32 tcp, int destination)
{
    struct client client = next_client();
    __u32 host = tcp - IPV4 + (destination ? 19 : 15);
    bpf_skb_store_bytes(skb, host, &client.host, sizeof(client.host), 0);
    bpf_skb_store_bytes(skb, destination ? tcp + 2 : tcp, &client.port, sizeof(client.port), 0);
}

static __always_inline void shrink(struct __sk_buff *skb, int size)
{
    bpf_skb_adjust_room(skb, -size, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
}

static __always_inline void grow(struct __sk_buff *skb, const struct iphdr *outer)
{
    bpf_skb_adjust_room(skb, IPV4, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO | ENCAP_V4);
    bpf_skb_store_bytes(skb, ETHERNET, outer, IPV4, 0);
}

/* The least that IP in IP takes: read the header, write another before it, send it off. */
static __always_inline int bare_encapsulation(struct __sk_buff *skb)
{
    struct iphdr inner, outer = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_IPIP};
    if (bpf_skb_load_bytes(skb, ETHERNET, &inner, sizeof(inner)) < 0)
        return TC_ACT_SHOT;
    outer.tos = inner.tos;
    outer.tot_len = bpf_htons(bpf_ntohs(inner.tot_len) + IPV4);
    outer.saddr = outer.daddr = OUTER_ADDRESSES;
    outer.check = fold(sum_bytes(&outer, IPV4, 0));
    if (bpf_skb_adjust_room(skb, IPV4, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO | ENCAP_V4) < 0)
        return TC_ACT_SHOT;
    if (bpf_skb_store_bytes(skb, ETHERNET, &outer, sizeof(outer), 0) < 0)
        return TC_ACT_SHOT;
    return redirect_neighbour(1, 0, 0, 0);
}

static __always_inline int from_outside(struct __sk_buff *skb)
{
    return finish(skb, ETHERNET, skb->len, 0, decide_outside(skb, ETHERNET));
}

static __always_inline int from_tunnel(struct __sk_buff *skb)
{
    struct iphdr outer;
    if (bpf_skb_load_bytes(skb, ETHERNET, &outer, sizeof(outer)) < 0)
        return TC_ACT_SHOT;
    int action = finish(skb, ETHERNET, skb->len, 1, decide_tunnel(skb, ETHERNET));
    skb->mark = 0;
    grow(skb, &outer);
    return action;
}

static __always_inline int from_here(struct __sk_buff *skb)
{
    skb->mark = MARK_TAG | 2;
    return finish(skb, ETHERNET, skb->len, 0, decide_reply(skb, ETHERNET));
}

#define PLAIN (ETHERNET + IPV4)
#define TUNNELLED (ETHERNET + IPV4 + IPV4)

int bench_nothing(struct __sk_buff *skb)
{
    vary(skb, PLAIN, 0);
    return 0;
}

int bench_room(struct __sk_buff *skb)
{
    vary(skb, PLAIN, 0);
    bpf_skb_adjust_room(skb, IPV4, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO | ENCAP_V4);
    shrink(skb, IPV4);
    return 0;
}

int bench_bare(struct __sk_buff *skb)
{
    vary(skb, PLAIN, 0);
    int action = bare_encapsulation(skb);
    shrink(skb, IPV4);
    return action;
}

int bench_forward(struct __sk_buff *skb)
{
    vary(skb, PLAIN, 0);
    int action = from_outside(skb);
    shrink(skb, IPV4);
    return action;
}

int bench_forward_gue(struct __sk_buff *skb)
{
    vary(skb, PLAIN, 0);
    int action = from_outside(skb);
    shrink(skb, IPV4 + GUE_HEADER);
    return action;
}

int bench_pass(struct __sk_buff *skb)
{
    vary(skb, PLAIN, 0);
    return from_outside(skb);
}

int bench_reply(struct __sk_buff *skb)
{
    vary(skb, PLAIN, 1);
    int action = from_here(skb);
    shrink(skb, IPV4);
    return action;
}

int bench_bare_off(struct __sk_buff *skb)
{
    vary(skb, TUNNELLED, 0);
    struct iphdr outer;
    if (bpf_skb_load_bytes(skb, ETHERNET, &outer, sizeof(outer)) < 0)
        return TC_ACT_SHOT;
    shrink(skb, IPV4);
    grow(skb, &outer);
    return 0;
}

int bench_tunnel(struct __sk_buff *skb)
{
    vary(skb, TUNNELLED, 0);
    return from_tunnel(skb);
}

int bench_back(struct __sk_buff *skb)
{
    vary(skb, TUNNELLED, 1);
    return from_tunnel(skb);
}

/* The same in XDP. */

static __always_inline int vary_in_xdp(struct xdp_md *ctx)
{
    __u8 *data = (__u8 *)(long)ctx->data, *end = (__u8 *)(long)ctx->data_end;
    if (data + PLAIN + 2 > end)
        return -1;
    struct client client = next_client();
    data[ETHERNET + 15] = client.host;
    *(__be16 *)(data + PLAIN) = client.port;
    return 0;
}

static __always_inline void undo_in_xdp(struct xdp_md *ctx, int size)
{
    bpf_xdp_adjust_head(ctx, size);
    __u8 *data = (__u8 *)(long)ctx->data, *end = (__u8 *)(long)ctx->data_end;
    if (data + ETHERNET <= end)
        *(__be16 *)(data + ETHERTYPE) = bpf_htons(ETH_P_IP);
}

static __always_inline int bare_in_xdp(struct xdp_md *ctx)
{
    __u8 *data = (__u8 *)(long)ctx->data, *end = (__u8 *)(long)ctx->data_end;
    struct iphdr outer = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_IPIP};
    if (data + PLAIN > end)
        return XDP_DROP;
    const struct iphdr *inner = (const struct iphdr *)(data + ETHERNET);
    outer.tos = inner->tos;
    outer.tot_len = bpf_htons(bpf_ntohs(inner->tot_len) + IPV4);
    outer.saddr = outer.daddr = OUTER_ADDRESSES;
    outer.check = fold(sum_bytes(&outer, IPV4, 0));
    if (bpf_xdp_adjust_head(ctx, -IPV4) < 0)
        return XDP_DROP;
    data = (__u8 *)(long)ctx->data, end = (__u8 *)(long)ctx->data_end;
    if (data + PLAIN > end)
        return XDP_DROP;
    __builtin_memset(data, 2, 2 * ETH_ALEN);
    *(__be16 *)(data + ETHERTYPE) = bpf_htons(ETH_P_IP);
    __builtin_memcpy(data + ETHERNET, &outer, sizeof(outer));
    return bpf_redirect(1, 0);
}

int bench_nothing_xdp(struct xdp_md *ctx)
{
    vary_in_xdp(ctx);
    return XDP_PASS;
}

int bench_room_xdp(struct xdp_md *ctx)
{
    vary_in_xdp(ctx);
    bpf_xdp_adjust_head(ctx, -IPV4);
    undo_in_xdp(ctx, IPV4);
    return XDP_PASS;
}

int bench_bare_xdp(struct xdp_md *ctx)
{
    vary_in_xdp(ctx);
    int action = bare_in_xdp(ctx);
    undo_in_xdp(ctx, IPV4);
    return action;
}

int bench_forward_xdp(struct xdp_md *ctx)
{
    vary_in_xdp(ctx);
    int action = xdp_decide(ctx);
    undo_in_xdp(ctx, IPV4);
    return action;
}

int bench_forward_gue_xdp(struct xdp_md *ctx)
{
    vary_in_xdp(ctx);
    int action = xdp_decide(ctx);
    undo_in_xdp(ctx, IPV4 + GUE_HEADER);
    return action;
}

int bench_pass_xdp(struct xdp_md *ctx)
{
    vary_in_xdp(ctx);
    return xdp_decide(ctx);
}
