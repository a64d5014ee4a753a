/* SPDX-License-Identifier: MIT */
/* Timeouts, wake-ups, jobs: the same on every backend. */
#include "backend/backend_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define MS (AW_NS_PER_SEC / 1000)

static int wait_for(struct world *w, int64_t timeout)
{
    struct aw_event events[4];

    return w->ops->wait(w->backend, timeout, events, 4);
}

BOTH(a_wait_ends_at_its_timeout_and_not_before)
{
    static const int64_t timeouts[] = { 1, 1000, MS, 3 * MS / 2, 20 * MS };

    for (size_t i = 0; i < AW_ARRAY_SIZE(timeouts); i++) {
        int64_t start = now(w);

        ASYNC_CHECK_EQ(wait_for(w, timeouts[i]), 0);
        ASYNC_CHECK(now(w) - start >= timeouts[i]);
    }
    ASYNC_CHECK_EQ(wait_for(w, 0), 0);
    ASYNC_CHECK_EQ(wait_for(w, -1), 0);
    ASYNC_CHECK_EQ(wait_for(w, INT64_MIN), 0);
}

BOTH(the_clock_never_goes_back_and_the_tick_follows)
{
    int64_t tick = w->sys->tick(w->backend), time = now(w); /* in this order: the coarse clock is never ahead */

    ASYNC_CHECK(time > 0 && tick <= time);
    for (int i = 0; i < 1000; i++) {
        int64_t next = now(w);

        ASYNC_CHECK(next >= time);
        time = next;
    }
    wait_for(w, 30 * MS);
    ASYNC_CHECK(w->sys->tick(w->backend) > tick);
}

BOTH(a_wake_before_the_wait_is_not_lost)
{
    w->ops->wake(w->backend);
    ASYNC_CHECK_EQ(wait_for(w, AW_NEVER), 0);
}

BOTH(many_wakes_are_one)
{
    int64_t start;

    for (int i = 0; i < 5; i++)
        w->ops->wake(w->backend);
    ASYNC_CHECK_EQ(wait_for(w, AW_NEVER), 0);
    start = now(w);
    ASYNC_CHECK_EQ(wait_for(w, 5 * MS), 0);
    ASYNC_CHECK(now(w) - start >= 5 * MS);
}

BOTH(a_wake_does_not_hide_events)
{
    struct aw_event events[4];
    int fd = new_socket(w), n = 0;

    add(w, fd, AW_WRITABLE, 7);
    w->ops->wake(w->backend);
    for (int i = 0; i < 2 && n == 0; i++)
        n = w->ops->wait(w->backend, 0, events, 1);
    ASYNC_CHECK_EQ(n, 1);
    ASYNC_CHECK_EQ(events[0].token, 7);
    close_fd(w, fd);
}

static void *wake_often(void *arg)
{
    struct world *w = arg;

    for (int i = 0; i < 1000; i++)
        w->ops->wake(w->backend);
    return NULL;
}

/* What the waker wrote before its wake() is seen after the wait, without any other order between them. */
struct ping {
    struct world *w;
    atomic_int sent, seen;
};

static void *send_pings(void *arg)
{
    struct ping *ping = arg;

    for (int i = 1; i <= 1000; i++) {
        atomic_store(&ping->sent, i);
        ping->w->ops->wake(ping->w->backend);
        while (atomic_load(&ping->seen) < i)
            sched_yield();
    }
    return NULL;
}

BOTH(another_thread_wakes_a_wait_without_limit)
{
    struct ping ping = { .w = w };
    pthread_t thread;

    ASYNC_CHECK_EQ(pthread_create(&thread, NULL, send_pings, &ping), 0);
    ASYNC_CHECK_EQ(w->ops->has_foreign_threads(w->backend), 1);
    while (atomic_load(&ping.seen) < 1000) {
        ASYNC_CHECK_EQ(wait_for(w, AW_NEVER), 0);
        atomic_store(&ping.seen, atomic_load(&ping.sent));
    }
    pthread_join(thread, NULL);
}

BOTH(wakes_from_several_threads_do_no_harm)
{
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        ASYNC_CHECK_EQ(pthread_create(&threads[i], NULL, wake_often, w), 0);
    for (int i = 0; i < 100; i++)
        ASYNC_CHECK_EQ(wait_for(w, 0), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ASYNC_CHECK_EQ(wait_for(w, 0), 0);
}

BOTH(a_process_of_one_thread_has_no_foreign_ones)
{
    if (AW_TSAN)
        ASYNC_SKIP("the sanitizer has a thread");
    ASYNC_CHECK_EQ(w->ops->has_foreign_threads(w->backend), 0);
}

/* ---- jobs ---- */

struct job {
    struct aw_job job; /* first */
    struct world *w;
    struct job *next; /* done() submits or cancels it */
    int worked, done, order, cancelled;
    bool cancels;
};

static int done_count;

static void work(struct aw_job *base)
{
    ((struct job *)base)->worked++;
}

static void done(struct aw_job *base)
{
    struct job *job = (struct job *)base;

    job->done++;
    job->order = ++done_count;
    if (job->next && job->cancels)
        job->cancelled = job->w->ops->job_cancel(job->w->backend, &job->next->job);
    else if (job->next)
        ASYNC_CHECK_EQ(job->w->ops->job_submit(job->w->backend, &job->next->job), 0);
}

static void init_job(struct world *w, struct job *job)
{
    *job = (struct job){ .job = { .work = work, .done = done }, .w = w };
    aw_list_init(&job->job.link);
}

static void submit(struct world *w, struct job *job)
{
    ASYNC_CHECK_EQ(w->ops->job_submit(w->backend, &job->job), 0);
}

static void wait_until_done(struct world *w, const struct job *job)
{
    while (!job->done)
        ASYNC_CHECK_EQ(wait_for(w, AW_NEVER), 0);
}

BOTH(a_job_works_and_is_done_from_within_a_wait)
{
    struct job job;

    init_job(w, &job);
    submit(w, &job);
    ASYNC_CHECK_EQ(job.done, 0);
    wait_until_done(w, &job);
    ASYNC_CHECK_EQ(job.worked, 1);
    ASYNC_CHECK_EQ(job.done, 1);
    ASYNC_CHECK_EQ(w->ops->job_cancel(w->backend, &job.job), 0);
}

BOTH(a_job_can_be_submitted_again_and_by_another_ones_done)
{
    struct job first, second;

    init_job(w, &first);
    init_job(w, &second);
    first.next = &second;
    submit(w, &first);
    wait_until_done(w, &second);
    first.next = NULL;
    first.done = 0;
    submit(w, &first);
    wait_until_done(w, &first);
    ASYNC_CHECK_EQ(first.worked, 2);
    ASYNC_CHECK_EQ(second.worked, 1);
}

BOTH(jobs_that_are_finished_are_all_done_in_time)
{
    struct job *jobs = calloc(500, sizeof *jobs);

    for (int i = 0; i < 500; i++) {
        init_job(w, &jobs[i]);
        submit(w, &jobs[i]);
    }
    for (int i = 0; i < 500; i++)
        wait_until_done(w, &jobs[i]);
    for (int i = 0; i < 500; i++)
        ASYNC_CHECK(jobs[i].worked == 1 && jobs[i].done == 1);
    free(jobs);
}

/* Fills the threads of `linux` with jobs that wait until they are let go; on `sim` jobs wait by themselves. */
struct blocked_job {
    struct job job; /* first */
    atomic_int *go;
};

static void work_blocked(struct aw_job *base)
{
    struct blocked_job *job = (struct blocked_job *)base;

    while (!atomic_load(job->go))
        sched_yield();
    job->job.worked++;
}

static void block_all_threads(struct world *w, struct blocked_job *jobs, atomic_int *go)
{
    for (int i = 0; i < 64; i++) {
        init_job(w, &jobs[i].job);
        jobs[i].job.job.work = work_blocked;
        jobs[i].go = go;
        submit(w, &jobs[i].job);
    }
}

BOTH(a_job_that_has_not_begun_can_be_cancelled)
{
    static struct blocked_job blocked[64];
    atomic_int go = 0;
    struct job job, other;

    block_all_threads(w, blocked, &go);
    init_job(w, &job);
    init_job(w, &other);
    submit(w, &job);
    submit(w, &other);
    ASYNC_CHECK_EQ(w->ops->job_cancel(w->backend, &job.job), 1);
    ASYNC_CHECK_EQ(w->ops->job_cancel(w->backend, &job.job), 0);
    atomic_store(&go, 1);
    wait_until_done(w, &other);
    for (int i = 0; i < 64; i++)
        wait_until_done(w, &blocked[i].job);
    ASYNC_CHECK_EQ(job.worked, 0);
    ASYNC_CHECK_EQ(job.done, 0);
    submit(w, &job); /* and be submitted again */
    wait_until_done(w, &job);
    ASYNC_CHECK_EQ(job.worked, 1);
}

/* Either done() comes first and takes the other one back, or it is too late: never both, never neither. */
BOTH(a_done_may_cancel_another_job)
{
    struct job first, second;

    init_job(w, &first);
    init_job(w, &second);
    first.next = &second;
    first.cancels = true;
    submit(w, &first);
    submit(w, &second);
    wait_until_done(w, &first);
    if (!first.cancelled)
        wait_until_done(w, &second);
    ASYNC_CHECK_EQ(second.done, !first.cancelled);
    ASYNC_CHECK_EQ(second.worked, !first.cancelled);
}

BOTH(close_calls_done_of_every_job_and_drops_what_has_not_begun)
{
    static struct blocked_job blocked[64];
    struct world mine;
    atomic_int go = 1;
    struct job job;

    world_open(&mine, w->ops, 0);
    block_all_threads(&mine, blocked, &go);
    init_job(&mine, &job);
    submit(&mine, &job);
    world_close(&mine);
    for (int i = 0; i < 64; i++)
        ASYNC_CHECK_EQ(blocked[i].job.done, 1);
    ASYNC_CHECK_EQ(job.done, 1);
    ASYNC_CHECK(job.worked <= 1);
}

BOTH(after_jobs_stop_none_begins_and_none_is_taken)
{
    struct world mine;
    struct job job, late;

    world_open(&mine, w->ops, 0);
    init_job(&mine, &job);
    init_job(&mine, &late);
    submit(&mine, &job);
    mine.ops->jobs_stop(mine.backend);
    ASYNC_CHECK_EQ(mine.ops->job_submit(mine.backend, &late.job), -EAGAIN);
    ASYNC_CHECK_EQ(job.done, 0); /* its done() is close()'s */
    world_close(&mine);
    ASYNC_CHECK_EQ(job.done, 1);
    ASYNC_CHECK_EQ(late.worked + late.done, 0);
}

BOTH(a_job_that_is_done_ends_the_wait_and_hides_no_event)
{
    struct job job;
    int fd = new_socket(w);

    init_job(w, &job);
    submit(w, &job);
    wait_until_done(w, &job);
    add(w, fd, AW_WRITABLE, 7);
    ASYNC_CHECK_EQ(look(w, 7) & AW_WRITABLE, AW_WRITABLE);
    close_fd(w, fd);
}

/* ---- memory ---- */

BOTH(stacks_can_be_mapped_guarded_and_given_back)
{
    size_t size = 64 * 1024;
    unsigned char *memory = w->sys->map(w->backend, size);
    int r;

    ASYNC_CHECK(memory != NULL);
    memory[size - 1] = 7;
    r = w->sys->guard_install(w->backend, memory, 4096);
    ASYNC_CHECK(r == 0 || r == -EINVAL);
    ASYNC_CHECK_EQ(w->sys->guard_protect(w->backend, memory + 4096, 4096), 0);
    ASYNC_CHECK_EQ(w->sys->discard(w->backend, memory, size), 0);
    ASYNC_CHECK_EQ(memory[size - 1], 0);
    w->sys->unmap(w->backend, memory, size);
    ASYNC_CHECK(w->sys->map(w->backend, SIZE_MAX / 2) == NULL);
}

ASYNC_TEST_PLAIN(backends_are_found_by_their_names)
{
    ASYNC_CHECK(aw_backend_find("linux") == &aw_backend_linux);
    ASYNC_CHECK(aw_backend_find("sim") == &aw_backend_sim);
    ASYNC_CHECK(aw_backend_find("") == NULL);
    ASYNC_CHECK(aw_backend_find("linu") == NULL);
    ASYNC_CHECK_STR(aw_backend_names(), "linux, sim");
}

static void open_without_memory(const struct aw_backend_ops *ops)
{
    struct aw_backend_options options = { .allocator = async_test_options()->allocator };
    struct aw_backend *backend = NULL;

    async_test_fail_allocation(1, 0);
    ASYNC_CHECK_EQ(ops->open(&options, &backend), -ENOMEM);
    ASYNC_CHECK(backend == NULL);
    async_test_fail_allocation(0, 0);
}

ASYNC_TEST_PLAIN(opening_without_memory_fails)
{
    open_without_memory(&aw_backend_linux);
    open_without_memory(&aw_backend_sim);
}
