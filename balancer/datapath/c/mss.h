/* Clamp the MSS option of a SYN (RFC 9293 section 3.7.1), so that full-size segments fit into the tunnel. */
#pragma once

#define OPTIONS 40
#define MSS_KIND 2
#define MSS_LENGTH 4

static __always_inline void clamp_mss(struct __sk_buff *skb, const struct tcp_packet *packet, __u16 limit)
{
    __u32 length = packet->tcp.doff * 4 - TCP, at = 0;
    if (!packet->tcp.syn || length < MSS_LENGTH || length > OPTIONS)
        return;
    for (int n = 0; n < 12; n++) {
        /* Four bytes at a time, not a buffer with an index: that would need CAP_PERFMON. */
        struct {
            __u8 kind, size, value[2];
        } option;
        if (at + sizeof(option) > length ||
            bpf_skb_load_bytes(skb, packet->tcp_at + TCP + at, &option, sizeof(option)) < 0)
            return;
        if (option.kind == 0)
            return;
        if (option.kind == 1) {
            at += 1;
            continue;
        }
        if (option.size < 2)
            return;
        if (option.kind == MSS_KIND && option.size == MSS_LENGTH) {
            __u16 told = (option.value[0] << 8) | option.value[1];
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
        at += option.size;
    }
}
