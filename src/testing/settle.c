/* SPDX-License-Identifier: MIT */
/* Design notes: a turn in which nothing but the caller ran and no event came may have left out its poll; so the
 * world is quiet after two such turns that did poll. */
#include "testing/harness.h"

#define QUIET_POLLS 2

static async_loop_statistics read_statistics(void)
{
    async_loop_statistics statistics = { .size = sizeof statistics };

    async_loop_get_statistics(async_get_running_loop(), &statistics);
    return statistics;
}

/* The caller's own step is one callback. */
static bool others_ran(const async_loop_statistics *before, const async_loop_statistics *after)
{
    return after->callbacks - before->callbacks > 1 || after->events != before->events || after->ready > 0;
}

int await_test_settle(void)
{
    async_loop_statistics before = read_statistics(), after;
    int quiet = 0;

    while (quiet < QUIET_POLLS) {
        int r = await_sleep(0);

        if (r < 0)
            return r;
        after = read_statistics();
        if (others_ran(&before, &after))
            quiet = 0;
        else if (after.polls != before.polls)
            quiet++;
        before = after;
    }
    return 0;
}
