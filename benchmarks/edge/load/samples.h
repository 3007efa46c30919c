/* Durations of what was done, for medians and percentiles. */
#pragma once

#include <stdint.h>

void keep_sample(uint64_t nanoseconds);
/* Microseconds below which `share` of the samples lie; 0 without samples. Sorts them. */
double sample_quantile(double share);
