/* SPDX-License-Identifier: MIT */
/* Design notes: the order of a turn is asyncio's: what was ready, then events, then timers; what they schedule runs in
 * the next turn. Descriptors are real ones, so these cases run on the linux backend; the rest runs on any. */
#include "loop/loop.h"

#include <await/testing.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static char trace[4096];
static async_loop *the_loop;

static int write_letter(void *arg)
{
    strcat(trace, arg);
    return 0;
}

static async_loop *open_on(const char *backend)
{
    async_loop_options options = *async_test_options();

    if (backend)
        options.backend = backend;
    ASYNC_CHECK_EQ(async_loop_open(&options, &the_loop), 0);
    trace[0] = 0;
    return the_loop;
}

static int turn(async_loop *loop)
{
    return async_loop_turn(loop, 0);
}

/* A pipe that is readable and writable. */
static void open_pipe(int fds[2])
{
    ASYNC_CHECK_EQ(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    ASYNC_CHECK_EQ(write(fds[1], "x", 1), 1);
}

static void close_pipe(int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

static int write_and_schedule(void *arg)
{
    strcat(trace, arg);
    async_loop_call_soon(the_loop, write_letter, "s");
    return 0;
}

ASYNC_TEST_PLAIN(a_turn_runs_what_was_ready_then_events_then_timers)
{
    async_loop *loop = open_on("linux");
    int fds[2];

    open_pipe(fds);
    async_loop_call_at(loop, 0, write_and_schedule, "t");
    ASYNC_CHECK_EQ(async_loop_add_reader(loop, fds[0], write_and_schedule, "e"), 0);
    async_loop_call_soon(loop, write_and_schedule, "r");
    ASYNC_CHECK_EQ(turn(loop), 3);
    ASYNC_CHECK_STR(trace, "ret");
    async_loop_remove_reader(loop, fds[0]);
    ASYNC_CHECK_EQ(turn(loop), 3);
    ASYNC_CHECK_STR(trace, "retsss");
    async_loop_close(loop);
    close_pipe(fds);
}

static int post_here(void *arg)
{
    ASYNC_CHECK_EQ(async_loop_call_soon_threadsafe(the_loop, write_letter, arg), 0);
    return 0;
}

ASYNC_TEST_PLAIN(what_a_turn_schedules_runs_in_the_next_one)
{
    async_loop *loop = open_on(NULL);

    async_loop_call_soon(loop, write_and_schedule, "a");
    async_loop_call_soon(loop, post_here, "p");
    async_loop_call_soon(loop, write_letter, "b");
    ASYNC_CHECK_EQ(turn(loop), 3);
    ASYNC_CHECK_STR(trace, "ab");
    ASYNC_CHECK_EQ(turn(loop), 2);
    ASYNC_CHECK_STR(trace, "absp");
    ASYNC_CHECK_EQ(turn(loop), 0);
    async_loop_close(loop);
}

static int schedule_due(void *arg)
{
    strcat(trace, arg);
    async_loop_call_at(the_loop, 0, write_letter, "n");
    return 0;
}

ASYNC_TEST_PLAIN(a_timer_that_is_due_when_a_timer_sets_it_runs_in_the_next_turn)
{
    async_loop *loop = open_on(NULL);

    async_loop_call_at(loop, 0, schedule_due, "a");
    async_loop_call_at(loop, 1, write_letter, "b");
    ASYNC_CHECK_EQ(turn(loop), 2);
    ASYNC_CHECK_STR(trace, "ab");
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_STR(trace, "abn");
    async_loop_close(loop);
}

/* ---- callbacks that stop the turn ---- */

static int write_and_fail(void *arg)
{
    strcat(trace, arg);
    return -5;
}

ASYNC_TEST_PLAIN(a_negative_callback_stops_the_turn_and_the_rest_runs_in_the_next_one_in_its_order)
{
    async_loop *loop = open_on("linux");
    int fds[2];

    open_pipe(fds);
    async_loop_add_reader(loop, fds[0], write_letter, "e");
    async_loop_call_at(loop, 0, write_letter, "t");
    async_loop_call_at(loop, 1, write_letter, "u");
    async_loop_call_soon(loop, write_letter, "a");
    async_loop_call_soon(loop, write_and_fail, "F");
    async_loop_call_soon(loop, write_letter, "b");
    async_loop_call_soon(loop, write_letter, "c");
    ASYNC_CHECK_EQ(turn(loop), -5);
    ASYNC_CHECK_STR(trace, "aF");
    async_loop_call_soon(loop, write_letter, "n");
    ASYNC_CHECK_EQ(turn(loop), 5);
    ASYNC_CHECK_STR(trace, "aFbcetu");
    async_loop_remove_reader(loop, fds[0]);
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_STR(trace, "aFbcetun");
    async_loop_close(loop);
    close_pipe(fds);
}

ASYNC_TEST_PLAIN(a_negative_reader_stops_the_turn_and_the_rest_stays_queued)
{
    async_loop *loop = open_on("linux");
    int first[2], second[2];

    open_pipe(first);
    open_pipe(second);
    async_loop_add_reader(loop, first[0], write_and_fail, "F");
    async_loop_add_reader(loop, second[0], write_and_fail, "F");
    async_loop_call_at(loop, 0, write_letter, "t");
    async_loop_call_soon(loop, write_letter, "a");
    ASYNC_CHECK_EQ(turn(loop), -5);
    ASYNC_CHECK_STR(trace, "aF");
    ASYNC_CHECK_EQ(turn(loop), -5);
    ASYNC_CHECK_STR(trace, "aFF");
    async_loop_remove_reader(loop, first[0]);
    async_loop_remove_reader(loop, second[0]);
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_STR(trace, "aFFt");
    async_loop_close(loop);
    close_pipe(first);
    close_pipe(second);
}

ASYNC_TEST_PLAIN(a_negative_timer_stops_the_turn_and_the_rest_stays_queued)
{
    async_loop *loop = open_on(NULL);

    async_loop_call_at(loop, 0, write_and_fail, "F");
    async_loop_call_at(loop, 1, write_letter, "t");
    async_loop_call_at(loop, 2, write_and_fail, "F");
    async_loop_call_at(loop, 3, write_letter, "u");
    ASYNC_CHECK_EQ(turn(loop), -5);
    ASYNC_CHECK_EQ(turn(loop), -5);
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_STR(trace, "FtFu");
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_reader_that_stops_the_turn_stops_its_own_writer_too)
{
    async_loop *loop = open_on("linux");
    int pair[2];

    ASYNC_CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    ASYNC_CHECK_EQ(write(pair[1], "x", 1), 1);
    async_loop_add_reader(loop, pair[0], write_and_fail, "F");
    async_loop_add_writer(loop, pair[0], write_letter, "w");
    ASYNC_CHECK_EQ(turn(loop), -5);
    ASYNC_CHECK_STR(trace, "F");
    async_loop_remove_reader(loop, pair[0]);
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_STR(trace, "Fw");
    async_loop_close(loop);
    close_pipe(pair);
}

ASYNC_TEST_PLAIN(a_loop_that_runs_for_ever_ends_with_a_negative_callbacks_number)
{
    async_loop *loop = open_on(NULL);

    async_loop_call_soon(loop, write_and_fail, "F");
    async_loop_call_soon(loop, write_letter, "a");
    ASYNC_CHECK_EQ(async_loop_run_forever(loop), -5);
    ASYNC_CHECK_EQ(async_loop_is_running(loop), 0);
    ASYNC_CHECK_STR(trace, "F");
    async_loop_stop(loop);
    ASYNC_CHECK_EQ(async_loop_run_forever(loop), 0);
    ASYNC_CHECK_STR(trace, "Fa");
    async_loop_close(loop);
}

/* ---- what a turn refuses ---- */

static int nested_turn(void *arg)
{
    ASYNC_CHECK_EQ(async_loop_turn(arg, 0), -EBUSY);
    ASYNC_CHECK_HAS(async_last_error(), "inside a turn");
    ASYNC_CHECK_EQ(async_loop_run_forever(arg), -EBUSY);
    ASYNC_CHECK_EQ(async_loop_close(arg), -EBUSY);
    return write_letter("n");
}

ASYNC_TEST_PLAIN(a_turn_inside_of_a_turn_is_refused)
{
    async_loop *loop = open_on(NULL);

    async_loop_call_soon(loop, nested_turn, loop);
    async_loop_call_at(loop, 0, nested_turn, loop);
    ASYNC_CHECK_EQ(turn(loop), 2);
    ASYNC_CHECK_STR(trace, "nn");
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_turn_refuses_wrong_arguments)
{
    async_loop *loop = open_on(NULL);

    ASYNC_CHECK_EQ(async_loop_turn(NULL, 0), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_turn(loop, NAN), -EINVAL);
    ASYNC_CHECK_HAS(async_last_error(), "not a number");
    ASYNC_CHECK_EQ(async_loop_turn(loop, -INFINITY), 0);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_turn_does_not_wait_longer_than_it_may)
{
    async_loop *loop = open_on("sim");
    double start = async_loop_time(loop);

    async_loop_call_later(loop, 100, write_letter, "t");
    ASYNC_CHECK_EQ(async_loop_turn(loop, 30), 0);
    ASYNC_CHECK(fabs(async_loop_time(loop) - start - 30) < 1e-6);
    ASYNC_CHECK_EQ(async_loop_turn(loop, 100), 1);
    ASYNC_CHECK(fabs(async_loop_time(loop) - start - 100) < 1e-6);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_turn_does_not_wait_when_something_is_ready)
{
    async_loop *loop = open_on("sim");
    double start = async_loop_time(loop);

    async_loop_call_soon(loop, write_letter, "a");
    ASYNC_CHECK_EQ(async_loop_turn(loop, INFINITY), 1);
    ASYNC_CHECK(async_loop_time(loop) == start);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_turn_without_limit_says_so_when_nothing_can_ever_wake_it)
{
    async_loop *loop = open_on(NULL);

    if (AW_TSAN)
        ASYNC_SKIP("the sanitizer has a thread of its own, which could wake the loop");
    ASYNC_CHECK_EQ(async_loop_turn(loop, INFINITY), ASYNC_EDEADLOCK);
    ASYNC_CHECK_HAS(async_last_error(), "nothing can ever wake");
    ASYNC_CHECK_EQ(async_loop_turn(loop, 0.001), 0);
    ASYNC_CHECK_EQ(turn(loop), 0);
    async_loop_close(loop);
}

/* ---- host hooks ---- */

static int begins, ends, interrupts, interrupt_result;

static void note_begin(void *arg)
{
    ASYNC_CHECK_EQ(begins, ends);
    ASYNC_CHECK_STR(arg, "host");
    begins++;
}

static void note_end(void *arg)
{
    ASYNC_CHECK_STR(arg, "host");
    ends++;
    ASYNC_CHECK_EQ(begins, ends);
}

static int note_interrupt(void *arg)
{
    ASYNC_CHECK_STR(arg, "host");
    interrupts++;
    return interrupt_result;
}

static async_loop *open_hosted(void)
{
    static const async_host host = { "host", note_begin, note_end, note_interrupt };
    async_loop_options options = *async_test_options();

    options.host = &host;
    options.backend = "linux";
    ASYNC_CHECK_EQ(async_loop_open(&options, &the_loop), 0);
    trace[0] = 0;
    return the_loop;
}

ASYNC_TEST_PLAIN(the_host_hears_of_waits_that_can_block_only)
{
    async_loop *loop = open_hosted();

    turn(loop);
    async_loop_call_soon(loop, write_letter, "a");
    async_loop_turn(loop, INFINITY);
    async_loop_call_at(loop, 0, write_letter, "b");
    async_loop_turn(loop, INFINITY);
    ASYNC_CHECK_EQ(begins, 0);
    async_loop_turn(loop, 0.001);
    ASYNC_CHECK_EQ(begins, 1);
    ASYNC_CHECK_EQ(ends, 1);
    async_loop_call_later(loop, 0.001, write_letter, "c");
    async_loop_turn(loop, INFINITY);
    ASYNC_CHECK(begins >= 2);
    ASYNC_CHECK_EQ(begins, ends);
    async_loop_close(loop);
}

static void ignore_signal(int signal)
{
    (void)signal;
}

/* A signal in the middle of a long wait. */
static int interrupted_turn(async_loop *loop)
{
    const struct itimerval soon = { { 0, 1000 }, { 0, 1000 } }, never = { { 0, 0 }, { 0, 0 } };
    struct sigaction action = { .sa_handler = ignore_signal, .sa_flags = SA_RESTART };
    int r;

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    r = async_loop_turn(loop, 15);
    setitimer(ITIMER_REAL, &never, NULL);
    return r;
}

ASYNC_TEST_PLAIN(a_wait_interrupted_by_a_signal_asks_the_host)
{
    async_loop *loop = open_hosted();

    ASYNC_CHECK_EQ(interrupted_turn(loop), 0);
    ASYNC_CHECK_EQ(interrupts, 1);
    ASYNC_CHECK_EQ(begins, ends);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_host_that_raises_stops_the_turn)
{
    async_loop *loop = open_hosted();

    interrupt_result = -77;
    ASYNC_CHECK_EQ(interrupted_turn(loop), -77);
    interrupt_result = 0;
    async_loop_call_soon(loop, write_letter, "a");
    ASYNC_CHECK_EQ(turn(loop), 1);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(without_a_host_an_interrupted_wait_is_a_turn_without_callbacks)
{
    async_loop *loop = open_on("linux");

    ASYNC_CHECK_EQ(interrupted_turn(loop), 0);
    async_loop_close(loop);
}

/* ---- starvation ---- */

static long again_count;
static int again_limit;

static int run_again(void *arg)
{
    again_count++;
    if (*trace == 0 || strlen(trace) < (size_t)again_limit)
        async_loop_call_soon(the_loop, run_again, arg);
    return 0;
}

ASYNC_TEST_PLAIN(a_callback_that_reschedules_itself_for_ever_starves_no_timer_and_no_descriptor)
{
    async_loop *loop = open_on("linux");
    int fds[2];

    open_pipe(fds);
    again_limit = 2;
    async_loop_call_soon(loop, run_again, NULL);
    async_loop_call_later(loop, 0.02, write_letter, "t");
    ASYNC_CHECK_EQ(turn(loop), 1);
    async_loop_add_reader(loop, fds[0], write_letter, "e");
    while (strlen(trace) < 2)
        ASYNC_CHECK(turn(loop) >= 0);
    ASYNC_CHECK(trace[0] == 'e');
    async_loop_remove_reader(loop, fds[0]);
    again_count = 0;
    while (!strchr(trace, 't'))
        ASYNC_CHECK(turn(loop) >= 0);
    async_loop_close(loop);
    close_pipe(fds);
}

ASYNC_TEST_PLAIN(an_event_waits_for_no_more_than_64_callbacks)
{
    async_loop *loop = open_on("linux");
    int fds[2];

    open_pipe(fds);
    again_limit = 1;
    async_loop_call_soon(loop, run_again, NULL);
    turn(loop);
    async_loop_add_reader(loop, fds[0], write_letter, "e");
    again_count = 0;
    while (!*trace)
        ASYNC_CHECK(turn(loop) >= 0);
    ASYNC_CHECK(again_count <= AW_HANDLES_PER_POLL + 1);
    async_loop_close(loop);
    close_pipe(fds);
}

static int drain_one(void *arg)
{
    char byte;

    ASYNC_CHECK_EQ(read((int)(intptr_t)arg, &byte, 1), 1);
    return write_letter("e");
}

ASYNC_TEST_PLAIN(an_endlessly_readable_descriptor_starves_no_callback_and_no_timer)
{
    async_loop *loop = open_on("linux");
    int fds[2];

    open_pipe(fds);
    for (int i = 0; i < 99; i++)
        ASYNC_CHECK_EQ(write(fds[1], "x", 1), 1);
    async_loop_add_reader(loop, fds[0], drain_one, (void *)(intptr_t)fds[0]);
    async_loop_call_at(loop, 0, write_letter, "t");
    ASYNC_CHECK_EQ(turn(loop), 2);
    ASYNC_CHECK_STR(trace, "et");
    async_loop_call_soon(loop, write_letter, "c");
    ASYNC_CHECK(turn(loop) >= 1);
    ASYNC_CHECK(trace[2] == 'c');
    ASYNC_CHECK(turn(loop) >= 1);
    ASYNC_CHECK(strchr(trace + 2, 'e') != NULL);
    async_loop_close(loop);
    close_pipe(fds);
}

/* ---- statistics ---- */

ASYNC_TEST_PLAIN(statistics_count_what_the_loop_did)
{
    async_loop *loop = open_on("linux");
    async_loop_statistics s = { .size = sizeof s };
    int fds[2];

    open_pipe(fds);
    ASYNC_CHECK_EQ(async_loop_get_statistics(loop, &s), 0);
    ASYNC_CHECK_EQ(s.turns + s.callbacks + s.polls + s.events + s.ready + s.timers + s.wakeups + s.stale_events, 0);
    async_loop_call_soon(loop, write_letter, "a");
    async_loop_call_later(loop, 100, write_letter, "b");
    async_loop_add_reader(loop, fds[0], write_letter, "e");
    ASYNC_CHECK_EQ(async_loop_get_statistics(loop, &s), 0);
    ASYNC_CHECK_EQ(s.ready, 1);
    ASYNC_CHECK_EQ(s.timers, 1);
    ASYNC_CHECK_EQ(turn(loop), 2);
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_EQ(async_loop_get_statistics(loop, &s), 0);
    ASYNC_CHECK_EQ(s.size, sizeof s);
    ASYNC_CHECK_EQ(s.turns, 2);
    ASYNC_CHECK_EQ(s.callbacks, 3);
    ASYNC_CHECK_EQ(s.events, 2);
    ASYNC_CHECK_EQ(s.polls, 2);
    ASYNC_CHECK_EQ(s.ready, 0);
    async_loop_close(loop);
    close_pipe(fds);
}

ASYNC_TEST_PLAIN(statistics_refuse_wrong_arguments)
{
    async_loop *loop = open_on(NULL);
    async_loop_statistics s = { .size = sizeof s };

    ASYNC_CHECK_EQ(async_loop_get_statistics(NULL, &s), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_get_statistics(loop, NULL), -EINVAL);
    s.size = 1;
    ASYNC_CHECK_EQ(async_loop_get_statistics(loop, &s), -EINVAL);
    async_loop_close(loop);
}
