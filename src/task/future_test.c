/* SPDX-License-Identifier: MIT */
#include <await/testing.h>
#include <string.h>

static char trace[1000];

static int deliver(void *arg)
{
    ASYNC_CHECK_EQ(async_future_set_result(arg, "letter"), 0);
    return 0;
}

ASYNC_TEST(a_future_gives_its_value_to_whoever_waits)
{
    async_future *future = async_future_new();
    void *value = NULL;

    ASYNC_CHECK_EQ(async_future_done(future), 0);
    ASYNC_CHECK_EQ(async_future_result(future, &value), ASYNC_ESTATE);
    ASYNC_CHECK(async_call_later(0.001, deliver, future));
    ASYNC_CHECK_EQ(await_future(future), 0);
    ASYNC_CHECK_EQ(async_future_done(future), 1);
    ASYNC_CHECK_EQ(async_future_cancelled(future), 0);
    ASYNC_CHECK_EQ(async_future_result(future, &value), 0);
    ASYNC_CHECK_STR(value, "letter");
    ASYNC_CHECK_EQ(async_future_result(future, NULL), 0);
    ASYNC_CHECK_EQ(await_future(future), 0);
    async_future_unref(future);
}

async_def(waits, async_future *, future, const char *, letter)
{
    int r = await_future(future);

    strcat(trace, letter);
    return r;
}

ASYNC_TEST(several_waiters_wake_in_the_order_in_which_they_came)
{
    async_future *future = async_future_new();
    async_task *a = async_create_task(waits, future, "a"), *b = async_create_task(waits, future, "b"),
               *c = async_create_task(waits, future, "c");

    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_EQ(async_future_set_result(future, NULL), 0);
    ASYNC_CHECK_STR(trace, "");
    ASYNC_CHECK_EQ(await_gather(a, b, c), 0);
    ASYNC_CHECK_STR(trace, "abc");
    async_future_unref(future);
}

ASYNC_TEST(a_future_is_completed_once)
{
    async_future *future = async_future_new();
    void *value;

    ASYNC_CHECK_EQ(async_future_set_result(future, "first"), 0);
    ASYNC_CHECK_EQ(async_future_set_result(future, "second"), ASYNC_ESTATE);
    ASYNC_CHECK_HAS(async_last_error(), "done already");
    ASYNC_CHECK_EQ(async_future_set_error(future, -EIO), ASYNC_ESTATE);
    ASYNC_CHECK_EQ(async_future_cancel(future), 0);
    ASYNC_CHECK_EQ(async_future_result(future, &value), 0);
    ASYNC_CHECK_STR(value, "first");
    async_future_unref(future);
}

ASYNC_TEST(a_failed_future_tells_its_code)
{
    async_future *future = async_future_new();
    void *value = &value;

    ASYNC_CHECK_EQ(async_future_set_error(future, 0), -EINVAL);
    ASYNC_CHECK_EQ(async_future_set_error(future, 5), -EINVAL);
    ASYNC_CHECK_EQ(async_future_set_error(future, -ECONNREFUSED), 0);
    ASYNC_CHECK_EQ(await_future(future), 0);
    ASYNC_CHECK_EQ(async_future_result(future, &value), -ECONNREFUSED);
    ASYNC_CHECK_HAS(async_last_error(), "Connection refused");
    ASYNC_CHECK(value == &value);
    async_future_unref(future);
}

ASYNC_TEST(a_cancelled_future_tells_so_and_is_never_reported)
{
    async_future *future = async_future_new();
    async_task *task = async_create_task(waits, future, "a");

    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_EQ(async_future_cancel(future), 1);
    ASYNC_CHECK_EQ(async_future_cancel(future), 0);
    ASYNC_CHECK_EQ(async_future_cancelled(future), 1);
    ASYNC_CHECK_EQ(async_future_result(future, NULL), ASYNC_ECANCELED);
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    async_future_unref(future);
    future = async_future_new();
    async_future_cancel(future);
    async_future_unref(future);
}

ASYNC_TEST(a_failure_that_nobody_looked_at_is_reported_once)
{
    async_future *future = async_future_new();

    async_future_set_error(future, -EIO);
    async_future_ref(future);
    async_future_unref(future);
    ASYNC_CHECK_EQ(async_test_reports(), 0);
    async_future_unref(future);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "-EIO");
    ASYNC_CHECK_HAS(async_test_report(0), "nobody looked");
}

ASYNC_TEST(a_pending_future_is_freed_in_silence)
{
    async_future_unref(async_future_new());
    async_future_unref(NULL);
}

ASYNC_TEST(a_cancelled_waiter_leaves_the_future_and_the_other_waiters_alone)
{
    async_future *future = async_future_new();
    async_task *a = async_create_task(waits, future, "a"), *b = async_create_task(waits, future, "b");
    int result;

    ASYNC_CHECK_EQ(await_sleep(0), 0);
    async_task_cancel(a);
    ASYNC_CHECK_EQ(await_task(a, &result), 0);
    ASYNC_CHECK_EQ(result, ASYNC_ECANCELED);
    ASYNC_CHECK_EQ(async_future_done(future), 0);
    ASYNC_CHECK_EQ(async_future_set_result(future, NULL), 0);
    ASYNC_CHECK_EQ(await_task(b, &result), 0);
    ASYNC_CHECK_EQ(result, 0);
    ASYNC_CHECK_STR(trace, "ab");
    async_future_unref(future);
}

ASYNC_TEST(a_waiter_cancelled_after_the_completion_has_waited)
{
    async_future *future = async_future_new();
    async_task *a = async_create_task(waits, future, "a");
    int result;

    ASYNC_CHECK_EQ(await_sleep(0), 0);
    async_future_set_result(future, NULL);
    async_task_cancel(a);
    ASYNC_CHECK_EQ(await_task(a, &result), 0);
    ASYNC_CHECK_EQ(result, 0);
    async_future_unref(future);
}

static int deliver_and_let_go(void *arg)
{
    async_future_set_result(arg, NULL);
    async_future_unref(arg);
    return 0;
}

ASYNC_TEST(a_future_may_be_given_back_by_its_completer_while_it_is_waited_for)
{
    async_future *future = async_future_new();

    async_call_soon(deliver_and_let_go, future);
    ASYNC_CHECK_EQ(await_future(future), 0);
}

async_def(lets_go_while_waiting, async_future *, future)
{
    async_future_ref(future);
    async_future_unref(future);
    return await_future(future);
}

ASYNC_TEST(a_cancelled_waiter_may_hold_the_last_reference)
{
    async_future *future = async_future_new();
    async_task *task = async_create_task(lets_go_while_waiting, future);

    ASYNC_CHECK_EQ(await_sleep(0), 0);
    async_future_unref(future);
    async_task_cancel(task);
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
}

/* ---- callbacks ---- */

static int write_letter(async_future *future, void *arg)
{
    ASYNC_CHECK_EQ(async_future_done(future), 1);
    strcat(trace, arg);
    return 0;
}

ASYNC_TEST(callbacks_run_through_the_loop_in_the_order_in_which_they_were_added)
{
    async_future *future = async_future_new();

    ASYNC_CHECK_EQ(async_future_add_done_callback(future, write_letter, "a"), 0);
    ASYNC_CHECK_EQ(async_future_add_done_callback(future, write_letter, "b"), 0);
    async_future_set_result(future, NULL);
    ASYNC_CHECK_STR(trace, "");
    ASYNC_CHECK_EQ(async_future_add_done_callback(future, write_letter, "c"), 0);
    ASYNC_CHECK_STR(trace, "");
    async_future_unref(future);
    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_STR(trace, "abc");
}

ASYNC_TEST(waiters_and_callbacks_are_told_in_the_order_in_which_they_came)
{
    async_future *future = async_future_new();
    async_task *task = async_create_task(waits, future, "w");

    async_future_add_done_callback(future, write_letter, "a");
    ASYNC_CHECK_EQ(await_sleep(0), 0);
    async_future_add_done_callback(future, write_letter, "b");
    async_future_set_result(future, NULL);
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    ASYNC_CHECK_STR(trace, "awb");
    async_future_unref(future);
}

ASYNC_TEST(callbacks_can_be_removed_while_the_future_is_pending)
{
    async_future *future = async_future_new();
    char a[] = "a", b[] = "b";

    async_future_add_done_callback(future, write_letter, a);
    async_future_add_done_callback(future, write_letter, b);
    async_future_add_done_callback(future, write_letter, a);
    ASYNC_CHECK_EQ(async_future_remove_done_callback(future, write_letter, a), 2);
    ASYNC_CHECK_EQ(async_future_remove_done_callback(future, write_letter, a), 0);
    ASYNC_CHECK_EQ(async_future_remove_done_callback(future, NULL, b), 0);
    ASYNC_CHECK_EQ(async_future_remove_done_callback(NULL, write_letter, b), 0);
    async_future_set_result(future, NULL);
    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_STR(trace, "b");
    async_future_unref(future);
}

static int give_last_reference_back(async_future *future, void *arg)
{
    (void)arg;
    async_future_unref(future);
    return 0;
}

ASYNC_TEST(a_callback_may_give_the_last_reference_back)
{
    async_future *future = async_future_new();

    async_future_add_done_callback(future, give_last_reference_back, NULL);
    async_future_set_result(future, NULL);
    ASYNC_CHECK_EQ(await_sleep(0), 0);
}

static int chain(async_future *future, void *arg)
{
    strcat(trace, "c");
    (void)future;
    return async_future_set_result(arg, NULL);
}

ASYNC_TEST(a_callback_may_complete_the_next_future)
{
    async_future *futures[100];

    for (int i = 0; i < 100; i++)
        futures[i] = async_future_new();
    for (int i = 0; i < 99; i++)
        ASYNC_CHECK_EQ(async_future_add_done_callback(futures[i], chain, futures[i + 1]), 0);
    async_future_set_result(futures[0], NULL);
    ASYNC_CHECK_EQ(await_future(futures[99]), 0);
    ASYNC_CHECK_EQ(strlen(trace), 99);
    for (int i = 0; i < 100; i++)
        async_future_unref(futures[i]);
}

/* ---- bad input ---- */

ASYNC_TEST(wrong_arguments_are_refused)
{
    async_future *future = async_future_new();

    ASYNC_CHECK(async_future_ref(NULL) == NULL);
    ASYNC_CHECK_EQ(async_future_set_result(NULL, NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_future_set_error(NULL, -1), -EINVAL);
    ASYNC_CHECK_EQ(async_future_cancel(NULL), 0);
    ASYNC_CHECK_EQ(async_future_done(NULL), 0);
    ASYNC_CHECK_EQ(async_future_cancelled(NULL), 0);
    ASYNC_CHECK_EQ(async_future_result(NULL, NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_future_add_done_callback(NULL, write_letter, NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_future_add_done_callback(future, NULL, NULL), -EINVAL);
    ASYNC_CHECK_EQ(await_future(NULL), -EINVAL);
    ASYNC_CHECK(!async_loop_create_future(NULL));
    async_future_unref(future);
}

ASYNC_TEST_PLAIN(outside_of_a_task_a_future_cannot_be_awaited)
{
    async_loop *loop = async_loop_new(async_test_options());
    async_future *future;

    ASYNC_CHECK(!async_future_new());
    ASYNC_CHECK_HAS(async_last_error(), "no loop is running");
    future = async_loop_create_future(loop);
    ASYNC_CHECK_EQ(await_future(future), ASYNC_ENOTASK);
    async_future_unref(future);
    async_loop_close(loop);
}

ASYNC_TEST(a_future_of_another_loop_cannot_be_awaited)
{
    async_loop *other = async_loop_new(async_test_options());
    async_future *future = async_loop_create_future(other);

    ASYNC_CHECK_EQ(await_future(future), -EINVAL);
    ASYNC_CHECK_HAS(async_last_error(), "another loop");
    async_future_unref(future);
    async_loop_close(other);
}

ASYNC_TEST(a_refused_await_leaves_the_future_alone)
{
    async_future *future = async_future_new();

    {
        async_timeout(0);
        ASYNC_CHECK_EQ(await_future(future), ASYNC_ETIMEOUT);
        async_future_set_result(future, NULL);
        ASYNC_CHECK_EQ(await_future(future), ASYNC_ETIMEOUT);
    }
    ASYNC_CHECK_EQ(await_future(future), 0);
    async_future_unref(future);
}

ASYNC_TEST(without_memory_there_is_no_future_and_no_callback)
{
    async_future *future;

    async_test_fail_allocation(1, 0);
    ASYNC_CHECK(!async_future_new());
    ASYNC_CHECK_HAS(async_last_error(), "no memory");
    future = async_future_new();
    async_test_fail_allocation(1, 0);
    ASYNC_CHECK_EQ(async_future_add_done_callback(future, write_letter, "x"), -ENOMEM);
    async_future_set_result(future, NULL);
    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_STR(trace, "");
    async_future_unref(future);
}
