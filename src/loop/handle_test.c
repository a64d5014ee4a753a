/* SPDX-License-Identifier: MIT */
/* Design notes: callbacks write a letter each, so that an order is one text to compare. */
#include "loop/loop.h"

#include <await/testing.h>
#include <math.h>
#include <string.h>

static char trace[4096];

static int write_letter(void *arg)
{
    strcat(trace, arg);
    return 0;
}

static async_loop *open_loop(void)
{
    async_loop *loop = async_loop_new(async_test_options());

    ASYNC_CHECK(loop);
    trace[0] = 0;
    return loop;
}

static int turn(async_loop *loop)
{
    return async_loop_turn(loop, 0);
}

/* ---- call_soon ---- */

static int numbers[1000], number_count;

static int write_number(void *arg)
{
    numbers[number_count++] = (int)(intptr_t)arg;
    return 0;
}

ASYNC_TEST_PLAIN(a_thousand_callbacks_run_in_the_order_of_their_calls)
{
    async_loop *loop = open_loop();

    for (intptr_t i = 0; i < 1000; i++)
        ASYNC_CHECK(async_loop_call_soon(loop, write_number, (void *)i));
    ASYNC_CHECK_EQ(turn(loop), 1000);
    for (int i = 0; i < 1000; i++)
        ASYNC_CHECK_EQ(numbers[i], i);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_callback_runs_once)
{
    async_loop *loop = open_loop();

    async_loop_call_soon(loop, write_letter, "a");
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_EQ(turn(loop), 0);
    ASYNC_CHECK_STR(trace, "a");
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(no_callback_runs_before_its_turn)
{
    async_loop *loop = open_loop();

    async_loop_call_soon(loop, write_letter, "a");
    ASYNC_CHECK_STR(trace, "");
    async_loop_close(loop);
    ASYNC_CHECK_STR(trace, "");
}

/* ---- call_later and call_at ---- */

ASYNC_TEST_PLAIN(timers_run_in_the_order_of_their_times_not_of_their_calls)
{
    async_loop *loop = open_loop();
    double now = async_loop_time(loop);

    async_loop_call_at(loop, now + 0.03, write_letter, "d");
    async_loop_call_later(loop, 0.02, write_letter, "c");
    async_loop_call_at(loop, now + 0.01, write_letter, "b");
    async_loop_call_later(loop, 0.005, write_letter, "a");
    while (strlen(trace) < 4)
        ASYNC_CHECK(async_loop_turn(loop, INFINITY) >= 0);
    ASYNC_CHECK_STR(trace, "abcd");
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(timers_of_equal_times_run_in_the_order_of_their_calls)
{
    async_loop *loop = open_loop();
    double when = async_loop_time(loop) + 0.01;

    for (intptr_t i = 0; i < 1000; i++)
        ASYNC_CHECK(async_loop_call_at(loop, when, write_number, (void *)i));
    while (number_count < 1000)
        ASYNC_CHECK(async_loop_turn(loop, INFINITY) >= 0);
    for (int i = 0; i < 1000; i++)
        ASYNC_CHECK_EQ(numbers[i], i);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(no_timer_runs_early)
{
    async_loop *loop = open_loop();
    double start = async_loop_time(loop);

    async_loop_call_later(loop, 0.05, write_letter, "a");
    while (!*trace)
        ASYNC_CHECK(async_loop_turn(loop, INFINITY) >= 0);
    ASYNC_CHECK(async_loop_time(loop) >= start + 0.05);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_delay_of_zero_or_less_is_the_next_turn)
{
    async_loop *loop = open_loop();

    async_loop_call_later(loop, 0, write_letter, "a");
    async_loop_call_later(loop, -5, write_letter, "b");
    async_loop_call_later(loop, -INFINITY, write_letter, "c");
    async_loop_call_at(loop, -INFINITY, write_letter, "d");
    async_loop_call_at(loop, 0, write_letter, "e");
    ASYNC_CHECK_EQ(turn(loop), 5);
    ASYNC_CHECK_EQ(strlen(trace), 5);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(an_infinite_delay_never_ends)
{
    async_loop *loop = open_loop();
    async_handle *handle = async_loop_call_later(loop, INFINITY, write_letter, "a");

    ASYNC_CHECK(handle);
    ASYNC_CHECK(isinf(async_handle_when(handle)));
    ASYNC_CHECK(async_loop_call_at(loop, INFINITY, write_letter, "b"));
    ASYNC_CHECK(async_loop_call_later(loop, 1e300, write_letter, "c"));
    async_loop_call_later(loop, 0.01, write_letter, "x");
    while (!*trace)
        ASYNC_CHECK(async_loop_turn(loop, INFINITY) >= 0);
    for (int i = 0; i < 10; i++)
        ASYNC_CHECK_EQ(async_loop_turn(loop, 0.001), 0);
    ASYNC_CHECK_STR(trace, "x");
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_handle_knows_when_it_is_due)
{
    async_loop *loop = open_loop();
    double now = async_loop_time(loop);
    async_handle *at = async_loop_call_at(loop, now + 5, write_letter, "a");
    async_handle *later = async_loop_call_later(loop, 7, write_letter, "a");

    ASYNC_CHECK(fabs(async_handle_when(at) - (now + 5)) < 1e-6);
    ASYNC_CHECK(async_handle_when(later) >= now + 7 - 1e-6);
    ASYNC_CHECK(isnan(async_handle_when(async_loop_call_soon(loop, write_letter, "a"))));
    ASYNC_CHECK(isnan(async_handle_when(NULL)));
    async_loop_close(loop);
}

/* ---- cancelling, in each state ---- */

ASYNC_TEST_PLAIN(a_cancelled_ready_callback_does_not_run)
{
    async_loop *loop = open_loop();
    async_handle *handle;

    async_loop_call_soon(loop, write_letter, "a");
    handle = async_loop_call_soon(loop, write_letter, "b");
    async_loop_call_soon(loop, write_letter, "c");
    async_handle_cancel(handle);
    ASYNC_CHECK_EQ(turn(loop), 2);
    ASYNC_CHECK_STR(trace, "ac");
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_cancelled_timer_does_not_run_and_is_not_counted_any_more)
{
    async_loop *loop = open_loop();
    async_loop_statistics statistics = { .size = sizeof statistics };
    async_handle *handle = async_loop_call_later(loop, 0.001, write_letter, "a");

    async_loop_call_later(loop, 0.002, write_letter, "b");
    async_handle_cancel(handle);
    ASYNC_CHECK_EQ(async_loop_get_statistics(loop, &statistics), 0);
    ASYNC_CHECK_EQ(statistics.timers, 1);
    while (!*trace)
        ASYNC_CHECK(async_loop_turn(loop, INFINITY) >= 0);
    ASYNC_CHECK_STR(trace, "b");
    async_loop_close(loop);
}

static async_handle *victim;

static int cancel_victim(void *arg)
{
    async_handle_cancel(victim);
    return write_letter(arg);
}

ASYNC_TEST_PLAIN(a_callback_cancelled_by_an_earlier_one_of_the_same_turn_does_not_run)
{
    async_loop *loop = open_loop();

    async_loop_call_soon(loop, cancel_victim, "a");
    victim = async_loop_call_soon(loop, write_letter, "b");
    async_loop_call_soon(loop, write_letter, "c");
    ASYNC_CHECK_EQ(turn(loop), 2);
    ASYNC_CHECK_STR(trace, "ac");
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_due_timer_cancelled_by_an_earlier_one_of_the_same_turn_does_not_run)
{
    async_loop *loop = open_loop();

    async_loop_call_at(loop, 1, cancel_victim, "a");
    victim = async_loop_call_at(loop, 2, write_letter, "b");
    async_loop_call_at(loop, 3, write_letter, "c");
    ASYNC_CHECK_EQ(turn(loop), 2);
    ASYNC_CHECK_STR(trace, "ac");
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_due_timer_cancelled_by_a_ready_callback_of_the_same_turn_does_not_run)
{
    async_loop *loop = open_loop();

    victim = async_loop_call_at(loop, 1, write_letter, "b");
    async_loop_call_soon(loop, cancel_victim, "a");
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_STR(trace, "a");
    async_loop_close(loop);
}

static int fail_with(void *arg)
{
    return (int)(intptr_t)arg;
}

ASYNC_TEST_PLAIN(what_a_stopped_turn_left_can_be_cancelled)
{
    async_loop *loop = open_loop();
    async_handle *ready, *due;

    async_loop_call_soon(loop, fail_with, (void *)(intptr_t)-7);
    ready = async_loop_call_soon(loop, write_letter, "a");
    async_loop_call_soon(loop, write_letter, "b");
    due = async_loop_call_at(loop, 1, write_letter, "c");
    async_loop_call_at(loop, 2, write_letter, "d");
    ASYNC_CHECK_EQ(turn(loop), -7);
    async_handle_cancel(ready);
    async_handle_cancel(due);
    ASYNC_CHECK_EQ(turn(loop), 2);
    ASYNC_CHECK_STR(trace, "bd");
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(cancelling_null_does_nothing)
{
    async_handle_cancel(NULL);
}

static int schedule_another(void *arg)
{
    async_loop *loop = arg;

    strcat(trace, "1");
    ASYNC_CHECK(async_loop_call_soon(loop, write_letter, "2"));
    ASYNC_CHECK(async_loop_call_later(loop, 0, write_letter, "3"));
    return 0;
}

ASYNC_TEST_PLAIN(a_callback_may_schedule_others_in_the_memory_of_its_own_handle)
{
    async_loop *loop = open_loop();

    async_loop_call_soon(loop, schedule_another, loop);
    ASYNC_CHECK_EQ(turn(loop), 1);
    while (strlen(trace) < 3) /* a turn with something to run may leave out its look at the clock */
        ASYNC_CHECK_EQ(turn(loop) > 0, 1);
    ASYNC_CHECK_STR(trace, "123");
    async_loop_close(loop);
}

/* ---- memory ---- */

ASYNC_TEST_PLAIN(handles_are_used_again_without_allocating)
{
    async_loop *loop = open_loop();
    long before;

    for (int i = 0; i < 100; i++)
        async_loop_call_soon(loop, write_letter, "");
    turn(loop);
    before = async_test_allocations();
    for (int i = 0; i < 1000; i++) {
        for (int j = 0; j < 100; j++)
            async_loop_call_soon(loop, write_letter, "");
        turn(loop);
    }
    ASYNC_CHECK_EQ(async_test_allocations(), before);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_burst_of_handles_gives_most_of_its_memory_back)
{
    async_loop *loop = open_loop();
    long before = async_test_allocations_live();

    for (int i = 0; i < 20000; i++)
        async_loop_call_soon(loop, write_letter, "");
    turn(loop);
    ASYNC_CHECK(async_test_allocations_live() - before <= AW_FREE_CALLBACKS_MAX);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(closing_a_loop_frees_callbacks_in_every_state)
{
    async_loop *loop = open_loop();

    async_loop_call_soon(loop, fail_with, (void *)(intptr_t)-1);
    async_loop_call_soon(loop, write_letter, "running");
    async_loop_call_at(loop, 1, write_letter, "due");
    ASYNC_CHECK_EQ(turn(loop), -1);
    async_loop_call_soon(loop, write_letter, "ready");
    async_loop_call_later(loop, 5, write_letter, "timer");
    async_loop_call_later(loop, INFINITY, write_letter, "never");
    ASYNC_CHECK_EQ(async_loop_call_soon_threadsafe(loop, write_letter, "posted"), 0);
    ASYNC_CHECK_EQ(async_loop_close(loop), 0);
    ASYNC_CHECK_STR(trace, "");
}

/* ---- bad input ---- */

ASYNC_TEST_PLAIN(wrong_arguments_are_refused_with_a_sentence)
{
    async_loop *loop = open_loop();

    ASYNC_CHECK(!async_loop_call_soon(NULL, write_letter, NULL));
    ASYNC_CHECK_HAS(async_last_error(), "async_call_soon");
    ASYNC_CHECK(!async_loop_call_soon(loop, NULL, NULL));
    ASYNC_CHECK(!async_loop_call_later(NULL, 1, write_letter, NULL));
    ASYNC_CHECK(!async_loop_call_later(loop, NAN, write_letter, NULL));
    ASYNC_CHECK_HAS(async_last_error(), "not a number");
    ASYNC_CHECK(!async_loop_call_later(loop, 1, NULL, NULL));
    ASYNC_CHECK_HAS(async_last_error(), "async_call_later");
    ASYNC_CHECK(!async_loop_call_at(NULL, 1, write_letter, NULL));
    ASYNC_CHECK(!async_loop_call_at(loop, NAN, write_letter, NULL));
    ASYNC_CHECK_HAS(async_last_error(), "async_call_at");
    ASYNC_CHECK_EQ(async_loop_call_soon_threadsafe(NULL, write_letter, NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_call_soon_threadsafe(loop, NULL, NULL), -EINVAL);
    ASYNC_CHECK_EQ(turn(loop), 0);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(without_a_running_loop_the_short_forms_say_so)
{
    ASYNC_CHECK(!async_call_soon(write_letter, NULL));
    ASYNC_CHECK_HAS(async_last_error(), "no loop is running");
    ASYNC_CHECK(!async_call_later(1, write_letter, NULL));
    ASYNC_CHECK(!async_call_at(1, write_letter, NULL));
    ASYNC_CHECK(isnan(async_time()));
    ASYNC_CHECK_EQ(async_add_reader(0, write_letter, NULL), ASYNC_ENOTASK);
    ASYNC_CHECK_EQ(async_add_writer(0, write_letter, NULL), ASYNC_ENOTASK);
    ASYNC_CHECK_EQ(async_remove_reader(0), ASYNC_ENOTASK);
    ASYNC_CHECK_EQ(async_remove_writer(0), ASYNC_ENOTASK);
    ASYNC_CHECK(!async_get_running_loop());
    async_stop();
}

ASYNC_TEST_PLAIN(a_host_names_the_running_loop_for_the_short_forms)
{
    async_loop *loop = open_loop();

    async_set_running_loop(loop);
    ASYNC_CHECK(async_get_running_loop() == loop);
    ASYNC_CHECK(async_call_soon(write_letter, "a"));
    ASYNC_CHECK(async_call_later(0, write_letter, "b"));
    ASYNC_CHECK(async_call_at(0, write_letter, "c"));
    ASYNC_CHECK(async_time() > 0);
    ASYNC_CHECK_EQ(turn(loop), 3);
    async_set_running_loop(NULL);
    ASYNC_CHECK(!async_get_running_loop());
    ASYNC_CHECK_STR(trace, "acb");
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(without_memory_scheduling_fails_and_nothing_else)
{
    async_loop *loop = open_loop();

    async_test_fail_allocation(1, 1);
    ASYNC_CHECK(!async_loop_call_soon(loop, write_letter, "x"));
    ASYNC_CHECK_HAS(async_last_error(), "no memory");
    ASYNC_CHECK(!async_loop_call_later(loop, 0, write_letter, "x"));
    ASYNC_CHECK(!async_loop_call_at(loop, 0, write_letter, "x"));
    ASYNC_CHECK_EQ(async_loop_call_soon_threadsafe(loop, write_letter, "x"), -ENOMEM);
    async_test_fail_allocation(2, 0); /* the handle is there, but not the heap */
    ASYNC_CHECK(!async_loop_call_later(loop, 0, write_letter, "x"));
    ASYNC_CHECK(async_loop_call_later(loop, 0, write_letter, "a"));
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_STR(trace, "a");
    async_loop_close(loop);
}
