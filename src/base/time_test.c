/* SPDX-License-Identifier: MIT */
#include "base/base.h"

#include <await/testing.h>
#include <math.h>

#define IS_NEVER(ns) ASYNC_CHECK_EQ(ns, AW_NEVER)

ASYNC_TEST_PLAIN(seconds_become_nanoseconds)
{
    ASYNC_CHECK_EQ(aw_ns_from_seconds(0), 0);
    ASYNC_CHECK_EQ(aw_ns_from_seconds(-0.0), 0);
    ASYNC_CHECK_EQ(aw_ns_from_seconds(1), 1000000000);
    ASYNC_CHECK_EQ(aw_ns_from_seconds(0.25), 250000000);
    ASYNC_CHECK_EQ(aw_ns_from_seconds(-1.5), -1500000000);
    ASYNC_CHECK_EQ(aw_ns_from_seconds(1e-9), 1);
    ASYNC_CHECK_EQ(aw_ns_from_seconds(1e-10), 0);
    ASYNC_CHECK_EQ(aw_ns_from_seconds(5e-324), 0);
    ASYNC_CHECK_EQ(aw_ns_from_seconds(3600.0 * 24 * 365 * 100), 3153600000000000000);
}

ASYNC_TEST_PLAIN(seconds_that_do_not_fit_saturate)
{
    IS_NEVER(aw_ns_from_seconds(INFINITY));
    IS_NEVER(aw_ns_from_seconds(1e300));
    IS_NEVER(aw_ns_from_seconds(9223372036.854775807));
    IS_NEVER(aw_ns_from_seconds(9223372037));
    ASYNC_CHECK_EQ(aw_ns_from_seconds(-INFINITY), INT64_MIN);
    ASYNC_CHECK_EQ(aw_ns_from_seconds(-1e300), INT64_MIN);
    ASYNC_CHECK_EQ(aw_ns_from_seconds(-9223372037), INT64_MIN);
}

ASYNC_TEST_PLAIN(the_largest_seconds_that_fit_are_no_infinity)
{
    int64_t ns = aw_ns_from_seconds(9223372036.0);

    ASYNC_CHECK(ns < AW_NEVER);
    ASYNC_CHECK_EQ(ns, 9223372036000000000);
}

ASYNC_TEST_PLAIN(nanoseconds_become_seconds)
{
    ASYNC_CHECK(aw_seconds_from_ns(0) == 0);
    ASYNC_CHECK(aw_seconds_from_ns(1500000000) == 1.5);
    ASYNC_CHECK(aw_seconds_from_ns(-500000000) == -0.5);
    ASYNC_CHECK(isinf(aw_seconds_from_ns(AW_NEVER)) && aw_seconds_from_ns(AW_NEVER) > 0);
    ASYNC_CHECK(!isinf(aw_seconds_from_ns(AW_NEVER - 1)));
}

ASYNC_TEST_PLAIN(adding_times_does_not_overflow)
{
    ASYNC_CHECK_EQ(aw_ns_add(3, 4), 7);
    ASYNC_CHECK_EQ(aw_ns_add(3, -4), -1);
    IS_NEVER(aw_ns_add(AW_NEVER - 1, 2));
    IS_NEVER(aw_ns_add(2, AW_NEVER - 1));
    ASYNC_CHECK_EQ(aw_ns_add(INT64_MIN, -1), INT64_MIN);
    ASYNC_CHECK_EQ(aw_ns_add(-1, INT64_MIN), INT64_MIN);
}

/* A clock may begin below 0, and an infinite wait is infinite all the same. */
ASYNC_TEST_PLAIN(never_stays_never_whatever_is_added)
{
    IS_NEVER(aw_ns_add(AW_NEVER, 0));
    IS_NEVER(aw_ns_add(AW_NEVER, 1));
    IS_NEVER(aw_ns_add(AW_NEVER, -1));
    IS_NEVER(aw_ns_add(-1, AW_NEVER));
    IS_NEVER(aw_ns_add(0, AW_NEVER));
    IS_NEVER(aw_ns_add(AW_NEVER, AW_NEVER));
}
