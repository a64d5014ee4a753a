/* SPDX-License-Identifier: MIT */
#include "base/base.h"
#include <await/testing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static async_loop *open_loop(void)
{
    async_loop *loop = async_loop_new(async_test_options());

    ASYNC_CHECK(loop);
    return loop;
}

static void turn(async_loop *loop)
{
    async_set_running_loop(loop);
    ASYNC_CHECK(async_loop_turn(loop, 0) >= 0);
    async_set_running_loop(NULL);
}

/* ---- arguments ---- */

struct point {
    int x, y;
};

async_def(no_arguments)
{
    return 1;
}

async_def(one_argument, int, a)
{
    return a;
}

async_def(two_arguments, const char *, text, double, d)
{
    return (int)strlen(text) + (int)d;
}

async_def(three_arguments, char, a, short, b, long long, c)
{
    return (int)(a + b + c);
}

async_def(four_arguments, struct point, p, float, f, _Bool, flag, unsigned char, u)
{
    return p.x + p.y + (int)f + flag + u;
}

async_def(five_arguments, int, a, int, b, int, c, int, d, int, e)
{
    return a + b * 10 + c * 100 + d * 1000 + e * 10000;
}

async_def(six_arguments, int, a, double, b, int, c, double, d, int, e, double, f)
{
    return a + (int)b + c + (int)d + e + (int)f;
}

async_def(seven_arguments, int, a, int, b, int, c, int, d, int, e, int, f, int, g)
{
    return a + b + c + d + e + f + g;
}

async_def(eight_arguments, char, a, int, b, char, c, double, d, float, e, struct point, p, const char *, s, size_t, n)
{
    return a + b + c + (int)d + (int)e + p.x + p.y + (int)strlen(s) + (int)n;
}

#define RESULT(task) join_result(task)
ASYNC_SUSPENDS static int join_result(async_task *task)
{
    int result = -1;

    ASYNC_CHECK_EQ(await_task(task, &result), 0);
    return result;
}

ASYNC_TEST(a_task_takes_up_to_eight_arguments_of_any_type)
{
    struct point p = { 3, 4 };

    ASYNC_CHECK_EQ(RESULT(async_create_task(no_arguments)), 1);
    ASYNC_CHECK_EQ(RESULT(async_create_task(one_argument, 42)), 42);
    ASYNC_CHECK_EQ(RESULT(async_create_task(two_arguments, "four", 2.5)), 6);
    ASYNC_CHECK_EQ(RESULT(async_create_task(three_arguments, 1, 2, 300000LL)), 300003);
    ASYNC_CHECK_EQ(RESULT(async_create_task(four_arguments, p, 1.5f, 1, 200)), 209);
    ASYNC_CHECK_EQ(RESULT(async_create_task(five_arguments, 1, 2, 3, 4, 5)), 54321);
    ASYNC_CHECK_EQ(RESULT(async_create_task(six_arguments, 1, 2.0, 3, 4.0, 5, 6.0)), 21);
    ASYNC_CHECK_EQ(RESULT(async_create_task(seven_arguments, 1, 2, 3, 4, 5, 6, 7)), 28);
    ASYNC_CHECK_EQ(RESULT(async_create_task(eight_arguments, 1, 2, 3, 4.0, 5.0f, p, "abc", sizeof(int))), 29);
}

ASYNC_TEST(a_direct_call_awaits_the_same_function)
{
    ASYNC_CHECK_EQ(five_arguments(1, 2, 3, 4, 5), 54321);
}

ASYNC_TEST(arguments_are_copied_at_the_creation)
{
    struct point p = { 1, 2 };
    async_task *task = async_create_task(four_arguments, p, 0, 0, 0);

    p.x = 1000;
    ASYNC_CHECK_EQ(RESULT(task), 3);
}

struct big {
    unsigned char bytes[1024];
};

struct huge {
    unsigned char bytes[40 * 1024];
};

static int check_bytes(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != (unsigned char)(i * 7))
            return -1;
    return 0;
}

static void fill_bytes(unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 7);
}

async_def(checks_big, struct big, big, int, number)
{
    int r = await_sleep(0.001);

    return r < 0 ? r : check_bytes(big.bytes, sizeof big.bytes) + number;
}

async_def(checks_huge, struct huge, huge)
{
    int r = await_sleep(0.001);

    return r < 0 ? r : check_bytes(huge.bytes, sizeof huge.bytes);
}

ASYNC_TEST(a_struct_of_a_kilobyte_is_an_argument)
{
    struct big big;

    fill_bytes(big.bytes, sizeof big.bytes);
    ASYNC_CHECK_EQ(RESULT(async_create_task(checks_big, big, 5)), 5);
}

ASYNC_TEST_PLAIN(a_struct_of_forty_kilobytes_is_an_argument_of_a_task_with_a_stack_of_its_own)
{
    const async_task_options options = { .size = sizeof options, .stack_size = 256 * 1024 };
    static struct huge huge;
    async_loop *loop = open_loop();
    async_task *task;
    int result;

    fill_bytes(huge.bytes, sizeof huge.bytes);
    async_set_running_loop(loop);
    task = async_create_task_with(&options, checks_huge, huge);
    async_set_running_loop(NULL);
    ASYNC_CHECK_EQ(async_loop_run_until_complete(loop, task, &result), 0);
    ASYNC_CHECK_EQ(result, 0);
    async_loop_close(loop);
}

/* ---- names and birthplaces ---- */

ASYNC_TEST(a_task_has_its_functions_name_and_a_birthplace)
{
    async_task *task = async_create_task(no_arguments);
    char here[100];

    snprintf(here, sizeof here, "task_test.c:%d", __LINE__ - 3);
    ASYNC_CHECK_STR(async_task_name(task), "no_arguments");
    ASYNC_CHECK_HAS(async_task_birthplace(task), here);
    ASYNC_CHECK_EQ(RESULT(task), 1);
}

ASYNC_TEST(a_name_can_be_set_and_is_copied)
{
    char name[20] = "worker";
    async_task *task = async_create_task(no_arguments);

    ASYNC_CHECK_EQ(async_task_set_name(task, name), 0);
    strcpy(name, "changed");
    ASYNC_CHECK_STR(async_task_name(task), "worker");
    ASYNC_CHECK_EQ(async_task_set_name(task, "other"), 0);
    ASYNC_CHECK_STR(async_task_name(task), "other");
    async_test_fail_allocation(1, 0);
    ASYNC_CHECK_EQ(async_task_set_name(task, "third"), -ENOMEM);
    ASYNC_CHECK_STR(async_task_name(task), "other");
    ASYNC_CHECK_EQ(async_task_set_name(task, NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_task_set_name(NULL, "a"), -EINVAL);
    ASYNC_CHECK_STR(async_task_name(NULL), "no task");
    ASYNC_CHECK_STR(async_task_birthplace(NULL), "?");
    ASYNC_CHECK_EQ(RESULT(task), 1);
}

ASYNC_TEST(options_name_a_task)
{
    const async_task_options options = { .size = sizeof options, .name = "special" };
    async_task *task = async_create_task_with(&options, one_argument, 4);

    ASYNC_CHECK_STR(async_task_name(task), "special");
    ASYNC_CHECK_HAS(async_task_birthplace(task), "task_test.c:");
    ASYNC_CHECK_EQ(RESULT(task), 4);
}

static int return_number(void *arg)
{
    return (int)(intptr_t)arg;
}

ASYNC_TEST(an_untyped_task_runs_a_function_with_a_pointer)
{
    async_task *task = async_task_new(return_number, (void *)(intptr_t)9);

    ASYNC_CHECK_STR(async_task_birthplace(task), "?");
    ASYNC_CHECK_EQ(RESULT(task), 9);
}

ASYNC_TEST(wrong_options_and_arguments_give_no_task)
{
    async_task_options options = { .size = 1 };

    ASYNC_CHECK(!async_create_task_with(&options, no_arguments));
    ASYNC_CHECK_HAS(async_last_error(), "options.size");
    options = (async_task_options){ .size = sizeof options, .stack_size = 1 };
    ASYNC_CHECK(!async_create_task_with(&options, no_arguments));
    ASYNC_CHECK_HAS(async_last_error(), "stack size");
    options.stack_size = SIZE_MAX;
    ASYNC_CHECK(!async_create_task_with(&options, no_arguments));
    options.stack_size = SIZE_MAX / 2;
    ASYNC_CHECK(!async_create_task_with(&options, no_arguments));
    ASYNC_CHECK(!async_task_new(NULL, NULL));
    ASYNC_CHECK(!async_loop_create_task(NULL, return_number, NULL, NULL));
}

ASYNC_TEST_PLAIN(without_a_running_loop_there_is_no_task)
{
    ASYNC_CHECK(!async_create_task(no_arguments));
    ASYNC_CHECK_HAS(async_last_error(), "no loop is running");
    ASYNC_CHECK(!async_task_new(return_number, NULL));
}

ASYNC_TEST(every_call_takes_null)
{
    int result = 5;

    ASYNC_CHECK(async_task_ref(NULL) == NULL);
    async_task_unref(NULL);
    ASYNC_CHECK_EQ(await_task(NULL, &result), -ENOMEM);
    ASYNC_CHECK_EQ(await_shield(NULL, &result), -ENOMEM);
    ASYNC_CHECK_EQ(await_wait_for(NULL, 1, &result), -ENOMEM);
    ASYNC_CHECK_EQ(result, 5);
    ASYNC_CHECK_EQ(async_task_cancel(NULL), 0);
    ASYNC_CHECK_EQ(async_task_cancel_message(NULL, "a"), 0);
    ASYNC_CHECK_EQ(async_task_cancelling(NULL), 0);
    ASYNC_CHECK_EQ(async_task_uncancel(NULL), 0);
    ASYNC_CHECK_EQ(async_task_done(NULL), 1);
    ASYNC_CHECK_EQ(async_task_cancelled(NULL), 0);
    ASYNC_CHECK_EQ(async_task_result(NULL, &result), -ENOMEM);
    ASYNC_CHECK_STR(async_task_error(NULL), "");
    ASYNC_CHECK_STR(async_task_waiting(NULL), "");
    ASYNC_CHECK_EQ(async_task_stack_used(NULL), 0);
    ASYNC_CHECK_EQ(async_resume(NULL, 0), -EINVAL);
    ASYNC_CHECK_EQ(async_all_tasks(NULL, NULL, 0), 0);
}

/* ---- results ---- */

async_def(fails_with, int, code)
{
    int r = await_sleep(0.001);

    return r < 0 ? r : code;
}

ASYNC_TEST(a_result_can_be_asked_for_after_the_end)
{
    async_task *task = async_create_task(fails_with, 12);
    int result = 99;

    ASYNC_CHECK_EQ(async_task_done(task), 0);
    ASYNC_CHECK_EQ(async_task_result(task, &result), ASYNC_ESTATE);
    ASYNC_CHECK_EQ(result, 99);
    ASYNC_CHECK_EQ(await_sleep(0.01), 0);
    ASYNC_CHECK_EQ(async_task_done(task), 1);
    ASYNC_CHECK_EQ(async_task_result(task, &result), 0);
    ASYNC_CHECK_EQ(result, 12);
    ASYNC_CHECK_EQ(async_task_result(task, NULL), 0);
    ASYNC_CHECK_EQ(async_task_cancelled(task), 0);
    ASYNC_CHECK_STR(async_task_error(task), "");
    ASYNC_CHECK_EQ(async_task_cancel(task), 0);
    async_task_unref(task);
}

async_def(fails_with_a_sentence)
{
    async_timeout(0.001);
    return await_sleep(1);
}

ASYNC_TEST(a_failed_task_keeps_its_sentence)
{
    async_task *task = async_create_task(fails_with_a_sentence), *plain = async_create_task(fails_with, -EIO);
    int result;

    ASYNC_CHECK_EQ(await_sleep(0.1), 0);
    ASYNC_CHECK_EQ(async_task_result(task, &result), 0);
    ASYNC_CHECK_EQ(result, ASYNC_ETIMEOUT);
    ASYNC_CHECK_HAS(async_task_error(task), "await_sleep: the deadline set at");
    ASYNC_CHECK_HAS(async_task_error(task), "task_test.c:");
    ASYNC_CHECK_EQ(async_task_result(plain, &result), 0);
    ASYNC_CHECK_EQ(result, -EIO);
    ASYNC_CHECK_STR(async_task_error(plain), "Input/output error");
    async_task_unref(task);
    async_task_unref(plain);
}

/* ---- cancelling ---- */

static int results[10];

async_def(notes_its_awaits)
{
    results[0] = 1;
    results[1] = await_sleep(1);
    results[2] = await_sleep(1);
    return 5;
}

ASYNC_TEST(a_task_cancelled_before_it_began_begins_and_its_first_await_is_refused)
{
    async_task *task = async_create_task(notes_its_awaits);

    ASYNC_CHECK_EQ(async_task_cancel(task), 1);
    ASYNC_CHECK_EQ(results[0], 0);
    ASYNC_CHECK_EQ(RESULT(task), 5);
    ASYNC_CHECK_EQ(results[0], 1);
    ASYNC_CHECK_EQ(results[1], ASYNC_ECANCELED);
    ASYNC_CHECK_EQ(results[2], ASYNC_ECANCELED);
}

ASYNC_TEST(a_sleeping_task_is_woken_by_its_cancellation)
{
    async_task *task = async_create_task(fails_with, 1);
    double start = async_time();
    int result;

    async_task_unref(task);
    task = async_create_task(notes_its_awaits);
    ASYNC_CHECK_EQ(await_sleep(0.01), 0);
    ASYNC_CHECK_EQ(async_task_cancel(task), 1);
    ASYNC_CHECK_EQ(await_task(task, &result), 0);
    ASYNC_CHECK(async_time() - start < 0.5);
    ASYNC_CHECK_EQ(results[1], ASYNC_ECANCELED);
}

async_def(waits_for_a_future, async_future *, future)
{
    return await_future(future);
}

async_def(waits_for_a_task, async_task *, task)
{
    int result = 0, r = await_task(task, &result);

    return r < 0 ? r : result;
}

async_def(waits_for_a_group)
{
    async_task_group *group = async_task_group_new();
    await_defer(await_task_group_close, group);

    async_task_group_create_task(group, notes_its_awaits);
    return await_task_group(group);
}

async_def(suspends)
{
    return await_suspend("suspends");
}

ASYNC_TEST(a_task_is_cancelled_wherever_it_waits)
{
    async_future *future = async_future_new();
    async_task *inner = async_create_task(notes_its_awaits);
    async_task *tasks[] = {
        async_create_task(waits_for_a_future, future),
        async_create_task(waits_for_a_task, inner),
        async_create_task(waits_for_a_group),
        async_create_task(suspends),
    };
    static const char *const waits[] = { "await_future", "await_task", "await_task_group", "suspends" };

    async_task_ref(inner);
    ASYNC_CHECK_EQ(await_sleep(0.01), 0);
    for (int i = 0; i < 4; i++) {
        ASYNC_CHECK_STR(async_task_waiting(tasks[i]), waits[i]);
        ASYNC_CHECK_EQ(async_task_cancel(tasks[i]), 1);
    }
    for (int i = 0; i < 4; i++)
        ASYNC_CHECK_EQ(RESULT(tasks[i]), ASYNC_ECANCELED);
    ASYNC_CHECK(!async_future_done(future));
    ASYNC_CHECK(async_task_done(inner));
    async_task_unref(inner);
    async_future_unref(future);
}

async_def(tells_why)
{
    int r = await_sleep(1);

    ASYNC_CHECK_EQ(r, ASYNC_ECANCELED);
    ASYNC_CHECK_HAS(async_last_error(), "out of coffee");
    ASYNC_CHECK_HAS(async_last_error(), "tells_why");
    ASYNC_CHECK_HAS(async_last_error(), "await_sleep");
    return r;
}

ASYNC_TEST(a_cancel_message_shows_in_the_sentence)
{
    async_task *task = async_create_task(tells_why);
    char message[] = "out of coffee";

    async_task_ref(task);
    ASYNC_CHECK_EQ(async_task_cancel_message(task, message), 1);
    message[0] = 'X';
    ASYNC_CHECK_EQ(RESULT(task), ASYNC_ECANCELED);
    ASYNC_CHECK_EQ(async_task_cancelled(task), 1);
    ASYNC_CHECK_HAS(async_task_error(task), "out of coffee");
    async_task_unref(task);
}

ASYNC_TEST(a_cancel_message_without_memory_is_left_out)
{
    async_task *task = async_create_task(notes_its_awaits);

    async_test_fail_allocation(1, 0);
    ASYNC_CHECK_EQ(async_task_cancel_message(task, "message"), 1);
    async_test_fail_allocation(0, 0);
    ASYNC_CHECK_EQ(RESULT(task), 5);
    ASYNC_CHECK_EQ(results[1], ASYNC_ECANCELED);
}

async_def(recovers)
{
    async_task *self = async_current_task();

    results[0] = await_sleep(1);
    results[1] = async_task_cancelling(self);
    results[2] = async_task_uncancel(self);
    results[3] = await_sleep(0.001);
    results[4] = async_task_uncancel(self);
    results[5] = await_sleep(0.001);
    results[6] = async_task_cancelling(self);
    results[7] = async_task_uncancel(self);
    results[8] = async_cancelled();
    return 0;
}

ASYNC_TEST(a_task_is_whole_again_when_each_cancel_was_taken_back)
{
    async_task *task = async_create_task(recovers);
    static const int expected[] = { ASYNC_ECANCELED, 2, 1, ASYNC_ECANCELED, 0, 0, 0, 0, 0 };

    ASYNC_CHECK_EQ(await_sleep(0.01), 0);
    ASYNC_CHECK_EQ(async_task_cancelling(task), 0);
    async_task_cancel(task);
    async_task_cancel(task);
    ASYNC_CHECK_EQ(async_task_cancelling(task), 2);
    ASYNC_CHECK_EQ(RESULT(task), 0);
    for (int i = 0; i < 9; i++)
        ASYNC_CHECK_EQ(results[i], expected[i]);
}

async_def(is_cancelled_twice)
{
    results[0] = await_sleep(1);
    async_task_uncancel(async_current_task());
    results[1] = await_sleep(1);
    return 0;
}

ASYNC_TEST(a_task_can_be_cancelled_again)
{
    async_task *task = async_create_task(is_cancelled_twice);

    ASYNC_CHECK_EQ(await_sleep(0.001), 0);
    async_task_cancel(task);
    ASYNC_CHECK_EQ(await_sleep(0.001), 0);
    ASYNC_CHECK_EQ(results[0], ASYNC_ECANCELED);
    async_task_cancel(task);
    ASYNC_CHECK_EQ(RESULT(task), 0);
    ASYNC_CHECK_EQ(results[1], ASYNC_ECANCELED);
}

async_def(times_out)
{
    {
        async_timeout(0.001);
        results[0] = await_sleep(1);
        results[1] = async_task_cancelling(async_current_task());
    }
    return 0;
}

ASYNC_TEST(a_timeout_does_not_touch_the_count_of_cancel_requests)
{
    ASYNC_CHECK_EQ(RESULT(async_create_task(times_out)), 0);
    ASYNC_CHECK_EQ(results[0], ASYNC_ETIMEOUT);
    ASYNC_CHECK_EQ(results[1], 0);
}

async_def(cancels_itself)
{
    ASYNC_CHECK_EQ(async_task_cancel(async_current_task()), 1);
    return await_sleep(1);
}

ASYNC_TEST(a_task_may_cancel_itself)
{
    ASYNC_CHECK_EQ(RESULT(async_create_task(cancels_itself)), ASYNC_ECANCELED);
}

/* ---- detached and forgotten tasks ---- */

ASYNC_TEST(a_detached_task_runs_on_and_its_failure_is_reported_once)
{
    async_task_unref(async_create_task(fails_with, -EIO));
    ASYNC_CHECK_EQ(await_sleep(0.01), 0);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "'fails_with'");
    ASYNC_CHECK_HAS(async_test_report(0), "-EIO");
    ASYNC_CHECK_HAS(async_test_report(0), "task_test.c:");
    ASYNC_CHECK_HAS(async_test_report(0), "Input/output error");
}

ASYNC_TEST(a_failure_that_somebody_looked_at_is_not_reported)
{
    async_task *task = async_create_task(fails_with, -EIO);
    int result;

    ASYNC_CHECK_EQ(await_sleep(0.01), 0);
    ASYNC_CHECK_EQ(async_task_result(task, &result), 0);
    async_task_unref(task);
    ASYNC_CHECK_EQ(RESULT(async_create_task(fails_with, -EIO)), -EIO);
    ASYNC_CHECK_EQ(async_test_reports(), 0);
}

ASYNC_TEST(a_failure_is_reported_when_its_last_reference_goes_after_the_end)
{
    async_task *task = async_create_task(fails_with, -EIO);

    ASYNC_CHECK_EQ(await_sleep(0.01), 0);
    ASYNC_CHECK_EQ(async_test_reports(), 0);
    async_task_unref(task);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
}

ASYNC_TEST(a_cancelled_detached_task_is_no_failure)
{
    async_task *task = async_create_task(fails_with, 0);

    async_task_cancel(task);
    async_task_unref(task);
    ASYNC_CHECK_EQ(await_sleep(0.01), 0);
    ASYNC_CHECK_EQ(async_test_reports(), 0);
}

ASYNC_TEST_PLAIN(a_task_that_never_began_is_reported_when_its_loop_closes)
{
    async_loop *loop = open_loop();

    async_set_running_loop(loop);
    ASYNC_CHECK(async_create_task(no_arguments));
    async_set_running_loop(NULL);
    async_loop_close(loop);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "'no_arguments'");
    ASYNC_CHECK_HAS(async_test_report(0), "never began");
    ASYNC_CHECK_HAS(async_test_report(0), "task_test.c:");
}

ASYNC_TEST_PLAIN(a_task_that_nobody_awaited_is_reported_when_its_loop_closes)
{
    async_loop *loop = open_loop();

    async_set_running_loop(loop);
    ASYNC_CHECK(async_create_task(no_arguments));
    turn(loop);
    async_loop_close(loop);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "never awaited");
}

ASYNC_TEST_PLAIN(a_failed_task_that_nobody_awaited_is_reported_once_when_its_loop_closes)
{
    async_loop *loop = open_loop();

    async_set_running_loop(loop);
    ASYNC_CHECK(async_create_task(one_argument, -EIO));
    turn(loop);
    ASYNC_CHECK_EQ(async_test_reports(), 0);
    async_loop_close(loop);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "-EIO");
}

ASYNC_TEST_PLAIN(pending_tasks_are_reported_with_what_they_wait_in_when_their_loop_closes)
{
    async_loop *loop = open_loop();

    async_set_running_loop(loop);
    async_task_unref(async_create_task(fails_with, 0));
    async_task_unref(async_create_task(suspends));
    async_task_unref(async_create_task(waits_for_a_group));
    turn(loop);
    async_loop_close(loop);
    ASYNC_CHECK_EQ(async_test_reports(), 4);
    ASYNC_CHECK_HAS(async_test_report(0), "'fails_with'");
    ASYNC_CHECK_HAS(async_test_report(0), "waits in await_sleep");
    ASYNC_CHECK_HAS(async_test_report(1), "pending");
    ASYNC_CHECK_HAS(async_test_report(1), "waits in suspends");
    ASYNC_CHECK_HAS(async_test_report(2), "waits in await_task_group");
    ASYNC_CHECK_HAS(async_test_report(3), "'notes_its_awaits'");
}

/* A waiter's entry lies on its stack, which goes with the loop. */
ASYNC_TEST_PLAIN(closing_a_loop_frees_futures_that_tasks_wait_for_and_their_callbacks)
{
    async_loop *loop = open_loop();
    async_future *future;

    async_set_running_loop(loop);
    future = async_future_new();
    async_task_unref(async_create_task(waits_for_a_future, future));
    async_task_unref(async_create_task(waits_for_a_future, future));
    turn(loop);
    async_future_unref(future);
    async_loop_close(loop);
    ASYNC_CHECK_EQ(async_test_reports(), 2);
}

async_def(waits_for_any, async_task *, task)
{
    int r = await_wait(&task, 1, ASYNC_ALL_COMPLETED);

    return r < 0 ? r : 0;
}

/* The stacks of the waiters go first, 64 at a time, and their entries in the last task's list lie on them. */
ASYNC_TEST_PLAIN(closing_a_loop_in_which_hundreds_wait_for_one_task_is_safe)
{
    async_loop *loop = open_loop();
    async_task *last, *waiters[300];

    async_set_running_loop(loop);
    for (int i = 0; i < 300; i++)
        waiters[i] = async_create_task(no_arguments);
    turn(loop);
    async_set_running_loop(loop);
    for (int i = 0; i < 300; i++)
        async_task_unref(waiters[i]);
    last = async_create_task(suspends);
    for (int i = 0; i < 150; i++) {
        async_task_unref(async_create_task(waits_for_a_task, async_task_ref(last)));
        async_task_unref(async_create_task(waits_for_any, last));
    }
    for (int i = 0; i < 300; i++)
        async_task_unref(async_create_task(suspends));
    turn(loop);
    async_task_unref(last);
    async_loop_set_exception_handler(loop, NULL, NULL);
    ASYNC_CHECK(freopen("/dev/null", "w", stderr));
    async_loop_close(loop);
}

static int fail_turn(void *arg)
{
    (void)arg;
    return -1;
}

async_def(sleeps_under_a_timeout)
{
    async_timeout_at(0.001 + async_time());
    return await_sleep(0.001);
}

ASYNC_TEST_PLAIN(closing_a_loop_whose_turn_was_stopped_before_the_timers_is_safe)
{
    async_loop *loop = open_loop();
    int r;

    async_set_running_loop(loop);
    for (int i = 0; i < 70; i++)
        async_task_unref(async_create_task(sleeps_under_a_timeout));
    turn(loop);
    async_loop_call_at(loop, async_loop_time(loop), fail_turn, NULL);
    async_loop_call_at(loop, async_loop_time(loop) + 0.001, fail_turn, NULL);
    for (int i = 0; i < 2; i++)
        if ((r = async_loop_turn(loop, 0.05)) < 0)
            break;
    ASYNC_CHECK_EQ(r, -1);
    async_loop_set_exception_handler(loop, NULL, NULL);
    ASYNC_CHECK(freopen("/dev/null", "w", stderr));
    async_loop_close(loop);
}

static int never_called_for_a_future(async_future *future, void *arg)
{
    (void)future;
    (void)arg;
    ASYNC_FAIL("a done callback of a future was called at close");
}

ASYNC_TEST_PLAIN(closing_a_loop_drops_the_callbacks_of_futures_that_are_pending_and_that_are_done)
{
    async_loop *loop = open_loop();
    async_future *pending = async_loop_create_future(loop), *done = async_loop_create_future(loop);

    ASYNC_CHECK_EQ(async_future_add_done_callback(pending, never_called_for_a_future, NULL), 0);
    ASYNC_CHECK_EQ(async_future_add_done_callback(done, never_called_for_a_future, NULL), 0);
    ASYNC_CHECK_EQ(async_future_set_result(done, NULL), 0);
    async_future_unref(pending);
    async_future_unref(done);
    async_loop_close(loop);
}

static int never_called(async_task *task, void *arg)
{
    (void)arg;
    ASYNC_FAIL("a done callback of %s was called at close", async_task_name(task));
}

ASYNC_TEST_PLAIN(closing_a_loop_drops_done_callbacks_that_wait_and_those_that_are_queued)
{
    async_loop *loop = open_loop();
    async_task *done, *pending;

    async_set_running_loop(loop);
    done = async_create_task(no_arguments);
    pending = async_create_task(fails_with, 0);
    ASYNC_CHECK_EQ(async_task_add_done_callback(done, never_called, NULL), 0);
    ASYNC_CHECK_EQ(async_task_add_done_callback(pending, never_called, NULL), 0);
    turn(loop);
    async_task_unref(done);
    async_task_unref(pending);
    async_loop_close(loop);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
}

ASYNC_TEST_PLAIN(closing_a_loop_with_a_hundred_thousand_sleepers_is_not_slow)
{
    async_loop *loop = open_loop();

    async_loop_set_exception_handler(loop, NULL, NULL);
    ASYNC_CHECK(freopen("/dev/null", "w", stderr));
    async_set_running_loop(loop);
    for (int i = 0; i < (AW_ASAN ? 10000 : 100000); i++)
        async_task_unref(async_create_task(fails_with, 0));
    turn(loop);
    async_loop_close(loop);
}

/* ---- all tasks ---- */

ASYNC_TEST(all_tasks_that_have_not_ended_are_listed_oldest_first)
{
    async_task *first = async_create_task(fails_with, 0), *second = async_create_task(suspends), *listed[10];
    async_loop *loop = async_get_running_loop();

    ASYNC_CHECK_EQ(async_all_tasks(loop, listed, 10), 3);
    ASYNC_CHECK(listed[0] == async_current_task());
    ASYNC_CHECK(listed[1] == first);
    ASYNC_CHECK(listed[2] == second);
    listed[1] = NULL;
    ASYNC_CHECK_EQ(async_all_tasks(loop, listed, 1), 3);
    ASYNC_CHECK(listed[1] == NULL);
    ASYNC_CHECK_EQ(async_all_tasks(loop, NULL, 0), 3);
    ASYNC_CHECK_EQ(await_task(first, NULL), 0);
    ASYNC_CHECK_EQ(async_all_tasks(loop, listed, 10), 2);
    ASYNC_CHECK(listed[1] == second);
    async_task_cancel(second);
    ASYNC_CHECK_EQ(await_task(second, NULL), 0);
}

ASYNC_TEST_PLAIN(a_loop_without_tasks_lists_none)
{
    async_loop *loop = open_loop();

    ASYNC_CHECK_EQ(async_all_tasks(loop, NULL, 0), 0);
    async_loop_close(loop);
}

/* ---- stacks ---- */

/* Each frame points to the one above, so that no compiler makes a loop of it. */
__attribute__((noinline)) static int eat_stack(int depth, volatile char *above)
{
    volatile char page[4096];

    page[0] = *above;
    return depth == 0 ? page[0] : eat_stack(depth - 1, page) + page[0] - *above;
}

async_def(needs_stack, int, pages)
{
    volatile char top = 0;

    return eat_stack(pages, &top);
}

ASYNC_TEST(a_task_may_have_a_larger_stack)
{
    const async_task_options options = { .size = sizeof options, .stack_size = 4 * 1024 * 1024 };

    ASYNC_CHECK_EQ(RESULT(async_create_task_with(&options, needs_stack, 900)), 0);
}

ASYNC_TEST_PLAIN(a_loop_gives_its_tasks_the_stack_size_of_its_options)
{
    async_loop_options options = *async_test_options();
    async_loop *loop;
    async_task *task;
    int result;

    options.stack_size = 4 * 1024 * 1024;
    ASYNC_CHECK_EQ(async_loop_open(&options, &loop), 0);
    async_set_running_loop(loop);
    task = async_create_task(needs_stack, 900);
    async_set_running_loop(NULL);
    ASYNC_CHECK_EQ(async_loop_run_until_complete(loop, task, &result), 0);
    ASYNC_CHECK_EQ(result, 0);
    async_loop_close(loop);
}

ASYNC_SUSPENDS static size_t measure(int pages)
{
    const async_task_options options = { .size = sizeof options, .stack_size = 1024 * 1024, .measure_stack = 1 };
    async_task *task = async_create_task_with(&options, needs_stack, pages);
    size_t used;

    async_task_ref(task);
    ASYNC_CHECK_EQ(RESULT(task), 0);
    used = async_task_stack_used(task);
    async_task_unref(task);
    return used;
}

ASYNC_TEST(the_deepest_use_of_a_stack_can_be_measured)
{
    size_t few = measure(1), many = measure(100);
    async_task *task = async_create_task(no_arguments);

    ASYNC_CHECK(few > 4096 && few < 200 * 1024);
    ASYNC_CHECK(many - few > 99 * 4096);
    ASYNC_CHECK(many < 1024 * 1024);
    async_task_ref(task);
    ASYNC_CHECK_EQ(RESULT(task), 1);
    ASYNC_CHECK_EQ(async_task_stack_used(task), 0);
    async_task_unref(task);
}

/* Arguments of all sizes lie between the record and the first frame: painting must spare both. */
#define SIZED(n)                                                                                                       \
    struct sized_##n {                                                                                                 \
        unsigned char bytes[n];                                                                                        \
    };                                                                                                                 \
    async_def(takes_##n, struct sized_##n, arg)                                                                        \
    {                                                                                                                  \
        return check_bytes(arg.bytes, sizeof arg.bytes);                                                               \
    }                                                                                                                  \
    ASYNC_SUSPENDS static void try_##n(void)                                                                           \
    {                                                                                                                  \
        const async_task_options options = { .size = sizeof options, .measure_stack = 1 };                             \
        struct sized_##n arg;                                                                                          \
                                                                                                                       \
        fill_bytes(arg.bytes, sizeof arg.bytes);                                                                       \
        ASYNC_CHECK_EQ(RESULT(async_create_task_with(&options, takes_##n, arg)), 0);                                   \
    }
SIZED(1)
SIZED(500)
SIZED(1000) SIZED(1500) SIZED(2000) SIZED(2100) SIZED(2200) SIZED(2300) SIZED(2400) SIZED(2500) SIZED(2600) SIZED(2700)
    SIZED(2800) SIZED(2900) SIZED(3000) SIZED(3100) SIZED(3200) SIZED(3300) SIZED(3400) SIZED(3500)

        ASYNC_TEST(measuring_spares_the_arguments_whatever_their_size)
{
    static void (*const tries[])(void) = { try_1,    try_500,  try_1000, try_1500, try_2000, try_2100, try_2200,
                                           try_2300, try_2400, try_2500, try_2600, try_2700, try_2800, try_2900,
                                           try_3000, try_3100, try_3200, try_3300, try_3400, try_3500 };

    for (int round = 0; round < 16; round++)
        for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
            tries[i]();
}

/* ---- many ---- */

static int woken;

async_def(parks)
{
    int r = await_suspend("parks");

    woken++;
    return r;
}

ASYNC_TEST(a_hundred_thousand_tasks_park_and_come_back)
{
    int count = AW_ASAN ? 5000 : 100000; /* its shadow of so many stacks is more than a machine has */
    async_task **tasks = malloc((size_t)count * sizeof *tasks);

    ASYNC_CHECK(tasks);
    for (int i = 0; i < count; i++)
        ASYNC_CHECK((tasks[i] = async_create_task(parks)) != NULL);
    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_EQ(async_all_tasks(async_get_running_loop(), NULL, 0), (size_t)count + 1);
    for (int i = 0; i < count; i++)
        ASYNC_CHECK_EQ(async_resume(tasks[i], 3), 0);
    ASYNC_CHECK_EQ(await_gather_all(tasks, (size_t)count), 0);
    ASYNC_CHECK_EQ(woken, count);
    free(tasks);
}

/* ---- memory ---- */

ASYNC_TEST_PLAIN(creating_a_task_survives_each_failed_allocation)
{
    const async_task_options options = { .size = sizeof options, .name = "named" };
    long n = 0;

    for (async_task *task = NULL; !task;) {
        async_loop *loop = open_loop();
        int result;

        async_set_running_loop(loop);
        async_test_fail_allocation(++n, 0);
        task = async_create_task_with(&options, no_arguments);
        async_test_fail_allocation(0, 0);
        if (!task)
            ASYNC_CHECK_HAS(async_last_error(), "memory");
        async_set_running_loop(NULL);
        if (task)
            ASYNC_CHECK_EQ(async_loop_run_until_complete(loop, task, &result), 0);
        async_loop_close(loop);
    }
    ASYNC_CHECK(n > 3);
}

async_def(small_program)
{
    async_task_group *group = async_task_group_new();
    async_future *future = async_future_new();
    int r;
    await_defer(await_task_group_close, group);
    async_defer(async_future_unref, future);

    async_task_group_create_task(group, fails_with, 0);
    async_task_group_create_task(group, one_argument, 3);
    if (async_call_later(0.001, return_number, NULL))
        r = await_gather(async_create_task(fails_with, 0), async_create_task(times_out));
    else
        r = -ENOMEM;
    if (r < 0)
        return r;
    {
        async_timeout(0.001);
        r = await_wait_for(async_create_task(fails_with, 0), 1, NULL);
    }
    if (r < 0 && r != ASYNC_ETIMEOUT)
        return r;
    return await_task_group(group);
}

ASYNC_TEST_PLAIN(a_small_program_survives_each_failed_allocation)
{
    for (long n = 1, failures = 1; failures > 0; n++) {
        async_loop *loop;
        async_task *task;
        int result = -ENOMEM, r = 0;

        failures = 0;
        async_test_fail_allocation(n, 0);
        if (async_loop_open(async_test_options(), &loop) < 0) {
            failures++;
            continue;
        }
        async_set_running_loop(loop);
        task = async_create_task(small_program);
        async_set_running_loop(NULL);
        r = task ? async_loop_run_until_complete(loop, task, &result) : -ENOMEM;
        failures = r == -ENOMEM || result == -ENOMEM || n < 30;
        ASYNC_CHECK(r == 0 || r == -ENOMEM);
        ASYNC_CHECK(result == 0 || result == -ENOMEM);
        async_test_fail_allocation(0, 0);
        async_loop_close(loop);
        ASYNC_CHECK_EQ(async_test_allocations_live(), 0);
    }
    (void)async_test_reports();
}

ASYNC_TEST_PLAIN(a_small_program_without_any_memory_ends)
{
    for (long n = 1; n < 40; n++) {
        async_loop *loop;
        async_task *task;

        async_test_fail_allocation(n, 1);
        if (async_loop_open(async_test_options(), &loop) < 0)
            continue;
        async_set_running_loop(loop);
        task = async_create_task(small_program);
        async_set_running_loop(NULL);
        if (task)
            (void)async_loop_run_until_complete(loop, task, NULL);
        async_test_fail_allocation(0, 0);
        async_loop_close(loop);
        ASYNC_CHECK_EQ(async_test_allocations_live(), 0);
    }
    (void)async_test_reports();
}
