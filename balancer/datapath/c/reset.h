/* The RST that answers a SYN (RFC 9293 section 3.10.7.1): addresses and ports change places. Pure. */
#pragma once

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

/* What the RST acknowledges: the SYN, with Fast Open the data behind it, and a FIN. */
static __always_inline __u32 acknowledged(const struct packet *packet)
{
    __u32 data = packet->length - (packet->l4 - packet->l3) - packet->header;
    if (data > 65535) /* many segments in one */
        data = 0;
    return packet->sequence + data + 1 + (packet->flags & FLAG_FIN);
}

/* `partial`: the device that sends the packet fills in the checksum, and wants the pseudo header's sum there. */
static __always_inline void fill_reset(struct tcphdr *tcp, const struct packet *packet, int partial)
{
    __u64 pseudo = bpf_htons(TCP) + bpf_htons(IPPROTO_TCP);

    if (packet->version == 4)
        pseudo += (__u64)packet->from.word[3] + packet->to.word[3];
    else
        pseudo = add_up(&packet->from, 16, add_up(&packet->to, 16, pseudo));
    __builtin_memset(tcp, 0, sizeof(*tcp));
    tcp->source = bpf_htons(packet->dest);
    tcp->dest = bpf_htons(packet->source);
    tcp->ack_seq = bpf_htonl(acknowledged(packet));
    tcp->doff = 5;
    tcp->rst = 1;
    tcp->ack = 1;
    tcp->check = partial ? (__u16)~fold(pseudo) : fold(add_up(tcp, TCP, pseudo));
}

static __always_inline void fill_reset_v4(struct reset_v4 *reset, const struct packet *packet, int partial)
{
    struct iphdr *ip = &reset->ip;

    __builtin_memset(ip, 0, sizeof(*ip));
    ip->version = 4;
    ip->ihl = 5;
    ip->tot_len = bpf_htons(IPV4 + TCP);
    ip->frag_off = bpf_htons(DONT_FRAGMENT);
    ip->ttl = TUNNEL_TTL;
    ip->protocol = IPPROTO_TCP;
    ip->saddr = packet->to.word[3];
    ip->daddr = packet->from.word[3];
    ip->check = fold(add_up(ip, IPV4, 0));
    fill_reset(&reset->tcp, packet, partial);
}

static __always_inline void fill_reset_v6(struct reset_v6 *reset, const struct packet *packet, int partial)
{
    struct ipv6hdr *ip = &reset->ip;

    __builtin_memset(ip, 0, sizeof(*ip));
    ip->version = 6;
    ip->payload_len = bpf_htons(TCP);
    ip->nexthdr = IPPROTO_TCP;
    ip->hop_limit = TUNNEL_TTL;
    copy_address((struct address *)&ip->saddr, packet->to.word);
    copy_address((struct address *)&ip->daddr, packet->from.word);
    fill_reset(&reset->tcp, packet, partial);
}
