/* Reading and checking headers. Pure: no maps. */
#pragma once

#define ETHERNET 14
#define IPV4 20
#define TCP 20
#define ICMP_HEADER 8
#define ICMP_UNREACHABLE 3
#define ICMP_TIME_OUT 11
#define ICMP_BAD_PARAMETER 12
#define TOO_SHORT (-1)

struct tcp_packet {
    struct iphdr ip;
    struct tcphdr tcp;
    __u32 ip_at;
    __u32 tcp_at;
};

static __always_inline int is_fragment(const struct iphdr *ip)
{
    return (ip->frag_off & bpf_htons(0x3fff)) != 0;
}

/* A header of 20 bytes at `at` that says it is IPv4 with at least 20 bytes. */
static __always_inline int read_ip(struct __sk_buff *skb, __u32 at, struct iphdr *ip)
{
    if (bpf_skb_load_bytes(skb, at, ip, sizeof(*ip)) < 0)
        return TOO_SHORT;
    if (ip->version != 4 || ip->ihl < 5)
        return TOO_SHORT;
    return 0;
}

static __always_inline int read_tcp(struct __sk_buff *skb, struct tcp_packet *packet)
{
    packet->tcp_at = packet->ip_at + packet->ip.ihl * 4;
    if (bpf_skb_load_bytes(skb, packet->tcp_at, &packet->tcp, sizeof(packet->tcp)) < 0)
        return TOO_SHORT;
    __u32 headers = packet->ip.ihl * 4 + packet->tcp.doff * 4, total = bpf_ntohs(packet->ip.tot_len);
    if (packet->tcp.doff < 5)
        return TOO_SHORT;
    /* Segments to be (GSO) may be larger than the field can say. */
    if (!skb->gso_size && (total < headers || packet->ip_at + total > skb->len))
        return TOO_SHORT;
    return 0;
}

/* The TCP source port of the packet that an ICMP error at `packet` quotes (RFC 792), if `vip` sent it; else 0. */
static __always_inline __u32 quoted_port(struct __sk_buff *skb, const struct tcp_packet *packet, __u32 vip)
{
    struct iphdr quoted;
    __u8 type;
    __u16 port;
    __u32 at = packet->ip_at + packet->ip.ihl * 4;

    if (packet->ip.protocol != IPPROTO_ICMP || bpf_skb_load_bytes(skb, at, &type, sizeof(type)) < 0)
        return 0;
    if (type != ICMP_UNREACHABLE && type != ICMP_TIME_OUT && type != ICMP_BAD_PARAMETER)
        return 0;
    if (read_ip(skb, at + ICMP_HEADER, &quoted) < 0 || quoted.saddr != vip || quoted.protocol != IPPROTO_TCP)
        return 0;
    if (quoted.frag_off & bpf_htons(0x1fff))
        return 0;
    if (bpf_skb_load_bytes(skb, at + ICMP_HEADER + quoted.ihl * 4, &port, sizeof(port)) < 0)
        return 0;
    return bpf_ntohs(port);
}

static __always_inline __u16 fold(__u64 sum)
{
    sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + ((sum >> 32) & 0xffff) + (sum >> 48);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}
