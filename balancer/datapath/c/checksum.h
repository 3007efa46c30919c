/* The Internet checksum (RFC 1071) of things of known size. Pure. */
#pragma once

/* The sum of four words, on top of `sum`. Written out, as everything here: a loop that the compiler leaves a loop needs
 * CAP_PERFMON. */
static __always_inline __u64 add_words(const __u32 *word, __u64 sum)
{
    return sum + word[0] + word[1] + word[2] + word[3];
}

/* The sum of `size` bytes (a multiple of 4, at most 80) on top of `sum`; not yet folded. */
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

static __always_inline __u16 fold(__u64 sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

/* RFC 1624, equation 3. All in network order. */
static __always_inline __u16 update_checksum(__u16 check, __u16 was, __u16 now)
{
    __u32 sum = (__u16)~check + (__u32)(__u16)~was + now;
    sum = (sum & 0xffff) + (sum >> 16);
    return ~((sum & 0xffff) + (sum >> 16));
}
