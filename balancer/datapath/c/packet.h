/* Parse and validate headers: no maps, no helper but skb_load_bytes. Headers at a constant offset are read in place; others
 * are copied, which takes some 10 ns more: pointers into the packet with a variable offset need CAP_PERFMON, which the
 * forwarder does not require. */
#pragma once

#include "layout.h"

#define ETHERNET 14
#define IPV4 20
#define IPV6 40
#define TCP 20
#define ICMP 8
#define TOO_SHORT (-1)
#define FLAG_FIN 1
#define FLAG_SYN 2
#define FLAG_RST 4
#define FLAG_ACK 16

struct packet {
    struct address from, to; /* source and destination address; `source`, `dest` are the ports */
    __u32 l3, l4; /* offsets of the IP header and its payload */
    __u32 length; /* of the IP packet, as its header says */
    __u8 version, protocol, tos;
    __u8 fragment, later; /* later: not the first fragment, which has the ports */
    /* TCP */
    __u16 source, dest;
    __u32 sequence;
    __u8 flags, header;
};

static __always_inline void map_v4(struct address *address, __u32 v4)
{
    address->word[0] = 0;
    address->word[1] = 0;
    address->word[2] = bpf_htonl(0xffff);
    address->word[3] = v4;
}

static __always_inline int same_address(const struct address *one, const struct address *other)
{
    return !((one->word[0] ^ other->word[0]) | (one->word[1] ^ other->word[1]) |
             (one->word[2] ^ other->word[2]) | (one->word[3] ^ other->word[3]));
}

static __always_inline void copy_address(struct address *to, const __u32 *from)
{
    to->word[0] = from[0];
    to->word[1] = from[1];
    to->word[2] = from[2];
    to->word[3] = from[3];
}

static __always_inline int parse_v4(struct packet *packet, const struct iphdr *ip, __u32 at)
{
    if (ip->version != 4 || ip->ihl < 5)
        return TOO_SHORT;
    map_v4(&packet->from, ip->saddr);
    map_v4(&packet->to, ip->daddr);
    packet->l3 = at;
    packet->l4 = at + ip->ihl * 4;
    packet->length = bpf_ntohs(ip->tot_len);
    packet->version = 4;
    packet->protocol = ip->protocol;
    packet->tos = ip->tos;
    packet->fragment = (ip->frag_off & bpf_htons(0x3fff)) != 0;
    packet->later = (ip->frag_off & bpf_htons(0x1fff)) != 0;
    return 0;
}

/* Extension headers are not parsed: a packet with any is neither TCP nor ICMP here (has_extension). */
static __always_inline int parse_v6(struct packet *packet, const struct ipv6hdr *ip, __u32 at)
{
    if (ip->version != 6)
        return TOO_SHORT;
    copy_address(&packet->from, ip->saddr.in6_u.u6_addr32);
    copy_address(&packet->to, ip->daddr.in6_u.u6_addr32);
    packet->l3 = at;
    packet->l4 = at + IPV6;
    packet->length = IPV6 + bpf_ntohs(ip->payload_len);
    packet->version = 6;
    packet->protocol = ip->nexthdr;
    packet->tos = ip->priority << 4 | ip->flow_lbl[0] >> 4;
    packet->fragment = ip->nexthdr == IPPROTO_FRAGMENT;
    packet->later = 0;
    return 0;
}

static __always_inline int read_ip(struct packet *packet, struct __sk_buff *skb, __u32 at, int version)
{
    struct iphdr v4;
    struct ipv6hdr v6;

    if (version == 4)
        return bpf_skb_load_bytes(skb, at, &v4, sizeof(v4)) < 0 ? TOO_SHORT : parse_v4(packet, &v4, at);
    return bpf_skb_load_bytes(skb, at, &v6, sizeof(v6)) < 0 ? TOO_SHORT : parse_v6(packet, &v6, at);
}

/* read_ip for a constant `at`: the header is read in place. */
static __always_inline int read_first_ip(struct packet *packet, struct __sk_buff *skb, __u32 at, int version)
{
    const __u8 *data = (const __u8 *)(long)skb->data, *end = (const __u8 *)(long)skb->data_end;

    if (data + at + IPV6 > end)
        return read_ip(packet, skb, at, version);
    if (version == 4)
        return parse_v4(packet, (const struct iphdr *)(data + at), at);
    return parse_v6(packet, (const struct ipv6hdr *)(data + at), at);
}

/* `size` is the frame's; 0 for a GSO packet, which may be larger than the length field can express. */
static __always_inline int parse_tcp(struct packet *packet, const struct tcphdr *tcp, __u32 size)
{
    if (tcp->doff < 5)
        return TOO_SHORT;
    packet->source = bpf_ntohs(tcp->source);
    packet->dest = bpf_ntohs(tcp->dest);
    packet->sequence = bpf_ntohl(tcp->seq);
    packet->flags = ((const __u8 *)tcp)[13];
    packet->header = tcp->doff * 4;
    __u32 headers = packet->l4 - packet->l3 + packet->header;
    if (size && (packet->length < headers || packet->l3 + packet->length > size))
        return TOO_SHORT;
    return 0;
}

static __always_inline __u32 frame_size(struct __sk_buff *skb)
{
    return skb->gso_size ? 0 : skb->len;
}

static __always_inline int read_tcp(struct packet *packet, struct __sk_buff *skb)
{
    struct tcphdr tcp;

    if (bpf_skb_load_bytes(skb, packet->l4, &tcp, sizeof(tcp)) < 0)
        return TOO_SHORT;
    return parse_tcp(packet, &tcp, frame_size(skb));
}

/* read_tcp after read_first_ip, for a constant `at`. */
static __always_inline int read_first_tcp(struct packet *packet, struct __sk_buff *skb, __u32 at)
{
    const __u8 *data = (const __u8 *)(long)skb->data, *end = (const __u8 *)(long)skb->data_end;

    if (data + at + IPV6 + TCP <= end && packet->version == 6)
        return parse_tcp(packet, (const struct tcphdr *)(data + at + IPV6), frame_size(skb));
    if (data + at + IPV4 + TCP <= end && packet->l4 == at + IPV4)
        return parse_tcp(packet, (const struct tcphdr *)(data + at + IPV4), frame_size(skb));
    return read_tcp(packet, skb);
}

static __always_inline int is_icmp_error(const struct packet *packet, __u8 type)
{
    if (packet->version == 4) /* unreachable, time exceeded, parameter problem (RFC 792) */
        return packet->protocol == IPPROTO_ICMP && (type == 3 || type == 11 || type == 12);
    return packet->protocol == IPPROTO_ICMPV6 && type >= 1 && type <= 4; /* and too big (RFC 4443) */
}

/* Whether IPv6 extension headers follow, behind which the kernel would look for TCP, and answer in the VIP's name. */
static __always_inline int has_extension(const struct packet *packet)
{
    if (packet->version != 6)
        return 0;
    switch (packet->protocol) {
    case IPPROTO_HOPOPTS:
    case IPPROTO_ROUTING:
    case IPPROTO_AH:
    case IPPROTO_DSTOPTS:
    case 135: /* mobility (RFC 6275) */
    case 139: /* HIP (RFC 7401) */
    case 140: /* Shim6 (RFC 5533) */
        return 1;
    }
    return 0;
}

static __always_inline int is_mapped(const struct address *address)
{
    return !(address->word[0] | address->word[1]) && address->word[2] == bpf_htonl(0xffff);
}

/* Whether no client beyond the link can have sent this (RFC 6890, RFC 9293 section 3.9.2.3). IPv6 packets with mapped
 * addresses would read as IPv4 here. */
static __always_inline int is_martian(const struct packet *packet)
{
    if (same_address(&packet->from, &packet->to))
        return 1;
    if (packet->version == 4) {
        __u32 source = bpf_ntohl(packet->from.word[3]);
        return source >> 24 == 0 || source >> 24 == 127 || source >> 16 == 0xa9fe || source >> 28 >= 14;
    }
    __u32 first = bpf_ntohl(packet->from.word[0]);
    return is_mapped(&packet->from) || is_mapped(&packet->to) || first >> 24 == 0xff || first >> 22 == 0x3fa ||
           !(packet->from.word[0] | packet->from.word[1] | packet->from.word[2]);
}

static __always_inline int carries_icmp(const struct packet *packet)
{
    return packet->protocol == (packet->version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

/* The TCP segment that an ICMP error quotes; its source address is the error's destination. */
struct quoted {
    struct address to;
    __u32 source, dest; /* ports */
};

/* Return -1 unless the packet is an ICMP error whose destination sent the TCP segment that it quotes. */
static __always_inline int read_quoted(const struct packet *packet, struct __sk_buff *skb, struct quoted *quoted)
{
    struct packet segment = {};
    __u16 ports[2];
    __u8 type;

    if (bpf_skb_load_bytes(skb, packet->l4, &type, sizeof(type)) < 0 || !is_icmp_error(packet, type))
        return TOO_SHORT;
    if (read_ip(&segment, skb, packet->l4 + ICMP, packet->version) < 0 || !same_address(&segment.from, &packet->to))
        return TOO_SHORT;
    if (segment.protocol != IPPROTO_TCP || segment.later)
        return TOO_SHORT;
    if (bpf_skb_load_bytes(skb, segment.l4, ports, sizeof(ports)) < 0)
        return TOO_SHORT;
    copy_address(&quoted->to, segment.to.word);
    quoted->source = bpf_ntohs(ports[0]);
    quoted->dest = bpf_ntohs(ports[1]);
    return 0;
}
