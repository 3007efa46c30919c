/* Turn a SYN into the RST that answers it (RFC 9293 section 3.10.7.1): addresses, ports and MACs change places. */
#pragma once

#define TCP_CHECK 16

struct pseudo_header {
    __u32 from;
    __u32 to;
    __u8 zero;
    __u8 protocol;
    __u16 length;
};

/* Sequence numbers that the RST acknowledges: the SYN, with Fast Open the data behind it, and a FIN. */
static __always_inline __u32 syn_length(const struct tcp_packet *packet)
{
    __u32 data = bpf_ntohs(packet->ip.tot_len) - packet->ip.ihl * 4 - packet->tcp.doff * 4;
    if (data > 65535)
        data = 0;
    return data + 1 + packet->tcp.fin;
}

/* Whether the checksum is left to the device that sends the packet (CHECKSUM_PARTIAL: from virtual interfaces). No
 * field says so; but the kernel then refuses to cut the packet before the end of the checksum. */
static __always_inline int cut_tells_partial(struct __sk_buff *skb)
{
    return bpf_skb_change_tail(skb, ETHERNET + IPV4 + TCP_CHECK + 1, 0) < 0;
}

static __always_inline int make_reset(struct __sk_buff *skb, const struct tcp_packet *packet)
{
    struct ethhdr ethernet, turned;
    struct iphdr ip = {};
    struct tcphdr tcp = {};
    struct pseudo_header pseudo = {};

    if (packet->ip.ihl != 5) /* a reset has no IP options, and the kernel's header marks would be wrong */
        return -1;
    if (bpf_skb_load_bytes(skb, 0, &ethernet, sizeof(ethernet)) < 0)
        return -1;
    __builtin_memcpy(turned.h_dest, ethernet.h_source, ETH_ALEN);
    __builtin_memcpy(turned.h_source, ethernet.h_dest, ETH_ALEN);
    turned.h_proto = ethernet.h_proto;

    ip.version = 4;
    ip.ihl = 5;
    ip.tot_len = bpf_htons(IPV4 + TCP);
    ip.frag_off = bpf_htons(0x4000);
    ip.ttl = TUNNEL_TTL;
    ip.protocol = IPPROTO_TCP;
    ip.saddr = packet->ip.daddr;
    ip.daddr = packet->ip.saddr;
    ip.check = fold(bpf_csum_diff(0, 0, (__be32 *)&ip, sizeof(ip), 0));

    tcp.source = packet->tcp.dest;
    tcp.dest = packet->tcp.source;
    tcp.ack_seq = bpf_htonl(bpf_ntohl(packet->tcp.seq) + syn_length(packet));
    tcp.doff = 5;
    tcp.rst = 1;
    tcp.ack = 1;
    pseudo.from = ip.saddr;
    pseudo.to = ip.daddr;
    pseudo.protocol = IPPROTO_TCP;
    pseudo.length = bpf_htons(TCP);
    __u64 sum = bpf_csum_diff(0, 0, (__be32 *)&pseudo, sizeof(pseudo), 0);
    if (cut_tells_partial(skb))
        tcp.check = ~fold(sum);
    else
        tcp.check = fold(bpf_csum_diff(0, 0, (__be32 *)&tcp, sizeof(tcp), sum));

    if (bpf_skb_change_tail(skb, ETHERNET + IPV4 + TCP, 0) < 0)
        return -1;
    if (bpf_skb_store_bytes(skb, 0, &turned, sizeof(turned), 0) < 0)
        return -1;
    if (bpf_skb_store_bytes(skb, ETHERNET, &ip, sizeof(ip), BPF_F_INVALIDATE_HASH) < 0)
        return -1;
    return bpf_skb_store_bytes(skb, ETHERNET + IPV4, &tcp, sizeof(tcp), 0);
}
