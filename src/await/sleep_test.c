/* SPDX-License-Identifier: MIT */
#include <await/testing.h>
#include <math.h>
#include <string.h>

static uint64_t timers_pending(void)
{
    async_loop_statistics s = { .size = sizeof s };

    ASYNC_CHECK_EQ(async_loop_get_statistics(async_get_running_loop(), &s), 0);
    return s.timers;
}

ASYNC_TEST_ON("sim", a_sleep_takes_as_long_as_it_says)
{
    static const double times[] = { 1e-9, 0.001, 0.25, 1, 3600, 1e9 };

    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        double start = async_time();

        ASYNC_CHECK_EQ(await_sleep(times[i]), 0);
        ASYNC_CHECK(fabs(async_time() - start - times[i]) < 1e-6 * times[i] + 1e-6);
    }
    ASYNC_CHECK_EQ(timers_pending(), 0);
}

ASYNC_TEST_ON("linux", a_real_sleep_is_never_too_short)
{
    for (int i = 0; i < 20; i++) {
        double start = async_time();

        ASYNC_CHECK_EQ(await_sleep(0.001), 0);
        ASYNC_CHECK(async_time() >= start + 0.001);
    }
}

static char trace[100];

async_def(write_after, char, letter, double, seconds)
{
    int r = await_sleep(seconds);
    size_t used = strlen(trace);

    trace[used] = letter;
    return r;
}

ASYNC_TEST(sleepers_wake_in_the_order_of_their_deadlines)
{
    ASYNC_CHECK_EQ(await_gather(async_create_task(write_after, 'c', 0.03), async_create_task(write_after, 'a', 0.01),
                                async_create_task(write_after, 'b', 0.02)),
                   0);
    ASYNC_CHECK_STR(trace, "abc");
}

ASYNC_TEST_ON("sim", sleepers_with_one_deadline_wake_in_the_order_in_which_they_went_to_sleep)
{
    ASYNC_CHECK_EQ(await_gather(async_create_task(write_after, 'a', 1), async_create_task(write_after, 'b', 1),
                                async_create_task(write_after, 'c', 1)),
                   0);
    ASYNC_CHECK_STR(trace, "abc");
}

async_def(write_twice, char, letter)
{
    for (int i = 0; i < 2; i++) {
        trace[strlen(trace)] = letter;
        if (await_sleep(0) < 0)
            return -1;
    }
    return 0;
}

ASYNC_TEST(a_sleep_of_zero_lets_every_other_ready_task_run_once)
{
    async_task *a = async_create_task(write_twice, 'a'), *b = async_create_task(write_twice, 'b');

    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_STR(trace, "ab");
    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_STR(trace, "abab");
    ASYNC_CHECK_EQ(await_gather(a, b), 0);
}

ASYNC_TEST(a_negative_sleep_is_over_at_once_as_in_asyncio)
{
    double start = async_time();

    ASYNC_CHECK_EQ(await_sleep(-0.001), 0);
    ASYNC_CHECK_EQ(await_sleep(-1e300), 0);
    ASYNC_CHECK_EQ(await_sleep(-INFINITY), 0);
    ASYNC_CHECK_EQ(await_sleep(-0.0), 0);
    ASYNC_CHECK(async_time() - start < 1);
}

ASYNC_TEST(a_sleep_that_is_no_number_is_refused)
{
    ASYNC_CHECK_EQ(await_sleep(NAN), -EINVAL);
    ASYNC_CHECK_HAS(async_last_error(), "not a number");
}

ASYNC_TEST_PLAIN(a_sleep_outside_of_a_task_is_refused)
{
    ASYNC_CHECK_EQ(await_sleep(1), ASYNC_ENOTASK);
    ASYNC_CHECK_HAS(async_last_error(), "await_sleep");
    ASYNC_CHECK_HAS(async_last_error(), "async_run");
}

async_def(sleep_for_ever)
{
    return await_sleep(INFINITY);
}

ASYNC_TEST(an_infinite_sleep_ends_with_its_cancellation_only)
{
    async_task *task = async_create_task(sleep_for_ever);
    int result;

    ASYNC_CHECK_EQ(await_sleep(0.01), 0);
    ASYNC_CHECK_STR(async_task_waiting(task), "await_sleep");
    ASYNC_CHECK_EQ(timers_pending(), 0);
    async_task_cancel(task);
    ASYNC_CHECK_EQ(await_task(task, &result), 0);
    ASYNC_CHECK_EQ(result, ASYNC_ECANCELED);
}

ASYNC_TEST_ON("sim", a_sleep_of_more_than_292_years_is_infinite)
{
    async_timeout(10);

    ASYNC_CHECK_EQ(await_sleep(1e300), ASYNC_ETIMEOUT);
}

async_def(sleep_long)
{
    return await_sleep(1000);
}

ASYNC_TEST(a_cancelled_sleeper_leaves_no_timer)
{
    async_task *task = async_create_task(sleep_long);
    int result;

    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_EQ(timers_pending(), 1);
    async_task_cancel(task);
    ASYNC_CHECK_EQ(timers_pending(), 0);
    ASYNC_CHECK_EQ(await_task(task, &result), 0);
    ASYNC_CHECK_EQ(result, ASYNC_ECANCELED);
}

/* Due, but not run yet: the canceller's timer is of the same turn and comes first. */
static async_task *victim;

static int cancel_victim(void *arg)
{
    async_task_cancel(victim);
    return arg != NULL;
}

ASYNC_TEST_ON("sim", a_sleeper_cancelled_while_its_timer_is_due_is_cancelled)
{
    double when = async_time() + 1000;
    int result;

    async_call_at(when, cancel_victim, NULL);
    victim = async_create_task(sleep_long);
    ASYNC_CHECK_EQ(await_task(victim, &result), 0);
    ASYNC_CHECK_EQ(result, ASYNC_ECANCELED);
}

async_def(sleep_and_go_on)
{
    int first = await_sleep(1000), second = await_sleep(1);

    return first == 0 && second == ASYNC_ECANCELED ? 7 : 8;
}

ASYNC_TEST_ON("sim", a_sleeper_cancelled_right_after_its_time_has_slept)
{
    int result;

    victim = async_create_task(sleep_and_go_on);
    ASYNC_CHECK_EQ(await_sleep(0), 0); /* it sleeps: the callback's timer is of the same moment and comes later */
    async_call_at(async_time() + 1000, cancel_victim, NULL);
    ASYNC_CHECK_EQ(await_task(victim, &result), 0);
    ASYNC_CHECK_EQ(result, 7);
}

ASYNC_TEST(a_sleep_that_finds_no_memory_says_so)
{
    async_task *tasks[200];
    int r = 0;

    for (int i = 0; i < 200; i++)
        tasks[i] = async_create_task(sleep_long);
    async_test_fail_allocation(1, 1);
    for (int i = 0; i < 200; i++)
        async_task_ref(tasks[i]);
    r = await_sleep(0);
    async_test_fail_allocation(0, 0);
    ASYNC_CHECK_EQ(r, 0);
    for (int i = 0; i < 200; i++) {
        int result = 0, ended = async_task_result(tasks[i], &result);

        ASYNC_CHECK(ended == ASYNC_ESTATE || result == -ENOMEM);
        r += ended == 0;
        async_task_cancel(tasks[i]);
    }
    ASYNC_CHECK(r > 0); /* the heap could not grow for all of them */
    ASYNC_CHECK(await_gather_all(tasks, 200) < 0);
    for (int i = 0; i < 200; i++)
        async_task_unref(tasks[i]);
}
