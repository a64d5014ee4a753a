/* SPDX-License-Identifier: MIT */
#include <await/testing.h>

ASYNC_TEST(a_day_takes_no_time)
{
    ASYNC_CHECK_EQ(await_sleep(86400), 0);
}
