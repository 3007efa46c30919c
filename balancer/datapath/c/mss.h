/* Clamp the MSS option of a SYN (RFC 9293 section 3.7.1), so that full-size segments fit into the tunnel. */
#pragma once

#define OPTIONS 40
#define MSS_KIND 2
#define MSS_LENGTH 4

static __always_inline void clamp_mss(struct __sk_buff *skb, const struct tcp_packet *packet, __u16 limit)
{
    __u8 options[64] = {};
    __u32 length = packet->tcp.doff * 4 - TCP;
    if (!packet->tcp.syn || length < MSS_LENGTH || length > OPTIONS)
        return;
    if (bpf_skb_load_bytes(skb, packet->tcp_at + TCP, options, length) < 0)
        return;
    __u32 at = 0;
    for (int n = 0; n < 12; n++) {
        if (at + MSS_LENGTH > length)
            return;
        __u8 kind = options[at & 63];
        if (kind == 0)
            return;
        if (kind == 1) {
            at += 1;
            continue;
        }
        __u8 size = options[(at + 1) & 63];
        if (size < 2)
            return;
        if (kind == MSS_KIND && size == MSS_LENGTH) {
            __u16 told = (options[(at + 2) & 63] << 8) | options[(at + 3) & 63];
            if (told <= limit)
                return;
            __u16 was = bpf_htons(told), now = bpf_htons(limit);
            /* An odd offset puts the two bytes into two different words of the checksum. */
            if (at & 1) {
                was = told;
                now = limit;
            }
            __u16 stored = bpf_htons(limit);
            bpf_l4_csum_replace(skb, packet->tcp_at + 16, was, now, 2);
            bpf_skb_store_bytes(skb, packet->tcp_at + TCP + at + 2, &stored, sizeof(stored), 0);
            return;
        }
        at += size;
    }
}
