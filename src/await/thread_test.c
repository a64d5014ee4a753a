/* SPDX-License-Identifier: MIT */
/* Jobs that really block: what a cancelled scope does to one that has begun. */
#include <await/testing.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* A gate: the job waits at a pipe until the test lets it go. */
struct gate {
    int pipe[2];
    atomic_int begun, left;
};

static void gate_open(struct gate *gate)
{
    ASYNC_CHECK_EQ(pipe(gate->pipe), 0);
    atomic_init(&gate->begun, 0);
    atomic_init(&gate->left, 0);
}

static void gate_close(struct gate *gate)
{
    close(gate->pipe[0]);
    close(gate->pipe[1]);
}

static void gate_let_one_pass(struct gate *gate)
{
    ASYNC_CHECK_EQ(write(gate->pipe[1], "x", 1), 1);
}

static int wait_at_gate(void *arg)
{
    struct gate *gate = arg;
    char byte;

    atomic_fetch_add(&gate->begun, 1);
    if (read(gate->pipe[0], &byte, 1) != 1)
        return -EIO;
    atomic_fetch_add(&gate->left, 1);
    return 7;
}

ASYNC_SUSPENDS static void await_begun(struct gate *gate, int count)
{
    while (atomic_load(&gate->begun) < count)
        ASYNC_CHECK_EQ(await_sleep(0), 0);
}

ASYNC_SUSPENDS static int join_gate(void *arg)
{
    int result = 0;
    int r = await_to_thread(wait_at_gate, arg, &result);

    return r < 0 ? r : result;
}

ASYNC_TEST_ON("linux", a_cancelled_join_waits_for_a_job_that_has_begun)
{
    struct gate gate;
    async_task *task;
    int result = 0;

    gate_open(&gate);
    task = async_task_new(join_gate, &gate);
    await_begun(&gate, 1);
    async_task_cancel(task);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    ASYNC_CHECK_EQ(async_task_done(task), 0);
    gate_let_one_pass(&gate);
    ASYNC_CHECK_EQ(await_task(task, &result), 0);
    ASYNC_CHECK_EQ(result, ASYNC_ECANCELED);
    ASYNC_CHECK_EQ(atomic_load(&gate.left), 1);
    gate_close(&gate);
}

static atomic_int freed;

static void note_freed(void *arg)
{
    (void)arg;
    atomic_fetch_add(&freed, 1);
}

ASYNC_SUSPENDS static int abandon_gate(void *arg)
{
    return await_to_thread_abandon(wait_at_gate, arg, note_freed, NULL);
}

ASYNC_TEST_ON("linux", an_abandoned_job_goes_on_alone_and_frees_its_argument)
{
    struct gate gate;
    async_task *task;
    int result = 0;

    gate_open(&gate);
    task = async_task_new(abandon_gate, &gate);
    await_begun(&gate, 1);
    async_task_cancel(task);
    ASYNC_CHECK_EQ(await_task(task, &result), 0);
    ASYNC_CHECK_EQ(result, ASYNC_ECANCELED);
    ASYNC_CHECK_EQ(atomic_load(&freed), 0);
    gate_let_one_pass(&gate);
    while (atomic_load(&freed) == 0)
        ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_EQ(atomic_load(&gate.left), 1);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    ASYNC_CHECK_EQ(atomic_load(&freed), 1);
    gate_close(&gate);
}

static void *wait_at_gate_too(void *arg)
{
    wait_at_gate(arg);
    return arg;
}

ASYNC_TEST_ON("linux", a_cancelled_future_of_a_job_that_has_begun_drops_its_result)
{
    async_executor *executor = async_executor_new(1);
    struct gate gate;
    async_future *future, *waiting;

    gate_open(&gate);
    future = async_run_in_executor(executor, wait_at_gate_too, &gate);
    waiting = async_run_in_executor(executor, wait_at_gate_too, &gate);
    await_begun(&gate, 1);
    ASYNC_CHECK_EQ(async_future_cancel(future), 1);
    ASYNC_CHECK_EQ(async_future_cancel(waiting), 1);
    ASYNC_CHECK_EQ(async_future_cancelled(future), 1);
    gate_let_one_pass(&gate);
    ASYNC_CHECK_EQ(await_executor_shutdown(executor), 0);
    ASYNC_CHECK_EQ(atomic_load(&gate.begun), 1);
    async_future_unref(future);
    async_future_unref(waiting);
    async_executor_free(executor);
    gate_close(&gate);
}

ASYNC_TEST_ON("linux", an_executor_runs_at_most_its_number_of_jobs)
{
    async_executor *executor = async_executor_new(2);
    async_future *futures[4];
    struct gate gate;

    gate_open(&gate);
    for (int i = 0; i < 4; i++)
        futures[i] = async_run_in_executor(executor, wait_at_gate_too, &gate);
    await_begun(&gate, 2);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    ASYNC_CHECK_EQ(atomic_load(&gate.begun), 2);
    for (int i = 0; i < 4; i++)
        gate_let_one_pass(&gate);
    for (int i = 0; i < 4; i++) {
        ASYNC_CHECK_EQ(await_future(futures[i]), 0);
        async_future_unref(futures[i]);
    }
    ASYNC_CHECK_EQ(await_executor_shutdown(executor), 0);
    async_executor_free(executor);
    gate_close(&gate);
}

ASYNC_TEST_ON("linux", waiting_for_a_shutdown_can_be_cancelled)
{
    async_executor *executor = async_executor_new(1);
    async_future *future;
    struct gate gate;

    gate_open(&gate);
    future = async_run_in_executor(executor, wait_at_gate_too, &gate);
    await_begun(&gate, 1);
    {
        async_timeout(0.005);
        ASYNC_CHECK_EQ(await_executor_shutdown(executor), ASYNC_ETIMEOUT);
    }
    async_executor_free(executor); /* the job runs on, its result is dropped or given */
    gate_let_one_pass(&gate);
    ASYNC_CHECK_EQ(await_future(future), 0);
    async_future_unref(future);
    gate_close(&gate);
}

/* A loop that is closed over jobs: what was given is freed, whatever stage it was in. */
ASYNC_SUSPENDS static int leave_jobs(void *arg)
{
    for (int i = 0; i < 40; i++) {
        async_timeout(0.001);
        int r = await_to_thread_abandon(wait_at_gate, arg, note_freed, NULL);
        if (r != ASYNC_ETIMEOUT)
            return r < 0 ? r : -EBADMSG;
    }
    return 0;
}

static int open_gate_soon(void *arg)
{
    struct gate *gate = arg;

    for (int i = 0; i < 40; i++)
        if (write(gate->pipe[1], "x", 1) != 1)
            return -EIO;
    return 0;
}

ASYNC_TEST_PLAIN(closing_a_loop_frees_the_arguments_of_abandoned_jobs)
{
    struct gate gate;
    async_runner *runner;
    async_loop_options options = *async_test_options();

    options.backend = "linux";
    gate_open(&gate);
    ASYNC_CHECK_EQ(async_runner_open(&options, &runner), 0);
    ASYNC_CHECK_EQ(async_runner_run(runner, leave_jobs, &gate), 0);
    ASYNC_CHECK_EQ(open_gate_soon(&gate), 0);
    async_runner_close(runner);
    ASYNC_CHECK_EQ(atomic_load(&freed), 40);
    gate_close(&gate);
}

static int count_long_in_the_frame(void *arg)
{
    struct long_count {
        atomic_int begun;
        volatile long count;
    } *self = arg;

    atomic_store(&self->begun, 1);
    for (int i = 0; i < 20 * 1000 * 1000; i++)
        self->count++;
    return 0;
}

static atomic_int *long_count_begun;

async_def(await_long_count)
{
    struct {
        atomic_int begun;
        volatile long count;
    } here = { 0 };

    long_count_begun = &here.begun;
    return await_to_thread(count_long_in_the_frame, (void *)&here, NULL);
}

ASYNC_TEST_PLAIN(closing_a_loop_waits_for_a_job_that_uses_a_pending_task_s_frame)
{
    async_loop_options options = *async_test_options();
    async_loop *loop;
    async_task *task;

    options.backend = "linux";
    loop = async_loop_new(&options);
    ASYNC_CHECK(loop);
    async_set_running_loop(loop);
    task = async_create_task(await_long_count);
    ASYNC_CHECK(task);
    async_task_unref(task);
    while (!long_count_begun || !atomic_load(long_count_begun))
        ASYNC_CHECK(async_loop_turn(loop, 0) >= 0);
    async_set_running_loop(NULL);
    ASYNC_CHECK_EQ(async_loop_close(loop), 0);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "pending");
}
