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

/* Extension headers are not parsed: a packet with any is neither TCP nor ICMP here. */
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

static __always_inline int carries_icmp(const struct packet *packet)
{
    return packet->protocol == (packet->version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

/* Return the TCP source port of the packet that an ICMP error quotes, if the error's destination sent that packet;
 * else 0. */
static __always_inline __u32 quoted_port(const struct packet *packet, struct __sk_buff *skb)
{
    struct packet quoted = {};
    __u8 type;
    __u16 port;

    if (bpf_skb_load_bytes(skb, packet->l4, &type, sizeof(type)) < 0 || !is_icmp_error(packet, type))
        return 0;
    if (read_ip(&quoted, skb, packet->l4 + ICMP, packet->version) < 0 || !same_address(&quoted.from, &packet->to))
        return 0;
    if (quoted.protocol != IPPROTO_TCP || quoted.later)
        return 0;
    if (bpf_skb_load_bytes(skb, quoted.l4, &port, sizeof(port)) < 0)
        return 0;
    return bpf_ntohs(port);
}
