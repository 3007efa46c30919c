/* The Internet checksum (RFC 1071) of objects whose size is a compile-time constant. Pure. */
#pragma once

/* Add four words to `sum`. Unrolled by hand, as all code here: a loop that the compiler does not unroll needs
 * CAP_PERFMON. */
static __always_inline __u64 add_words(const __u32 *word, __u64 sum)
{
    return sum + word[0] + word[1] + word[2] + word[3];
}

/* Add `size` bytes (a multiple of 4, at most 80) to `sum`, without folding. */
static __always_inline __u64 sum_bytes(const void *from, int size, __u64 sum)
{
    const __u32 *word = from;

    if (size >= 16)
        sum = add_words(word, sum);
    if (size >= 32)
        sum = add_words(word + 4, sum);
    if (size >= 48)
        sum = add_words(word + 8, sum);
    if (size >= 64)
        sum = add_words(word + 12, sum);
    if (size >= 80)
        sum = add_words(word + 16, sum);
    word += size / 16 * 4;
    if (size % 16 >= 4)
        sum += word[0];
    if (size % 16 >= 8)
        sum += word[1];
    if (size % 16 >= 12)
        sum += word[2];
    return sum;
}

/* Fold a sum to 16 bits and complement it. */
/* Fold a sum to 16 bits and complement it. */
static __always_inline __u16 fold(__u64 sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

/* Update a checksum for one changed word (RFC 1624, equation 3). All values in network order. */
static __always_inline __u16 update_checksum(__u16 check, __u16 old, __u16 new)
{
    __u32 sum = (__u16)~check + (__u32)(__u16)~old + new;
    sum = (sum & 0xffff) + (sum >> 16);
    return ~((sum & 0xffff) + (sum >> 16));
}
