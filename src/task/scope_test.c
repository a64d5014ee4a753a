/* SPDX-License-Identifier: MIT */
/* Design notes: every way out of a block has to leave its scopes in order; so after each the task must be in a healthy
 * scope (async_cancelled() is 0, a sleep works) and no timer may be left in the loop. */
#include "backend/backend.h"
#include "loop/loop.h"

#include <await/testing.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND 0
#endif

static uint64_t timers_pending(void)
{
    async_loop_statistics s = { .size = sizeof s };

    ASYNC_CHECK_EQ(async_loop_get_statistics(async_get_running_loop(), &s), 0);
    return s.timers;
}

ASYNC_SUSPENDS static void check_healthy(void)
{
    ASYNC_CHECK_EQ(async_cancelled(), 0);
    ASYNC_CHECK_EQ(timers_pending(), 0);
    ASYNC_CHECK_EQ(await_sleep(0.001), 0);
}

static int no_op(void *arg)
{
    (void)arg;
    return 0;
}

/* Time passes without an await: the clock of the simulated backend jumps. */
static void be_busy(double seconds)
{
    aw_sim_advance(async_get_running_loop()->backend, (int64_t)(seconds * 1e9));
}

/* ---- ways out of a block ---- */

ASYNC_SUSPENDS static int leave_by_return(void)
{
    async_timeout(1);

    return await_sleep(0.1);
}

ASYNC_TEST_ON("sim", a_return_leaves_the_scope)
{
    ASYNC_CHECK_EQ(leave_by_return(), 0);
    check_healthy();
    ASYNC_CHECK_EQ(await_sleep(2), 0);
}

ASYNC_TEST_ON("sim", a_break_leaves_the_scope)
{
    for (;;) {
        async_timeout(1);
        ASYNC_CHECK_EQ(await_sleep(0.1), 0);
        break;
    }
    check_healthy();
    ASYNC_CHECK_EQ(await_sleep(2), 0);
}

ASYNC_TEST_ON("sim", a_continue_leaves_the_scope)
{
    for (int i = 0; i < 3; i++) {
        async_timeout(1);
        ASYNC_CHECK_EQ(await_sleep(0.9), 0);
        if (i < 2)
            continue;
        ASYNC_CHECK_EQ(await_sleep(0.9), ASYNC_ETIMEOUT);
    }
    check_healthy();
}

ASYNC_TEST_ON("sim", a_goto_out_of_the_block_leaves_the_scope)
{
    {
        async_timeout(1);
        ASYNC_CHECK_EQ(await_sleep(0.1), 0);
        goto out;
    }
out:
    check_healthy();
    ASYNC_CHECK_EQ(await_sleep(2), 0);
}

ASYNC_TEST_ON("sim", a_goto_back_leaves_the_scope_and_enters_it_anew)
{
    int rounds = 0;

again : {
    async_timeout(1);
    ASYNC_CHECK_EQ(await_sleep(0.9), 0);
    if (++rounds < 4)
        goto again;
}
    check_healthy();
    ASYNC_CHECK_EQ(rounds, 4);
}

ASYNC_TEST_ON("sim", the_end_of_the_block_leaves_the_scope)
{
    {
        async_timeout(0.5);
        ASYNC_CHECK_EQ(await_sleep(1), ASYNC_ETIMEOUT);
        ASYNC_CHECK_EQ(async_cancelled(), ASYNC_ETIMEOUT);
    }
    check_healthy();
}

ASYNC_TEST_ON("sim", nested_scopes_are_left_one_by_one)
{
    async_timeout(10, outer);
    {
        async_timeout(5, middle);
        {
            async_timeout(1, inner);
            ASYNC_CHECK_EQ(await_sleep(2), ASYNC_ETIMEOUT);
            ASYNC_CHECK(async_scope_expired(&inner));
        }
        ASYNC_CHECK(!async_scope_expired(&middle));
        ASYNC_CHECK_EQ(await_sleep(1), 0);
        ASYNC_CHECK_EQ(await_sleep(10), ASYNC_ETIMEOUT);
        ASYNC_CHECK(async_scope_expired(&middle));
    }
    ASYNC_CHECK(!async_scope_expired(&outer));
    ASYNC_CHECK_EQ(await_sleep(1), 0);
    ASYNC_CHECK_EQ(await_sleep(10), ASYNC_ETIMEOUT);
}

ASYNC_TEST_ON("sim", two_timeouts_in_one_block_both_hold_the_shorter_one_first)
{
    async_timeout(1);
    async_timeout(2);

    ASYNC_CHECK_EQ(timers_pending(), 2);
    ASYNC_CHECK_EQ(await_sleep(10), ASYNC_ETIMEOUT);
    ASYNC_CHECK_EQ(async_cancelled(), ASYNC_ETIMEOUT);
}

ASYNC_TEST_ON("sim", two_timeouts_in_one_block_both_hold_the_shorter_one_second)
{
    {
        async_timeout(2, first);
        async_timeout(1, second);

        ASYNC_CHECK_EQ(timers_pending(), 2);
        ASYNC_CHECK_EQ(await_sleep(10), ASYNC_ETIMEOUT);
        ASYNC_CHECK(!async_scope_expired(&first));
        ASYNC_CHECK(async_scope_expired(&second));
    }
    check_healthy();
}

ASYNC_TEST_ON("sim", two_timeouts_on_one_line_do_not_clash)
{
    {
        /* clang-format off */
        async_timeout(2); async_timeout(1); async_shield(); async_timeout(3);
        /* clang-format on */
        ASYNC_CHECK_EQ(timers_pending(), 3);
        ASYNC_CHECK_EQ(await_sleep(2.5), 0);
    }
    check_healthy();
}

/* Whatever the order of variables in the frame is, and whatever is inlined. */
ASYNC_SUSPENDS static inline __attribute__((always_inline)) int inlined_with_a_scope(double seconds)
{
    async_timeout(seconds);
    char big[300];

    memset(big, 1, sizeof big);
    return await_sleep(0.1) + big[7] - 1;
}

ASYNC_TEST_ON("sim", scopes_of_functions_that_were_inlined_are_in_order)
{
    char buf[200];
    async_timeout(50);

    memset(buf, 2, sizeof buf);
    for (int i = 0; i < 3; i++) {
        async_timeout(40);
        ASYNC_CHECK_EQ(inlined_with_a_scope(30), 0);
        {
            async_timeout(20);
            ASYNC_CHECK_EQ(inlined_with_a_scope(10), 0);
            ASYNC_CHECK_EQ(inlined_with_a_scope(0.01), ASYNC_ETIMEOUT);
            ASYNC_CHECK_EQ(timers_pending(), 3);
        }
        ASYNC_CHECK_EQ(timers_pending(), 2);
    }
    ASYNC_CHECK_EQ(timers_pending(), 1);
    ASYNC_CHECK_EQ(buf[100], 2);
}

ASYNC_TEST_ON("sim", a_scope_in_a_loop_is_a_new_one_each_time)
{
    for (int i = 0; i < 100; i++) {
        async_timeout(1);
        ASYNC_CHECK_EQ(await_sleep(i % 2 ? 0.9 : 1.1), i % 2 ? 0 : ASYNC_ETIMEOUT);
    }
    check_healthy();
}

ASYNC_SUSPENDS static int returns_under_a_timeout(double seconds)
{
    async_timeout(0.5);
    return await_sleep(seconds);
}

ASYNC_TEST_ON("sim", a_returned_await_is_evaluated_before_the_scope_is_left)
{
    ASYNC_CHECK_EQ(returns_under_a_timeout(1), ASYNC_ETIMEOUT);
    ASYNC_CHECK_EQ(returns_under_a_timeout(0.1), 0);
    check_healthy();
}

ASYNC_TEST_ON("sim", a_switch_leaves_the_scope)
{
    switch (timers_pending()) {
    case 0: {
        async_timeout(1);
        ASYNC_CHECK_EQ(await_sleep(0.1), 0);
        break;
    }
    default:
        ASYNC_FAIL("a timer is left");
    }
    check_healthy();
}

/* ---- deadlines ---- */

ASYNC_TEST_ON("sim", an_operation_that_completes_in_time_is_not_touched)
{
    double start = async_time();

    {
        async_timeout(1, t);
        ASYNC_CHECK_EQ(await_sleep(0.5), 0);
        ASYNC_CHECK(!async_scope_expired(&t));
    }
    ASYNC_CHECK(fabs(async_time() - start - 0.5) < 1e-6);
    check_healthy();
}

ASYNC_TEST_ON("sim", an_expired_scope_refuses_every_await_until_it_is_left)
{
    double start = async_time();

    {
        async_timeout(1);
        ASYNC_CHECK_EQ(await_sleep(5), ASYNC_ETIMEOUT);
        for (int i = 0; i < 20; i++)
            ASYNC_CHECK_EQ(await_sleep(5), ASYNC_ETIMEOUT);
        ASYNC_CHECK_EQ(await_sleep(0), ASYNC_ETIMEOUT);
    }
    ASYNC_CHECK(fabs(async_time() - start - 1) < 1e-6);
    check_healthy();
}

ASYNC_TEST_ON("sim", the_sentence_tells_the_operation_the_place_and_the_task)
{
    async_timeout(1);

    ASYNC_CHECK_EQ(await_sleep(5), ASYNC_ETIMEOUT);
    ASYNC_CHECK_HAS(async_last_error(), "await_sleep");
    ASYNC_CHECK_HAS(async_last_error(), "scope_test.c:");
    ASYNC_CHECK_HAS(async_last_error(), "main");
}

/* Both in one turn: the sleep and the deadline are timers of the same moment, and the sleep's was set first or second.
 */
ASYNC_TEST_ON("sim", completed_wins_over_expired_in_the_same_turn)
{
    double when = async_time() + 1;

    {
        async_future *future = async_future_new();
        async_timeout_at(when + 1e-9, t);

        ASYNC_CHECK(async_call_at(when, no_op, NULL));
        be_busy(0);
        async_future_set_result(future, NULL);
        be_busy(2); /* the deadline has passed, and nobody has seen it */
        ASYNC_CHECK_EQ(await_future(future), 0);
        ASYNC_CHECK_EQ(async_cancelled(), 0);
        ASYNC_CHECK_EQ(await_sleep(0), 0);
        ASYNC_CHECK_EQ(await_sleep(0), 0); /* in the turn in which the deadline was seen */
        ASYNC_CHECK(async_scope_expired(&t));
        ASYNC_CHECK_EQ(await_sleep(0), ASYNC_ETIMEOUT);
        async_future_unref(future);
    }
    check_healthy();
}

static int set_future(void *arg)
{
    async_future_set_result(arg, NULL);
    return 0;
}

ASYNC_TEST_ON("sim", a_future_that_is_set_right_before_the_deadline_is_a_success_and_the_next_await_tells)
{
    async_future *future = async_future_new();

    {
        double when = async_time() + 1;

        async_call_at(when, set_future, future);
        async_timeout_at(when, t);
        ASYNC_CHECK_EQ(await_future(future), 0);
        ASYNC_CHECK(async_scope_expired(&t));
        ASYNC_CHECK_EQ(await_sleep(1), ASYNC_ETIMEOUT);
    }
    async_future_unref(future);
    check_healthy();
}

ASYNC_TEST_ON("sim", a_future_that_is_set_right_after_the_deadline_is_a_timeout)
{
    async_future *future = async_future_new();

    {
        double when = async_time() + 1;
        async_timeout_at(when, t);

        async_call_at(when, set_future, future);
        ASYNC_CHECK_EQ(await_future(future), ASYNC_ETIMEOUT);
        ASYNC_CHECK(async_scope_expired(&t));
    }
    ASYNC_CHECK(async_future_done(future));
    async_future_unref(future);
    check_healthy();
}

ASYNC_TEST_ON("sim", the_outer_deadline_is_seen_through_the_inner_one)
{
    async_timeout(1, outer);
    {
        async_timeout(5, inner);
        ASYNC_CHECK_EQ(await_sleep(10), ASYNC_ETIMEOUT);
        ASYNC_CHECK(async_scope_expired(&outer));
        ASYNC_CHECK(!async_scope_expired(&inner));
        ASYNC_CHECK_EQ(async_cancelled(), ASYNC_ETIMEOUT);
    }
    ASYNC_CHECK_EQ(async_cancelled(), ASYNC_ETIMEOUT);
    ASYNC_CHECK_EQ(await_sleep(1), ASYNC_ETIMEOUT);
}

ASYNC_TEST_ON("sim", a_retry_loop_that_asks_whose_deadline_it_was_ends)
{
    int rounds = 0, r;

    {
        async_timeout(2.2);
        do {
            async_timeout(0.5);
            rounds++;
            r = await_sleep(10);
        } while (r == ASYNC_ETIMEOUT && !async_cancelled());
        ASYNC_CHECK_EQ(r, ASYNC_ETIMEOUT);
    }
    ASYNC_CHECK_EQ(rounds, 5);
    check_healthy();
}

ASYNC_TEST_ON("sim", a_timeout_of_zero_or_less_has_expired_already)
{
    {
        async_timeout(0, t);
        ASYNC_CHECK(async_scope_expired(&t));
        ASYNC_CHECK_EQ(await_sleep(0), ASYNC_ETIMEOUT);
    }
    {
        async_timeout(-1);
        ASYNC_CHECK_EQ(await_sleep(0), ASYNC_ETIMEOUT);
    }
    {
        async_timeout(-INFINITY);
        ASYNC_CHECK_EQ(await_sleep(0), ASYNC_ETIMEOUT);
    }
    {
        async_timeout_at(async_time() - 1);
        ASYNC_CHECK_EQ(await_sleep(0), ASYNC_ETIMEOUT);
    }
    check_healthy();
}

ASYNC_TEST_ON("sim", a_timeout_that_is_no_number_makes_each_await_invalid)
{
    {
        async_timeout(NAN, t);
        ASYNC_CHECK_EQ(await_sleep(0), -EINVAL);
        ASYNC_CHECK_EQ(await_sleep(1), -EINVAL);
        ASYNC_CHECK_EQ(async_cancelled(), -EINVAL);
        ASYNC_CHECK(!async_scope_expired(&t));
    }
    {
        async_timeout_at(NAN);
        ASYNC_CHECK_EQ(await_sleep(0), -EINVAL);
    }
    {
        async_shield(NAN);
        ASYNC_CHECK_EQ(await_sleep(0), -EINVAL);
    }
    check_healthy();
}

ASYNC_TEST_ON("sim", an_infinite_timeout_never_fires)
{
    async_timeout(INFINITY, t);
    async_timeout_at(INFINITY, at);
    async_timeout(1e300);

    ASYNC_CHECK(isinf(async_scope_when(&t)));
    ASYNC_CHECK(isinf(async_scope_when(&at)));
    ASYNC_CHECK_EQ(timers_pending(), 0);
    ASYNC_CHECK_EQ(await_sleep(1e6), 0);
}

ASYNC_TEST_ON("sim", a_timeout_at_a_moment_ends_then)
{
    double when = async_time() + 3;

    {
        async_timeout_at(when, t);
        ASYNC_CHECK(fabs(async_scope_when(&t) - when) < 1e-6);
        ASYNC_CHECK_EQ(await_sleep(10), ASYNC_ETIMEOUT);
    }
    ASYNC_CHECK(fabs(async_time() - when) < 1e-6);
    check_healthy();
}

ASYNC_TEST_ON("sim", a_busy_task_sees_its_deadline_at_an_await_that_suspends)
{
    async_timeout(1);

    be_busy(2);
    ASYNC_CHECK_EQ(async_cancelled(), 0);
    ASYNC_CHECK_EQ(await_sleep(1e-9), ASYNC_ETIMEOUT);
}

ASYNC_TEST_ON("sim", a_busy_task_sees_its_deadline_at_awaits_that_never_suspend)
{
    async_future *future = async_future_new();
    int r = 0, rounds;

    async_future_set_result(future, NULL);
    {
        async_timeout(1);
        for (rounds = 0; rounds < 100000 && r == 0; rounds++) {
            be_busy(0.01);
            r = await_future(future);
        }
    }
    ASYNC_CHECK_EQ(r, ASYNC_ETIMEOUT);
    ASYNC_CHECK(rounds >= 100);
    async_future_unref(future);
    check_healthy();
}

/* ---- a scope with a name ---- */

ASYNC_TEST_ON("sim", a_deadline_can_be_moved_away)
{
    double start = async_time();

    {
        async_timeout(1, t);
        ASYNC_CHECK_EQ(async_scope_reschedule(&t, start + 5), 0);
        ASYNC_CHECK(fabs(async_scope_when(&t) - start - 5) < 1e-6);
        ASYNC_CHECK_EQ(await_sleep(4), 0);
        ASYNC_CHECK_EQ(await_sleep(4), ASYNC_ETIMEOUT);
    }
    ASYNC_CHECK(fabs(async_time() - start - 5) < 1e-6);
    check_healthy();
}

ASYNC_TEST_ON("sim", a_deadline_can_be_moved_nearer_taken_away_and_set_again)
{
    async_timeout(100, t);

    ASYNC_CHECK_EQ(async_scope_reschedule(&t, INFINITY), 0);
    ASYNC_CHECK_EQ(timers_pending(), 0);
    ASYNC_CHECK(isinf(async_scope_when(&t)));
    ASYNC_CHECK_EQ(await_sleep(1000), 0);
    ASYNC_CHECK_EQ(async_scope_reschedule(&t, async_time() + 1), 0);
    ASYNC_CHECK_EQ(await_sleep(1000), ASYNC_ETIMEOUT);
}

ASYNC_TEST_ON("sim", a_deadline_moved_into_the_past_has_expired)
{
    async_timeout(100, t);

    ASYNC_CHECK_EQ(async_scope_reschedule(&t, async_time() - 1), 0);
    ASYNC_CHECK(async_scope_expired(&t));
    ASYNC_CHECK_EQ(await_sleep(0), ASYNC_ETIMEOUT);
}

ASYNC_TEST_ON("sim", a_deadline_that_has_passed_or_is_no_number_cannot_be_moved)
{
    async_timeout(1, t);

    ASYNC_CHECK_EQ(async_scope_reschedule(&t, NAN), -EINVAL);
    ASYNC_CHECK_EQ(await_sleep(2), ASYNC_ETIMEOUT);
    ASYNC_CHECK_EQ(async_scope_reschedule(&t, async_time() + 10), ASYNC_ESTATE);
    ASYNC_CHECK_EQ(await_sleep(2), ASYNC_ETIMEOUT);
    ASYNC_CHECK_EQ(async_scope_reschedule(NULL, 1), -EINVAL);
    ASYNC_CHECK_EQ(async_scope_expired(NULL), 0);
    ASYNC_CHECK(isnan(async_scope_when(NULL)));
    async_scope_cancel(NULL);
}

ASYNC_TEST_ON("sim", a_scope_can_be_cancelled_by_hand)
{
    {
        async_timeout(INFINITY, t);
        ASYNC_CHECK_EQ(await_sleep(1), 0);
        async_scope_cancel(&t);
        ASYNC_CHECK_EQ(await_sleep(1), ASYNC_ECANCELED);
        ASYNC_CHECK(!async_scope_expired(&t));
        ASYNC_CHECK_EQ(async_scope_reschedule(&t, async_time() + 1), ASYNC_ESTATE);
    }
    check_healthy();
}

static int cancel_scope(void *arg)
{
    async_scope_cancel(arg);
    return 0;
}

ASYNC_TEST_ON("sim", a_scope_cancelled_by_a_callback_wakes_its_task)
{
    double start = async_time();

    {
        async_timeout(10, t);
        async_call_later(2, cancel_scope, &t);
        ASYNC_CHECK_EQ(await_sleep(5), ASYNC_ECANCELED);
    }
    ASYNC_CHECK(fabs(async_time() - start - 2) < 1e-6);
    check_healthy();
}

ASYNC_TEST_ON("sim", the_first_reason_of_a_scope_stays)
{
    async_timeout(1, t);

    async_scope_cancel(&t);
    ASYNC_CHECK_EQ(await_sleep(2), ASYNC_ECANCELED);
    be_busy(5);
    {
        async_shield();
        ASYNC_CHECK_EQ(await_sleep(1), 0);
    }
    ASYNC_CHECK_EQ(await_sleep(2), ASYNC_ECANCELED);
    ASYNC_CHECK(!async_scope_expired(&t));
}

/* ---- shields ---- */

static async_task *victim;

static int cancel_victim(void *arg)
{
    (void)arg;
    async_task_cancel(victim);
    return 0;
}

static int steps[10];

async_def(shielded_worker)
{
    {
        async_shield();
        steps[0] = await_sleep(5);
        steps[1] = async_cancelled();
    }
    steps[2] = async_cancelled();
    steps[3] = await_sleep(1);
    return 7;
}

ASYNC_TEST_ON("sim", a_cancellation_does_not_reach_into_a_shield_and_is_seen_after_it)
{
    int result;

    victim = async_create_task(shielded_worker);
    async_call_later(1, cancel_victim, NULL);
    ASYNC_CHECK_EQ(await_task(victim, &result), 0);
    ASYNC_CHECK_EQ(result, 7);
    ASYNC_CHECK_EQ(steps[0], 0);
    ASYNC_CHECK_EQ(steps[1], 0);
    ASYNC_CHECK_EQ(steps[2], ASYNC_ECANCELED);
    ASYNC_CHECK_EQ(steps[3], ASYNC_ECANCELED);
}

async_def(graceful_worker)
{
    double start;

    steps[0] = await_sleep(100);
    start = async_time();
    {
        async_shield(2);
        steps[1] = await_sleep(1);
        steps[2] = await_sleep(10);
        steps[3] = (int)(async_time() - start + 0.5);
    }
    steps[4] = await_sleep(1);
    return 0;
}

ASYNC_TEST_ON("sim", a_shield_with_a_grace_lets_cleanup_work_for_so_long)
{
    victim = async_create_task(graceful_worker);
    async_call_later(1, cancel_victim, NULL);
    ASYNC_CHECK_EQ(await_task(victim, NULL), 0);
    ASYNC_CHECK_EQ(steps[0], ASYNC_ECANCELED);
    ASYNC_CHECK_EQ(steps[1], 0);
    ASYNC_CHECK_EQ(steps[2], ASYNC_ETIMEOUT);
    ASYNC_CHECK_EQ(steps[3], 2);
    ASYNC_CHECK_EQ(steps[4], ASYNC_ECANCELED);
}

ASYNC_TEST_ON("sim", the_grace_of_a_shield_counts_without_a_cancellation_too)
{
    {
        async_shield(2);
        ASYNC_CHECK_EQ(await_sleep(3), ASYNC_ETIMEOUT);
    }
    {
        async_shield(0);
        ASYNC_CHECK_EQ(await_sleep(0), ASYNC_ETIMEOUT);
    }
    {
        double grace = 0;
        async_shield(-grace);
        ASYNC_CHECK_EQ(await_sleep(0), ASYNC_ETIMEOUT);
    }
    {
        async_shield(INFINITY);
        ASYNC_CHECK_EQ(await_sleep(1e6), 0);
    }
    check_healthy();
}

ASYNC_TEST_ON("sim", a_timeout_inside_of_a_shield_works)
{
    async_timeout(0);

    ASYNC_CHECK_EQ(await_sleep(1), ASYNC_ETIMEOUT);
    {
        double start = async_time();
        async_shield();

        ASYNC_CHECK_EQ(await_sleep(1), 0);
        {
            async_timeout(1);
            ASYNC_CHECK_EQ(await_sleep(5), ASYNC_ETIMEOUT);
        }
        ASYNC_CHECK_EQ(await_sleep(1), 0);
        ASYNC_CHECK(fabs(async_time() - start - 3) < 1e-6);
    }
    ASYNC_CHECK_EQ(await_sleep(1), ASYNC_ETIMEOUT);
}

ASYNC_TEST_ON("sim", a_timeout_outside_of_a_shield_waits_for_its_end)
{
    {
        async_timeout(1, t);
        {
            async_shield();
            ASYNC_CHECK_EQ(await_sleep(5), 0);
            ASYNC_CHECK(async_scope_expired(&t));
            ASYNC_CHECK_EQ(async_cancelled(), 0);
        }
        ASYNC_CHECK_EQ(async_cancelled(), ASYNC_ETIMEOUT);
    }
    check_healthy();
}

ASYNC_TEST_ON("sim", a_shield_in_a_shield_is_left_into_the_outer_one)
{
    {
        async_timeout(0);
        {
            async_shield();
            {
                async_timeout(0);
                {
                    async_shield();
                    ASYNC_CHECK_EQ(await_sleep(1), 0);
                }
                ASYNC_CHECK_EQ(await_sleep(1), ASYNC_ETIMEOUT);
            }
            ASYNC_CHECK_EQ(await_sleep(1), 0);
        }
        ASYNC_CHECK_EQ(await_sleep(1), ASYNC_ETIMEOUT);
    }
    check_healthy();
}

async_def(loses_to_the_outermost)
{
    async_timeout(1);
    steps[0] = await_sleep(5);
    async_task_cancel(async_current_task());
    steps[1] = await_sleep(5);
    steps[2] = async_cancelled();
    return 0;
}

ASYNC_TEST_ON("sim", the_reason_is_the_outermost_cancelled_scopes)
{
    ASYNC_CHECK_EQ(await_task(async_create_task(loses_to_the_outermost), NULL), 0);
    ASYNC_CHECK_EQ(steps[0], ASYNC_ETIMEOUT);
    ASYNC_CHECK_EQ(steps[1], ASYNC_ECANCELED);
    ASYNC_CHECK_EQ(steps[2], ASYNC_ECANCELED);
}

/* ---- defers ---- */

static char trace[1000];

static void write_letter(void *arg)
{
    strcat(trace, arg);
}

ASYNC_SUSPENDS static void write_after_a_sleep(const char *letter)
{
    strcat(trace, await_sleep(1) == 0 ? letter : "refused");
}

ASYNC_SUSPENDS static int leave_with_defers(double patience)
{
    char *first = "1", *second = "2", *third = "3";
    async_defer(write_letter, first);
    async_defer(write_letter, second);
    async_timeout(patience);
    async_defer(write_letter, third);

    return await_sleep(1);
}

ASYNC_TEST_ON("sim", defers_run_newest_first_whatever_path_leaves_the_block)
{
    ASYNC_CHECK_EQ(leave_with_defers(5), 0);
    ASYNC_CHECK_STR(trace, "321");
    ASYNC_CHECK_EQ(leave_with_defers(0.5), ASYNC_ETIMEOUT);
    ASYNC_CHECK_STR(trace, "321321");
    for (int i = 0; i < 2; i++) {
        char *letter = "c";
        async_defer(write_letter, letter);
        if (i == 0)
            continue;
        break;
    }
    ASYNC_CHECK_STR(trace, "321321cc");
}

ASYNC_TEST_ON("sim", a_defer_holds_the_variable_not_its_value)
{
    {
        char *buf = malloc(10);
        async_defer(free, buf);

        ASYNC_CHECK(buf);
        buf = realloc(buf, 100000); /* ASan and the C library would tell of a double free */
        ASYNC_CHECK(buf);
        memset(buf, 1, 100000);
    }
    {
        char *letter = "a";
        async_defer(write_letter, letter);

        letter = "b";
    }
    ASYNC_CHECK_STR(trace, "b");
}

ASYNC_TEST_ON("sim", a_defer_is_disarmed_by_null)
{
    {
        char *letter = "a";
        async_defer(write_letter, letter);

        letter = NULL;
    }
    ASYNC_CHECK_STR(trace, "");
}

ASYNC_TEST_ON("sim", a_function_that_returns_something_can_be_deferred)
{
    FILE *file = tmpfile();
    async_defer(fclose, file);

    ASYNC_CHECK(file);
}

ASYNC_SUSPENDS static int leave_with_await_defer(void)
{
    const char *letter = "a";
    await_defer(write_after_a_sleep, letter);
    async_timeout(0.5);

    return await_sleep(10);
}

ASYNC_TEST_ON("sim", a_cleanup_that_waits_runs_under_a_shield)
{
    double start = async_time();

    {
        async_timeout(0.25);
        ASYNC_CHECK_EQ(leave_with_await_defer(), ASYNC_ETIMEOUT);
        ASYNC_CHECK_STR(trace, "a");
        ASYNC_CHECK_EQ(await_sleep(0), ASYNC_ETIMEOUT);
    }
    ASYNC_CHECK(fabs(async_time() - start - 1.25) < 1e-6);
    check_healthy();
}

ASYNC_TEST_ON("sim", cleanups_that_wait_and_those_that_do_not_keep_their_order)
{
    {
        const char *a = "a", *b = "b", *c = "c";
        await_defer(write_after_a_sleep, a);
        async_defer(write_letter, *(void **)&b);
        await_defer(write_after_a_sleep, c);
    }
    ASYNC_CHECK_STR(trace, "cba");
    check_healthy();
}

/* ---- outside of tasks ---- */

ASYNC_TEST_PLAIN(outside_of_a_task_a_scope_is_inert)
{
    async_timeout(0, t);
    async_shield(1);

    ASYNC_CHECK_EQ(async_scope_expired(&t), 0);
    ASYNC_CHECK_EQ(async_cancelled(), 0);
    ASYNC_CHECK_EQ(async_scope_reschedule(&t, 5), -EINVAL);
    async_scope_cancel(&t);
    ASYNC_CHECK_EQ(async_cancelled(), 0);
    async_nosuspend();
    ASYNC_CHECK_EQ(await_sleep(1), ASYNC_ENOTASK);
    ASYNC_CHECK_HAS(async_last_error(), "outside of a task");
}

/* ---- memory ---- */

ASYNC_TEST_ON("sim", a_deadline_that_finds_no_memory_fails_its_awaits_instead_of_being_forgotten)
{
    {
        async_test_fail_allocation(1, 0);
        async_timeout(5); /* the first timer of the loop: the heap has no array yet */
        async_test_fail_allocation(0, 0);
        if (timers_pending() == 0)
            ASYNC_CHECK_EQ(await_sleep(1), -ENOMEM);
    }
    check_healthy();
}

/* ---- jumps ---- */

ASYNC_TEST_ON("sim", a_longjmp_within_one_function_is_fine)
{
    jmp_buf env;
    volatile int rounds = 0;

    {
        async_timeout(10);
        if (setjmp(env) < 3) {
            ASYNC_CHECK_EQ(await_sleep(0.1), 0);
            longjmp(env, ++rounds);
        }
        ASYNC_CHECK_EQ(rounds, 3);
        ASYNC_CHECK_EQ(timers_pending(), 1);
    }
    check_healthy();
}

static jmp_buf escape;

__attribute__((noinline)) ASYNC_SUSPENDS static void jump_out_of_a_scope(void)
{
    async_timeout(0.5);

    if (await_sleep(0.1) == 0)
        longjmp(escape, 1);
}

__attribute__((noinline)) ASYNC_SUSPENDS static void jump_out_of_a_big_frame(void)
{
    volatile char big[3000];
    async_timeout(0.5);

    memset((char *)big, 1, sizeof big);
    if (await_sleep(0.1) == 0)
        longjmp(escape, big[17]);
}

/* Under ASan locals do not lie on the stack, and Valgrind reports what the library reads of a dead frame. */
static void skip_where_dead_frames_cannot_be_read(void)
{
    if (AW_ASAN || RUNNING_ON_VALGRIND)
        ASYNC_SKIP("dead frames cannot be read here");
}

ASYNC_SUSPENDS static void check_escape(void (*jump)(void))
{
    skip_where_dead_frames_cannot_be_read();
    if (setjmp(escape) == 0)
        jump();
    ASYNC_CHECK_EQ(await_sleep(1), 0);
    ASYNC_CHECK_EQ(await_sleep(1), 0);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "by longjmp");
    ASYNC_CHECK_HAS(async_test_report(0), "'main'");
    check_healthy();
}

ASYNC_TEST_ON("sim", a_longjmp_over_an_open_scope_is_found_and_named)
{
    check_escape(jump_out_of_a_scope);
}

ASYNC_TEST_ON("sim", a_longjmp_over_an_open_scope_in_a_big_frame_is_found_and_named)
{
    check_escape(jump_out_of_a_big_frame);
    ASYNC_CHECK_HAS(async_test_report(0), "scope_test.c:"); /* deep enough not to be overwritten */
}

ASYNC_TEST_ON("sim", a_longjmp_over_an_open_scope_is_found_by_the_next_scope)
{
    skip_where_dead_frames_cannot_be_read();
    if (setjmp(escape) == 0)
        jump_out_of_a_scope();
    {
        async_timeout(10);
        ASYNC_CHECK_EQ(await_sleep(1), 0);
    }
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    check_healthy();
}

ASYNC_SUSPENDS static int jump_in_debug_mode(void *arg)
{
    async_loop_set_debug(async_get_running_loop(), 1);
    if (setjmp(escape) == 0)
        jump_out_of_a_big_frame();
    return await_sleep(1) + (arg != NULL);
}

static void run_jump(void *arg)
{
    async_runner *runner;

    (void)arg;
    if (async_runner_open(&(async_loop_options){ .size = sizeof(async_loop_options), .backend = "sim" }, &runner) == 0)
        async_runner_run(runner, jump_in_debug_mode, NULL);
}

ASYNC_TEST_PLAIN(in_debug_mode_a_longjmp_over_an_open_scope_ends_the_process)
{
    char text[2000];
    int status;

    skip_where_dead_frames_cannot_be_read();
    status = async_test_death(run_jump, NULL, text, sizeof text);
    ASYNC_CHECK(WIFSIGNALED(status));
    ASYNC_CHECK_EQ(WTERMSIG(status), SIGABRT);
    ASYNC_CHECK_HAS(text, "by longjmp");
}

/* ---- regions that must not suspend ---- */

static int add_in_peace(int a, int b)
{
    async_nosuspend();

    return a + b;
}

ASYNC_TEST_ON("sim", a_region_that_does_not_suspend_is_fine)
{
    ASYNC_CHECK_EQ(add_in_peace(1, 2), 3);
    check_healthy();
}

ASYNC_TEST_ON("sim", a_region_that_suspends_is_reported_with_the_tasks_name_and_the_operation)
{
    {
        async_nosuspend();
        ASYNC_CHECK_EQ(await_sleep(1), 0);
    }
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "'main'");
    ASYNC_CHECK_HAS(async_test_report(0), "await_sleep");
    check_healthy();
    ASYNC_CHECK_EQ(async_test_reports(), 1);
}

ASYNC_TEST_ON("sim", an_await_that_need_not_wait_is_allowed_in_such_a_region)
{
    async_future *future = async_future_new();

    async_future_set_result(future, NULL);
    {
        async_nosuspend();
        for (int i = 0; i < 10; i++)
            ASYNC_CHECK_EQ(await_future(future), 0);
    }
    async_future_unref(future);
}

ASYNC_SUSPENDS static int suspend_in_region(void *arg)
{
    async_loop_set_debug(async_get_running_loop(), 1);
    async_nosuspend();
    return await_sleep(1) + (arg != NULL);
}

static void run_region(void *arg)
{
    async_runner *runner;

    (void)arg;
    if (async_runner_open(&(async_loop_options){ .size = sizeof(async_loop_options), .backend = "sim" }, &runner) == 0)
        async_runner_run(runner, suspend_in_region, NULL);
}

ASYNC_TEST_PLAIN(in_debug_mode_a_region_that_suspends_ends_the_process)
{
    char text[2000];
    int status = async_test_death(run_region, NULL, text, sizeof text);

    ASYNC_CHECK(WIFSIGNALED(status));
    ASYNC_CHECK_EQ(WTERMSIG(status), SIGABRT);
    ASYNC_CHECK_HAS(text, "async_nosuspend");
    ASYNC_CHECK_HAS(text, "await_sleep");
}

async_def(ends_at_once)
{
    return 0;
}

ASYNC_TEST_ON("sim", an_eager_start_in_such_a_region_is_reported)
{
    async_task *task;

    {
        async_nosuspend();
        task = await_create_task_eager(ends_at_once);
    }
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
}
