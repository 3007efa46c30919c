/* Big-endian integers and growing offsets: what frames and items are made of (docs/protocol). */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t read_integer(const unsigned char *at, size_t length)
{
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++)
        value = value << 8 | at[i];
    return value;
}

/* Write `value` as `length` bytes and return the place behind them. */
static inline unsigned char *put_integer(unsigned char *at, uint64_t value, size_t length)
{
    for (size_t i = length; i-- > 0; value >>= 8)
        at[i] = value & 0xff;
    return at + length;
}

static inline unsigned char *put_bytes(unsigned char *at, const void *data, size_t length)
{
    memcpy(at, data, length);
    return at + length;
}
