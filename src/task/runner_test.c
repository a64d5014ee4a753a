/* SPDX-License-Identifier: MIT */
/* Design notes: what a signal does to a process is looked at from outside: the case runs in a child and its wait status
 * is what a shell would see. */
#include "base/base.h"

#include <await/testing.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static async_runner *open_runner(void)
{
    async_runner *runner;

    ASYNC_CHECK_EQ(async_runner_open(async_test_options(), &runner), 0);
    return runner;
}

static char trace[1000];

async_def(writes_after, const char *, letter, double, seconds)
{
    int r = await_sleep(seconds);

    strcat(trace, letter);
    return r;
}

/* ---- run ---- */

ASYNC_SUSPENDS static int sleep_and_return(void *arg)
{
    int r = await_sleep(0.001);

    return r < 0 ? r : (int)(intptr_t)arg;
}

ASYNC_TEST_PLAIN(a_runner_runs_several_functions_on_one_loop)
{
    async_runner *runner = open_runner();

    ASYNC_CHECK(async_runner_get_loop(runner) != NULL);
    ASYNC_CHECK_EQ(async_runner_run(runner, sleep_and_return, (void *)(intptr_t)1), 1);
    ASYNC_CHECK_EQ(async_runner_run(runner, sleep_and_return, (void *)(intptr_t)2), 2);
    ASYNC_CHECK_EQ(async_runner_run(runner, sleep_and_return, (void *)(intptr_t)-EIO), -EIO);
    ASYNC_CHECK_STR(async_last_error(), "Input/output error");
    ASYNC_CHECK_EQ(async_runner_signal(runner), 0);
    ASYNC_CHECK(!async_get_running_loop());
    ASYNC_CHECK(!async_current_task());
    async_runner_close(runner);
}

static int start_in_the_background(void *arg)
{
    async_task_unref(async_create_task(writes_after, arg, 0.01));
    return 0;
}

ASYNC_TEST_PLAIN(what_a_run_leaves_goes_on_in_the_next_one)
{
    async_runner *runner = open_runner();

    ASYNC_CHECK_EQ(async_runner_run(runner, start_in_the_background, "a"), 0);
    ASYNC_CHECK_STR(trace, "");
    for (int i = 0; i < 100 && !*trace; i++)
        ASYNC_CHECK_EQ(async_runner_run(runner, sleep_and_return, NULL), 0);
    ASYNC_CHECK_STR(trace, "a");
    async_runner_close(runner);
}

ASYNC_TEST_PLAIN(a_runner_refuses_wrong_arguments)
{
    async_runner *runner = open_runner();

    ASYNC_CHECK_EQ(async_runner_open(async_test_options(), NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_runner_run(NULL, sleep_and_return, NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_runner_run(runner, NULL, NULL), -EINVAL);
    ASYNC_CHECK(!async_runner_get_loop(NULL));
    ASYNC_CHECK_EQ(async_runner_signal(NULL), 0);
    async_runner_close(NULL);
    async_runner_close(runner);
}

ASYNC_TEST_PLAIN(a_runner_survives_each_failed_allocation)
{
    int failures = 1;

    for (long n = 1; failures; n++) {
        async_runner *runner = NULL;
        int r;

        failures = 0;
        async_test_fail_allocation(n, 0);
        r = async_runner_open(async_test_options(), &runner);
        if (r == 0)
            r = async_runner_run(runner, sleep_and_return, NULL);
        ASYNC_CHECK(r == 0 || r == -ENOMEM);
        failures = r != 0;
        async_test_fail_allocation(0, 0);
        async_runner_close(runner);
        ASYNC_CHECK_EQ(async_test_allocations_live(), 0);
    }
}

async_def(returns_seven)
{
    int r = await_sleep(0.001);

    return r < 0 ? r : 7;
}

async_def(adds, int, a, int, b)
{
    return a + b;
}

ASYNC_TEST_PLAIN(the_one_liner_runs_a_function_and_gives_its_result)
{
    setenv("ASYNC_BACKEND", async_test_options()->backend, 1);
    ASYNC_CHECK_EQ(async_run(returns_seven), 7);
    ASYNC_CHECK_EQ(async_run(adds, 3, 4), 7);
    ASYNC_CHECK(!async_get_running_loop());
    setenv("ASYNC_BACKEND", "nonsense", 1);
    ASYNC_CHECK_EQ(async_run(adds, 3, 4), ASYNC_ENOBACKEND);
}

static void *run_in_thread(void *arg)
{
    *(int *)arg = async_run(returns_seven);
    return NULL;
}

ASYNC_TEST_PLAIN(several_threads_run_loops_of_their_own)
{
    pthread_t threads[4];
    int results[4] = { 0 };

    setenv("ASYNC_BACKEND", async_test_options()->backend, 1);
    for (int i = 0; i < 4; i++)
        ASYNC_CHECK_EQ(pthread_create(&threads[i], NULL, run_in_thread, &results[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        ASYNC_CHECK_EQ(results[i], 7);
    }
}

/* ---- nested runs ---- */

ASYNC_TEST(a_run_inside_of_a_task_is_refused)
{
    async_loop *loop = async_get_running_loop();
    async_runner *runner = NULL;

    ASYNC_CHECK_EQ(async_run(returns_seven), -EBUSY);
    ASYNC_CHECK_HAS(async_last_error(), "running on this thread already");
    ASYNC_CHECK_EQ(async_runner_open(async_test_options(), &runner), -EBUSY);
    ASYNC_CHECK_EQ(async_loop_run_forever(loop), -EBUSY);
    ASYNC_CHECK_EQ(async_loop_turn(loop, 0), -EBUSY);
    ASYNC_CHECK_EQ(async_loop_close(loop), -EBUSY);
    ASYNC_CHECK(async_get_running_loop() == loop);
    ASYNC_CHECK_EQ(await_sleep(0.001), 0);
}

static int run_in_a_callback(void *arg)
{
    ASYNC_CHECK_EQ(async_run(returns_seven), -EBUSY);
    strcat(trace, arg);
    return 0;
}

ASYNC_TEST(a_run_inside_of_a_callback_is_refused)
{
    ASYNC_CHECK(async_call_soon(run_in_a_callback, "a"));
    ASYNC_CHECK_EQ(await_sleep(0.001), 0);
    ASYNC_CHECK_STR(trace, "a");
}

/* ---- what is left at the close ---- */

async_def(cleans_up, double, seconds)
{
    int r = await_sleep(1000);

    {
        async_shield();
        if (await_sleep(seconds) == 0)
            strcat(trace, "c");
    }
    return r;
}

ASYNC_SUSPENDS static int leave_tasks(void *arg)
{
    async_task_unref(async_create_task(cleans_up, 0.001));
    async_task_unref(async_create_task(cleans_up, 0.002));
    return await_sleep(0) + (arg != NULL);
}

ASYNC_TEST_PLAIN(the_remaining_tasks_are_cancelled_and_joined_with_their_cleanup_at_the_close)
{
    async_runner *runner = open_runner();

    ASYNC_CHECK_EQ(async_runner_run(runner, leave_tasks, NULL), 0);
    ASYNC_CHECK_STR(trace, "");
    async_runner_close(runner);
    ASYNC_CHECK_STR(trace, "cc");
    ASYNC_CHECK_EQ(async_test_reports(), 0);
}

async_def(leaves_a_child_when_cancelled)
{
    int r = await_sleep(1000);

    async_task_unref(async_create_task(cleans_up, 0.001));
    return r;
}

ASYNC_SUSPENDS static int leave_a_mother(void *arg)
{
    async_task_unref(async_create_task(leaves_a_child_when_cancelled));
    return await_sleep(0) + (arg != NULL);
}

ASYNC_TEST_PLAIN(tasks_that_are_made_during_the_close_are_cancelled_too)
{
    async_runner *runner = open_runner();

    ASYNC_CHECK_EQ(async_runner_run(runner, leave_a_mother, NULL), 0);
    async_runner_close(runner);
    ASYNC_CHECK_STR(trace, "c");
}

async_def(stops_the_loop_and_cleans_up)
{
    int r = await_sleep(1000);

    async_shield();
    async_stop();
    if (await_sleep(0.01) == 0)
        strcat(trace, "c");
    return r;
}

ASYNC_SUSPENDS static int leave_one_that_stops(void *arg)
{
    async_task_unref(async_create_task(stops_the_loop_and_cleans_up));
    return await_sleep(0) + (arg != NULL);
}

ASYNC_TEST_PLAIN(a_task_that_stops_the_loop_during_the_close_does_not_hang_it)
{
    async_runner *runner = open_runner();

    ASYNC_CHECK_EQ(async_runner_run(runner, leave_one_that_stops, NULL), 0);
    async_runner_close(runner);
    ASYNC_CHECK_STR(trace, "c");
}

async_def(hides_for_ever)
{
    async_shield();
    return await_suspend("hiding");
}

ASYNC_SUSPENDS static int leave_one_that_hides(void *arg)
{
    async_task_unref(async_create_task(hides_for_ever));
    return await_sleep(0) + (arg != NULL);
}

ASYNC_TEST_PLAIN(a_task_that_cannot_be_ended_is_named_at_the_close)
{
    async_runner *runner = open_runner();

    if (AW_TSAN)
        ASYNC_SKIP("the sanitizer has a thread of its own, which could wake the loop");
    ASYNC_CHECK_EQ(async_runner_run(runner, leave_one_that_hides, NULL), 0);
    async_runner_close(runner);
    ASYNC_CHECK_EQ(async_test_reports(), 2);
    ASYNC_CHECK_HAS(async_test_report(0), "'hides_for_ever'");
    ASYNC_CHECK_HAS(async_test_report(0), "waits in hiding");
    ASYNC_CHECK_HAS(async_test_report(1), "pending");
}

static int fail_turn(void *arg)
{
    return (int)(intptr_t)arg;
}

ASYNC_SUSPENDS static int is_stopped_by_a_callback(void *arg)
{
    int r;

    async_call_soon(fail_turn, (void *)(intptr_t)-55);
    r = await_sleep(1000);
    strcat(trace, r == ASYNC_ECANCELED ? "c" : "?");
    return r + (arg != NULL);
}

ASYNC_TEST_PLAIN(a_callback_that_stops_the_run_gives_its_number_and_main_is_ended_at_the_close)
{
    async_runner *runner = open_runner();

    ASYNC_CHECK_EQ(async_runner_run(runner, is_stopped_by_a_callback, NULL), -55);
    async_runner_close(runner);
    ASYNC_CHECK_STR(trace, "c");
}

/* ---- deadlocks ---- */

async_def(waits_for_nothing, async_future *, future)
{
    return await_future(future);
}

ASYNC_SUSPENDS static int wait_for_each_other(void *arg)
{
    async_future *future = async_future_new();
    int result, r;

    r = await_task(async_create_task(waits_for_nothing, future), &result);
    strcat(trace, "c");
    async_future_unref(future);
    return r < 0 ? r : result + (arg != NULL);
}

ASYNC_TEST_PLAIN(a_main_that_nothing_can_ever_wake_is_told_and_all_who_wait_are_named)
{
    async_runner *runner = open_runner();

    if (AW_TSAN)
        ASYNC_SKIP("the sanitizer has a thread of its own, which could wake the loop");
    ASYNC_CHECK_EQ(async_runner_run(runner, wait_for_each_other, NULL), ASYNC_EDEADLOCK);
    ASYNC_CHECK_STR(trace, "c"); /* its cleanup ran */
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "nothing can ever wake the loop");
    ASYNC_CHECK_HAS(async_test_report(0), "'main'");
    ASYNC_CHECK_HAS(async_test_report(0), "waits in await_task");
    ASYNC_CHECK_HAS(async_test_report(0), "'waits_for_nothing' (created at");
    ASYNC_CHECK_HAS(async_test_report(0), "runner_test.c:");
    ASYNC_CHECK_HAS(async_test_report(0), "waits in await_future");
    async_runner_close(runner);
}

ASYNC_SUSPENDS static int ignore_the_deadlock(void *arg)
{
    async_shield();
    return await_suspend("for ever") + (arg != NULL);
}

ASYNC_TEST_PLAIN(a_main_that_cannot_be_woken_even_so_is_given_up)
{
    async_runner *runner = open_runner();

    if (AW_TSAN)
        ASYNC_SKIP("the sanitizer has a thread of its own, which could wake the loop");
    ASYNC_CHECK_EQ(async_runner_run(runner, ignore_the_deadlock, NULL), ASYNC_EDEADLOCK);
    async_runner_close(runner);
    ASYNC_CHECK(async_test_reports() >= 2);
}

/* ---- signals, seen from outside ---- */

ASYNC_SUSPENDS static int interrupts_itself(void)
{
    int r;

    printf("not flushed yet"); /* no newline: it is in the buffer */
    kill(getpid(), SIGINT);
    r = await_sleep(20);
    {
        async_shield(5);
        if (await_sleep(0.01) == 0)
            printf(", cleaned up");
    }
    fprintf(stderr, "[%s]", async_last_error());
    return r;
}

ASYNC_SUSPENDS static int terminates_itself(void)
{
    kill(getpid(), SIGTERM);
    return await_sleep(20);
}

ASYNC_SUSPENDS static int drains(void)
{
    int r;

    kill(getpid(), SIGINT);
    r = await_sleep(20);
    return r == ASYNC_ECANCELED ? 0 : 9;
}

ASYNC_SUSPENDS static int is_impatient(void)
{
    async_shield();
    kill(getpid(), SIGINT);
    if (await_sleep(0.01) < 0)
        return 9;
    kill(getpid(), SIGINT);
    return await_sleep(20);
}

ASYNC_SUSPENDS static int is_killed_twice_by_different_signals(void)
{
    async_shield();
    kill(getpid(), SIGINT);
    if (await_sleep(0.01) < 0)
        return 9;
    kill(getpid(), SIGTERM);
    return await_sleep(20);
}

static int fails(void)
{
    return -ECONNREFUSED;
}

ASYNC_SUSPENDS static int fails_with_a_sentence(void)
{
    async_timeout(0.001);
    return await_sleep(1);
}

ASYNC_SUSPENDS static int returns_three(void)
{
    return await_sleep(0) + 3;
}

ASYNC_SUSPENDS static int is_cancelled_without_a_signal(void)
{
    async_task_cancel(async_current_task());
    return await_sleep(1);
}

ASYNC_SUSPENDS static int stays_cancelled_after_a_signal_when_busy(void)
{
    /* The signal comes between two awaits: the loop does not sleep. */
    for (int i = 0; i < 1000000; i++) {
        int r;

        if (i == 100)
            kill(getpid(), SIGINT);
        if ((r = await_sleep(0)) < 0)
            return r;
    }
    return 9;
}

struct program {
    int (*main)(void);
    FILE *output;
    void (*prepare)(void);
};

static void run_program(void *arg)
{
    struct program *program = arg;

    setenv("ASYNC_BACKEND", "linux", 1);
    dup2(fileno(program->output), STDOUT_FILENO);
    setvbuf(stdout, NULL, _IOFBF, 4096);
    if (program->prepare)
        program->prepare();
    exit(aw_run_main(program->main, NULL, 0, NULL));
}

/* What a shell sees: the exit code, or 128 + the signal. */
static int shell_status(int (*main)(void), void (*prepare)(void), char *ret_stdout, char *ret_stderr, size_t size)
{
    struct program program = { main, tmpfile(), prepare };
    int status = async_test_death(run_program, &program, ret_stderr, size);

    rewind(program.output);
    ret_stdout[fread(ret_stdout, 1, size - 1, program.output)] = 0;
    fclose(program.output);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static char out[2000], err[2000];

ASYNC_TEST_PLAIN(sigint_cancels_main_and_the_process_dies_of_it_with_its_output_flushed)
{
    ASYNC_CHECK_EQ(shell_status(interrupts_itself, NULL, out, err, sizeof out), 130);
    ASYNC_CHECK_STR(out, "not flushed yet, cleaned up");
    ASYNC_CHECK_HAS(err, "SIGINT");
}

ASYNC_TEST_PLAIN(sigterm_does_the_same)
{
    ASYNC_CHECK_EQ(shell_status(terminates_itself, NULL, out, err, sizeof out), 143);
}

ASYNC_TEST_PLAIN(a_main_that_ends_well_after_a_signal_has_its_own_exit_code)
{
    ASYNC_CHECK_EQ(shell_status(drains, NULL, out, err, sizeof out), 0);
}

ASYNC_TEST_PLAIN(a_second_signal_ends_the_process_at_once)
{
    ASYNC_CHECK_EQ(shell_status(is_impatient, NULL, out, err, sizeof out), 130);
    ASYNC_CHECK_EQ(shell_status(is_killed_twice_by_different_signals, NULL, out, err, sizeof out), 143);
}

ASYNC_TEST_PLAIN(a_busy_main_hears_of_the_signal_too)
{
    ASYNC_CHECK_EQ(shell_status(stays_cancelled_after_a_signal_when_busy, NULL, out, err, sizeof out), 130);
}

ASYNC_TEST_PLAIN(a_negative_result_prints_a_sentence_and_exits_with_1)
{
    ASYNC_CHECK_EQ(shell_status(fails, NULL, out, err, sizeof out), 1);
    ASYNC_CHECK_STR(err, "Connection refused\n");
    ASYNC_CHECK_EQ(shell_status(fails_with_a_sentence, NULL, out, err, sizeof out), 1);
    ASYNC_CHECK_HAS(err, "await_sleep: the deadline set at");
    ASYNC_CHECK_EQ(shell_status(is_cancelled_without_a_signal, NULL, out, err, sizeof out), 1);
    ASYNC_CHECK_HAS(err, "cancelled");
}

ASYNC_TEST_PLAIN(a_result_that_is_not_negative_is_the_exit_code)
{
    ASYNC_CHECK_EQ(shell_status(returns_three, NULL, out, err, sizeof out), 3);
    ASYNC_CHECK_STR(err, "");
}

static void ignore_sigint(void)
{
    signal(SIGINT, SIG_IGN);
}

ASYNC_SUSPENDS static int sends_sigint_and_sleeps(void)
{
    kill(getpid(), SIGINT);
    return await_sleep(0.01) == 0 ? 4 : 9;
}

ASYNC_TEST_PLAIN(an_ignored_signal_stays_ignored)
{
    ASYNC_CHECK_EQ(shell_status(sends_sigint_and_sleeps, ignore_sigint, out, err, sizeof out), 4);
}

static volatile sig_atomic_t own_handler_ran;

static void own_handler(int number)
{
    own_handler_ran = number;
}

static void handle_sigint(void)
{
    signal(SIGINT, own_handler);
}

ASYNC_SUSPENDS static int sends_sigint_to_own_handler(void)
{
    kill(getpid(), SIGINT);
    return await_sleep(0.01) == 0 && own_handler_ran == SIGINT ? 5 : 9;
}

ASYNC_TEST_PLAIN(a_handler_of_the_program_is_left_alone)
{
    ASYNC_CHECK_EQ(shell_status(sends_sigint_to_own_handler, handle_sigint, out, err, sizeof out), 5);
}

/* ---- signals, seen from inside ---- */

ASYNC_SUSPENDS static int raise_and_sleep(void *arg)
{
    kill(getpid(), (int)(intptr_t)arg);
    return await_sleep(1);
}

static void run_interrupted_runs(void *arg)
{
    async_runner *runner = open_runner();

    (void)arg;
    for (int i = 0; i < 3; i++) {
        ASYNC_CHECK_EQ(async_runner_run(runner, raise_and_sleep, (void *)(intptr_t)SIGINT), ASYNC_ECANCELED);
        ASYNC_CHECK_HAS(async_last_error(), "SIGINT");
        ASYNC_CHECK_EQ(async_runner_signal(runner), SIGINT);
        ASYNC_CHECK_EQ(async_runner_run(runner, raise_and_sleep, (void *)(intptr_t)SIGTERM), ASYNC_ECANCELED);
        ASYNC_CHECK_EQ(async_runner_signal(runner), SIGTERM);
        ASYNC_CHECK_EQ(async_runner_run(runner, sleep_and_return, NULL), 0);
        ASYNC_CHECK_EQ(async_runner_signal(runner), 0);
    }
    async_runner_close(runner);
}

ASYNC_TEST_PLAIN(each_run_of_a_runner_can_be_interrupted)
{
    char text[2000];

    ASYNC_CHECK_EQ(async_test_death(run_interrupted_runs, NULL, text, sizeof text), 0);
    ASYNC_CHECK_STR(text, "");
}

ASYNC_TEST_PLAIN(after_a_run_the_signals_dispositions_are_what_they_were)
{
    async_runner *runner = open_runner();
    struct sigaction before[2], after[2];

    sigaction(SIGINT, NULL, &before[0]);
    sigaction(SIGTERM, NULL, &before[1]);
    ASYNC_CHECK_EQ(async_runner_run(runner, sleep_and_return, NULL), 0);
    sigaction(SIGINT, NULL, &after[0]);
    sigaction(SIGTERM, NULL, &after[1]);
    for (int i = 0; i < 2; i++)
        ASYNC_CHECK(before[i].sa_handler == after[i].sa_handler);
    async_runner_close(runner);
}
