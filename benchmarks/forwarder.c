/* Do-and-undo programs behind the forwarder's own text (benchmarks/forwarder.py): each ends with the packet as it was, so
 * that a test run can repeat it. One flow, or 64,000 that come in turn. */

#define OUTER_ADDRESSES 0x0200ff0a /* any */
#define MANY 64000

BPF_PERCPU_ARRAY(turns, __u32, 1);

/* The client's port, at `at`. */
static __always_inline void vary(struct __sk_buff *skb, __u32 at, __u32 flows)
{
    int key = 0;
    __u32 *turn = turns.lookup(&key);
    if (!turn)
        return;
    *turn = *turn + 1 < flows ? *turn + 1 : 0;
    __be16 port = bpf_htons(1024 + *turn);
    bpf_skb_store_bytes(skb, at, &port, sizeof(port), 0);
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
    outer.check = fold(add_up(&outer, IPV4, 0));
    if (bpf_skb_adjust_room(skb, IPV4, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO | ENCAP_V4) < 0)
        return TC_ACT_SHOT;
    if (bpf_skb_store_bytes(skb, ETHERNET, &outer, sizeof(outer), 0) < 0)
        return TC_ACT_SHOT;
    return redirect_neighbour(1, 0, 0, 0);
}

static __always_inline int from_outside(struct __sk_buff *skb)
{
    return leave(skb, ETHERNET, skb->len, 0, decide_outside(skb, ETHERNET));
}

static __always_inline int from_tunnel(struct __sk_buff *skb)
{
    struct iphdr outer;
    if (bpf_skb_load_bytes(skb, ETHERNET, &outer, sizeof(outer)) < 0)
        return TC_ACT_SHOT;
    int action = leave(skb, ETHERNET, skb->len, 1, decide_tunnel(skb, ETHERNET));
    skb->mark = 0;
    grow(skb, &outer);
    return action;
}

static __always_inline int from_here(struct __sk_buff *skb)
{
    skb->mark = MARK_TAG | 2;
    return leave(skb, ETHERNET, skb->len, 0, decide_reply(skb, ETHERNET));
}

#define PLAIN (ETHERNET + IPV4)
#define TUNNELLED (ETHERNET + IPV4 + IPV4)

int bench_nothing(struct __sk_buff *skb)
{
    vary(skb, PLAIN, 1);
    return 0;
}

int bench_nothing_many(struct __sk_buff *skb)
{
    vary(skb, PLAIN, MANY);
    return 0;
}

int bench_room(struct __sk_buff *skb)
{
    vary(skb, PLAIN, 1);
    bpf_skb_adjust_room(skb, IPV4, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO | ENCAP_V4);
    shrink(skb, IPV4);
    return 0;
}

int bench_room_many(struct __sk_buff *skb)
{
    vary(skb, PLAIN, MANY);
    bpf_skb_adjust_room(skb, IPV4, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO | ENCAP_V4);
    shrink(skb, IPV4);
    return 0;
}

int bench_bare(struct __sk_buff *skb)
{
    vary(skb, PLAIN, 1);
    int action = bare_encapsulation(skb);
    shrink(skb, IPV4);
    return action;
}

int bench_bare_many(struct __sk_buff *skb)
{
    vary(skb, PLAIN, MANY);
    int action = bare_encapsulation(skb);
    shrink(skb, IPV4);
    return action;
}

int bench_forward(struct __sk_buff *skb)
{
    vary(skb, PLAIN, 1);
    int action = from_outside(skb);
    shrink(skb, IPV4);
    return action;
}

int bench_forward_many(struct __sk_buff *skb)
{
    vary(skb, PLAIN, MANY);
    int action = from_outside(skb);
    shrink(skb, IPV4);
    return action;
}

int bench_forward_gue(struct __sk_buff *skb)
{
    vary(skb, PLAIN, 1);
    int action = from_outside(skb);
    shrink(skb, IPV4 + GUE_HEADER);
    return action;
}

int bench_forward_gue_many(struct __sk_buff *skb)
{
    vary(skb, PLAIN, MANY);
    int action = from_outside(skb);
    shrink(skb, IPV4 + GUE_HEADER);
    return action;
}

int bench_pass(struct __sk_buff *skb)
{
    vary(skb, PLAIN, 1);
    return from_outside(skb);
}

int bench_pass_many(struct __sk_buff *skb)
{
    vary(skb, PLAIN, MANY);
    return from_outside(skb);
}

int bench_reply(struct __sk_buff *skb)
{
    vary(skb, PLAIN + 2, 1);
    int action = from_here(skb);
    shrink(skb, IPV4);
    return action;
}

int bench_reply_many(struct __sk_buff *skb)
{
    vary(skb, PLAIN + 2, MANY);
    int action = from_here(skb);
    shrink(skb, IPV4);
    return action;
}

int bench_bare_off(struct __sk_buff *skb)
{
    vary(skb, TUNNELLED, 1);
    struct iphdr outer;
    if (bpf_skb_load_bytes(skb, ETHERNET, &outer, sizeof(outer)) < 0)
        return TC_ACT_SHOT;
    shrink(skb, IPV4);
    grow(skb, &outer);
    return 0;
}

int bench_bare_off_many(struct __sk_buff *skb)
{
    vary(skb, TUNNELLED, MANY);
    struct iphdr outer;
    if (bpf_skb_load_bytes(skb, ETHERNET, &outer, sizeof(outer)) < 0)
        return TC_ACT_SHOT;
    shrink(skb, IPV4);
    grow(skb, &outer);
    return 0;
}

int bench_tunnel(struct __sk_buff *skb)
{
    vary(skb, TUNNELLED, 1);
    return from_tunnel(skb);
}

int bench_tunnel_many(struct __sk_buff *skb)
{
    vary(skb, TUNNELLED, MANY);
    return from_tunnel(skb);
}

int bench_back(struct __sk_buff *skb)
{
    vary(skb, TUNNELLED + 2, 1);
    return from_tunnel(skb);
}

int bench_back_many(struct __sk_buff *skb)
{
    vary(skb, TUNNELLED + 2, MANY);
    return from_tunnel(skb);
}
