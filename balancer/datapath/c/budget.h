/* Budgets as time: what each thing costs is added to when the budget is spent until, and unused time is kept for a burst.
 * Pure but for the clock, whose steps of a few milliseconds (the tick) are enough and cost a third of the exact one. */
#pragma once

#define BURST 200000000ULL /* nanoseconds */

static __always_inline __u64 spent_next(__u64 until, __u64 now, __u32 cost)
{
    if (until + BURST < now)
        until = now - BURST;
    return until > now ? 0 : until + cost;
}

/* Shared by all processors: whoever finds that another was faster tries again, and after three times goes without. */
static __always_inline int spend(__u64 *until, __u64 now, __u32 cost)
{
    for (int n = 0; n < 3; n++) {
        __u64 was = *until, next = spent_next(was, now, cost);
        if (!next)
            return 0;
        if (__sync_val_compare_and_swap(until, was, next) == was)
            return 1;
    }
    return 0;
}
