/* SPDX-License-Identifier: MIT */
#include <await/testing.h>
#include <math.h>
#include <string.h>

async_def(returns_after, double, seconds, int, result)
{
    int r = await_sleep(seconds);

    return r < 0 ? r : result;
}

async_def(notes_its_end, double, seconds, int *, ret_end)
{
    int r = await_sleep(seconds);

    *ret_end = r == 0 ? 1 : r;
    return r;
}

ASYNC_TEST_ON("sim", a_group_waits_for_all_its_tasks)
{
    async_task_group *group = async_task_group_new();
    double start = async_time();
    await_defer(await_task_group_close, group);

    for (int i = 1; i <= 5; i++)
        ASYNC_CHECK_EQ(async_task_group_create_task(group, returns_after, i, i), 0);
    ASYNC_CHECK_EQ(async_task_group_pending(group), 5);
    ASYNC_CHECK_EQ(await_task_group(group), 0);
    ASYNC_CHECK_EQ(async_task_group_pending(group), 0);
    ASYNC_CHECK(fabs(async_time() - start - 5) < 1e-6);
}

ASYNC_TEST_ON("sim", the_first_failure_cancels_the_rest_and_is_returned)
{
    async_task_group *group = async_task_group_new();
    int ends[3] = { 0 };
    double start = async_time();
    await_defer(await_task_group_close, group);

    async_task_group_create_task(group, notes_its_end, 10, &ends[0]);
    async_task_group_create_task(group, returns_after, 2, -EIO);
    async_task_group_create_task(group, returns_after, 3, -EPIPE);
    async_task_group_create_task(group, notes_its_end, 1, &ends[1]);
    async_task_group_create_task(group, notes_its_end, 20, &ends[2]);
    ASYNC_CHECK_EQ(await_task_group(group), -EIO);
    ASYNC_CHECK_HAS(async_last_error(), "await_task_group");
    ASYNC_CHECK_HAS(async_last_error(), "Input/output error");
    ASYNC_CHECK(fabs(async_time() - start - 2) < 1e-6);
    ASYNC_CHECK_EQ(ends[0], ASYNC_ECANCELED);
    ASYNC_CHECK_EQ(ends[1], 1);
    ASYNC_CHECK_EQ(ends[2], ASYNC_ECANCELED);
}

ASYNC_TEST_ON("sim", a_task_that_is_cancelled_is_no_failure_of_the_group)
{
    async_task_group *group = async_task_group_new();
    async_task *task = async_create_task(returns_after, 10, 0);
    int end = 0;
    await_defer(await_task_group_close, group);

    async_task_group_add(group, task);
    async_task_group_create_task(group, notes_its_end, 1, &end);
    async_task_cancel(task);
    ASYNC_CHECK_EQ(await_task_group(group), 0);
    ASYNC_CHECK_EQ(end, 1);
}

ASYNC_TEST_ON("sim", a_task_added_to_a_group_that_failed_is_cancelled_at_once)
{
    async_task_group *group = async_task_group_new();
    double start = async_time();
    int end = 0;
    await_defer(await_task_group_close, group);

    async_task_group_create_task(group, returns_after, 0, -EIO);
    ASYNC_CHECK_EQ(await_sleep(1), 0);
    ASYNC_CHECK_EQ(async_task_group_create_task(group, notes_its_end, 5, &end), 0);
    ASYNC_CHECK_EQ(await_task_group(group), -EIO);
    ASYNC_CHECK_EQ(end, ASYNC_ECANCELED);
    ASYNC_CHECK(fabs(async_time() - start - 1) < 1e-6);
}

ASYNC_TEST_ON("sim", a_group_can_be_used_again_after_a_wait)
{
    async_task_group *group = async_task_group_new();
    int end = 0;
    await_defer(await_task_group_close, group);

    async_task_group_create_task(group, returns_after, 0, -EIO);
    ASYNC_CHECK_EQ(await_task_group(group), -EIO);
    ASYNC_CHECK_EQ(await_task_group(group), 0);
    async_task_group_create_task(group, notes_its_end, 1, &end);
    ASYNC_CHECK_EQ(await_task_group(group), 0);
    ASYNC_CHECK_EQ(end, 1);
    async_task_group_create_task(group, notes_its_end, 5, &end);
    async_task_group_cancel(group);
    ASYNC_CHECK_EQ(await_task_group(group), 0);
    ASYNC_CHECK_EQ(end, ASYNC_ECANCELED);
    async_task_group_create_task(group, notes_its_end, 1, &end);
    ASYNC_CHECK_EQ(await_task_group(group), 0);
    ASYNC_CHECK_EQ(end, 1);
}

/* ---- close ---- */

static int first_end, second_end;

ASYNC_SUSPENDS static int leave_early(int how)
{
    async_task_group *group = async_task_group_new();
    int slot = 0;
    await_defer(await_task_group_close, group);

    for (int i = 0; i < 1; i++) {
        async_task_group_create_task(group, notes_its_end, 100, &first_end);
        async_task_group_create_task(group, notes_its_end, 100, &slot); /* points into this frame */
        if (await_sleep(1) < 0)
            return -1;
        if (how == 0)
            return 5;
        if (how == 1)
            break;
        if (how == 2)
            goto out;
    }
    return 6;
out:
    return 7;
}

ASYNC_TEST_ON("sim", whatever_path_leaves_the_block_the_tasks_have_ended_and_the_group_is_freed)
{
    static const int expected[] = { 5, 6, 7 };

    for (int how = 0; how < 3; how++) {
        double start = async_time();

        first_end = 0;
        ASYNC_CHECK_EQ(leave_early(how), expected[how]);
        ASYNC_CHECK_EQ(first_end, ASYNC_ECANCELED);
        ASYNC_CHECK(fabs(async_time() - start - 1) < 1e-6);
        ASYNC_CHECK_EQ(async_all_tasks(async_get_running_loop(), NULL, 0), 1);
    }
}

async_def(cleans_up_slowly, int *, ret_end)
{
    int r = await_sleep(100);

    async_shield(5);
    *ret_end = await_sleep(2) == 0 ? 1 : -1;
    return r;
}

ASYNC_TEST_ON("sim", a_group_closed_in_a_cancelled_scope_waits_for_its_tasks_cleanup)
{
    double start = async_time();

    {
        async_timeout(1);
        {
            async_task_group *group = async_task_group_new();
            await_defer(await_task_group_close, group);

            async_task_group_create_task(group, cleans_up_slowly, &second_end);
            ASYNC_CHECK_EQ(await_sleep(50), ASYNC_ETIMEOUT);
        }
        ASYNC_CHECK_EQ(second_end, 1);
    }
    ASYNC_CHECK(fabs(async_time() - start - 3) < 1e-6);
}

ASYNC_TEST_ON("sim", a_wait_in_a_cancelled_scope_cancels_all_and_returns_the_reason_when_they_have_ended)
{
    async_task_group *group = async_task_group_new();
    double start = async_time();
    int end = 0;
    await_defer(await_task_group_close, group);

    async_task_group_create_task(group, cleans_up_slowly, &end);
    {
        async_timeout(1);
        ASYNC_CHECK_EQ(await_task_group(group), ASYNC_ETIMEOUT);
    }
    ASYNC_CHECK_EQ(end, 1);
    ASYNC_CHECK(fabs(async_time() - start - 3) < 1e-6);
    async_task_group_create_task(group, cleans_up_slowly, &end);
    {
        async_timeout(0);
        ASYNC_CHECK_EQ(await_task_group(group), ASYNC_ETIMEOUT);
    }
}

ASYNC_TEST_ON("sim", a_failure_that_nobody_waited_for_is_reported_at_the_close)
{
    {
        async_task_group *group = async_task_group_new();
        await_defer(await_task_group_close, group);

        async_task_group_create_task(group, returns_after, 0, -EIO);
        ASYNC_CHECK_EQ(await_sleep(1), 0);
    }
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "-EIO");
}

ASYNC_TEST_ON("sim", a_failure_that_was_returned_is_not_reported_again)
{
    {
        async_task_group *group = async_task_group_new();
        await_defer(await_task_group_close, group);

        async_task_group_create_task(group, returns_after, 0, -EIO);
        ASYNC_CHECK_EQ(await_task_group(group), -EIO);
    }
    ASYNC_CHECK_EQ(async_test_reports(), 0);
}

/* ---- NULL and other bad input ---- */

ASYNC_TEST(a_null_group_says_enomem_and_takes_the_tasks)
{
    int end = 0;

    ASYNC_CHECK_EQ(async_task_group_create_task(NULL, notes_its_end, 100, &end), -ENOMEM);
    ASYNC_CHECK_EQ(async_task_group_add(NULL, NULL), -ENOMEM);
    ASYNC_CHECK_EQ(await_task_group(NULL), -ENOMEM);
    ASYNC_CHECK_EQ(async_task_group_pending(NULL), 0);
    async_task_group_cancel(NULL);
    await_task_group_close(NULL);
    ASYNC_CHECK_EQ(await_sleep(0.001), 0);
    ASYNC_CHECK_EQ(end, ASYNC_ECANCELED);
}

ASYNC_TEST(a_null_task_makes_the_group_fail_with_enomem)
{
    async_task_group *group = async_task_group_new();
    int end = 0;
    await_defer(await_task_group_close, group);

    async_task_group_create_task(group, notes_its_end, 100, &end);
    ASYNC_CHECK_EQ(async_task_group_add(group, NULL), -ENOMEM);
    ASYNC_CHECK_EQ(await_task_group(group), -ENOMEM);
    ASYNC_CHECK_EQ(end, ASYNC_ECANCELED);
}

ASYNC_TEST(a_task_is_in_one_group_only_and_the_caller_in_none_of_its_own)
{
    async_task_group *first = async_task_group_new(), *second = async_task_group_new();
    async_task *task = async_create_task(returns_after, 0.001, 0);
    await_defer(await_task_group_close, first);
    await_defer(await_task_group_close, second);

    ASYNC_CHECK_EQ(async_task_group_add(first, task), 0);
    ASYNC_CHECK_EQ(async_task_group_add(second, task), -EINVAL);
    ASYNC_CHECK_EQ(async_task_group_add(first, async_current_task()), -EINVAL);
    ASYNC_CHECK_EQ(await_task_group(first), 0);
    ASYNC_CHECK_EQ(await_task_group(second), 0);
}

ASYNC_TEST(a_task_that_has_ended_can_be_added)
{
    async_task_group *group = async_task_group_new();
    async_task *good = async_create_task(returns_after, 0, 1), *bad = async_create_task(returns_after, 0, -EIO);
    await_defer(await_task_group_close, group);

    ASYNC_CHECK_EQ(await_sleep(0.01), 0);
    ASYNC_CHECK_EQ(async_task_group_add(group, good), 0);
    ASYNC_CHECK_EQ(await_task_group(group), 0);
    ASYNC_CHECK_EQ(async_task_group_add(group, bad), 0);
    ASYNC_CHECK_EQ(async_task_group_pending(group), 0);
    ASYNC_CHECK_EQ(await_task_group(group), -EIO);
}

ASYNC_TEST_PLAIN(outside_of_a_loop_there_is_no_group)
{
    ASYNC_CHECK(!async_task_group_new());
    ASYNC_CHECK_HAS(async_last_error(), "no loop is running");
}

ASYNC_TEST(without_memory_there_is_no_group)
{
    async_test_fail_allocation(1, 0);
    ASYNC_CHECK(!async_task_group_new());
    ASYNC_CHECK_HAS(async_last_error(), "no memory");
}

ASYNC_TEST_PLAIN(closing_the_loop_frees_groups_and_their_tasks)
{
    async_loop *loop = async_loop_new(async_test_options());
    async_task_group *group;

    async_set_running_loop(loop);
    group = async_task_group_new();
    async_task_group_create_task(group, returns_after, 100, 0);
    ASYNC_CHECK_EQ(async_loop_turn(loop, 0), 1);
    ASYNC_CHECK(async_task_group_new());
    async_set_running_loop(NULL);
    async_loop_close(loop);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
}

ASYNC_TEST_PLAIN(a_group_closed_outside_of_a_task_cancels_its_tasks)
{
    async_loop *loop = async_loop_new(async_test_options());
    async_task_group *group;
    int end = 0;

    async_set_running_loop(loop);
    group = async_task_group_new();
    async_task_group_create_task(group, notes_its_end, 100, &end);
    ASYNC_CHECK_EQ(await_task_group(group), ASYNC_ENOTASK);
    ASYNC_CHECK_EQ(async_loop_turn(loop, 0), 1);
    await_task_group_close(group);
    ASYNC_CHECK_EQ(async_loop_turn(loop, 0), 1);
    ASYNC_CHECK_EQ(end, ASYNC_ECANCELED);
    async_set_running_loop(NULL);
    async_loop_close(loop);
}

/* ---- adding while somebody waits ---- */

async_def(adds_to, async_task_group *, group, int *, ret_end)
{
    int r = await_sleep(1);

    if (r < 0)
        return r;
    return async_task_group_create_task(group, notes_its_end, 2, ret_end);
}

ASYNC_TEST_ON("sim", tasks_added_during_the_wait_are_waited_for_too)
{
    async_task_group *group = async_task_group_new();
    double start = async_time();
    int end = 0;
    await_defer(await_task_group_close, group);

    async_task_group_create_task(group, adds_to, group, &end);
    ASYNC_CHECK_EQ(await_task_group(group), 0);
    ASYNC_CHECK_EQ(end, 1);
    ASYNC_CHECK(fabs(async_time() - start - 3) < 1e-6);
}

/* The last one has ended, the waiter is ready but has not run, and a callback of the same turn adds one more. */
static async_task_group *late_group;
static int late_end;

static int add_late(void *arg)
{
    (void)arg;
    return async_task_group_create_task(late_group, notes_its_end, 2, &late_end);
}

ASYNC_TEST_ON("sim", a_task_added_between_the_last_end_and_the_waiters_turn_is_waited_for_too)
{
    async_task_group *group = late_group = async_task_group_new();
    double when = async_time() + 1;
    await_defer(await_task_group_close, group);

    async_task_group_create_task(group, returns_after, 0, 0);
    async_task_group_create_task(group, returns_after, 0, 0);
    async_call_soon(add_late, NULL); /* behind the two in their turn... */
    async_call_soon(add_late, NULL);
    ASYNC_CHECK_EQ(await_task_group(group), 0);
    ASYNC_CHECK_EQ(late_end, 1);
    ASYNC_CHECK(async_time() > when);
    ASYNC_CHECK_EQ(async_task_group_pending(group), 0);
}

async_def(ends_in_turn, int, turns)
{
    for (int i = 0; i < turns; i++)
        if (await_sleep(0) < 0)
            return -1;
    return 0;
}

async_def(adds_in_turn, int, turns)
{
    for (int i = 0; i < turns; i++)
        if (await_sleep(0) < 0)
            return -1;
    return add_late(NULL);
}

ASYNC_TEST_ON("sim", a_task_added_by_an_outsider_in_the_turn_of_the_last_end_is_waited_for_too)
{
    async_task_group *group = late_group = async_task_group_new();
    async_task *outsider;
    await_defer(await_task_group_close, group);

    async_task_group_create_task(group, ends_in_turn, 3);
    outsider = async_create_task(adds_in_turn, 3);
    ASYNC_CHECK_EQ(await_task_group(group), 0);
    ASYNC_CHECK_EQ(late_end, 1);
    ASYNC_CHECK_EQ(await_task(outsider, NULL), 0);
}

async_def(waits_for, async_task_group *, group)
{
    return await_task_group(group);
}

ASYNC_TEST_ON("sim", one_task_at_a_time_waits_for_a_group)
{
    async_task_group *group = async_task_group_new();
    async_task *waiter = async_create_task(waits_for, group);
    await_defer(await_task_group_close, group);

    async_task_group_create_task(group, returns_after, 1, 0);
    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_EQ(await_task_group(group), -EBUSY);
    ASYNC_CHECK_EQ(await_task(waiter, NULL), 0);
}

ASYNC_TEST_ON("sim", a_group_closed_while_another_task_waits_for_it_is_safe)
{
    async_task_group *group = async_task_group_new();
    async_task *waiter = async_create_task(waits_for, group);

    async_task_group_create_task(group, returns_after, 100, 0);
    ASYNC_CHECK_EQ(await_sleep(1), 0);
    await_task_group_close(group);
    ASYNC_CHECK_EQ(await_task(waiter, NULL), 0);
    group = async_task_group_new();
    waiter = async_create_task(waits_for, group);
    async_task_group_create_task(group, ends_in_turn, 3);
    for (int i = 0; i < 20 && (i < 1 || async_task_group_pending(group) > 0); i++)
        ASYNC_CHECK_EQ(await_sleep(0), 0);
    await_task_group_close(group); /* the waiter is ready, but has not run */
    ASYNC_CHECK_EQ(await_task(waiter, NULL), 0);
}

/* ---- nested, and large ---- */

async_def(has_a_group_of_its_own, int, depth, int *, ret_ends)
{
    async_task_group *group = async_task_group_new();
    await_defer(await_task_group_close, group);

    if (depth > 0) {
        async_task_group_create_task(group, has_a_group_of_its_own, depth - 1, ret_ends);
        async_task_group_create_task(group, has_a_group_of_its_own, depth - 1, ret_ends + (1 << (depth - 1)));
    } else {
        async_task_group_create_task(group, notes_its_end, 100, ret_ends);
    }
    return await_task_group(group);
}

ASYNC_TEST_ON("sim", nested_groups_end_together_when_the_outermost_is_cancelled)
{
    int ends[32] = { 0 };

    {
        async_timeout(1);
        ASYNC_CHECK_EQ(has_a_group_of_its_own(5, ends), ASYNC_ETIMEOUT);
    }
    for (int i = 0; i < 32; i++)
        ASYNC_CHECK_EQ(ends[i], ASYNC_ECANCELED);
    ASYNC_CHECK_EQ(async_all_tasks(async_get_running_loop(), NULL, 0), 1);
}

ASYNC_TEST_ON("sim", nested_groups_run_to_their_ends)
{
    int ends[16] = { 0 };

    ASYNC_CHECK_EQ(has_a_group_of_its_own(4, ends), 0);
    for (int i = 0; i < 16; i++)
        ASYNC_CHECK_EQ(ends[i], 1);
}

ASYNC_TEST_ON("sim", a_group_of_ten_thousand)
{
    async_task_group *group = async_task_group_new();
    await_defer(await_task_group_close, group);

    for (int i = 0; i < 10000; i++)
        ASYNC_CHECK_EQ(async_task_group_create_task(group, returns_after, (i * 7919 % 1000) * 0.001, i), 0);
    ASYNC_CHECK_EQ(await_task_group(group), 0);
    for (int i = 0; i < 10000; i++)
        ASYNC_CHECK_EQ(async_task_group_create_task(group, returns_after, 5, i), 0);
    ASYNC_CHECK_EQ(await_sleep(1), 0);
    async_task_group_cancel(group);
    ASYNC_CHECK_EQ(await_task_group(group), 0);
}
