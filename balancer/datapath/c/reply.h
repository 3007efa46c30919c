/* Replies on behalf of a packet's destination: the RST to a SYN (RFC 9293 section 3.10.7.1), and "too big" to what does
 * not fit into the tunnel (RFC 1191, RFC 4443 section 3.2). Pure.
 *
 * `partial`: the device that sends the reset adds up everything from where TCP began and stores the complement where the
 * checksum is, as the SYN's metadata instructs it. */
#pragma once

#include "packet.h"
#include "checksum.h"
#include "tunnel.h"

#define QUOTED_TCP 8 /* bytes of the TCP header that an ICMP error quotes */

struct pseudo_tail {
    __be32 length;
    __be32 protocol;
};

struct reset_v4 {
    struct iphdr ip;
    struct tcphdr tcp;
};

struct reset_v6 {
    struct ipv6hdr ip;
    struct tcphdr tcp;
};

/* Return the RST's acknowledgement number: it covers the SYN, its data (Fast Open) and a FIN. */
static __always_inline __u32 ack_number(const struct packet *packet)
{
    __u32 data = packet->length - (packet->l4 - packet->l3) - packet->header;
    if (data > 65535) /* a GSO packet */
        data = 0;
    return packet->sequence + data + 1 + (packet->flags & FLAG_FIN);
}

static __always_inline void fill_reset(struct tcphdr *tcp, const struct packet *packet, int partial)
{
    __u64 pseudo = bpf_htons(TCP) + bpf_htons(IPPROTO_TCP);

    if (packet->version == 4)
        pseudo += (__u64)packet->from.word[3] + packet->to.word[3];
    else
        pseudo = sum_bytes(&packet->from, 16, sum_bytes(&packet->to, 16, pseudo));
    __builtin_memset(tcp, 0, sizeof(*tcp));
    tcp->source = bpf_htons(packet->dest);
    tcp->dest = bpf_htons(packet->source);
    tcp->ack_seq = bpf_htonl(ack_number(packet));
    tcp->doff = 5;
    tcp->rst = 1;
    tcp->ack = 1;
    tcp->check = partial ? (__u16)~fold(pseudo) : fold(sum_bytes(tcp, TCP, pseudo));
}

static __always_inline void fill_reply_v4(struct iphdr *ip, const struct packet *packet, __u8 protocol, __u16 length)
{
    __builtin_memset(ip, 0, sizeof(*ip));
    ip->version = 4;
    ip->ihl = 5;
    ip->tot_len = bpf_htons(IPV4 + length);
    ip->frag_off = bpf_htons(DONT_FRAGMENT);
    ip->ttl = TUNNEL_TTL;
    ip->protocol = protocol;
    ip->saddr = packet->to.word[3];
    ip->daddr = packet->from.word[3];
    ip->check = fold(sum_bytes(ip, IPV4, 0));
}

static __always_inline void fill_reply_v6(struct ipv6hdr *ip, const struct packet *packet, __u8 protocol,
                                           __u16 length)
{
    __builtin_memset(ip, 0, sizeof(*ip));
    ip->version = 6;
    ip->payload_len = bpf_htons(length);
    ip->nexthdr = protocol;
    ip->hop_limit = TUNNEL_TTL;
    copy_address((struct address *)&ip->saddr, packet->to.word);
    copy_address((struct address *)&ip->daddr, packet->from.word);
}

static __always_inline void fill_reset_v4(struct reset_v4 *reset, const struct packet *packet, int partial)
{
    fill_reply_v4(&reset->ip, packet, IPPROTO_TCP, TCP);
    fill_reset(&reset->tcp, packet, partial);
}

static __always_inline void fill_reset_v6(struct reset_v6 *reset, const struct packet *packet, int partial)
{
    fill_reply_v6(&reset->ip, packet, IPPROTO_TCP, TCP);
    fill_reset(&reset->tcp, packet, partial);
}

struct too_big {
    __u8 type, code;
    __u16 check;
    __be32 mtu; /* IPv4 uses the lower 16 bits only */
};

struct too_big_v4 {
    struct iphdr ip;
    struct too_big icmp;
    __u8 quoted[IPV4 + QUOTED_TCP];
};

struct too_big_v6 {
    struct ipv6hdr ip;
    struct too_big icmp;
    __u8 quoted[IPV6 + QUOTED_TCP];
};

#define MESSAGE_V4 (sizeof(struct too_big_v4) - IPV4)
#define MESSAGE_V6 (sizeof(struct too_big_v6) - IPV6)

/* `quoted` is filled in by the caller. */
static __always_inline void fill_too_big_v4(struct too_big_v4 *answer, const struct packet *packet, __u32 mtu)
{
    fill_reply_v4(&answer->ip, packet, IPPROTO_ICMP, MESSAGE_V4);
    answer->icmp.type = 3;
    answer->icmp.code = 4;
    answer->icmp.check = 0;
    answer->icmp.mtu = bpf_htonl(mtu);
    answer->icmp.check = fold(sum_bytes(&answer->icmp, MESSAGE_V4, 0));
}

static __always_inline void fill_too_big_v6(struct too_big_v6 *answer, const struct packet *packet, __u32 mtu)
{
    __u64 pseudo = bpf_htons(MESSAGE_V6) + bpf_htons(IPPROTO_ICMPV6);

    pseudo = sum_bytes(&packet->from, 16, sum_bytes(&packet->to, 16, pseudo));
    fill_reply_v6(&answer->ip, packet, IPPROTO_ICMPV6, MESSAGE_V6);
    answer->icmp.type = 2;
    answer->icmp.code = 0;
    answer->icmp.check = 0;
    answer->icmp.mtu = bpf_htonl(mtu);
    answer->icmp.check = fold(sum_bytes(&answer->icmp, MESSAGE_V6, pseudo));
}
