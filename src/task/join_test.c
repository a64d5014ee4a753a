/* SPDX-License-Identifier: MIT */
#include <await/testing.h>
#include <math.h>
#include <string.h>

static char trace[1000];

async_def(returns_after, double, seconds, int, result)
{
    int r = await_sleep(seconds);

    return r < 0 ? r : result;
}

/* Takes its time to end when it is cancelled, and writes into its creator's frame until then. */
async_def(ends_slowly, int *, slot, double, grace)
{
    int r = await_sleep(100);

    {
        async_shield();
        for (int i = 0; i < 10; i++) {
            ++*slot;
            if (await_sleep(grace / 10) < 0)
                return -1;
        }
    }
    *slot = 77;
    return r;
}

/* ---- await_task ---- */

ASYNC_TEST(a_join_gives_the_result_and_consumes_the_reference)
{
    async_task *task = async_create_task(returns_after, 0.001, 5);
    int result = 0;

    ASYNC_CHECK_EQ(await_task(task, &result), 0);
    ASYNC_CHECK_EQ(result, 5);
    ASYNC_CHECK_EQ(await_task(async_create_task(returns_after, 0.001, -EIO), &result), 0);
    ASYNC_CHECK_EQ(result, -EIO);
    ASYNC_CHECK_EQ(await_task(async_create_task(returns_after, 0, -EIO), NULL), 0);
}

ASYNC_TEST(a_task_cannot_join_itself)
{
    async_task *self = async_current_task();

    ASYNC_CHECK_EQ(await_task(self, NULL), -EDEADLK);
    ASYNC_CHECK_HAS(async_last_error(), "waits for itself");
    ASYNC_CHECK_EQ(await_wait_for(self, 1, NULL), -EDEADLK);
    ASYNC_CHECK_EQ(await_shield(self, NULL), -EDEADLK);
    ASYNC_CHECK_EQ(await_gather(self), -EDEADLK);
    ASYNC_CHECK_EQ(await_wait(&self, 1, ASYNC_ALL_COMPLETED), -EDEADLK);
}

ASYNC_TEST_PLAIN(a_join_outside_of_a_task_is_refused_and_gives_the_reference_back)
{
    async_loop *loop = async_loop_new(async_test_options());
    async_task *tasks[2];
    int results[2];

    async_set_running_loop(loop);
    ASYNC_CHECK_EQ(await_task(async_create_task(returns_after, 0, 1), NULL), ASYNC_ENOTASK);
    ASYNC_CHECK_EQ(await_wait_for(async_create_task(returns_after, 0, 1), 1, NULL), ASYNC_ENOTASK);
    ASYNC_CHECK_EQ(await_gather(async_create_task(returns_after, 0, 1)), ASYNC_ENOTASK);
    tasks[0] = async_create_task(returns_after, 0, 1);
    tasks[1] = NULL;
    ASYNC_CHECK_EQ(await_gather_results(tasks, 2, results), ASYNC_ENOTASK);
    tasks[0] = async_create_task(returns_after, 0, 1);
    ASYNC_CHECK_EQ(await_wait(tasks, 1, ASYNC_ALL_COMPLETED), ASYNC_ENOTASK);
    ASYNC_CHECK_EQ(await_as_completed(tasks, 1, &tasks[1]), ASYNC_ENOTASK);
    ASYNC_CHECK_EQ(await_shield(tasks[0], NULL), ASYNC_ENOTASK);
    async_task_unref(tasks[0]);
    for (int i = 0; i < 4; i++)
        ASYNC_CHECK(async_loop_turn(loop, 0) >= 0);
    async_set_running_loop(NULL);
    async_loop_close(loop);
    ASYNC_CHECK_EQ(async_test_reports(), 0);
}

static int return_three(void *arg)
{
    return arg ? 0 : 3;
}

ASYNC_TEST(a_task_of_another_loop_cannot_be_joined)
{
    async_loop *other = async_loop_new(async_test_options());
    async_task *task = async_loop_create_task(other, return_three, NULL, NULL);

    ASYNC_CHECK_EQ(await_shield(task, NULL), -EINVAL);
    ASYNC_CHECK_HAS(async_last_error(), "another loop");
    ASYNC_CHECK_EQ(async_loop_turn(other, 0), 1);
    async_task_unref(task);
    async_loop_close(other);
}

async_def(joins_slow_child, double, patience)
{
    int slot = 0, r;

    {
        async_timeout(patience);
        r = await_task(async_create_task(ends_slowly, &slot, 1), NULL);
    }
    ASYNC_CHECK_EQ(slot, 77); /* it ended before we returned: it points into this frame */
    return r;
}

ASYNC_TEST_ON("sim", a_cancelled_join_cancels_its_child_waits_for_its_end_and_returns_the_reason)
{
    double start = async_time();

    ASYNC_CHECK_EQ(joins_slow_child(0.5), ASYNC_ETIMEOUT);
    ASYNC_CHECK(fabs(async_time() - start - 1.5) < 1e-6);
    ASYNC_CHECK_HAS(async_last_error(), "await_task");
}

ASYNC_TEST_ON("sim", a_join_in_a_scope_that_is_cancelled_already_does_the_same)
{
    double start = async_time();

    ASYNC_CHECK_EQ(joins_slow_child(0), ASYNC_ETIMEOUT);
    ASYNC_CHECK(fabs(async_time() - start - 1) < 1e-6);
}

ASYNC_TEST_ON("sim", a_child_that_ended_is_joined_in_a_cancelled_scope_too)
{
    async_task *task = async_create_task(returns_after, 0, 5);
    int result = 0;

    ASYNC_CHECK_EQ(await_sleep(1), 0);
    {
        async_timeout(0);
        ASYNC_CHECK_EQ(await_task(task, &result), 0);
    }
    ASYNC_CHECK_EQ(result, 5);
}

async_def(joins, async_task *, task, int *, ret_result)
{
    return await_task(task, ret_result);
}

ASYNC_TEST(several_tasks_may_join_one)
{
    async_task *task = async_create_task(returns_after, 0.001, 9);
    int a = 0, b = 0, c = 0;

    async_task_ref(task);
    async_task_ref(task);
    ASYNC_CHECK_EQ(await_gather(async_create_task(joins, task, &a), async_create_task(joins, task, &b),
                                async_create_task(joins, task, &c)),
                   0);
    ASYNC_CHECK_EQ(a + b + c, 27);
}

/* ---- gather ---- */

ASYNC_TEST_ON("sim", a_gather_waits_for_all_at_the_same_time)
{
    double start = async_time();

    ASYNC_CHECK_EQ(await_gather(async_create_task(returns_after, 3, 1), async_create_task(returns_after, 1, 1),
                                async_create_task(returns_after, 2, 1)),
                   0);
    ASYNC_CHECK(fabs(async_time() - start - 3) < 1e-6);
}

ASYNC_TEST(a_gather_returns_the_first_failure_in_the_order_of_its_arguments_when_all_have_ended)
{
    async_task *last = async_create_task(returns_after, 0.03, 0);

    async_task_ref(last);
    ASYNC_CHECK_EQ(await_gather(async_create_task(returns_after, 0, 7), async_create_task(returns_after, 0.02, -EIO),
                                async_create_task(returns_after, 0.01, -EPIPE), last),
                   -EIO);
    ASYNC_CHECK_EQ(async_task_done(last), 1);
    ASYNC_CHECK_HAS(async_last_error(), "'returns_after'");
    ASYNC_CHECK_HAS(async_last_error(), "Input/output error");
    async_task_unref(last);
}

ASYNC_TEST(a_null_in_a_gather_is_a_task_that_found_no_memory)
{
    async_task *other = async_create_task(returns_after, 0.001, 3);

    async_task_ref(other);
    ASYNC_CHECK_EQ(await_gather(NULL, other, NULL), -ENOMEM);
    ASYNC_CHECK_EQ(async_task_done(other), 1);
    async_task_unref(other);
    ASYNC_CHECK_EQ(await_gather(async_create_task(returns_after, 0, -EIO), NULL), -EIO);
}

ASYNC_TEST(a_gather_of_one_and_of_many)
{
    async_task *tasks[1000];

    ASYNC_CHECK_EQ(await_gather(async_create_task(returns_after, 0, 0)), 0);
    for (int i = 0; i < 1000; i++)
        tasks[i] = async_create_task(returns_after, (i * 37 % 100) * 0.0001, i);
    ASYNC_CHECK_EQ(await_gather_all(tasks, 1000), 0);
}

ASYNC_TEST(empty_arrays_are_done_at_once)
{
    async_task *task;
    int result;

    ASYNC_CHECK_EQ(await_gather_all(NULL, 0), 0);
    ASYNC_CHECK_EQ(await_gather_results(NULL, 0, &result), 0);
    ASYNC_CHECK_EQ(await_wait(NULL, 0, ASYNC_ALL_COMPLETED), 0);
    ASYNC_CHECK_EQ(await_wait(NULL, 0, ASYNC_FIRST_COMPLETED), 0);
    ASYNC_CHECK_EQ(await_as_completed(NULL, 0, &task), 0);
    ASYNC_CHECK_EQ(await_gather_all(NULL, 2), -EINVAL);
    ASYNC_CHECK_EQ(await_gather_results(NULL, 2, &result), -EINVAL);
    ASYNC_CHECK_EQ(await_wait(NULL, 2, ASYNC_ALL_COMPLETED), -EINVAL);
    ASYNC_CHECK_EQ(await_as_completed(NULL, 2, &task), -EINVAL);
}

ASYNC_TEST_ON("sim", a_cancelled_gather_cancels_all_its_children_and_waits_for_their_ends)
{
    int slots[3] = { 0 }, r;
    double start = async_time();

    {
        async_timeout(0.5);
        r = await_gather(async_create_task(ends_slowly, &slots[0], 1), async_create_task(ends_slowly, &slots[1], 3),
                         async_create_task(ends_slowly, &slots[2], 2));
    }
    ASYNC_CHECK_EQ(r, ASYNC_ETIMEOUT);
    for (int i = 0; i < 3; i++)
        ASYNC_CHECK_EQ(slots[i], 77);
    ASYNC_CHECK(fabs(async_time() - start - 3.5) < 1e-6); /* all were cancelled at the same time */
}

ASYNC_TEST_ON("sim", a_gather_in_a_cancelled_scope_cancels_those_that_have_not_ended)
{
    async_task *done = async_create_task(returns_after, 0, 0);
    int slot = 0, r;

    ASYNC_CHECK_EQ(await_sleep(1), 0);
    {
        async_timeout(0);
        r = await_gather(done, async_create_task(ends_slowly, &slot, 1));
    }
    ASYNC_CHECK_EQ(r, ASYNC_ETIMEOUT);
    ASYNC_CHECK_EQ(slot, 77);
}

async_def(gathers_slow_children, int *, slots)
{
    return await_gather(async_create_task(ends_slowly, &slots[0], 1), async_create_task(ends_slowly, &slots[1], 1));
}

ASYNC_TEST_ON("sim", the_cancellation_of_the_gatherer_reaches_the_children)
{
    int slots[2] = { 0 }, result;
    async_task *task = async_create_task(gathers_slow_children, slots);

    ASYNC_CHECK_EQ(await_sleep(1), 0);
    ASYNC_CHECK_STR(async_task_waiting(task), "await_gather");
    async_task_cancel(task);
    ASYNC_CHECK_EQ(await_task(task, &result), 0);
    ASYNC_CHECK_EQ(result, ASYNC_ECANCELED);
    ASYNC_CHECK_EQ(slots[0], 77);
    ASYNC_CHECK_EQ(slots[1], 77);
}

ASYNC_TEST(gathered_results_hold_failures_like_any_other_result)
{
    async_task *tasks[] = { async_create_task(returns_after, 0.002, 1), NULL,
                            async_create_task(returns_after, 0.001, -EIO), async_create_task(returns_after, 0, 4) };
    int results[4] = { 0 };

    ASYNC_CHECK_EQ(await_gather_results(tasks, 4, results), 0);
    ASYNC_CHECK_EQ(results[0], 1);
    ASYNC_CHECK_EQ(results[1], -ENOMEM);
    ASYNC_CHECK_EQ(results[2], -EIO);
    ASYNC_CHECK_EQ(results[3], 4);
    ASYNC_CHECK_STR(async_last_error(), "");
}

ASYNC_TEST_ON("sim", cancelled_gathered_results_stay_untouched)
{
    async_task *tasks[] = { async_create_task(returns_after, 0, 1), async_create_task(returns_after, 9, 1) };
    int results[2] = { 5, 6 }, r;

    {
        async_timeout(1);
        r = await_gather_results(tasks, 2, results);
    }
    ASYNC_CHECK_EQ(r, ASYNC_ETIMEOUT);
    ASYNC_CHECK_EQ(results[0], 5);
    ASYNC_CHECK_EQ(results[1], 6);
}

/* ---- wait ---- */

static void make_three(async_task *tasks[3], int second)
{
    tasks[0] = async_create_task(returns_after, 3, 0);
    tasks[1] = async_create_task(returns_after, 1, second);
    tasks[2] = async_create_task(returns_after, 2, 0);
}

ASYNC_SUSPENDS static void join_three(async_task *tasks[3])
{
    int results[3];

    ASYNC_CHECK_EQ(await_gather_results(tasks, 3, results), 0);
}

ASYNC_TEST_ON("sim", a_wait_for_all_ends_with_the_last)
{
    async_task *tasks[3];
    double start = async_time();

    make_three(tasks, -EIO);
    ASYNC_CHECK_EQ(await_wait(tasks, 3, ASYNC_ALL_COMPLETED), 3);
    ASYNC_CHECK(fabs(async_time() - start - 3) < 1e-6);
    ASYNC_CHECK_EQ(await_wait(tasks, 3, ASYNC_ALL_COMPLETED), 3);
    join_three(tasks);
}

ASYNC_TEST_ON("sim", a_wait_for_the_first_ends_with_the_first_and_owns_nothing)
{
    async_task *tasks[3];
    double start = async_time();

    make_three(tasks, 0);
    ASYNC_CHECK_EQ(await_wait(tasks, 3, ASYNC_FIRST_COMPLETED), 1);
    ASYNC_CHECK(fabs(async_time() - start - 1) < 1e-6);
    ASYNC_CHECK_EQ(async_task_done(tasks[0]), 0);
    ASYNC_CHECK_EQ(async_task_done(tasks[1]), 1);
    ASYNC_CHECK_EQ(await_wait(tasks, 3, ASYNC_FIRST_COMPLETED), 1);
    join_three(tasks);
}

ASYNC_TEST_ON("sim", a_wait_for_a_failure_ends_with_it)
{
    async_task *tasks[3];
    double start = async_time();

    make_three(tasks, -EIO);
    ASYNC_CHECK_EQ(await_wait(tasks, 3, ASYNC_FIRST_EXCEPTION), 1);
    ASYNC_CHECK(fabs(async_time() - start - 1) < 1e-6);
    join_three(tasks);
}

ASYNC_TEST_ON("sim", a_wait_for_a_failure_ends_with_the_last_when_none_fails)
{
    async_task *tasks[3];

    make_three(tasks, 5);
    ASYNC_CHECK_EQ(await_wait(tasks, 3, ASYNC_FIRST_EXCEPTION), 3);
    join_three(tasks);
}

/* As in asyncio: a cancelled task has not failed. */
ASYNC_TEST_ON("sim", a_cancelled_task_is_no_failure_to_wait_for)
{
    async_task *tasks[3];

    make_three(tasks, 0);
    async_task_cancel(tasks[1]);
    ASYNC_CHECK_EQ(await_wait(tasks, 3, ASYNC_FIRST_EXCEPTION), 3);
    join_three(tasks);
}

ASYNC_TEST_ON("sim", a_cancelled_wait_leaves_the_tasks_running)
{
    async_task *tasks[3];
    int r;

    make_three(tasks, 0);
    {
        async_timeout(1.5);
        r = await_wait(tasks, 3, ASYNC_ALL_COMPLETED);
    }
    ASYNC_CHECK_EQ(r, ASYNC_ETIMEOUT);
    ASYNC_CHECK_EQ(async_task_done(tasks[1]), 1);
    ASYNC_CHECK_EQ(async_task_done(tasks[2]), 0);
    ASYNC_CHECK_EQ(await_wait(tasks, 3, ASYNC_ALL_COMPLETED), 3);
    join_three(tasks);
}

ASYNC_TEST(a_wait_counts_null_as_done_and_refuses_unknown_modes)
{
    async_task *tasks[] = { NULL, async_create_task(returns_after, 0.001, 0) };

    ASYNC_CHECK_EQ(await_wait(tasks, 2, ASYNC_FIRST_COMPLETED), 1);
    ASYNC_CHECK_EQ(await_wait(tasks, 2, ASYNC_FIRST_EXCEPTION), 1);
    ASYNC_CHECK_EQ(await_wait(tasks, 2, ASYNC_ALL_COMPLETED), 2);
    ASYNC_CHECK_EQ(await_wait(tasks, 2, (enum async_return_when)7), -EINVAL);
    async_task_unref(tasks[1]);
}

ASYNC_TEST(a_wait_that_finds_no_memory_says_so)
{
    async_task *task = async_create_task(returns_after, 0.001, 0), *found = NULL;

    async_test_fail_allocation(1, 0);
    ASYNC_CHECK_EQ(await_wait(&task, 1, ASYNC_ALL_COMPLETED), -ENOMEM);
    async_test_fail_allocation(1, 0);
    ASYNC_CHECK_EQ(await_as_completed(&task, 1, &found), -ENOMEM);
    ASYNC_CHECK(!found);
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
}

/* ---- as_completed ---- */

ASYNC_TEST_ON("sim", tasks_are_given_in_the_order_in_which_they_end)
{
    async_task *tasks[5], *task;
    int r, result;

    for (int i = 0; i < 5; i++)
        tasks[i] = async_create_task(returns_after, (i * 3 % 5) + 1, '0' + i * 3 % 5);
    while ((r = await_as_completed(tasks, 5, &task)) > 0) {
        ASYNC_CHECK_EQ(await_task(task, &result), 0);
        trace[strlen(trace)] = (char)result;
    }
    ASYNC_CHECK_EQ(r, 0);
    ASYNC_CHECK_STR(trace, "01234");
    for (int i = 0; i < 5; i++)
        ASYNC_CHECK(!tasks[i]);
}

ASYNC_TEST_ON("sim", tasks_that_ended_long_ago_are_given_in_the_order_of_their_ends_too)
{
    async_task *tasks[3], *task;
    int result;

    make_three(tasks, 1);
    ASYNC_CHECK_EQ(await_sleep(10), 0);
    ASYNC_CHECK_EQ(await_as_completed(tasks, 3, &task), 1);
    ASYNC_CHECK(!tasks[1]);
    ASYNC_CHECK_EQ(await_task(task, &result), 0);
    ASYNC_CHECK_EQ(result, 1);
    ASYNC_CHECK_EQ(await_as_completed(tasks, 3, &task), 1);
    ASYNC_CHECK(!tasks[2]);
    async_task_unref(task);
    ASYNC_CHECK_EQ(await_as_completed(tasks, 3, NULL), -EINVAL);
    ASYNC_CHECK_EQ(await_as_completed(tasks, 3, &task), 1);
    async_task_unref(task);
    ASYNC_CHECK_EQ(await_as_completed(tasks, 3, &task), 0);
}

ASYNC_TEST_ON("sim", a_cancelled_as_completed_gives_nothing_and_the_tasks_run_on)
{
    async_task *tasks[3], *task = NULL;
    int r;

    make_three(tasks, 0);
    {
        async_timeout(0.5);
        r = await_as_completed(tasks, 3, &task);
    }
    ASYNC_CHECK_EQ(r, ASYNC_ETIMEOUT);
    ASYNC_CHECK(!task);
    join_three(tasks);
}

/* ---- wait_for ---- */

ASYNC_TEST_ON("sim", a_wait_for_in_time_gives_the_result)
{
    int result;

    ASYNC_CHECK_EQ(await_wait_for(async_create_task(returns_after, 1, 5), 2, &result), 0);
    ASYNC_CHECK_EQ(result, 5);
    ASYNC_CHECK_EQ(await_wait_for(async_create_task(returns_after, 1, 6), INFINITY, &result), 0);
    ASYNC_CHECK_EQ(result, 6);
}

ASYNC_TEST_ON("sim", a_wait_for_that_times_out_cancels_the_task_and_waits_for_its_end)
{
    int slot = 0, result = 3;
    double start = async_time();

    ASYNC_CHECK_EQ(await_wait_for(async_create_task(ends_slowly, &slot, 1), 2, &result), ASYNC_ETIMEOUT);
    ASYNC_CHECK_EQ(slot, 77);
    ASYNC_CHECK_EQ(result, 3);
    ASYNC_CHECK(fabs(async_time() - start - 3) < 1e-6);
    ASYNC_CHECK_EQ(async_cancelled(), 0);
    ASYNC_CHECK_EQ(await_sleep(1), 0);
}

ASYNC_TEST_ON("sim", a_wait_for_with_no_time_and_one_that_is_no_number)
{
    int slot = 0;

    ASYNC_CHECK_EQ(await_wait_for(async_create_task(ends_slowly, &slot, 1), 0, NULL), ASYNC_ETIMEOUT);
    ASYNC_CHECK_EQ(slot, 77);
    ASYNC_CHECK_EQ(await_wait_for(async_create_task(ends_slowly, &slot, 1), -1, NULL), ASYNC_ETIMEOUT);
    slot = 0;
    ASYNC_CHECK_EQ(await_wait_for(async_create_task(ends_slowly, &slot, 1), NAN, NULL), -EINVAL);
    ASYNC_CHECK_EQ(slot, 77);
    ASYNC_CHECK_EQ(await_sleep(1), 0);
}

ASYNC_TEST_ON("sim", a_wait_for_tells_the_outer_deadline_from_its_own)
{
    int slot = 0;

    {
        async_timeout(1, t);
        ASYNC_CHECK_EQ(await_wait_for(async_create_task(ends_slowly, &slot, 1), 5, NULL), ASYNC_ETIMEOUT);
        ASYNC_CHECK(async_scope_expired(&t));
        ASYNC_CHECK_EQ(async_cancelled(), ASYNC_ETIMEOUT);
    }
    ASYNC_CHECK_EQ(await_sleep(1), 0);
}

/* ---- shield ---- */

ASYNC_TEST_ON("sim", a_cancelled_shield_keeps_the_reference_and_lets_the_task_run)
{
    async_task *task = async_create_task(returns_after, 5, 8);
    int result = 0;

    {
        async_timeout(1);
        ASYNC_CHECK_EQ(await_shield(task, &result), ASYNC_ETIMEOUT);
        ASYNC_CHECK_EQ(await_shield(task, &result), ASYNC_ETIMEOUT);
    }
    ASYNC_CHECK_EQ(result, 0);
    ASYNC_CHECK_EQ(async_task_done(task), 0);
    ASYNC_CHECK_EQ(async_task_cancelling(task), 0);
    ASYNC_CHECK_EQ(await_shield(task, &result), 0);
    ASYNC_CHECK_EQ(result, 8);
}
