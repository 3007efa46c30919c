/* Change a packet: encapsulate, decapsulate, clamp its MSS, turn it into a reset or an ICMP error. */
#pragma once

#include "flow.h"
#include "layout.h"
#include "mss.h"
#include "packet.h"
#include "reply.h"
#include "tunnel.h"

#define DECAP_L3_IPV4 (1ULL << 7) /* Linux 6.3; only used when inner and outer versions differ */
#define DECAP_L3_IPV6 (1ULL << 8)
#ifndef REPEATED
#define ENCAP_V4 BPF_F_ADJ_ROOM_ENCAP_L3_IPV4
#define ENCAP_V6 BPF_F_ADJ_ROOM_ENCAP_L3_IPV6
#define ENCAP_UDP BPF_F_ADJ_ROOM_ENCAP_L4_UDP
#else /* the kernel accepts these flags once per packet, and a benchmark encapsulates the same packet repeatedly */
#define ENCAP_V4 0
#define ENCAP_V6 0
#define ENCAP_UDP 0
#endif
#define TCP_CHECK 16
#define ETHERTYPE 12

/* bcc 0.26 declares this helper with an argument too few. */
static long (*redirect_neighbour)(__u32 index, void *parameters, int size, __u64 flags) =
    (void *)BPF_FUNC_redirect_neigh;

/* Send the packet by an interface to the next hop that routes and neighbours of the kernel give. The helper drops packets
 * without an Ethernet header: on interfaces without one, add an empty header, which the helper removes. */
static __always_inline int redirect_by(struct __sk_buff *skb, __u32 l3, __u32 index)
{
#ifdef RAW
    if (l3 < ETHERNET && bpf_skb_change_head(skb, ETHERNET, 0) < 0)
        return TC_ACT_SHOT;
#endif
    return redirect_neighbour(index, 0, 0, 0);
}

static __always_inline int set_ethertype(struct __sk_buff *skb, __u32 l3, int version)
{
    __be16 type = version == 4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);

    return l3 < ETHERNET ? 0 : bpf_skb_store_bytes(skb, ETHERTYPE, &type, sizeof(type), 0);
}

static __always_inline int encap_v4(struct __sk_buff *skb, const struct packet *inner, const struct edge *edge,
                                     const struct config *config, __u32 hash)
{
    struct outer_v4 outer;
    __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | ENCAP_V4;
    __u32 size = IPV4;

    fill_v4(&outer.ip, inner, edge, config->own_v4.word[3]);
    if (edge->kind & GUE) {
        fill_gue(&outer.gue, inner, hash);
        flags |= ENCAP_UDP;
        size += GUE_HEADER;
    }
    if (bpf_skb_adjust_room(skb, size, BPF_ADJ_ROOM_MAC, flags) < 0)
        return -1;
    return bpf_skb_store_bytes(skb, inner->l3, &outer, size, 0);
}

static __always_inline int encap_v6(struct __sk_buff *skb, const struct packet *inner, const struct edge *edge,
                                     const struct config *config, __u32 hash)
{
    struct outer_v6 outer;
    __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | ENCAP_V6;
    __u32 size = IPV6;

    fill_v6(&outer.ip, inner, edge, &config->own_v6);
    if (edge->kind & GUE) {
        fill_gue(&outer.gue, inner, hash);
        flags |= ENCAP_UDP;
        size += GUE_HEADER;
    }
    if (bpf_skb_adjust_room(skb, size, BPF_ADJ_ROOM_MAC, flags) < 0)
        return -1;
    return bpf_skb_store_bytes(skb, inner->l3, &outer, size, 0);
}

static __always_inline int encap(struct __sk_buff *skb, const struct packet *inner, const struct edge *edge,
                                  const struct config *config)
{
    __u32 hash = edge->kind & GUE ? flow_hash(inner, 0) : 0;
    int version = edge->kind & OUTER_V6 ? 6 : 4, done;

    if (version == 4)
        done = encap_v4(skb, inner, edge, config, hash);
    else
        done = encap_v6(skb, inner, edge, config, hash);
    if (done < 0 || version == inner->version)
        return done;
    return set_ethertype(skb, inner->l3, version);
}

/* Copy a congestion mark of the outer header to the inner one (RFC 6040 section 4.2). */
static __always_inline int propagate_congestion(struct __sk_buff *skb, __u32 l3, const struct packet *inner)
{
    __u8 tos = inner->tos | ECN_CE;

    if (inner->version == 4) {
        if (bpf_l3_csum_replace(skb, l3 + 10, bpf_htons(inner->tos), bpf_htons(tos), 2) < 0)
            return -1;
        return bpf_skb_store_bytes(skb, l3 + 1, &tos, sizeof(tos), 0);
    }
    __u8 second;
    if (bpf_skb_load_bytes(skb, l3 + 1, &second, sizeof(second)) < 0)
        return -1;
    second |= ECN_CE << 4;
    return bpf_skb_store_bytes(skb, l3 + 1, &second, sizeof(second), 0);
}

/* Lower the TTL or hop limit of a packet that came by a tunnel and goes on by another (RFC 2003 section 3.1, RFC 2473
 * section 3.1), to HAND_ON_TTL - 1 at most: edges whose tables disagree must not send it round. Return -1 to drop it. */
static __always_inline int lower_hop_limit(struct __sk_buff *skb, __u32 l3, int version)
{
    __u32 at = l3 + (version == 4 ? 8 : 7);
    __u8 before[2], after;

    if (bpf_skb_load_bytes(skb, at, before, sizeof(before)) < 0 || before[0] <= 1)
        return -1;
    after = before[0] < HAND_ON_TTL ? before[0] - 1 : HAND_ON_TTL - 1;
    if (version == 4 && bpf_l3_csum_replace(skb, l3 + 10, bpf_htons(before[0] << 8 | before[1]),
                                            bpf_htons(after << 8 | before[1]), 2) < 0)
        return -1;
    return bpf_skb_store_bytes(skb, at, &after, sizeof(after), 0);
}

static __always_inline int decap(struct __sk_buff *skb, const struct packet *outer, const struct packet *inner)
{
    __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;
    __s32 size = inner->l3 - outer->l3;

    if (inner->version != outer->version)
        flags |= inner->version == 4 ? DECAP_L3_IPV4 : DECAP_L3_IPV6;
    if (bpf_skb_adjust_room(skb, -size, BPF_ADJ_ROOM_MAC, flags) < 0)
        return -1;
    if (inner->version != outer->version && set_ethertype(skb, outer->l3, inner->version) < 0)
        return -1;
    return must_mark_congestion(outer, inner) ? propagate_congestion(skb, outer->l3, inner) : 0;
}

static __always_inline int clamp_mss(struct __sk_buff *skb, const struct packet *packet, __u16 limit)
{
    __u16 mss = 0;
    __u32 at = find_mss(packet, skb, &mss);

    if (!at || mss <= limit)
        return 0;
    __u16 old = bpf_htons(mss), new = bpf_htons(limit), stored = new;
    if (at & 1) { /* an odd offset puts the two bytes into two different words of the checksum */
        old = mss;
        new = limit;
    }
    if (bpf_l4_csum_replace(skb, packet->l4 + TCP_CHECK, old, new, 2) < 0)
        return -1;
    return bpf_skb_store_bytes(skb, packet->l4 + at, &stored, sizeof(stored), 0);
}

/* Return whether the checksum is left to the sending device (CHECKSUM_PARTIAL, as on virtual interfaces). No field shows
 * it, but the kernel then refuses to truncate the packet before the end of the checksum. */
static __always_inline int checksum_is_partial(struct __sk_buff *skb, const struct packet *packet)
{
    return bpf_skb_change_tail(skb, packet->l4 + TCP_CHECK + 1, 0) < 0;
}

static __always_inline int swap_ethernet(struct __sk_buff *skb, __u32 l3)
{
    struct ethhdr ethernet, swapped;

    if (l3 < ETHERNET)
        return 0;
    if (bpf_skb_load_bytes(skb, 0, &ethernet, sizeof(ethernet)) < 0)
        return -1;
    __builtin_memcpy(swapped.h_dest, ethernet.h_source, ETH_ALEN);
    __builtin_memcpy(swapped.h_source, ethernet.h_dest, ETH_ALEN);
    swapped.h_proto = ethernet.h_proto;
    return bpf_skb_store_bytes(skb, 0, &swapped, sizeof(swapped), 0);
}

static __always_inline __u32 ip_header(const struct packet *packet)
{
    return packet->version == 4 ? IPV4 : IPV6;
}

static __always_inline int has_options(const struct packet *packet)
{
    return packet->l4 - packet->l3 != ip_header(packet);
}

/* Remove everything behind `size` bytes from the IP header on. Return whether the checksum was partial, -1 on failure. The
 * kernel's header offsets stay as they were, so packets with IP options are never answered. */
static __always_inline int truncate_packet(struct __sk_buff *skb, const struct packet *packet, __u32 size)
{
    int partial = checksum_is_partial(skb, packet);

    if (bpf_skb_change_tail(skb, packet->l3 + size, 0) < 0 || swap_ethernet(skb, packet->l3) < 0)
        return -1;
    return partial;
}

static __always_inline int make_reset(struct __sk_buff *skb, const struct packet *packet)
{
    struct reset_v4 v4;
    struct reset_v6 v6;
    int partial;

    if (has_options(packet))
        return -1;
    if (packet->version == 4) {
        partial = truncate_packet(skb, packet, sizeof(v4));
        if (partial < 0)
            return -1;
        fill_reset_v4(&v4, packet, partial);
        return bpf_skb_store_bytes(skb, packet->l3, &v4, sizeof(v4), BPF_F_INVALIDATE_HASH);
    }
    partial = truncate_packet(skb, packet, sizeof(v6));
    if (partial < 0)
        return -1;
    fill_reset_v6(&v6, packet, partial);
    return bpf_skb_store_bytes(skb, packet->l3, &v6, sizeof(v6), BPF_F_INVALIDATE_HASH);
}

/* Turn CHECKSUM_PARTIAL into CHECKSUM_NONE: remove the headers that the checksum covers from the front, store a byte so
 * that the kernel recomputes its state, and make room again. Otherwise a device would write a checksum into the middle of
 * the ICMP message, and a virtual one would leave it to a receiver that does not check it. */
static __always_inline int complete_checksum(struct __sk_buff *skb, const struct packet *packet, __u32 size)
{
    __s32 headers = ip_header(packet) + TCP;
    __u8 byte;

    if (bpf_skb_change_tail(skb, packet->l3 + headers + size, 0) < 0)
        return -1;
    if (bpf_skb_adjust_room(skb, -headers, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) < 0)
        return -1;
    if (bpf_skb_load_bytes(skb, 0, &byte, 1) < 0 || bpf_skb_store_bytes(skb, 0, &byte, 1, BPF_F_RECOMPUTE_CSUM) < 0)
        return -1;
    return bpf_skb_adjust_room(skb, headers, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
}

static __always_inline int make_too_big(struct __sk_buff *skb, const struct packet *packet, __u32 mtu)
{
    struct too_big_v4 v4;
    struct too_big_v6 v6;
    __u32 size = packet->version == 4 ? sizeof(v4) : sizeof(v6);

    if (has_options(packet))
        return -1;
    if (packet->version == 4 ? bpf_skb_load_bytes(skb, packet->l3, v4.quoted, sizeof(v4.quoted)) < 0
                             : bpf_skb_load_bytes(skb, packet->l3, v6.quoted, sizeof(v6.quoted)) < 0)
        return -1;
    if (complete_checksum(skb, packet, size) < 0 || bpf_skb_change_tail(skb, packet->l3 + size, 0) < 0)
        return -1;
    if (swap_ethernet(skb, packet->l3) < 0)
        return -1;
    if (packet->version == 4) {
        fill_too_big_v4(&v4, packet, mtu);
        return bpf_skb_store_bytes(skb, packet->l3, &v4, sizeof(v4), BPF_F_INVALIDATE_HASH);
    }
    fill_too_big_v6(&v6, packet, mtu);
    return bpf_skb_store_bytes(skb, packet->l3, &v6, sizeof(v6), BPF_F_INVALIDATE_HASH);
}
