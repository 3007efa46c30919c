/* Find the MSS option of a SYN (RFC 9293 section 3.7.1), which is clamped so that full-size segments fit into the tunnel.
 * Pure. */
#pragma once

#include "packet.h"

#define OPTIONS 40
#define MSS_KIND 2
#define MSS_LENGTH 4
#define MSS_TRIES 6

/* Return the offset of the option's value from the TCP header and store the value in `mss`; 0 if there is none. */
static __always_inline __u32 find_mss(const struct packet *packet, struct __sk_buff *skb, __u16 *mss)
{
    __u32 length = packet->header - TCP, at = 0;

    if (!(packet->flags & FLAG_SYN) || packet->header < TCP + MSS_LENGTH || length > OPTIONS)
        return 0;
    for (int n = 0; n < MSS_TRIES; n++) {
        /* Load four bytes at a time: a buffer with a variable index needs CAP_PERFMON. */
        struct {
            __u8 kind, size, value[2];
        } option;
        if (at + MSS_LENGTH > length ||
            bpf_skb_load_bytes(skb, packet->l4 + TCP + at, &option, sizeof(option)) < 0 || option.kind == 0)
            return 0;
        if (option.kind == 1) {
            at += 1;
            continue;
        }
        if (option.size < 2)
            return 0;
        if (option.kind == MSS_KIND && option.size == MSS_LENGTH) {
            *mss = option.value[0] << 8 | option.value[1];
            return TCP + at + 2;
        }
        at += option.size;
    }
    return 0;
}
