/* What the headers with maps and helpers need: the kernel's own structures, bcc's map macros, and the helpers declared. */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>

#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define bpf_htons __builtin_bswap16
#define bpf_ntohs __builtin_bswap16
#define bpf_htonl __builtin_bswap32
#define bpf_ntohl __builtin_bswap32

#define HOST_MAP(type, name) \
    static struct { \
        type *(*lookup)(void *key); \
    } name __attribute__((unused))
#define BPF_ARRAY(name, type, size) HOST_MAP(type, name)
#define BPF_PERCPU_ARRAY(name, type, size) HOST_MAP(type, name)
#define BPF_TABLE(kind, key, type, name, size) HOST_MAP(type, name)
#define BPF_F_TABLE(kind, key, type, name, size, flags) HOST_MAP(type, name)
#define BPF_ARRAY_OF_MAPS(name, template, size) HOST_MAP(void, name)
#define BPF_RINGBUF_OUTPUT(name, pages) HOST_MAP(void, name)

void *bpf_map_lookup_elem(void *map, const void *key);
__u64 bpf_ktime_get_coarse_ns(void);
long bpf_skb_load_bytes(const void *skb, __u32 at, void *to, __u32 size);
long bpf_skb_store_bytes(struct __sk_buff *skb, __u32 at, const void *from, __u32 size, __u64 flags);
long bpf_skb_adjust_room(struct __sk_buff *skb, __s32 size, __u32 mode, __u64 flags);
long bpf_skb_change_tail(struct __sk_buff *skb, __u32 size, __u64 flags);
long bpf_l3_csum_replace(struct __sk_buff *skb, __u32 at, __u64 from, __u64 to, __u64 size);
long bpf_l4_csum_replace(struct __sk_buff *skb, __u32 at, __u64 from, __u64 to, __u64 flags);
struct bpf_sock *bpf_skc_lookup_tcp(void *context, struct bpf_sock_tuple *tuple, __u32 size, __u64 netns, __u64 flags);
long bpf_tcp_check_syncookie(void *sock, void *ip, __u32 ip_size, struct tcphdr *tcp, __u32 tcp_size);
long bpf_sk_release(void *sock);
