/* Reading and checking headers. Pure: no maps. */
#pragma once

#define ETHERNET 14
#define IPV4 20
#define TCP 20
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
    if (packet->tcp.doff < 5)
        return TOO_SHORT;
    return 0;
}

static __always_inline __u16 fold(__u64 sum)
{
    sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + ((sum >> 32) & 0xffff) + (sum >> 48);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}
