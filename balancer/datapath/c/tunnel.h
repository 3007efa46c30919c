/* IPIP (RFC 2003) over the backbone: put an outer IPv4 header on, or take it off. GSO stays intact. */
#pragma once

#define IPPROTO_IPIP_ 4
#define DECAP_L3_IPV4 (1ULL << 7) /* BPF_F_ADJ_ROOM_DECAP_L3_IPV4, missing in 6.1's uapi */
#define TUNNEL_TTL 64
#define ECN_CE 3

/* bcc 0.26 declares this helper with an argument too few. */
static long (*redirect_neighbour)(__u32 index, void *parameters, int size, __u64 flags) =
    (void *)BPF_FUNC_redirect_neigh;

/* RFC 6040 section 4.1, normal mode: the outer header carries the inner ECN field. */
static __always_inline void fill_outer(struct iphdr *outer, const struct iphdr *inner, __u32 from, __u32 to)
{
    __builtin_memset(outer, 0, sizeof(*outer));
    outer->version = 4;
    outer->ihl = 5;
    outer->tos = inner->tos;
    outer->tot_len = bpf_htons(bpf_ntohs(inner->tot_len) + IPV4);
    outer->frag_off = bpf_htons(0x4000); /* DF */
    outer->ttl = TUNNEL_TTL;
    outer->protocol = IPPROTO_IPIP_;
    outer->saddr = from;
    outer->daddr = to;
    outer->check = fold(bpf_csum_diff(0, 0, (__be32 *)outer, sizeof(*outer), 0));
}

static __always_inline int fits(struct __sk_buff *skb, const struct tcp_packet *packet, __u32 mtu)
{
    if (skb->gso_size) /* what each segment will be */
        return skb->gso_size + IPV4 + packet->ip.ihl * 4 + packet->tcp.doff * 4 <= mtu;
    return skb->len - ETHERNET + IPV4 <= mtu;
}

static __always_inline int put_on(struct __sk_buff *skb, const struct iphdr *inner, __u32 from, __u32 to)
{
    struct iphdr outer;
    fill_outer(&outer, inner, from, to);
    if (bpf_skb_adjust_room(skb, IPV4, BPF_ADJ_ROOM_MAC,
                            BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4) < 0)
        return -1;
    return bpf_skb_store_bytes(skb, ETHERNET, &outer, sizeof(outer), 0);
}

/* RFC 6040 section 4.2: congestion on the way that the inner packet cannot tell its receiver is told by a loss. */
static __always_inline int must_be_lost(const struct iphdr *outer, const struct iphdr *inner)
{
    return (outer->tos & ECN_CE) == ECN_CE && (inner->tos & ECN_CE) == 0;
}

static __always_inline int take_off(struct __sk_buff *skb, const struct iphdr *outer, const struct iphdr *inner)
{
    if (bpf_skb_adjust_room(skb, -IPV4, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO | DECAP_L3_IPV4) < 0)
        return -1;
    if ((outer->tos & ECN_CE) != ECN_CE || (inner->tos & ECN_CE) == ECN_CE)
        return 0;
    __u8 tos = inner->tos | ECN_CE;
    if (bpf_l3_csum_replace(skb, ETHERNET + 10, bpf_htons(inner->tos), bpf_htons(tos), 2) < 0)
        return -1;
    return bpf_skb_store_bytes(skb, ETHERNET + 1, &tos, sizeof(tos), 0);
}
