#include "samples.h"

#include <stddef.h>
#include <stdlib.h>

static uint64_t *samples;
static size_t count, room;

void keep_sample(uint64_t nanoseconds)
{
    if (count == room) {
        room = room ? 2 * room : 1 << 16;
        samples = realloc(samples, room * sizeof(*samples));
        if (!samples)
            abort();
    }
    samples[count++] = nanoseconds;
}

static int compare_samples(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

double sample_quantile(double share)
{
    if (!count)
        return 0;
    qsort(samples, count, sizeof(*samples), compare_samples);
    return (double)samples[(size_t)(share * (double)(count - 1))] / 1000;
}
