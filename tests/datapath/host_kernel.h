/* What the pure headers need of the kernel, for programs of this host. */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/types.h>
#include <string.h>

#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define bpf_htons __builtin_bswap16
#define bpf_ntohs __builtin_bswap16
#define bpf_htonl __builtin_bswap32
#define bpf_ntohl __builtin_bswap32

struct __sk_buff {
    unsigned long data, data_end;
    __u32 len, gso_size;
};

static long bpf_skb_load_bytes(struct __sk_buff *skb, __u32 at, void *to, __u32 size)
{
    if (at > skb->len || size > skb->len - at)
        return -1;
    memcpy(to, (const void *)(skb->data + at), size);
    return 0;
}
