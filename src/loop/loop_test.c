/* SPDX-License-Identifier: MIT */
#include "loop/loop.h"

#include <await/testing.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char trace[1000];

static int write_letter(void *arg)
{
    strcat(trace, arg);
    return 0;
}

static async_loop *open_loop(void)
{
    async_loop *loop = async_loop_new(async_test_options());

    ASYNC_CHECK(loop);
    return loop;
}

/* ---- open ---- */

ASYNC_TEST_PLAIN(a_loop_opens_without_options)
{
    async_loop *loop = async_loop_new(NULL), *other = NULL;

    ASYNC_CHECK(loop);
    ASYNC_CHECK_EQ(async_loop_open(NULL, &other), 0);
    ASYNC_CHECK_EQ(async_loop_close(loop), 0);
    ASYNC_CHECK_EQ(async_loop_close(other), 0);
}

ASYNC_TEST_PLAIN(options_of_another_size_are_refused)
{
    async_loop_options options = { .size = 8 };
    async_loop *loop = NULL;

    ASYNC_CHECK_EQ(async_loop_open(&options, &loop), -EINVAL);
    ASYNC_CHECK_HAS(async_last_error(), "size");
    options.size = 0;
    ASYNC_CHECK_EQ(async_loop_open(&options, &loop), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_open(async_test_options(), NULL), -EINVAL);
    ASYNC_CHECK(!loop);
}

ASYNC_TEST_PLAIN(a_backend_is_asked_for_by_name)
{
    async_loop_options options = *async_test_options();
    async_loop *loop;

    options.backend = "sim";
    ASYNC_CHECK_EQ(async_loop_open(&options, &loop), 0);
    ASYNC_CHECK_STR(async_loop_backend(loop), "sim");
    async_loop_close(loop);
    options.backend = "linux";
    ASYNC_CHECK_EQ(async_loop_open(&options, &loop), 0);
    ASYNC_CHECK_STR(async_loop_backend(loop), "linux");
    async_loop_close(loop);
    ASYNC_CHECK_STR(async_loop_backend(NULL), "");
}

ASYNC_TEST_PLAIN(a_backend_nobody_knows_is_an_error_that_names_it)
{
    async_loop_options options = *async_test_options();
    async_loop *loop = NULL;

    options.backend = "windows-95";
    ASYNC_CHECK_EQ(async_loop_open(&options, &loop), ASYNC_ENOBACKEND);
    ASYNC_CHECK_HAS(async_last_error(), "windows-95");
    ASYNC_CHECK_HAS(async_last_error(), "sim");
    ASYNC_CHECK(!loop);
    ASYNC_CHECK(!async_loop_new(&options));
}

ASYNC_TEST_PLAIN(the_environment_names_the_backend_when_the_program_does_not)
{
    async_loop_options options = *async_test_options();
    async_loop *loop;

    options.backend = NULL;
    setenv("ASYNC_BACKEND", "sim", 1);
    ASYNC_CHECK_EQ(async_loop_open(&options, &loop), 0);
    ASYNC_CHECK_STR(async_loop_backend(loop), "sim");
    async_loop_close(loop);
    setenv("ASYNC_BACKEND", "nonsense", 1);
    ASYNC_CHECK_EQ(async_loop_open(&options, &loop), ASYNC_ENOBACKEND);
    ASYNC_CHECK_HAS(async_last_error(), "nonsense");
    options.backend = "sim";
    ASYNC_CHECK_EQ(async_loop_open(&options, &loop), 0);
    async_loop_close(loop);
    options.backend = NULL;
    setenv("ASYNC_BACKEND", "", 1);
    ASYNC_CHECK_EQ(async_loop_open(&options, &loop), 0);
    ASYNC_CHECK_STR(async_loop_backend(loop), "linux");
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(debug_mode_comes_from_the_environment_an_option_or_a_call)
{
    async_loop_options options = *async_test_options();
    async_loop *loop;

    setenv("ASYNC_DEBUG", "1", 1);
    ASYNC_CHECK_EQ(async_loop_open(&options, &loop), 0);
    ASYNC_CHECK_EQ(async_loop_get_debug(loop), 1);
    async_loop_set_debug(loop, 0);
    ASYNC_CHECK_EQ(async_loop_get_debug(loop), 0);
    async_loop_close(loop);
    options.debug = -1;
    ASYNC_CHECK_EQ(async_loop_open(&options, &loop), 0);
    ASYNC_CHECK_EQ(async_loop_get_debug(loop), 0);
    async_loop_close(loop);
    setenv("ASYNC_DEBUG", "0", 1);
    options.debug = 0;
    ASYNC_CHECK_EQ(async_loop_open(&options, &loop), 0);
    ASYNC_CHECK_EQ(async_loop_get_debug(loop), 0);
    async_loop_close(loop);
    options.debug = 1;
    ASYNC_CHECK_EQ(async_loop_open(&options, &loop), 0);
    ASYNC_CHECK_EQ(async_loop_get_debug(loop), 1);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(opening_survives_each_failed_allocation)
{
    static const char *const backends[] = { "sim", "linux" };

    for (size_t b = 0; b < 2; b++) {
        async_loop_options options = *async_test_options();
        async_loop *loop = NULL;
        long n = 1;
        int r;

        options.backend = backends[b];
        for (;; n++) {
            async_test_fail_allocation(n, 0);
            r = async_loop_open(&options, &loop);
            if (r == 0)
                break;
            ASYNC_CHECK_EQ(r, -ENOMEM);
            ASYNC_CHECK(!loop);
            ASYNC_CHECK_EQ(async_test_allocations_live(), 0);
        }
        async_test_fail_allocation(0, 0);
        ASYNC_CHECK(n > 2);
        async_loop_close(loop);
    }
}

ASYNC_TEST_PLAIN(without_descriptors_a_loop_does_not_open_and_leaks_nothing)
{
    struct rlimit few, old;
    async_loop_options options = *async_test_options();
    async_loop *loop = NULL;
    int next = dup(0), opened = 0;

    close(next);
    getrlimit(RLIMIT_NOFILE, &old);
    options.backend = "linux";
    for (int room = 0; !opened; room++) {
        int r;

        few = (struct rlimit){ (rlim_t)(next + room), old.rlim_max };
        setrlimit(RLIMIT_NOFILE, &few);
        r = async_loop_open(&options, &loop);
        setrlimit(RLIMIT_NOFILE, &old);
        opened = r == 0;
        ASYNC_CHECK(r == 0 || r == -EMFILE);
        ASYNC_CHECK(room < 10);
        ASYNC_CHECK(room > 0 || !opened);
    }
    async_loop_close(loop);
}

/* ---- clock ---- */

static double fake_time = 5;

static double tell_fake_time(void *arg)
{
    return fake_time += *(double *)arg;
}

ASYNC_TEST_PLAIN(a_clock_of_the_user_is_the_loops_time)
{
    async_loop_options options = *async_test_options();
    double step = 0;
    async_loop *loop;

    options.clock = tell_fake_time;
    options.clock_arg = &step;
    ASYNC_CHECK_EQ(async_loop_open(&options, &loop), 0);
    ASYNC_CHECK(async_loop_time(loop) == 5);
    async_loop_call_later(loop, 10, write_letter, "t");
    ASYNC_CHECK_EQ(async_loop_turn(loop, 0), 0);
    fake_time = 15;
    ASYNC_CHECK_EQ(async_loop_turn(loop, 0), 1);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(the_clock_never_goes_back)
{
    async_loop *loop = open_loop();
    double last = async_loop_time(loop);

    ASYNC_CHECK(last > 0);
    for (int i = 0; i < 1000; i++) {
        double now = async_loop_time(loop);

        ASYNC_CHECK(now >= last);
        last = now;
    }
    ASYNC_CHECK(isnan(async_loop_time(NULL)));
    async_loop_close(loop);
}

/* ---- run and stop ---- */

static async_loop *the_loop;

static int stop(void *arg)
{
    ASYNC_CHECK_EQ(async_loop_is_running(the_loop), 1);
    ASYNC_CHECK(async_get_running_loop() == the_loop);
    async_loop_stop(the_loop);
    return write_letter(arg);
}

ASYNC_TEST_PLAIN(a_loop_runs_until_it_is_stopped)
{
    the_loop = open_loop();
    async_loop_call_later(the_loop, 0.001, write_letter, "a");
    async_loop_call_later(the_loop, 0.002, stop, "s");
    async_loop_call_later(the_loop, 100, write_letter, "x");
    ASYNC_CHECK_EQ(async_loop_is_running(the_loop), 0);
    ASYNC_CHECK_EQ(async_loop_run_forever(the_loop), 0);
    ASYNC_CHECK_EQ(async_loop_is_running(the_loop), 0);
    ASYNC_CHECK(!async_get_running_loop());
    ASYNC_CHECK_STR(trace, "as");
    async_loop_close(the_loop);
}

ASYNC_TEST_PLAIN(a_stopped_loop_finishes_its_turn)
{
    the_loop = open_loop();
    async_loop_call_soon(the_loop, stop, "s");
    async_loop_call_soon(the_loop, write_letter, "a");
    async_loop_call_at(the_loop, 0, write_letter, "t");
    ASYNC_CHECK_EQ(async_loop_run_forever(the_loop), 0);
    ASYNC_CHECK_STR(trace, "sat");
    async_loop_close(the_loop);
}

ASYNC_TEST_PLAIN(a_loop_stopped_before_it_runs_runs_one_turn)
{
    the_loop = open_loop();
    async_loop_call_soon(the_loop, write_letter, "a");
    async_loop_call_later(the_loop, 100, write_letter, "x");
    async_loop_stop(the_loop);
    ASYNC_CHECK_EQ(async_loop_run_forever(the_loop), 0);
    ASYNC_CHECK_STR(trace, "a");
    async_loop_stop(the_loop);
    ASYNC_CHECK_EQ(async_loop_run_forever(the_loop), 0);
    ASYNC_CHECK_STR(trace, "a");
    async_loop_stop(NULL);
    async_loop_close(the_loop);
}

ASYNC_TEST_PLAIN(a_loop_can_run_again_after_a_stop)
{
    the_loop = open_loop();
    for (int i = 0; i < 3; i++) {
        async_loop_call_soon(the_loop, stop, "s");
        ASYNC_CHECK_EQ(async_loop_run_forever(the_loop), 0);
    }
    ASYNC_CHECK_STR(trace, "sss");
    async_loop_close(the_loop);
}

static int run_nested(void *arg)
{
    async_loop *other = open_loop();

    ASYNC_CHECK_EQ(async_loop_run_forever(the_loop), -EBUSY);
    ASYNC_CHECK_EQ(async_loop_run_forever(other), -EBUSY);
    ASYNC_CHECK_HAS(async_last_error(), "running on this thread already");
    ASYNC_CHECK_EQ(async_loop_close(the_loop), -EBUSY);
    async_loop_close(other);
    return stop(arg);
}

ASYNC_TEST_PLAIN(a_loop_inside_of_a_running_loop_is_refused)
{
    the_loop = open_loop();
    async_loop_call_soon(the_loop, run_nested, "s");
    ASYNC_CHECK_EQ(async_loop_run_forever(the_loop), 0);
    ASYNC_CHECK_STR(trace, "s");
    async_loop_close(the_loop);
}

ASYNC_TEST_PLAIN(running_refuses_null)
{
    async_loop *loop = open_loop();

    ASYNC_CHECK_EQ(async_loop_run_forever(NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_run_until_complete(NULL, NULL, NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_run_until_complete(loop, NULL, NULL), -ENOMEM);
    ASYNC_CHECK_EQ(async_loop_is_running(NULL), 0);
    ASYNC_CHECK_EQ(async_loop_is_closed(NULL), 0);
    ASYNC_CHECK_EQ(async_loop_close(NULL), 0);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_loop_that_nothing_can_wake_says_so_instead_of_hanging)
{
    async_loop *loop = open_loop();

    if (AW_TSAN)
        ASYNC_SKIP("the sanitizer has a thread of its own, which could wake the loop");
    async_loop_call_soon(loop, write_letter, "a");
    ASYNC_CHECK_EQ(async_loop_run_forever(loop), ASYNC_EDEADLOCK);
    ASYNC_CHECK_STR(trace, "a");
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "nothing can ever wake the loop");
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_timer_that_never_fires_wakes_nobody)
{
    async_loop *loop = open_loop();

    if (AW_TSAN)
        ASYNC_SKIP("the sanitizer has a thread of its own, which could wake the loop");
    async_loop_call_later(loop, INFINITY, write_letter, "x");
    ASYNC_CHECK_EQ(async_loop_run_forever(loop), ASYNC_EDEADLOCK);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    async_loop_close(loop);
}

/* ---- reports ---- */

static async_error_context seen;
static void *seen_arg;
static int seen_count;

static void note_report(async_loop *loop, const async_error_context *context, void *arg)
{
    ASYNC_CHECK(loop == the_loop);
    ASYNC_CHECK_EQ(context->size, sizeof *context);
    seen = *context;
    seen_arg = arg;
    seen_count++;
}

ASYNC_TEST_PLAIN(the_exception_handler_gets_what_is_reported)
{
    async_error_context context = { .size = sizeof context, .message = "it broke", .error = -EIO, .detail = "badly" };

    the_loop = open_loop();
    async_loop_set_exception_handler(the_loop, note_report, &context);
    async_loop_call_exception_handler(the_loop, &context);
    ASYNC_CHECK_EQ(seen_count, 1);
    ASYNC_CHECK_STR(seen.message, "it broke");
    ASYNC_CHECK_EQ(seen.error, -EIO);
    ASYNC_CHECK(seen_arg == &context);
    async_loop_call_exception_handler(NULL, &context);
    async_loop_call_exception_handler(the_loop, NULL);
    async_loop_set_exception_handler(NULL, note_report, NULL);
    ASYNC_CHECK_EQ(seen_count, 1);
    async_loop_close(the_loop);
}

static void report_by_default(void *arg)
{
    async_error_context context = { .size = sizeof context, .message = "it broke", .detail = arg };
    async_loop *loop = open_loop();

    async_loop_set_exception_handler(loop, NULL, NULL);
    async_loop_call_exception_handler(loop, &context);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(the_default_handler_writes_a_paragraph_to_stderr)
{
    char text[1000];

    ASYNC_CHECK_EQ(async_test_death(report_by_default, "badly", text, sizeof text), 0);
    ASYNC_CHECK_STR(text, "libawait: it broke\n    badly\n");
    ASYNC_CHECK_EQ(async_test_death(report_by_default, NULL, text, sizeof text), 0);
    ASYNC_CHECK_STR(text, "libawait: it broke\n");
}

/* ---- slow callbacks ---- */

static int be_slow(void *arg)
{
    if (the_loop->clock)
        fake_time += 1;
    return arg ? write_letter(arg) : 0;
}

static void open_with_fake_clock(void)
{
    static double step = 0;
    async_loop_options options = *async_test_options();

    options.clock = tell_fake_time;
    options.clock_arg = &step;
    options.debug = 1;
    options.backend = "linux";
    ASYNC_CHECK_EQ(async_loop_open(&options, &the_loop), 0);
}

ASYNC_TEST_PLAIN(a_slow_callback_is_reported_in_debug_mode)
{
    open_with_fake_clock();
    async_loop_call_soon(the_loop, be_slow, NULL);
    ASYNC_CHECK_EQ(async_loop_turn(the_loop, 0), 1);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "a callback took 1.000 s");
    async_loop_close(the_loop);
}

ASYNC_TEST_PLAIN(a_slow_timer_and_a_slow_reader_are_reported_too)
{
    int fds[2];

    open_with_fake_clock();
    ASYNC_CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    ASYNC_CHECK_EQ(write(fds[1], "x", 1), 1);
    async_loop_add_reader(the_loop, fds[0], be_slow, "r");
    ASYNC_CHECK_EQ(async_loop_turn(the_loop, 0), 1);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    async_loop_remove_reader(the_loop, fds[0]);
    async_loop_call_at(the_loop, 0, be_slow, "t");
    ASYNC_CHECK_EQ(async_loop_turn(the_loop, 0), 1);
    ASYNC_CHECK_EQ(async_test_reports(), 2);
    async_loop_close(the_loop);
    close(fds[0]);
    close(fds[1]);
}

ASYNC_TEST_PLAIN(how_slow_is_slow_can_be_set)
{
    open_with_fake_clock();
    ASYNC_CHECK_EQ(async_loop_set_slow_callback_duration(the_loop, 1.5), 0);
    async_loop_call_soon(the_loop, be_slow, NULL);
    async_loop_turn(the_loop, 0);
    ASYNC_CHECK_EQ(async_loop_set_slow_callback_duration(the_loop, INFINITY), 0);
    async_loop_call_soon(the_loop, be_slow, NULL);
    async_loop_turn(the_loop, 0);
    ASYNC_CHECK_EQ(async_loop_set_slow_callback_duration(the_loop, NAN), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_set_slow_callback_duration(the_loop, -1), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_set_slow_callback_duration(NULL, 1), -EINVAL);
    async_loop_set_debug(the_loop, 0);
    ASYNC_CHECK_EQ(async_loop_set_slow_callback_duration(the_loop, 0), 0);
    async_loop_call_soon(the_loop, be_slow, NULL);
    async_loop_turn(the_loop, 0);
    ASYNC_CHECK_EQ(async_test_reports(), 0);
    async_loop_close(the_loop);
}

/* ---- close ---- */

struct part {
    struct aw_loop_part part; /* first */
    const char *letter;
};

static void close_part(struct aw_loop_part *part, async_loop *loop)
{
    ASYNC_CHECK_EQ(async_loop_is_closed(loop), 1);
    strcat(trace, ((struct part *)part)->letter);
}

ASYNC_TEST_PLAIN(parts_are_found_by_their_key_and_closed_newest_first)
{
    struct part a = { { .key = "a", .close = close_part }, "a" }, b = { { .key = "b", .close = close_part }, "b" };
    async_loop *loop = open_loop();

    aw_loop_attach_part(loop, &a.part);
    aw_loop_attach_part(loop, &b.part);
    ASYNC_CHECK(aw_loop_find_part(loop, a.part.key) == &a.part);
    ASYNC_CHECK(aw_loop_find_part(loop, b.part.key) == &b.part);
    ASYNC_CHECK(!aw_loop_find_part(loop, trace));
    ASYNC_CHECK_EQ(async_loop_is_closed(loop), 0);
    async_loop_close(loop);
    ASYNC_CHECK_STR(trace, "ba");
}

ASYNC_TEST_PLAIN(many_loops_live_side_by_side)
{
    async_loop *loops[20];

    for (int i = 0; i < 20; i++) {
        loops[i] = open_loop();
        async_loop_call_soon(loops[i], write_letter, "a");
    }
    for (int i = 0; i < 20; i++)
        ASYNC_CHECK_EQ(async_loop_turn(loops[i], 0), 1);
    for (int i = 0; i < 20; i++)
        ASYNC_CHECK_EQ(async_loop_close(loops[i]), 0);
    ASYNC_CHECK_EQ(strlen(trace), 20);
}
