/* SPDX-License-Identifier: MIT */
#include "backend/backend.h"
#include "loop/loop.h"
#include "task/task.h"

#include <await/testing.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static char trace[2000];

static void write_letter(const char *letter)
{
    strcat(trace, letter);
}

/* ---- await_suspend and async_resume ---- */

static int results[10];

async_def(suspends, int, slot)
{
    results[slot] = await_suspend("my_wait");
    write_letter("s");
    return results[slot] < 0 ? results[slot] : 0;
}

ASYNC_TEST(a_suspended_task_gets_the_value_it_is_resumed_with_in_the_next_turn)
{
    async_task *task = async_create_task(suspends, 0);

    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_STR(async_task_waiting(task), "my_wait");
    ASYNC_CHECK_EQ(async_resume(task, 42), 0);
    ASYNC_CHECK_STR(trace, "");
    ASYNC_CHECK_STR(async_task_waiting(task), "");
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    ASYNC_CHECK_EQ(results[0], 42);
}

ASYNC_TEST(a_task_that_is_not_parked_there_cannot_be_resumed)
{
    async_task *task = async_create_task(suspends, 0);

    ASYNC_CHECK_EQ(async_resume(task, 1), ASYNC_ESTATE);                 /* has not begun */
    ASYNC_CHECK_EQ(async_resume(async_current_task(), 1), ASYNC_ESTATE); /* runs */
    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_EQ(async_resume(task, -1), -EINVAL);
    ASYNC_CHECK_EQ(async_resume(task, 1), 0);
    ASYNC_CHECK_EQ(async_resume(task, 2), ASYNC_ESTATE);
    ASYNC_CHECK_HAS(async_last_error(), "'suspends'");
    async_task_ref(task);
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    ASYNC_CHECK_EQ(results[0], 1);
    ASYNC_CHECK_EQ(async_resume(task, 3), ASYNC_ESTATE); /* has ended */
    async_task_unref(task);
}

async_def(sleeps_long)
{
    return await_sleep(1000);
}

ASYNC_TEST(a_task_that_waits_for_something_else_cannot_be_resumed)
{
    async_task *task = async_create_task(sleeps_long);

    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_EQ(async_resume(task, 1), ASYNC_ESTATE);
    async_task_cancel(task);
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
}

async_def(suspends_and_goes_on)
{
    results[0] = await_suspend(NULL);
    results[1] = await_sleep(0);
    return 0;
}

ASYNC_TEST(a_task_resumed_and_then_cancelled_has_its_value_and_the_next_await_is_refused)
{
    async_task *task = async_create_task(suspends_and_goes_on);

    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_STR(async_task_waiting(task), "await_suspend");
    ASYNC_CHECK_EQ(async_resume(task, 5), 0);
    ASYNC_CHECK_EQ(async_task_cancel(task), 1);
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    ASYNC_CHECK_EQ(results[0], 5);
    ASYNC_CHECK_EQ(results[1], ASYNC_ECANCELED);
}

ASYNC_TEST(a_task_cancelled_and_then_resumed_is_cancelled_and_the_resumer_is_told)
{
    async_task *task = async_create_task(suspends_and_goes_on);

    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_EQ(async_task_cancel(task), 1);
    ASYNC_CHECK_EQ(async_resume(task, 5), ASYNC_ESTATE);
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    ASYNC_CHECK_EQ(results[0], ASYNC_ECANCELED);
}

ASYNC_TEST(resumed_tasks_run_in_the_order_of_their_resumption)
{
    async_task *tasks[3];

    for (int i = 0; i < 3; i++)
        tasks[i] = async_create_task(suspends, i);
    ASYNC_CHECK_EQ(await_sleep(0), 0);
    for (int i = 2; i >= 0; i--)
        ASYNC_CHECK_EQ(async_resume(tasks[i], i), 0);
    for (int i = 0; i < 3; i++)
        async_task_ref(tasks[i]);
    ASYNC_CHECK_EQ(await_gather_all(tasks, 3), 0);
    for (int i = 0; i < 3; i++) {
        ASYNC_CHECK_EQ(results[i], i);
        async_task_unref(tasks[i]);
    }
}

ASYNC_TEST_PLAIN(suspending_outside_of_a_task_is_refused)
{
    ASYNC_CHECK_EQ(await_suspend("nothing"), ASYNC_ENOTASK);
}

/* ---- eager start ---- */

async_def(writes_and_sleeps, const char *, before, const char *, after)
{
    int r;

    write_letter(before);
    r = await_sleep(0);
    write_letter(after);
    return r;
}

ASYNC_TEST(an_eager_task_runs_to_its_first_suspension_at_once)
{
    async_task *task;

    write_letter("1");
    task = await_create_task_eager(writes_and_sleeps, "a", "b");
    write_letter("2");
    ASYNC_CHECK_STR(trace, "1a2");
    ASYNC_CHECK_HAS(async_task_birthplace(task), "step_test.c:");
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    ASYNC_CHECK_STR(trace, "1a2b");
}

async_def(ends_at_once, int, result)
{
    write_letter("e");
    return result;
}

ASYNC_TEST(an_eager_task_may_end_at_once)
{
    async_task *task = await_create_task_eager(ends_at_once, 5);
    int result;

    ASYNC_CHECK_STR(trace, "e");
    ASYNC_CHECK_EQ(async_task_done(task), 1);
    ASYNC_CHECK_EQ(await_task(task, &result), 0);
    ASYNC_CHECK_EQ(result, 5);
}

ASYNC_TEST(a_detached_eager_task_that_ended_at_once_with_a_failure_is_reported)
{
    async_task_unref(await_create_task_eager(ends_at_once, -EIO));
    ASYNC_CHECK_EQ(async_test_reports(), 1);
}

async_def(starts_eagerly, int, depth)
{
    async_task *inner;
    int r;

    write_letter("<");
    inner = depth > 0 ? await_create_task_eager(starts_eagerly, depth - 1) : NULL;
    write_letter("|");
    r = await_sleep(0);
    write_letter(">");
    return inner ? await_task(inner, NULL) : r;
}

ASYNC_TEST(eager_tasks_nest)
{
    async_task *task = await_create_task_eager(starts_eagerly, 3);

    ASYNC_CHECK_STR(trace, "<<<<||||");
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    ASYNC_CHECK_STR(trace, "<<<<||||>>>>");
}

async_def(begins_a_thousand_eagerly)
{
    for (int i = 0; i < 1000; i++) {
        async_task *task = await_create_task_eager(ends_at_once, 0);

        if (await_task(task, NULL) < 0)
            return -1;
        trace[0] = 0;
    }
    return 0;
}

static int eager_ran;

async_def(notes_that_it_ran)
{
    eager_ran = 1;
    return 0;
}

ASYNC_TEST(a_task_that_starts_thousands_eagerly_gives_way_to_others)
{
    async_task *busy = async_create_task(begins_a_thousand_eagerly), *other = async_create_task(notes_that_it_ran);

    ASYNC_CHECK_EQ(await_task(busy, NULL), 0);
    ASYNC_CHECK_EQ(eager_ran, 1);
    ASYNC_CHECK_EQ(await_task(other, NULL), 0);
}

ASYNC_SUSPENDS static int start_eagerly_in_a_callback(void *arg)
{
    *(async_task **)arg = await_create_task_eager(ends_at_once, 0);
    ASYNC_CHECK_STR(trace, "");
    return 0;
}

ASYNC_TEST(an_eager_start_outside_of_a_task_is_an_ordinary_one)
{
    async_task *task = NULL;

    async_call_soon(start_eagerly_in_a_callback, &task);
    ASYNC_CHECK_EQ(await_sleep(0.001), 0);
    ASYNC_CHECK_STR(trace, "e");
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    async_test_fail_allocation(1, 1);
    task = await_create_task_eager(ends_at_once, 0);
    async_test_fail_allocation(0, 0);
    if (task)
        ASYNC_CHECK_EQ(await_task(task, NULL), 0);
}

async_def(cancels_its_starter, async_task *, starter)
{
    async_task_cancel(starter);
    return 0;
}

async_def(is_cancelled_by_what_it_starts)
{
    async_task *task = await_create_task_eager(cancels_its_starter, async_current_task());

    results[0] = await_sleep(1);
    async_task_unref(task);
    return 0;
}

ASYNC_TEST(an_eager_task_may_cancel_the_one_that_starts_it)
{
    ASYNC_CHECK_EQ(await_task(async_create_task(is_cancelled_by_what_it_starts), NULL), 0);
    ASYNC_CHECK_EQ(results[0], ASYNC_ECANCELED);
}

/* ---- budgets ---- */

static int flag_set;

static int set_flag(void *arg)
{
    (void)arg;
    flag_set = 1;
    return 0;
}

async_def(awaits_what_is_done, async_future *, done, int *, ret_rounds)
{
    int rounds, r = 0;

    for (rounds = 0; !flag_set && rounds < 100000000 && r == 0; rounds++)
        r = await_future(done);
    *ret_rounds = rounds;
    return r;
}

ASYNC_TEST_ON("linux", a_task_whose_awaits_never_wait_lets_a_timer_fire)
{
    async_future *done = async_future_new();
    int rounds;

    async_future_set_result(done, NULL);
    async_call_later(0.01, set_flag, NULL);
    ASYNC_CHECK_EQ(await_task(async_create_task(awaits_what_is_done, done, &rounds), NULL), 0);
    ASYNC_CHECK_EQ(flag_set, 1);
    async_future_unref(done);
}

ASYNC_TEST(a_task_whose_awaits_never_wait_lets_other_tasks_run)
{
    async_future *done = async_future_new();
    async_task *busy, *other;
    int rounds;

    async_future_set_result(done, NULL);
    busy = async_create_task(awaits_what_is_done, done, &rounds);
    other = async_create_task(writes_and_sleeps, "a", "b");
    ASYNC_CHECK_EQ(await_task(other, NULL), 0);
    ASYNC_CHECK_STR(trace, "ab");
    flag_set = 1;
    ASYNC_CHECK_EQ(await_task(busy, NULL), 0);
    ASYNC_CHECK(rounds <= 4 * AW_TASK_BUDGET);
    async_future_unref(done);
}

async_def(joins_what_has_ended)
{
    for (int i = 0; i < 1000; i++) {
        async_task *task = async_create_task(notes_that_it_ran);

        async_task_ref(task);
        if (await_task(task, NULL) < 0 || await_task(task, NULL) < 0)
            return -1;
    }
    return 0;
}

ASYNC_TEST(joins_count_too)
{
    async_task *busy = async_create_task(joins_what_has_ended), *other = async_create_task(writes_and_sleeps, "a", "b");

    ASYNC_CHECK_EQ(await_task(other, NULL), 0);
    ASYNC_CHECK(!async_task_done(busy));
    ASYNC_CHECK_EQ(await_task(busy, NULL), 0);
}

static int stop_flag;

async_def(ignores_refusals)
{
    long refusals = 0;

    while (!stop_flag)
        refusals += await_sleep(0.1) == ASYNC_ECANCELED;
    results[0] = refusals >= AW_REFUSALS_REPORTED;
    return 0;
}

async_def(counts_to, long, turns)
{
    for (long i = 0; i < turns; i++)
        if (await_sleep(0) < 0)
            return -1;
    return 0;
}

ASYNC_TEST(a_task_that_ignores_its_cancellation_hangs_nobody_and_is_reported_once)
{
    async_task *stubborn = async_create_task(ignores_refusals);

    async_task_cancel(stubborn);
    ASYNC_CHECK_EQ(await_task(async_create_task(counts_to, 300), NULL), 0);
    stop_flag = 1;
    ASYNC_CHECK_EQ(await_task(stubborn, NULL), 0);
    ASYNC_CHECK_EQ(results[0], 1);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "'ignores_refusals'");
    ASYNC_CHECK_HAS(async_test_report(0), "10000");
    ASYNC_CHECK_HAS(async_test_report(0), "await_sleep");
    ASYNC_CHECK_HAS(async_test_report(0), "step_test.c:");
}

async_def(is_refused_often, int, times)
{
    async_timeout(0);

    for (int i = 0; i < times; i++)
        ASYNC_CHECK_EQ(await_sleep(0), ASYNC_ETIMEOUT);
    return 0;
}

ASYNC_TEST(fewer_refusals_are_not_reported_and_each_scope_counts_its_own)
{
    for (int i = 0; i < 3; i++)
        ASYNC_CHECK_EQ(is_refused_often(AW_REFUSALS_REPORTED - 1), 0);
    ASYNC_CHECK_EQ(async_test_reports(), 0);
    ASYNC_CHECK_EQ(is_refused_often(AW_REFUSALS_REPORTED * 3), 0);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "entered at");
}

/* ---- turns ---- */

async_def(writes_n_times, const char *, letter, int, times)
{
    for (int i = 0; i < times; i++) {
        write_letter(letter);
        if (await_sleep(0) < 0)
            return -1;
    }
    return 0;
}

static int write_callback(void *arg)
{
    write_letter(arg);
    return 0;
}

ASYNC_TEST(tasks_and_callbacks_take_turns_in_the_order_in_which_they_became_ready)
{
    async_task *a = async_create_task(writes_n_times, "a", 3);

    async_call_soon(write_callback, "1");
    ASYNC_CHECK_EQ(await_gather(a, async_create_task(writes_n_times, "b", 3),
                                async_create_task(writes_n_times, "c", 3)),
                   0);
    ASYNC_CHECK_STR(trace, "a1bcabcabc");
}

static int stop_the_turn(void *arg)
{
    (void)arg;
    return -9;
}

ASYNC_TEST_PLAIN(a_turn_stopped_by_a_callback_leaves_the_tasks_behind_it_ready)
{
    async_loop *loop = async_loop_new(async_test_options());
    async_task *a, *b;

    async_set_running_loop(loop);
    a = async_create_task(writes_n_times, "a", 1);
    async_call_soon(stop_the_turn, NULL);
    b = async_create_task(writes_n_times, "b", 1);
    ASYNC_CHECK_EQ(async_loop_turn(loop, 0), -9);
    ASYNC_CHECK_STR(trace, "a");
    ASYNC_CHECK(async_loop_turn(loop, 0) >= 1);
    ASYNC_CHECK_STR(trace, "ab");
    async_set_running_loop(NULL);
    ASYNC_CHECK_EQ(async_loop_run_until_complete(loop, a, NULL), 0);
    ASYNC_CHECK_EQ(async_loop_run_until_complete(loop, b, NULL), 0);
    async_loop_close(loop);
}

/* ---- debug mode ---- */

static void be_busy(double seconds)
{
    aw_sim_advance(async_get_running_loop()->backend, (int64_t)(seconds * 1e9));
}

async_def(hogs_the_loop, double, seconds)
{
    be_busy(seconds);
    return 0;
}

ASYNC_TEST_ON("sim", a_slow_step_is_reported_with_the_tasks_name)
{
    async_task *task = async_create_task(hogs_the_loop, 0.5);

    async_loop_set_debug(async_get_running_loop(), 1);
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "hogs_the_loop took 0.500 s");
}

ASYNC_TEST_ON("sim", a_slow_last_step_of_a_task_that_is_gone_is_reported_with_its_name)
{
    const async_task_options options = { .size = sizeof options, .name = "named and gone" };

    async_loop_set_debug(async_get_running_loop(), 1);
    async_task_unref(async_create_task_with(&options, hogs_the_loop, 0.5));
    ASYNC_CHECK_EQ(await_sleep(0.01), 0);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "named and gone took 0.500 s");
}

static int hog_in_callback(void *arg)
{
    (void)arg;
    be_busy(0.5);
    return 0;
}

ASYNC_TEST_ON("sim", a_slow_callback_is_not_blamed_on_the_task_that_ran_before_it)
{
    async_loop_set_debug(async_get_running_loop(), 1);
    async_call_soon(hog_in_callback, NULL);
    ASYNC_CHECK_EQ(await_sleep(0.01), 0);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "a callback took 0.500 s");
}

ASYNC_TEST_ON("sim", everything_works_in_debug_mode)
{
    async_loop_set_debug(async_get_running_loop(), 1);
    ASYNC_CHECK_EQ(await_gather(async_create_task(writes_n_times, "a", 2), async_create_task(writes_n_times, "b", 2),
                                await_create_task_eager(starts_eagerly, 2)),
                   0);
    ASYNC_CHECK_STR(trace, "<<<|||ab>>>ab");
}

async_def(fails_deep)
{
    return await_task(NULL, NULL);
}

ASYNC_TEST_ON("sim", in_debug_mode_a_failure_remembers_the_stack_of_the_call)
{
    async_task *task = async_create_task(fails_deep);
    int result;

    async_loop_set_debug(async_get_running_loop(), 1);
    async_task_ref(task);
    ASYNC_CHECK_EQ(await_task(task, &result), 0);
    ASYNC_CHECK_EQ(result, -ENOMEM);
    ASYNC_CHECK_HAS(async_task_error(task), "\n    in ");
    async_task_unref(task);
}

/* ---- overflow ---- */

static volatile int deepest = 1 << 30;

__attribute__((noinline)) static int recurse(int depth)
{
    volatile char frame[512];

    frame[0] = (char)depth;
    return depth == deepest ? 0 : recurse(depth + 1) + frame[0];
}

async_def(recurses_for_ever)
{
    return recurse(0);
}

AW_UNUSED static void overflow(void *arg)
{
    (void)arg;
    setenv("ASYNC_BACKEND", "sim", 1);
    async_run(recurses_for_ever);
}

ASYNC_TEST_PLAIN(endless_recursion_ends_the_process_with_the_tasks_name_birthplace_and_size)
{
#if AW_ASAN || AW_TSAN
    ASYNC_SKIP("the sanitizer reports it itself");
#else
    char text[4000];
    int status = async_test_death(overflow, NULL, text, sizeof text);

    ASYNC_CHECK(WIFSIGNALED(status));
    ASYNC_CHECK_HAS(text, "stack overflow in task 'recurses_for_ever'");
    ASYNC_CHECK_HAS(text, "step_test.c:");
    ASYNC_CHECK_HAS(text, " bytes");
#endif
}
