/* SPDX-License-Identifier: MIT */
/* Shared by the files of the linux backend: the pool of threads for blocking jobs. */
#ifndef AW_BACKEND_LINUX_H
#define AW_BACKEND_LINUX_H

#include "backend/backend.h"
#include "base/atomic.h"
#include <pthread.h>

#define AW_JOB_THREADS_MAX 64

struct aw_job_pool;

enum aw_job_thread_state { AW_JOB_THREAD_NONE, AW_JOB_THREAD_ALIVE, AW_JOB_THREAD_ENDED /* to be joined */ };

struct aw_job_thread {
    struct aw_job_pool *pool;
    pthread_t thread;
    enum aw_job_thread_state state;
};

struct aw_job_pool {
    struct aw_backend *backend;
    int64_t idle_limit;    /* ns that a thread waits for work before it ends */
    pthread_mutex_t mutex; /* for all below */
    pthread_cond_t work_or_close, all_idle;
    struct aw_list queued, finished;
    unsigned queued_count, idle_count, busy_count;
    bool closing;
    AW_ATOMIC(bool) has_finished; /* read without the mutex: `finished` is not empty */
    struct aw_job_thread threads[AW_JOB_THREADS_MAX];
};

int aw_job_pool_init(struct aw_job_pool *pool, struct aw_backend *backend);
/* As aw_backend_ops.jobs_stop says. */
void aw_job_pool_stop(struct aw_job_pool *pool);
/* As aw_backend_ops.close says. */
void aw_job_pool_fini(struct aw_job_pool *pool);
int aw_job_pool_submit(struct aw_job_pool *pool, struct aw_job *job);
int aw_job_pool_cancel(struct aw_job_pool *pool, struct aw_job *job);
/* How many of its threads wait for work: these can do nothing to anybody. */
unsigned aw_job_pool_idle(struct aw_job_pool *pool);
/* Calls done() of all jobs that have finished. */
void aw_job_pool_collect(struct aw_job_pool *pool);

/* Is there anything to collect? All that a wait without jobs pays. */
static inline bool aw_job_pool_has_finished(struct aw_job_pool *pool)
{
    /* acquire: pairs with the release by which a thread tells of its job, before it wakes the loop. */
    return aw_atomic_load(&pool->has_finished, acquire);
}

#endif
