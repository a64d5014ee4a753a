/* SPDX-License-Identifier: MIT */
#include "base/base.h"

#include <await/testing.h>
#include <string.h>

static async_loop *open_loop(void)
{
    async_loop *loop = async_loop_new(async_test_options());

    ASYNC_CHECK(loop);
    return loop;
}

ASYNC_SUSPENDS static int sleep_and_return(void *arg)
{
    int r = await_sleep(0.001);

    return r < 0 ? r : (int)(intptr_t)arg;
}

ASYNC_TEST_PLAIN(a_loop_runs_until_a_task_has_ended_and_consumes_it)
{
    async_loop *loop = open_loop();
    async_task *task = async_loop_create_task(loop, sleep_and_return, (void *)(intptr_t)6, NULL);
    int result = 0;

    ASYNC_CHECK_EQ(async_loop_run_until_complete(loop, task, &result), 0);
    ASYNC_CHECK_EQ(result, 6);
    task = async_loop_create_task(loop, sleep_and_return, (void *)(intptr_t)-EIO, NULL);
    ASYNC_CHECK_EQ(async_loop_run_until_complete(loop, task, &result), 0);
    ASYNC_CHECK_EQ(result, -EIO);
    ASYNC_CHECK_EQ(async_loop_is_running(loop), 0);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_task_that_has_ended_needs_no_turn)
{
    async_loop *loop = open_loop();
    async_task *task = async_loop_create_task(loop, sleep_and_return, NULL, NULL);

    async_task_ref(task);
    ASYNC_CHECK_EQ(async_loop_run_until_complete(loop, task, NULL), 0);
    ASYNC_CHECK_EQ(async_loop_run_until_complete(loop, task, NULL), 0);
    async_loop_close(loop);
}

static int stop_loop(void *arg)
{
    async_loop_stop(arg);
    return 0;
}

ASYNC_TEST_PLAIN(a_loop_that_is_stopped_before_the_end_says_so_and_leaves_the_task_to_the_caller)
{
    async_loop *loop = open_loop();
    async_task *task = async_loop_create_task(loop, sleep_and_return, (void *)(intptr_t)3, NULL);
    int result = 0;

    async_loop_call_soon(loop, stop_loop, loop);
    ASYNC_CHECK_EQ(async_loop_run_until_complete(loop, task, &result), ASYNC_ESTATE);
    ASYNC_CHECK_HAS(async_last_error(), "stopped");
    ASYNC_CHECK_EQ(result, 0);
    ASYNC_CHECK_EQ(async_loop_run_until_complete(loop, task, &result), 0);
    ASYNC_CHECK_EQ(result, 3);
    async_loop_close(loop);
}

static int fail_turn(void *arg)
{
    return (int)(intptr_t)arg;
}

ASYNC_TEST_PLAIN(a_callback_that_stops_the_turn_ends_the_run_with_its_number)
{
    async_loop *loop = open_loop();
    async_task *task = async_loop_create_task(loop, sleep_and_return, (void *)(intptr_t)3, NULL);
    int result = 0;

    async_loop_call_soon(loop, fail_turn, (void *)(intptr_t)-12);
    ASYNC_CHECK_EQ(async_loop_run_until_complete(loop, task, &result), -12);
    ASYNC_CHECK_EQ(async_loop_run_until_complete(loop, task, &result), 0);
    ASYNC_CHECK_EQ(result, 3);
    async_loop_close(loop);
}

ASYNC_SUSPENDS static int suspend_for_ever(void *arg)
{
    return await_suspend(arg);
}

ASYNC_TEST_PLAIN(a_task_that_nothing_can_ever_wake_ends_the_run_and_is_named)
{
    async_task_options options = { .size = sizeof options, .name = "lonely" };
    async_loop *loop = open_loop();
    async_task *task = async_loop_create_task(loop, suspend_for_ever, "for a letter", &options);

    if (AW_TSAN)
        ASYNC_SKIP("the sanitizer has a thread of its own, which could wake the loop");
    ASYNC_CHECK_EQ(async_loop_run_until_complete(loop, task, NULL), ASYNC_EDEADLOCK);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "'lonely' waits in for a letter");
    ASYNC_CHECK_EQ(async_resume(task, 0), 0);
    ASYNC_CHECK_EQ(async_loop_run_until_complete(loop, task, NULL), 0);
    async_loop_close(loop);
}

ASYNC_SUSPENDS static int sleep_for_ever(void *arg)
{
    return await_sleep(__builtin_inf()) + (arg != NULL);
}

/* An infinite sleep says that somebody will come: a signal, or a host. */
ASYNC_TEST_PLAIN(an_infinite_sleep_is_no_deadlock)
{
    async_loop *loop = open_loop();
    async_task *task = async_loop_create_task(loop, sleep_for_ever, NULL, NULL);
    int result = 0;

    if (AW_TSAN)
        ASYNC_SKIP("the sanitizer has a thread of its own, which could wake the loop");
    ASYNC_CHECK_EQ(async_loop_turn(loop, 0), 1);
    ASYNC_CHECK_EQ(async_loop_turn(loop, 0.001), 0);
    async_task_cancel(task);
    ASYNC_CHECK_EQ(async_loop_run_until_complete(loop, task, &result), 0);
    ASYNC_CHECK_EQ(result, ASYNC_ECANCELED);
    async_task_unref(async_loop_create_task(loop, suspend_for_ever, "x", NULL));
    ASYNC_CHECK_EQ(async_loop_turn(loop, 0), 1);
    ASYNC_CHECK_EQ(async_loop_run_forever(loop), ASYNC_EDEADLOCK);
    async_loop_close(loop);
    ASYNC_CHECK_EQ(async_test_reports(), 2);
}

/* ---- a host that turns the loop itself ---- */

ASYNC_TEST_PLAIN(a_host_can_drive_tasks_turn_by_turn)
{
    async_loop *loop = open_loop();
    async_task *task = async_loop_create_task(loop, sleep_and_return, (void *)(intptr_t)4, NULL);
    int result;

    while (!async_task_done(task))
        ASYNC_CHECK(async_loop_turn(loop, 1) >= 0);
    ASYNC_CHECK_EQ(async_task_result(task, &result), 0);
    ASYNC_CHECK_EQ(result, 4);
    async_task_unref(task);
    async_loop_close(loop);
}
