/* SPDX-License-Identifier: MIT */
#include <await/testing.h>
#include <string.h>

static char trace[1000];

static int write_letter(async_task *task, void *arg)
{
    ASYNC_CHECK_EQ(async_task_done(task), 1);
    ASYNC_CHECK(async_current_task() == NULL);
    strcat(trace, arg);
    return 0;
}

async_def(returns, int, result)
{
    return result;
}

async_def(sleeps)
{
    return await_sleep(0.001);
}

ASYNC_TEST(done_callbacks_run_in_the_order_in_which_they_were_added)
{
    async_task *task = async_create_task(sleeps);

    for (const char *const *letter = (const char *const[]){ "a", "b", "c", "d", NULL }; *letter; letter++)
        ASYNC_CHECK_EQ(async_task_add_done_callback(task, write_letter, (void *)(uintptr_t)*letter), 0);
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_STR(trace, "abcd");
}

async_def(ends_while_watched)
{
    return 0;
}

ASYNC_TEST(a_done_callback_runs_a_turn_after_the_end_never_inside_of_it)
{
    async_task *task = async_create_task(ends_while_watched);

    async_task_add_done_callback(task, write_letter, "a");
    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_EQ(async_task_done(task), 1);
    ASYNC_CHECK_STR(trace, "");
    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_STR(trace, "a");
    async_task_unref(task);
}

ASYNC_TEST(a_callback_added_after_the_end_is_called_in_the_next_turn)
{
    async_task *task = async_create_task(returns, 0);

    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_EQ(async_task_add_done_callback(task, write_letter, "a"), 0);
    ASYNC_CHECK_STR(trace, "");
    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_STR(trace, "a");
    async_task_unref(task);
}

static int look_at_result(async_task *task, void *arg)
{
    ASYNC_CHECK_EQ(async_task_result(task, arg), 0);
    ASYNC_CHECK_STR(async_task_name(task), "returns");
    return 0;
}

ASYNC_TEST(the_task_is_kept_until_its_callback_has_run)
{
    async_task *task = async_create_task(returns, -EIO);
    int result = 0;

    async_task_add_done_callback(task, look_at_result, &result);
    async_task_unref(task);
    ASYNC_CHECK_EQ(await_sleep(0.001), 0);
    ASYNC_CHECK_EQ(result, -EIO);
    ASYNC_CHECK_EQ(async_test_reports(), 0);
}

ASYNC_TEST(a_failure_that_the_callback_does_not_look_at_is_reported)
{
    async_task *task = async_create_task(returns, -EIO);

    async_task_add_done_callback(task, write_letter, "a");
    async_task_unref(task);
    ASYNC_CHECK_EQ(await_sleep(0.001), 0);
    ASYNC_CHECK_STR(trace, "a");
    ASYNC_CHECK_EQ(async_test_reports(), 1);
}

static int add_another(async_task *task, void *arg)
{
    strcat(trace, arg);
    return async_task_add_done_callback(task, write_letter, "b");
}

ASYNC_TEST(a_callback_may_add_another_one)
{
    async_task *task = async_create_task(returns, 0);

    async_task_add_done_callback(task, add_another, "a");
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    ASYNC_CHECK_EQ(await_sleep(0.001), 0);
    ASYNC_CHECK_STR(trace, "ab");
}

static int stop_the_turn(async_task *task, void *arg)
{
    (void)task;
    return (int)(intptr_t)arg;
}

ASYNC_TEST_PLAIN(a_negative_done_callback_stops_the_turn)
{
    async_loop *loop = async_loop_new(async_test_options());
    async_task *task;

    async_set_running_loop(loop);
    task = async_create_task(returns, 0);
    async_task_add_done_callback(task, stop_the_turn, (void *)(intptr_t)-8);
    async_task_add_done_callback(task, write_letter, "a");
    ASYNC_CHECK_EQ(async_loop_turn(loop, 0), 1);
    ASYNC_CHECK_EQ(async_loop_turn(loop, 0), -8);
    ASYNC_CHECK_STR(trace, "");
    ASYNC_CHECK_EQ(async_loop_turn(loop, 0), 1);
    ASYNC_CHECK_STR(trace, "a");
    async_set_running_loop(NULL);
    async_task_unref(task);
    async_loop_close(loop);
}

ASYNC_TEST(wrong_arguments_and_missing_memory_are_refused)
{
    async_task *task = async_create_task(returns, 0);

    ASYNC_CHECK_EQ(async_task_add_done_callback(NULL, write_letter, NULL), -ENOMEM);
    ASYNC_CHECK_EQ(async_task_add_done_callback(task, NULL, NULL), -EINVAL);
    async_test_fail_allocation(1, 0);
    ASYNC_CHECK_EQ(async_task_add_done_callback(task, write_letter, "x"), -ENOMEM);
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_STR(trace, "");
}
