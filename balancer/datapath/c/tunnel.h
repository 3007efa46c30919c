/* Outer headers: IP in IP (RFC 2003, RFC 2473, RFC 4213), or GUE over UDP (draft-ietf-intarea-gue-09, variant 0),
 * whose source port lets routers and NICs distribute flows (ECMP, RSS). Pure. */
#pragma once

#include "packet.h"
#include "checksum.h"

#define TUNNEL_TTL 64
#define HAND_ON_TTL 4 /* of a packet that came by a tunnel and goes on by another, before it is lowered */
#define ECN_CE 3
#define GUE_PORT 6080
#define GUE_HEADER 12 /* UDP and GUE */
#define DONT_FRAGMENT 0x4000

struct gue {
    __be16 source, dest, length, check; /* no UDP checksum: RFC 6935, RFC 6936 */
    __u8 flags, protocol;
    __be16 reserved;
};

struct outer_v4 {
    struct iphdr ip;
    struct gue gue;
};

struct outer_v6 {
    struct ipv6hdr ip;
    struct gue gue;
};

static __always_inline __u8 next_protocol(const struct packet *inner)
{
    return inner->version == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
}

/* Copy ECN (RFC 6040 section 4.1, normal mode) and DSCP from the inner header to the outer one. */
static __always_inline void fill_v4(struct iphdr *outer, const struct packet *inner, const struct edge *edge,
                                    __u32 from)
{
    outer->version = 4;
    outer->ihl = 5;
    outer->tos = inner->tos;
    outer->tot_len = bpf_htons(inner->length + edge->outer);
    outer->id = 0;
    outer->frag_off = bpf_htons(DONT_FRAGMENT);
    outer->ttl = TUNNEL_TTL;
    outer->protocol = edge->kind & GUE ? IPPROTO_UDP : next_protocol(inner);
    outer->saddr = from;
    outer->daddr = edge->tunnel.word[3];
    __u64 sum = (__u64)edge->sum + bpf_htons(inner->tos) + outer->tot_len + bpf_htons(outer->protocol);
    outer->check = fold(sum);
}

static __always_inline void fill_v6(struct ipv6hdr *outer, const struct packet *inner, const struct edge *edge,
                                    const struct address *from)
{
    *(__u32 *)outer = bpf_htonl(6u << 28 | (__u32)inner->tos << 20);
    outer->payload_len = bpf_htons(inner->length + edge->outer - IPV6);
    outer->nexthdr = edge->kind & GUE ? IPPROTO_UDP : next_protocol(inner);
    outer->hop_limit = TUNNEL_TTL;
    copy_address((struct address *)&outer->saddr, from->word);
    copy_address((struct address *)&outer->daddr, edge->tunnel.word);
}

static __always_inline void fill_gue(struct gue *gue, const struct packet *inner, __u32 hash)
{
    gue->source = bpf_htons(0xc000 | (hash & 0x3fff)); /* the ephemeral ports (RFC 6335) */
    gue->dest = bpf_htons(GUE_PORT);
    gue->length = bpf_htons(inner->length + GUE_HEADER);
    gue->check = 0;
    gue->flags = 0;
    gue->protocol = next_protocol(inner);
    gue->reserved = 0;
}

/* Return the IP version of the inner packet and store its offset in `at`; 0 if the packet is not a tunnel packet,
 * TOO_SHORT if it is malformed. */
static __always_inline int inner_packet(const struct packet *outer, struct __sk_buff *skb, __u32 *at)
{
    __u8 protocol = outer->protocol;

    *at = outer->l4;
    if (protocol == IPPROTO_UDP && !outer->fragment) {
        struct gue gue;
        if (bpf_skb_load_bytes(skb, outer->l4, &gue, sizeof(gue)) < 0 || gue.dest != bpf_htons(GUE_PORT))
            return 0;
        if (gue.flags || gue.reserved) /* another variant, a control message, or options */
            return TOO_SHORT;
        *at += GUE_HEADER;
        protocol = gue.protocol;
        if (protocol != IPPROTO_IPIP && protocol != IPPROTO_IPV6)
            return TOO_SHORT;
    }
    if (protocol == IPPROTO_IPIP)
        return 4;
    return protocol == IPPROTO_IPV6 ? 6 : 0;
}

/* Return whether to drop: congestion experienced in the tunnel by an inner packet without ECN (RFC 6040 section 4.2). */
static __always_inline int must_drop_congestion(const struct packet *outer, const struct packet *inner)
{
    return (outer->tos & ECN_CE) == ECN_CE && (inner->tos & ECN_CE) == 0;
}

static __always_inline int must_mark_congestion(const struct packet *outer, const struct packet *inner)
{
    return (outer->tos & ECN_CE) == ECN_CE && (inner->tos & ECN_CE) != ECN_CE;
}
