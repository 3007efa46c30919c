/* Hash flows and source addresses (MurmurHash3). Pure. */
#pragma once

#include "packet.h"

static __always_inline __u32 hash_mix(__u32 hash, __u32 word)
{
    word *= 0xcc9e2d51;
    word = word << 15 | word >> 17;
    hash ^= word * 0x1b873593;
    hash = hash << 13 | hash >> 19;
    return hash * 5 + 0xe6546b64;
}

static __always_inline __u32 hash_finish(__u32 hash)
{
    hash ^= hash >> 16;
    hash *= 0x85ebca6b;
    hash ^= hash >> 13;
    hash *= 0xc2b2ae35;
    return hash ^ hash >> 16;
}

static __always_inline __u32 hash_mix_address(__u32 hash, const struct address *address, int version)
{
    if (version == 6)
        hash = hash_mix(hash_mix(hash_mix(hash, address->word[0]), address->word[1]), address->word[2]);
    return hash_mix(hash, address->word[3]);
}

static __always_inline __u32 hash_ends(__u32 seed, int version, const struct address *from, const struct address *to,
                                       __u32 ports)
{
    return hash_finish(hash_mix(hash_mix_address(hash_mix_address(seed, from, version), to, version), ports));
}

static __always_inline __u32 flow_hash(const struct packet *packet, __u32 seed)
{
    return hash_ends(seed, packet->version, &packet->from, &packet->to, (__u32)packet->source << 16 | packet->dest);
}

/* Return flow_hash of the packets in the opposite direction. */
static __always_inline __u32 flow_hash_back(const struct packet *packet, __u32 seed)
{
    return hash_ends(seed, packet->version, &packet->to, &packet->from, (__u32)packet->dest << 16 | packet->source);
}

/* Return flow_hash of the packets that are answered by the segment which the error `packet` quotes. */
static __always_inline __u32 flow_hash_quoted(const struct packet *packet, const struct quoted *quoted, __u32 seed)
{
    return hash_ends(seed, packet->version, &quoted->to, &packet->to, quoted->dest << 16 | quoted->source);
}

/* Hash the source address, of IPv6 its /64. */
static __always_inline __u32 source_hash(const struct packet *packet, __u32 seed)
{
    if (packet->version == 4)
        return hash_finish(hash_mix(seed, packet->from.word[3]));
    return hash_finish(hash_mix(hash_mix(seed, packet->from.word[0]), packet->from.word[1]));
}
