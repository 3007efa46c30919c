/* A number that is the same for all packets of a flow (MurmurHash3's steps). Pure. */
#pragma once

static __always_inline __u32 stir(__u32 hash, __u32 word)
{
    word *= 0xcc9e2d51;
    word = word << 15 | word >> 17;
    hash ^= word * 0x1b873593;
    hash = hash << 13 | hash >> 19;
    return hash * 5 + 0xe6546b64;
}

static __always_inline __u32 flow_hash(const struct packet *packet, __u32 seed)
{
    __u32 hash = stir(stir(seed, packet->from.word[3]), packet->to.word[3]);
    if (packet->version == 6) {
        hash = stir(stir(stir(hash, packet->from.word[0]), packet->from.word[1]), packet->from.word[2]);
        hash = stir(stir(stir(hash, packet->to.word[0]), packet->to.word[1]), packet->to.word[2]);
    }
    hash = stir(hash, (__u32)packet->source << 16 | packet->dest);
    hash ^= hash >> 16;
    hash *= 0x85ebca6b;
    hash ^= hash >> 13;
    hash *= 0xc2b2ae35;
    return hash ^ hash >> 16;
}
