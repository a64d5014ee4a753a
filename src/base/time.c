/* SPDX-License-Identifier: MIT */
/* Seconds as double outside, nanoseconds as int64 inside: 292 years, exact to the nanosecond. */
#include "base/base.h"

int64_t aw_ns_from_seconds(double seconds)
{
    double ns = seconds * 1e9;

    if (ns >= 9223372036854774784.0) /* the largest double below 2^63 */
        return AW_NEVER;
    if (ns <= -9223372036854774784.0)
        return INT64_MIN;
    return (int64_t)ns;
}

double aw_seconds_from_ns(int64_t ns)
{
    return ns == AW_NEVER ? __builtin_inf() : (double)ns / 1e9;
}
