/* Declare maps and programs so that both compilers take them: clang, for an object that libbpf loads, and bcc (BCC).
 * Programs call the helpers as libbpf declares them; runtime/bpf/source.py rewrites lookups in named maps for bcc.
 *
 * No map that is the template of others has BTF: the maps that replace it have none, and Linux before 6.2 requires equal
 * BTF. With bcc no map has. */
#pragma once

#ifdef BCC

#undef BPF_ANNOTATE_KV_PAIR
#define BPF_ANNOTATE_KV_PAIR(...)
#define PROGRAM(section)
#define ARRAY_MAP(name, type, size) BPF_ARRAY(name, type, size)
#define MAPPED_ARRAY_MAP(name, type, size) BPF_F_TABLE("array", __u32, type, name, size, BPF_F_MMAPABLE)
#define PERCPU_ARRAY_MAP(name, type, size) BPF_PERCPU_ARRAY(name, type, size)
#define HASH_MAP(name, key, type, size) BPF_TABLE("hash", key, type, name, size)
#define LRU_HASH_MAP(name, key, type, size) BPF_TABLE("lru_hash", key, type, name, size)
#define ARRAY_OF_ARRAYS(name, type, size, count) \
    BPF_F_TABLE("array", __u32, type, name##_template, size, 0); \
    BPF_ARRAY_OF_MAPS(name, #name "_template", count)
#define ARRAY_OF_HASHES(name, key, type, count) \
    BPF_F_TABLE("hash", key, type, name##_template, 1, 0); \
    BPF_ARRAY_OF_MAPS(name, #name "_template", count)
#define RING_BUFFER(name, pages) BPF_RINGBUF_OUTPUT(name, pages)

#else

#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* bpf_redirect_neigh, bpf_fib_lookup and others are for programs that say so; bcc says it of every program. */
char program_license[] SEC("license") = "GPL";

#define PROGRAM(section) SEC(section)
#define KEYED_MAP(kind, name, key_type, value_type, size, flags) \
    struct { \
        __uint(type, kind); \
        __type(key, key_type); \
        __type(value, value_type); \
        __uint(max_entries, size); \
        __uint(map_flags, flags); \
    } name SEC(".maps")
#define ARRAY_MAP(name, type, size) KEYED_MAP(BPF_MAP_TYPE_ARRAY, name, __u32, type, size, 0)
#define MAPPED_ARRAY_MAP(name, type, size) KEYED_MAP(BPF_MAP_TYPE_ARRAY, name, __u32, type, size, BPF_F_MMAPABLE)
#define PERCPU_ARRAY_MAP(name, type, size) KEYED_MAP(BPF_MAP_TYPE_PERCPU_ARRAY, name, __u32, type, size, 0)
#define HASH_MAP(name, key, type, size) KEYED_MAP(BPF_MAP_TYPE_HASH, name, key, type, size, 0)
#define LRU_HASH_MAP(name, key, type, size) KEYED_MAP(BPF_MAP_TYPE_LRU_HASH, name, key, type, size, 0)
#define ARRAY_OF_MAPS(kind, name, inner_key_size, inner_value_size, inner_size, count) \
    struct name##_template { \
        __uint(type, kind); \
        __uint(key_size, inner_key_size); \
        __uint(value_size, inner_value_size); \
        __uint(max_entries, inner_size); \
    }; \
    struct { \
        __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); \
        __uint(key_size, sizeof(__u32)); \
        __uint(max_entries, count); \
        __array(values, struct name##_template); \
    } name SEC(".maps")
#define ARRAY_OF_ARRAYS(name, type, size, count) \
    ARRAY_OF_MAPS(BPF_MAP_TYPE_ARRAY, name, sizeof(__u32), sizeof(type), size, count)
#define ARRAY_OF_HASHES(name, key, type, count) \
    ARRAY_OF_MAPS(BPF_MAP_TYPE_HASH, name, sizeof(key), sizeof(type), 1, count)
#define RING_BUFFER(name, pages) \
    struct { \
        __uint(type, BPF_MAP_TYPE_RINGBUF); \
        __uint(max_entries, (pages) * 4096); \
    } name SEC(".maps")

#endif
