/* SPDX-License-Identifier: MIT */
/* Design notes: threads for calls that block. A thread is made when more jobs are queued than threads
 * idle, so a job never waits behind one that waits for it, up to the limit. An idle thread ends after some seconds.
 *
 * Threads are joined, never detached: when the pool is gone, so are they, with the last byte of their stacks. One
 * that ended by itself leaves its slot to the next submit or to fini to join.
 *
 * A job's way: queued -> running -> finished -> done(), each step under the mutex but the calls themselves. The
 * loop is woken only for the first finished job: until it has taken the list, it knows. */
#include "backend/linux.h"

#include <signal.h>
#include <time.h>

#define IDLE_LIMIT (10 * AW_NS_PER_SEC)

enum job_state { IDLE, QUEUED, BEGUN };

/* Under the mutex. Was the list empty, so that the loop must be told? */
static bool append_finished(struct aw_job_pool *pool, struct aw_job *job)
{
    aw_list_append(&pool->finished, &job->link);
    /* release: pairs with has_finished(); the loop that sees it sees the job. */
    return !aw_atomic_exchange(&pool->has_finished, true, release);
}

static void run_next(struct aw_job_pool *pool)
{
    struct aw_job *job = AW_LIST_ENTRY(aw_list_pop(&pool->queued), struct aw_job, link);
    bool first;

    pool->queued_count--;
    pool->busy_count++;
    job->state = BEGUN;
    pthread_mutex_unlock(&pool->mutex);
    job->work(job); /* user code, maybe for long */
    pthread_mutex_lock(&pool->mutex);
    if (--pool->busy_count == 0)
        pthread_cond_broadcast(&pool->all_idle);
    first = append_finished(pool, job);
    if (first)
        pool->backend->ops->wake(pool->backend);
}

static struct timespec idle_deadline(const struct aw_job_pool *pool)
{
    struct timespec at;
    int64_t ns;

    clock_gettime(CLOCK_MONOTONIC, &at);
    ns = at.tv_nsec + pool->idle_limit;
    at.tv_sec += (time_t)(ns / AW_NS_PER_SEC);
    at.tv_nsec = (long)(ns % AW_NS_PER_SEC);
    return at;
}

/* Waits for a job, with the mutex: false when the thread shall end. */
static bool wait_for_work(struct aw_job_pool *pool)
{
    struct timespec deadline = idle_deadline(pool);
    int r = 0;

    pool->idle_count++;
    while (aw_list_is_empty(&pool->queued) && !pool->closing && r == 0)
        r = pthread_cond_timedwait(&pool->work_or_close, &pool->mutex, &deadline);
    pool->idle_count--;
    return !aw_list_is_empty(&pool->queued);
}

static void *thread_main(void *arg)
{
    struct aw_job_thread *self = arg;
    struct aw_job_pool *pool = self->pool;

    pthread_setname_np(pthread_self(), "await-job");
    pthread_mutex_lock(&pool->mutex);
    while (wait_for_work(pool))
        run_next(pool);
    self->state = AW_JOB_THREAD_ENDED;
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

/* No signal of the user's is ever handled on our threads: their handlers expect their own. */
static int create_thread(struct aw_job_thread *slot)
{
    sigset_t all, before;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&slot->thread, NULL, thread_main, slot);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -r;
}

/* Under the mutex. A thread that has said that it ended takes the mutex no more, so this join is short. */
static void join_ended(struct aw_job_pool *pool)
{
    for (int i = 0; i < AW_JOB_THREADS_MAX; i++)
        if (pool->threads[i].state == AW_JOB_THREAD_ENDED) {
            pthread_join(pool->threads[i].thread, NULL);
            pool->threads[i].state = AW_JOB_THREAD_NONE;
        }
}

static struct aw_job_thread *find_slot(struct aw_job_pool *pool, enum aw_job_thread_state state)
{
    for (int i = 0; i < AW_JOB_THREADS_MAX; i++)
        if (pool->threads[i].state == state)
            return &pool->threads[i];
    return NULL;
}

/* Under the mutex: one more thread if the limit allows. Fails only if there is no thread at all. */
static int add_thread(struct aw_job_pool *pool)
{
    struct aw_job_thread *slot;
    int r;

    join_ended(pool);
    slot = find_slot(pool, AW_JOB_THREAD_NONE);
    if (!slot)
        return 0;
    slot->pool = pool;
    r = create_thread(slot);
    if (r < 0)
        return find_slot(pool, AW_JOB_THREAD_ALIVE) ? 0 : -EAGAIN;
    slot->state = AW_JOB_THREAD_ALIVE;
    return 0;
}

int aw_job_pool_submit(struct aw_job_pool *pool, struct aw_job *job)
{
    int r = 0;

    pthread_mutex_lock(&pool->mutex);
    if (!pool->closing && pool->queued_count >= pool->idle_count)
        r = add_thread(pool);
    if (pool->closing)
        r = -EAGAIN;
    if (r == 0) {
        job->state = QUEUED;
        aw_list_append(&pool->queued, &job->link);
        pool->queued_count++;
        pthread_cond_signal(&pool->work_or_close);
    }
    pthread_mutex_unlock(&pool->mutex);
    return r;
}

int aw_job_pool_cancel(struct aw_job_pool *pool, struct aw_job *job)
{
    bool waiting;

    pthread_mutex_lock(&pool->mutex);
    waiting = job->state == QUEUED;
    if (waiting) {
        aw_list_remove(&job->link);
        pool->queued_count--;
        job->state = IDLE;
    }
    pthread_mutex_unlock(&pool->mutex);
    return waiting;
}

unsigned aw_job_pool_idle(struct aw_job_pool *pool)
{
    unsigned alive = 0;

    pthread_mutex_lock(&pool->mutex);
    join_ended(pool);
    for (int i = 0; i < AW_JOB_THREADS_MAX; i++)
        alive += pool->threads[i].state == AW_JOB_THREAD_ALIVE;
    /* A new thread on its way to its first job counts as busy. */
    alive -= pool->busy_count;
    alive = alive > pool->queued_count ? alive - pool->queued_count : 0;
    pthread_mutex_unlock(&pool->mutex);
    return alive;
}

void aw_job_pool_collect(struct aw_job_pool *pool)
{
    struct aw_list finished, *node;

    aw_list_init(&finished);
    pthread_mutex_lock(&pool->mutex);
    aw_list_splice(&finished, &pool->finished);
    aw_atomic_store(&pool->has_finished, false, relaxed); /* the mutex orders it */
    pthread_mutex_unlock(&pool->mutex);
    while ((node = aw_list_pop(&finished))) {
        struct aw_job *job = AW_LIST_ENTRY(node, struct aw_job, link);

        job->done(job); /* may free it, submit others, or ask to cancel one that is still on our list: too late */
    }
}

static int init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    int r = pthread_condattr_init(&attributes);

    if (r != 0)
        return -r;
    /* The wall clock may jump. */
    r = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (r == 0)
        r = pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
    return -r;
}

int aw_job_pool_init(struct aw_job_pool *pool, struct aw_backend *backend)
{
    int r = init_condition(&pool->work_or_close);

    if (r < 0)
        return r;
    r = -pthread_cond_init(&pool->all_idle, NULL);
    if (r == 0) {
        r = -pthread_mutex_init(&pool->mutex, NULL);
        if (r < 0)
            pthread_cond_destroy(&pool->all_idle);
    }
    if (r < 0) {
        pthread_cond_destroy(&pool->work_or_close);
        return r;
    }
    pool->backend = backend;
    pool->idle_limit = IDLE_LIMIT;
    aw_list_init(&pool->queued);
    aw_list_init(&pool->finished);
    pool->queued_count = pool->idle_count = pool->busy_count = 0;
    pool->closing = false;
    aw_atomic_init(&pool->has_finished, false);
    for (int i = 0; i < AW_JOB_THREADS_MAX; i++)
        pool->threads[i].state = AW_JOB_THREAD_NONE;
    return 0;
}

/* Everybody ends after the job at hand. What has not begun counts as finished. */
static void tell_threads_to_end(struct aw_job_pool *pool)
{
    struct aw_list *node;

    pthread_mutex_lock(&pool->mutex);
    pool->closing = true;
    while ((node = aw_list_pop(&pool->queued))) {
        struct aw_job *job = AW_LIST_ENTRY(node, struct aw_job, link);

        job->state = BEGUN; /* too late to be cancelled by another one's done() */
        aw_list_append(&pool->finished, node);
    }
    pool->queued_count = 0;
    pthread_cond_broadcast(&pool->work_or_close);
    pthread_mutex_unlock(&pool->mutex);
}

void aw_job_pool_stop(struct aw_job_pool *pool)
{
    tell_threads_to_end(pool);
    pthread_mutex_lock(&pool->mutex);
    while (pool->busy_count > 0)
        pthread_cond_wait(&pool->all_idle, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}

void aw_job_pool_fini(struct aw_job_pool *pool)
{
    tell_threads_to_end(pool);
    /* Without the mutex, which they need to end; nobody but this thread makes or joins threads. */
    for (int i = 0; i < AW_JOB_THREADS_MAX; i++) {
        struct aw_job_thread *slot = &pool->threads[i];
        bool exists;

        pthread_mutex_lock(&pool->mutex);
        exists = slot->state != AW_JOB_THREAD_NONE;
        pthread_mutex_unlock(&pool->mutex);
        if (exists)
            pthread_join(slot->thread, NULL);
    }
    aw_job_pool_collect(pool);
    pthread_cond_destroy(&pool->work_or_close);
    pthread_cond_destroy(&pool->all_idle);
    pthread_mutex_destroy(&pool->mutex);
}
