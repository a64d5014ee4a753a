/* SPDX-License-Identifier: MIT */
/* Blocking functions on threads, and executors. What needs a thread that really blocks is in src/await/thread_test.c.
 */
#include "fixture.h"
#include <stdatomic.h>

static int add_one(void *arg)
{
    return ++*(int *)arg;
}

static int fail(void *arg)
{
    (void)arg;
    return -EIO;
}

static int count_free;

static void free_counted(void *arg)
{
    count_free++;
    free(arg);
}

ASYNC_TEST(a_function_runs_on_a_thread_and_its_result_comes_back)
{
    int number = 41, result = 0;

    ASYNC_CHECK_EQ(await_to_thread(add_one, &number, &result), 0);
    ASYNC_CHECK_EQ(result, 42);
    ASYNC_CHECK_EQ(number, 42);
    ASYNC_CHECK_EQ(await_to_thread(fail, NULL, &result), 0);
    ASYNC_CHECK_EQ(result, -EIO);
    ASYNC_CHECK_EQ(await_to_thread(add_one, &number, NULL), 0);
    ASYNC_CHECK_EQ(await_to_thread(NULL, NULL, NULL), -EINVAL);
    ASYNC_CHECK_HAS(async_last_error(), "await_to_thread: fn is NULL");
}

ASYNC_TEST(an_abandonable_argument_is_freed_exactly_once)
{
    int result = 0, *number = calloc(1, sizeof *number);

    count_free = 0;
    ASYNC_CHECK_EQ(await_to_thread_abandon(add_one, number, free_counted, &result), 0);
    ASYNC_CHECK_EQ(result, 1);
    ASYNC_CHECK_EQ(count_free, 1);
    ASYNC_CHECK_EQ(await_to_thread_abandon(NULL, calloc(1, 4), free_counted, &result), -EINVAL);
    ASYNC_CHECK_EQ(count_free, 2);
    {
        async_timeout(0);
        ASYNC_CHECK_EQ(await_to_thread_abandon(add_one, calloc(1, 4), free_counted, &result), ASYNC_ETIMEOUT);
        ASYNC_CHECK_EQ(await_to_thread(add_one, number, &result), ASYNC_ETIMEOUT);
    }
    ASYNC_CHECK_EQ(count_free, 3);
    ASYNC_CHECK_EQ(await_to_thread_abandon(fail, NULL, NULL, NULL), 0);
}

/* Abandoned at once, in the next turn, and so on. */
ASYNC_TEST(an_abandoned_argument_is_freed_exactly_once)
{
    int runs = 10;

    count_free = 0;
    for (int i = 0; i < runs; i++) {
        async_timeout(i * 1e-5);
        int r = await_to_thread_abandon(add_one, calloc(1, sizeof(int)), free_counted, NULL);
        ASYNC_CHECK(r == 0 || r == ASYNC_ETIMEOUT);
    }
    while (count_free < runs)
        ASYNC_CHECK_EQ(await_sleep(0.001), 0);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    ASYNC_CHECK_EQ(count_free, runs);
}

ASYNC_SUSPENDS static int call_thread(void *arg)
{
    int result = 0;
    int r = await_to_thread(add_one, arg, &result);

    return r < 0 ? r : result;
}

ASYNC_TEST(many_jobs_run_through_the_default_executor)
{
    enum { COUNT = 200 };
    static int numbers[COUNT];
    async_task *tasks[COUNT];

    for (int i = 0; i < COUNT; i++)
        tasks[i] = async_task_new(call_thread, &numbers[i]);
    ASYNC_CHECK_EQ(await_gather_all(tasks, COUNT), 0);
    for (int i = 0; i < COUNT; i++)
        ASYNC_CHECK_EQ(numbers[i], 1);
}

ASYNC_TEST(a_thread_call_can_be_cancelled_in_each_turn)
{
    for (int turns = 0; turns < 8; turns++) {
        int number = 0, result = 1;
        async_task *task = async_task_new(call_thread, &number);

        for (int i = 0; i < turns; i++)
            ASYNC_CHECK_EQ(await_sleep(0), 0);
        async_task_cancel(task);
        ASYNC_CHECK_EQ(await_task(task, &result), 0);
        ASYNC_CHECK(result == 1 || result == ASYNC_ECANCELED);
        ASYNC_CHECK(result != 1 || number == 1);
    }
}

/* ---- futures ---- */

static void *return_arg(void *arg)
{
    return arg;
}

ASYNC_TEST(a_job_in_an_executor_is_a_future)
{
    async_executor *executor = async_executor_new(2);
    async_future *future = async_run_in_executor(executor, return_arg, &count_free);
    async_future *other = async_run_in_executor(NULL, return_arg, NULL);
    void *value = NULL;

    ASYNC_CHECK_EQ(await_future(future), 0);
    ASYNC_CHECK_EQ(async_future_result(future, &value), 0);
    ASYNC_CHECK(value == &count_free);
    async_future_unref(future);
    ASYNC_CHECK_EQ(await_future(other), 0);
    ASYNC_CHECK_EQ(async_future_result(other, &value), 0);
    ASYNC_CHECK(value == NULL);
    async_future_unref(other);
    ASYNC_CHECK_EQ(await_executor_shutdown(executor), 0);
    ASYNC_CHECK(async_run_in_executor(executor, return_arg, NULL) == NULL);
    ASYNC_CHECK_HAS(async_last_error(), "async_run_in_executor: ");
    ASYNC_CHECK_EQ(await_executor_shutdown(executor), 0);
    ASYNC_CHECK_EQ(await_executor_shutdown(NULL), -EINVAL);
    ASYNC_CHECK(async_run_in_executor(NULL, NULL, NULL) == NULL);
    async_executor_free(executor);
    async_executor_free(NULL);
}

ASYNC_TEST(shutdown_waits_for_all_jobs)
{
    enum { COUNT = 20 };
    async_executor *executor = async_executor_new(3);
    async_future *futures[COUNT];

    for (int i = 0; i < COUNT; i++)
        futures[i] = async_run_in_executor(executor, return_arg, NULL);
    ASYNC_CHECK_EQ(await_executor_shutdown(executor), 0);
    for (int i = 0; i < COUNT; i++) {
        ASYNC_CHECK_EQ(async_future_done(futures[i]), 1);
        ASYNC_CHECK_EQ(async_future_cancelled(futures[i]), 0);
        async_future_unref(futures[i]);
    }
    async_executor_free(executor);
}

static void *count_up(void *arg)
{
    ++*(int *)arg;
    return arg;
}

ASYNC_TEST(cancelling_a_future_takes_back_a_job_that_has_not_begun)
{
    async_executor *executor = async_executor_new(1);
    int first = 0, second = 0;
    async_future *one = async_run_in_executor(executor, count_up, &first);
    async_future *two = async_run_in_executor(executor, count_up, &second);

    ASYNC_CHECK_EQ(async_future_cancel(two), 1);
    ASYNC_CHECK_EQ(await_executor_shutdown(executor), 0);
    ASYNC_CHECK_EQ(first, 1);
    ASYNC_CHECK_EQ(second, 0);
    ASYNC_CHECK_EQ(async_future_done(one), 1);
    async_future_unref(one);
    async_future_unref(two);
    async_executor_free(executor);
}

ASYNC_TEST(a_freed_executor_cancels_what_has_not_begun)
{
    async_executor *executor = async_executor_new(1);
    int first = 0, second = 0;
    async_future *one = async_run_in_executor(executor, count_up, &first);
    async_future *two = async_run_in_executor(executor, count_up, &second);

    async_executor_free(executor);
    ASYNC_CHECK_EQ(async_future_cancelled(two), 1);
    ASYNC_CHECK_EQ(await_future(one), 0);
    ASYNC_CHECK_EQ(second, 0);
    async_future_unref(one);
    async_future_unref(two);
}

static atomic_int noted;

static void *note(void *arg)
{
    atomic_fetch_add(&noted, 1);
    return arg;
}

ASYNC_TEST(dropped_futures_do_not_hurt)
{
    async_future_unref(async_run_in_executor(NULL, note, NULL));
    while (atomic_load(&noted) == 0)
        ASYNC_CHECK_EQ(await_sleep(0.001), 0);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    ASYNC_CHECK_EQ(atomic_load(&noted), 1);
}

ASYNC_TEST(each_allocation_of_a_job_may_fail)
{
    int number = 0, failures = 0;

    ASYNC_CHECK_EQ(await_to_thread(add_one, &number, NULL), 0);
    for (long n = 1; n <= 8; n++) {
        async_future *future;
        int r;

        async_test_fail_allocation(n, 0);
        r = await_to_thread(add_one, &number, NULL);
        ASYNC_CHECK(r == 0 || r == -ENOMEM || r == -EAGAIN);
        failures += r < 0;
        async_test_fail_allocation(n, 0);
        future = async_run_in_executor(NULL, count_up, &number);
        failures += future == NULL;
        if (future)
            ASYNC_CHECK_EQ(await_future(future), 0);
        async_future_unref(future);
    }
    async_test_fail_allocation(0, 0);
    ASYNC_CHECK(failures > 0);
}
