/* SPDX-License-Identifier: MIT */
#include <await/testing.h>
#include <pthread.h>
#include <string.h>

async_def(who_am_i, async_task **, ret_task)
{
    *ret_task = async_current_task();
    if (await_sleep(0) < 0)
        return -1;
    return async_current_task() == *ret_task ? 0 : -1;
}

ASYNC_TEST(each_task_knows_itself)
{
    async_task *self = async_current_task(), *seen_a, *seen_b;
    async_task *a = async_create_task(who_am_i, &seen_a), *b = async_create_task(who_am_i, &seen_b);

    ASYNC_CHECK(self != NULL);
    async_task_ref(a);
    async_task_ref(b);
    ASYNC_CHECK_EQ(await_gather(a, b), 0);
    ASYNC_CHECK(seen_a == a);
    ASYNC_CHECK(seen_b == b);
    ASYNC_CHECK(async_current_task() == self);
    async_task_unref(a);
    async_task_unref(b);
}

static int check_no_task(void *arg)
{
    ASYNC_CHECK(async_current_task() == NULL);
    ASYNC_CHECK(async_get_running_loop() == arg);
    return 0;
}

ASYNC_TEST(a_callback_has_a_loop_but_no_task)
{
    async_loop *loop = async_get_running_loop();

    ASYNC_CHECK(loop != NULL);
    async_call_soon(check_no_task, loop);
    ASYNC_CHECK_EQ(await_sleep(0.001), 0);
    ASYNC_CHECK(async_get_running_loop() == loop);
}

static void *check_nothing(void *arg)
{
    ASYNC_CHECK(async_current_task() == NULL);
    ASYNC_CHECK(async_get_running_loop() == NULL);
    return arg;
}

ASYNC_TEST(another_thread_has_neither)
{
    pthread_t thread;

    ASYNC_CHECK_EQ(pthread_create(&thread, NULL, check_nothing, NULL), 0);
    pthread_join(thread, NULL);
}

ASYNC_TEST_PLAIN(outside_there_is_neither)
{
    ASYNC_CHECK(async_current_task() == NULL);
    ASYNC_CHECK(async_get_running_loop() == NULL);
    ASYNC_CHECK_EQ(async_cancelled(), 0);
}

/* ---- the newest failure's sentence ---- */

async_def(fails_otherwise)
{
    ASYNC_CHECK_STR(async_last_error(), "");
    ASYNC_CHECK_EQ(await_task(NULL, NULL), -ENOMEM);
    ASYNC_CHECK_HAS(async_last_error(), "await_task");
    if (await_sleep(0.02) < 0)
        return -1;
    ASYNC_CHECK_HAS(async_last_error(), "await_task");
    return 0;
}

ASYNC_TEST(each_task_sees_the_sentence_of_its_own_newest_failure)
{
    async_task *other;

    ASYNC_CHECK_STR(async_last_error(), "");
    ASYNC_CHECK_EQ(async_future_set_result(NULL, NULL), -EINVAL);
    other = async_create_task(fails_otherwise);
    ASYNC_CHECK_EQ(await_sleep(0.01), 0);
    ASYNC_CHECK_HAS(async_last_error(), "async_future_set_result");
    ASYNC_CHECK_EQ(await_task(other, NULL), 0);
    ASYNC_CHECK_HAS(async_last_error(), "async_future_set_result");
    ASYNC_CHECK_EQ(async_task_set_name(NULL, NULL), -EINVAL);
    ASYNC_CHECK_HAS(async_last_error(), "async_task_set_name");
}

static int fail_in_callback(void *arg)
{
    async_future_set_result(NULL, NULL);
    ASYNC_CHECK_HAS(async_last_error(), "async_future_set_result");
    return arg != NULL;
}

ASYNC_TEST(the_failure_of_a_callback_is_not_a_tasks)
{
    async_call_soon(fail_in_callback, NULL);
    ASYNC_CHECK_EQ(await_sleep(0.01), 0);
    ASYNC_CHECK_STR(async_last_error(), "");
}

/* ---- debug mode: another thread ---- */

struct foreign {
    async_loop *loop;
    async_future *future;
};

static int never_runs(void *arg)
{
    (void)arg;
    ASYNC_FAIL("a task made by another thread ran");
}

static void *use_foreign_loop(void *arg)
{
    struct foreign *foreign = arg;

    ASYNC_CHECK(!async_loop_create_task(foreign->loop, never_runs, NULL, NULL));
    ASYNC_CHECK_HAS(async_last_error(), "does not own the loop");
    ASYNC_CHECK_EQ(async_future_set_result(foreign->future, NULL), ASYNC_ETHREAD);
    ASYNC_CHECK_EQ(async_future_set_error(foreign->future, -EIO), ASYNC_ETHREAD);
    ASYNC_CHECK_EQ(async_loop_run_until_complete(foreign->loop, NULL, NULL), -ENOMEM);
    return NULL;
}

ASYNC_TEST(in_debug_mode_another_thread_makes_no_tasks_and_completes_no_futures)
{
    struct foreign foreign = { async_get_running_loop(), async_future_new() };
    pthread_t thread;

    async_loop_set_debug(foreign.loop, 1);
    ASYNC_CHECK_EQ(pthread_create(&thread, NULL, use_foreign_loop, &foreign), 0);
    pthread_join(thread, NULL);
    ASYNC_CHECK_EQ(async_future_done(foreign.future), 0);
    async_future_unref(foreign.future);
}

/* ---- two loops on one thread, driven by a host ---- */

async_def(drives_another_loop, async_loop *, other, async_task *, inner)
{
    async_task *self = async_current_task();

    while (!async_task_done(inner))
        ASYNC_CHECK(async_loop_turn(other, 0.001) >= 0);
    ASYNC_CHECK(async_current_task() == self);
    return await_sleep(0);
}

ASYNC_SUSPENDS static int sleep_a_little(void *arg)
{
    return await_sleep(0.002) + (arg != NULL);
}

ASYNC_TEST(a_task_that_turns_another_loop_is_itself_afterwards)
{
    async_loop *other = async_loop_new(async_test_options());
    async_task *inner = async_loop_create_task(other, sleep_a_little, NULL, NULL);

    ASYNC_CHECK_EQ(await_task(async_create_task(drives_another_loop, other, inner), NULL), 0);
    async_task_unref(inner);
    ASYNC_CHECK_EQ(async_loop_close(other), 0);
}
