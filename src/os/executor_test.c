/* SPDX-License-Identifier: MIT */
#include "os/fixture.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#define JOBS 40

struct task {
    struct aw_executor_job job; /* first */
    int number;
    AW_ATOMIC(bool) ran;
    int done_calls;
    bool blocks; /* until the gate opens */
    void (*then)(struct task *task);
};

static struct task tasks[JOBS];
static sem_t gate;
static AW_ATOMIC(int) at_work, most_at_work, begun;
static int done_order[JOBS], done_count, idle_calls;

static void work(struct aw_executor_job *job)
{
    struct task *task = (struct task *)job;
    int now = aw_atomic_add(&at_work, 1, relaxed) + 1, most = aw_atomic_load(&most_at_work, relaxed);

    while (now > most && !aw_atomic_cas(&most_at_work, &most, now, relaxed))
        ;
    aw_atomic_add(&begun, 1, relaxed);
    aw_atomic_store(&task->ran, true, relaxed);
    if (task->blocks)
        sem_wait(&gate);
    aw_atomic_add(&at_work, -1, relaxed);
}

static void done(struct aw_executor_job *job)
{
    struct task *task = (struct task *)job;

    task->done_calls++;
    done_order[done_count++] = task->number;
    if (task->then)
        task->then(task);
}

static void on_idle(struct aw_executor *executor, void *arg)
{
    (void)executor;
    ASYNC_CHECK(arg == &idle_calls);
    idle_calls++;
}

static void set_up(struct aw_executor *executor, async_loop *loop, unsigned limit)
{
    memset(tasks, 0, sizeof tasks);
    done_count = idle_calls = 0;
    aw_atomic_store(&begun, 0, relaxed);
    aw_atomic_store(&most_at_work, 0, relaxed);
    sem_init(&gate, 0, 0);
    for (int i = 0; i < JOBS; i++)
        tasks[i] = (struct task){ .job = { .work = work, .done = done }, .number = i };
    aw_executor_init(executor, loop, limit);
    executor->idle = on_idle;
    executor->idle_arg = &idle_calls;
}

static void open_gate(int count)
{
    while (count-- > 0)
        sem_post(&gate);
}

TEST_ON_BOTH(a_job_runs_and_is_done_once)
{
    struct aw_executor executor;

    set_up(&executor, loop, 0);
    ASYNC_CHECK_EQ(aw_executor_submit(&executor, &tasks[0].job), 0);
    ASYNC_CHECK_EQ(tasks[0].done_calls, 0);
    ASYNC_CHECK_EQ(loop->holds, 1);
    UNTIL(loop, done_count == 1);
    ASYNC_CHECK(tasks[0].ran);
    ASYNC_CHECK_EQ(idle_calls, 1);
    ASYNC_CHECK_EQ(aw_executor_cancel(&tasks[0].job), 0);
    aw_executor_fini(&executor);
    ASYNC_CHECK_EQ(tasks[0].done_calls, 1);
}

TEST_ON_BOTH(no_more_than_the_limit_run_at_a_time_and_in_order)
{
    struct aw_executor executor;

    set_up(&executor, loop, 1);
    for (int i = 0; i < JOBS; i++)
        ASYNC_CHECK_EQ(aw_executor_submit(&executor, &tasks[i].job), 0);
    ASYNC_CHECK_EQ(executor.active, 1);
    UNTIL(loop, done_count == JOBS);
    ASYNC_CHECK_EQ(most_at_work, 1);
    for (int i = 0; i < JOBS; i++)
        ASYNC_CHECK_EQ(done_order[i], i);
    ASYNC_CHECK_EQ(idle_calls, 1);
    aw_executor_fini(&executor);
}

TEST_ON_LINUX(several_jobs_run_at_the_same_time)
{
    struct aw_executor executor;

    set_up(&executor, loop, 3);
    for (int i = 0; i < 10; i++) {
        tasks[i].blocks = true;
        ASYNC_CHECK_EQ(aw_executor_submit(&executor, &tasks[i].job), 0);
    }
    UNTIL(loop, aw_atomic_load(&begun, relaxed) == 3);
    ASYNC_CHECK_EQ(done_count, 0);
    open_gate(10);
    UNTIL(loop, done_count == 10);
    ASYNC_CHECK_EQ(most_at_work, 3);
    aw_executor_fini(&executor);
}

/* ---- cancel ---- */

TEST_ON_BOTH(a_job_that_waits_can_be_taken_back)
{
    struct aw_executor executor;

    set_up(&executor, loop, 1);
    for (int i = 0; i < 3; i++)
        ASYNC_CHECK_EQ(aw_executor_submit(&executor, &tasks[i].job), 0);
    ASYNC_CHECK_EQ(aw_executor_cancel(&tasks[1].job), 1);
    ASYNC_CHECK_EQ(aw_executor_cancel(&tasks[1].job), 0);
    ASYNC_CHECK_EQ(loop->holds, 2);
    UNTIL(loop, done_count == 2);
    ASYNC_CHECK(!tasks[1].ran && tasks[1].done_calls == 0);
    ASYNC_CHECK_EQ(aw_executor_submit(&executor, &tasks[1].job), 0);
    UNTIL(loop, done_count == 3);
    aw_executor_fini(&executor);
}

TEST_ON_BOTH(taking_the_last_job_back_makes_the_executor_idle)
{
    struct aw_executor executor;

    set_up(&executor, loop, 1);
    ASYNC_CHECK_EQ(aw_executor_submit(&executor, &tasks[0].job), 0);
    ASYNC_CHECK_EQ(aw_executor_submit(&executor, &tasks[1].job), 0);
    if (aw_executor_cancel(&tasks[0].job)) /* the other one moves up */
        ASYNC_CHECK_EQ(executor.active, 1);
    ASYNC_CHECK_EQ(idle_calls, 0);
    aw_executor_cancel(&tasks[1].job);
    UNTIL(loop, idle_calls == 1);
    ASYNC_CHECK_EQ(loop->holds, 0);
    aw_executor_fini(&executor);
}

TEST_ON_LINUX(a_job_that_has_begun_cannot_be_taken_back)
{
    struct aw_executor executor;

    set_up(&executor, loop, 1);
    tasks[0].blocks = true;
    ASYNC_CHECK_EQ(aw_executor_submit(&executor, &tasks[0].job), 0);
    UNTIL(loop, aw_atomic_load(&begun, relaxed) == 1);
    ASYNC_CHECK_EQ(aw_executor_cancel(&tasks[0].job), 0);
    open_gate(1);
    UNTIL(loop, done_count == 1);
    aw_executor_fini(&executor);
}

/* ---- the end ---- */

TEST_ON_BOTH(a_shut_down_executor_takes_no_jobs_and_finishes_those_it_has)
{
    struct aw_executor executor;

    set_up(&executor, loop, 1);
    for (int i = 0; i < 5; i++)
        ASYNC_CHECK_EQ(aw_executor_submit(&executor, &tasks[i].job), 0);
    executor.shut_down = true;
    ASYNC_CHECK_EQ(aw_executor_submit(&executor, &tasks[5].job), ASYNC_ECLOSED);
    UNTIL(loop, idle_calls == 1);
    ASYNC_CHECK_EQ(done_count, 5);
    aw_executor_fini(&executor);
}

TEST_ON_LINUX(an_executor_may_go_while_its_jobs_run)
{
    struct aw_executor *executor = malloc(sizeof *executor);

    ASYNC_CHECK(executor != NULL);
    set_up(executor, loop, 2);
    for (int i = 0; i < 5; i++) {
        tasks[i].blocks = true;
        ASYNC_CHECK_EQ(aw_executor_submit(executor, &tasks[i].job), 0);
    }
    UNTIL(loop, aw_atomic_load(&begun, relaxed) == 2);
    aw_executor_fini(executor);
    memset(executor, 0xee, sizeof *executor);
    free(executor);
    ASYNC_CHECK_EQ(done_count, 3); /* those that had not begun are told so */
    ASYNC_CHECK(!tasks[2].ran && tasks[2].done_calls == 1);
    ASYNC_CHECK_EQ(loop->holds, 2);
    ASYNC_CHECK_EQ(aw_executor_cancel(&tasks[0].job), 0);
    open_gate(2);
    UNTIL(loop, done_count == 5);
    ASYNC_CHECK_EQ(idle_calls, 0);
}

ASYNC_TEST_PLAIN(closing_the_loop_waits_for_jobs_that_have_begun)
{
    async_loop *loop = open_loop("linux");
    struct aw_executor *executor;
    struct aw_executor unused;

    set_up(&unused, loop, 1);
    executor = aw_loop_executor(loop);
    ASYNC_CHECK(executor != NULL && executor == aw_loop_executor(loop));
    ASYNC_CHECK(executor != aw_loop_resolver_executor(loop));
    tasks[0].blocks = true;
    ASYNC_CHECK_EQ(aw_executor_submit(executor, &tasks[0].job), 0);
    UNTIL(loop, aw_atomic_load(&begun, relaxed) == 1);
    open_gate(1);
    ASYNC_CHECK_EQ(async_loop_close(loop), 0);
    ASYNC_CHECK(tasks[0].ran && tasks[0].done_calls == 1);
}

ASYNC_TEST_PLAIN(closing_the_loop_tells_jobs_that_never_began)
{
    async_loop *loop = open_loop("sim");
    struct aw_executor unused;

    set_up(&unused, loop, 1);
    for (int i = 0; i < JOBS; i++)
        ASYNC_CHECK_EQ(aw_executor_submit(aw_loop_executor(loop), &tasks[i].job), 0);
    ASYNC_CHECK_EQ(async_loop_close(loop), 0);
    ASYNC_CHECK_EQ(done_count, JOBS);
    ASYNC_CHECK(!tasks[0].ran);
}

ASYNC_TEST_PLAIN(without_memory_there_is_no_default_executor)
{
    async_loop *loop = open_loop("sim");

    async_test_fail_allocation(1, 1);
    ASYNC_CHECK(aw_loop_executor(loop) == NULL);
    ASYNC_CHECK(aw_loop_resolver_executor(loop) == NULL);
    async_test_fail_allocation(0, 0);
    ASYNC_CHECK(aw_loop_executor(loop) != NULL);
    ASYNC_CHECK_EQ(async_loop_close(loop), 0);
}

/* ---- what done() may do ---- */

static struct aw_executor *the_executor;

static void free_executor(struct task *task)
{
    (void)task;
    aw_executor_fini(the_executor);
    memset(the_executor, 0xee, sizeof *the_executor);
    free(the_executor);
}

TEST_ON_BOTH(done_may_free_the_executor)
{
    the_executor = malloc(sizeof *the_executor);
    ASYNC_CHECK(the_executor != NULL);
    set_up(the_executor, loop, 1);
    for (int i = 0; i < 3; i++)
        ASYNC_CHECK_EQ(aw_executor_submit(the_executor, &tasks[i].job), 0);
    tasks[0].then = free_executor;
    UNTIL(loop, done_count == 3);
    ASYNC_CHECK(!tasks[1].ran && !tasks[2].ran);
}

static void cancel_next_and_free(struct task *task)
{
    ASYNC_CHECK_EQ(aw_executor_cancel(&tasks[task->number + 1].job), 1);
    free_executor(task);
}

TEST_ON_BOTH(done_may_cancel_another_job_and_free_the_executor)
{
    the_executor = malloc(sizeof *the_executor);
    ASYNC_CHECK(the_executor != NULL);
    set_up(the_executor, loop, 1);
    for (int i = 0; i < 3; i++)
        ASYNC_CHECK_EQ(aw_executor_submit(the_executor, &tasks[i].job), 0);
    tasks[0].then = cancel_next_and_free;
    UNTIL(loop, done_count == 2);
    ASYNC_CHECK_EQ(tasks[1].done_calls, 0);
}

static void submit_again(struct task *task)
{
    if (task->done_calls < 5)
        ASYNC_CHECK_EQ(aw_executor_submit(the_executor, &task->job), 0);
}

TEST_ON_BOTH(done_may_submit_the_job_again)
{
    struct aw_executor executor;

    the_executor = &executor;
    set_up(&executor, loop, 1);
    tasks[0].then = submit_again;
    ASYNC_CHECK_EQ(aw_executor_submit(&executor, &tasks[0].job), 0);
    UNTIL(loop, tasks[0].done_calls == 5);
    ASYNC_CHECK_EQ(idle_calls, 1);
    aw_executor_fini(&executor);
}

/* ---- no threads ---- */

static const struct aw_backend_ops *real_ops;
static struct aw_backend_ops scarce_ops;
static int refusals;

static int submitted[JOBS], submitted_count;

static int scarce_submit(struct aw_backend *backend, struct aw_job *job)
{
    if (refusals == 0)
        submitted[submitted_count++] = AW_CONTAINER_OF(job, struct task, job.job)->number;
    return refusals > 0 && refusals-- ? -EAGAIN : real_ops->job_submit(backend, job);
}

static void make_threads_scarce(async_loop *loop)
{
    real_ops = loop->backend->ops;
    scarce_ops = *real_ops;
    scarce_ops.job_submit = scarce_submit;
    loop->backend->ops = &scarce_ops;
}

TEST_ON_BOTH(a_submit_without_a_thread_fails_and_takes_nothing)
{
    struct aw_executor executor;

    set_up(&executor, loop, 2);
    make_threads_scarce(loop);
    refusals = 1;
    ASYNC_CHECK_EQ(aw_executor_submit(&executor, &tasks[0].job), -EAGAIN);
    ASYNC_CHECK_HAS(async_last_error(), "no thread");
    ASYNC_CHECK_EQ(loop->holds, 0);
    ASYNC_CHECK_EQ(aw_executor_submit(&executor, &tasks[0].job), 0);
    UNTIL(loop, done_count == 1);
    aw_executor_fini(&executor);
}

TEST_ON_BOTH(a_waiting_job_that_can_never_start_is_told_so)
{
    struct aw_executor executor;

    set_up(&executor, loop, 1);
    make_threads_scarce(loop);
    for (int i = 0; i < 4; i++)
        ASYNC_CHECK_EQ(aw_executor_submit(&executor, &tasks[i].job), 0);
    refusals = 2;
    UNTIL(loop, done_count == 4);
    ASYNC_CHECK(tasks[0].ran && !tasks[1].ran && !tasks[2].ran && tasks[3].ran);
    ASYNC_CHECK_EQ(idle_calls, 1);
    aw_executor_fini(&executor);
}

TEST_ON_LINUX(a_waiting_job_that_found_no_thread_keeps_its_place)
{
    struct aw_executor executor;

    set_up(&executor, loop, 2);
    make_threads_scarce(loop);
    for (int i = 0; i < 4; i++) {
        tasks[i].blocks = true;
        ASYNC_CHECK_EQ(aw_executor_submit(&executor, &tasks[i].job), 0);
    }
    UNTIL(loop, aw_atomic_load(&begun, relaxed) == 2);
    refusals = 1; /* for the job that takes the first one's place */
    open_gate(1);
    UNTIL(loop, done_count == 1);
    ASYNC_CHECK_EQ(executor.active, 1);
    open_gate(3);
    UNTIL(loop, done_count == 4);
    for (int i = 0; i < 4; i++)
        ASYNC_CHECK(tasks[i].ran && submitted[i] == i);
    aw_executor_fini(&executor);
}

TEST_ON_BOTH(taking_a_job_back_tells_another_one_that_it_can_never_start)
{
    struct aw_executor executor;

    set_up(&executor, loop, 1);
    make_threads_scarce(loop);
    ASYNC_CHECK_EQ(aw_executor_submit(&executor, &tasks[0].job), 0);
    ASYNC_CHECK_EQ(aw_executor_submit(&executor, &tasks[1].job), 0);
    refusals = 1;
    if (aw_executor_cancel(&tasks[0].job) == 0) /* it has begun */
        UNTIL(loop, done_count == 2);
    ASYNC_CHECK(!tasks[1].ran && tasks[1].done_calls == 1);
    ASYNC_CHECK_EQ(idle_calls, 1);
    aw_executor_fini(&executor);
}

static void cancel_next_without_threads(struct task *task)
{
    refusals = 1;
    ASYNC_CHECK_EQ(aw_executor_cancel(&tasks[task->number + 1].job), 1);
}

/* done() takes a job back, which makes another one fail, whose done() frees what the first one came from. */
TEST_ON_BOTH(a_nested_done_may_free_the_executor)
{
    the_executor = malloc(sizeof *the_executor);
    ASYNC_CHECK(the_executor != NULL);
    set_up(the_executor, loop, 1);
    make_threads_scarce(loop);
    for (int i = 0; i < 3; i++)
        ASYNC_CHECK_EQ(aw_executor_submit(the_executor, &tasks[i].job), 0);
    tasks[0].then = cancel_next_without_threads;
    tasks[2].then = free_executor;
    UNTIL(loop, done_count == 2);
    ASYNC_CHECK(!tasks[2].ran);
}
