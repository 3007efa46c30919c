/* Token buckets in nanoseconds (GCRA): each event moves `until` forward by its cost; up to BURST of unused time is kept.
 * Pure; callers pass the coarse clock, whose resolution of a few milliseconds suffices at a third of the exact one's cost. */
#pragma once

#define BURST 200000000ULL /* nanoseconds */

/* Return the new `until`, 0 if the budget is exhausted. */
/* Return the new `until`, 0 if the budget is exhausted. */
static __always_inline __u64 spent_next(__u64 until, __u64 now, __u32 cost)
{
    if (until + BURST < now)
        until = now - BURST;
    return until > now ? 0 : until + cost;
}

/* Charge `cost`; return 0 if the budget is exhausted. The value is shared by all CPUs: a lost compare-and-swap is retried
 * twice, then the packet counts as over budget. */
static __always_inline int spend(__u64 *until, __u64 now, __u32 cost)
{
    for (int n = 0; n < 3; n++) {
        __u64 old = *until, next = spent_next(old, now, cost);
        if (!next)
            return 0;
        if (__sync_val_compare_and_swap(until, old, next) == old)
            return 1;
    }
    return 0;
}
