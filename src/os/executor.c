/* SPDX-License-Identifier: MIT */
/* Design notes: the backend has the threads; an executor decides how many of its jobs may have one, and in which order.
 * A job is waiting (ours) or running (the backend's, though it may not have begun). The job's memory is the
 * submitter's and outlives the executor if need be: aw_executor_fini() lets go of what has begun.
 *
 * A job under way keeps the loop from believing that nothing can ever happen (loop->holds). */
#include "os/os.h"

#define DEFAULT_LIMIT 32 /* jobs mostly wait for disks and name servers, not for a core; threads are made on demand */
#define RESOLVER_LIMIT 16

static void on_work(struct aw_job *job)
{
    struct aw_executor_job *mine = AW_CONTAINER_OF(job, struct aw_executor_job, job);

    mine->work(mine);
}

static void set_waiting(struct aw_executor *executor, struct aw_executor_job *job)
{
    job->state = AW_JOB_WAITING;
    aw_list_append(&executor->waiting, &job->link);
}

static void set_running(struct aw_executor *executor, struct aw_executor_job *job)
{
    job->state = AW_JOB_RUNNING;
    aw_list_append(&executor->running, &job->link);
    executor->active++;
}

/* Takes a job off its executor's books. */
static void take_off(struct aw_executor_job *job)
{
    aw_list_remove(&job->link);
    if (job->executor && job->state == AW_JOB_RUNNING)
        job->executor->active--;
    job->executor = NULL;
    job->state = AW_JOB_IDLE;
    job->loop->holds--;
}

/* Starts what waits, up to the limit. Returns a job that can never start, NULL if all is well. */
static struct aw_executor_job *start_waiting(struct aw_executor *executor)
{
    struct aw_list *link;

    while (executor->active < executor->limit && (link = aw_list_pop(&executor->waiting)) != NULL) {
        struct aw_executor_job *job = AW_LIST_ENTRY(link, struct aw_executor_job, link);
        int r;

        set_running(executor, job);
        r = executor->loop->backend->ops->job_submit(executor->loop->backend, &job->job);
        if (r >= 0)
            continue;
        aw_list_remove(&job->link);
        executor->active--;
        aw_list_append(executor->waiting.next, &job->link); /* stays the first one */
        job->state = AW_JOB_WAITING;
        return executor->active == 0 ? job : NULL; /* otherwise the end of a running one tries again */
    }
    return NULL;
}

static bool is_idle(const struct aw_executor *executor)
{
    return executor->active == 0 && aw_list_is_empty(&executor->waiting);
}

/* A job has left: others may start; those that cannot are told. `ended` may be NULL. */
static void go_on(struct aw_executor *executor, struct aw_executor_job *ended)
{
    bool gone = false, *outer = executor->gone; /* done() may cancel another job and come here again */

    executor->gone = &gone;
    if (ended)
        ended->done(ended); /* may free the job, and the executor */
    while (!gone && (ended = start_waiting(executor)) != NULL) {
        take_off(ended);
        ended->done(ended);
    }
    if (gone && outer)
        *outer = true;
    if (gone)
        return;
    executor->gone = outer;
    if (executor->idle && is_idle(executor))
        executor->idle(executor, executor->idle_arg); /* may free the executor */
}

static void on_done(struct aw_job *job)
{
    struct aw_executor_job *mine = AW_CONTAINER_OF(job, struct aw_executor_job, job);
    struct aw_executor *executor = mine->executor;

    take_off(mine);
    if (executor)
        go_on(executor, mine);
    else
        mine->done(mine);
}

void aw_executor_init(struct aw_executor *executor, async_loop *loop, unsigned limit)
{
    *executor = (struct aw_executor){ .loop = loop, .limit = limit ? limit : DEFAULT_LIMIT };
    aw_list_init(&executor->waiting);
    aw_list_init(&executor->running);
}

int aw_executor_submit(struct aw_executor *executor, struct aw_executor_job *job)
{
    async_loop *loop = executor->loop;
    int r;

    if (executor->shut_down)
        return aw_fail(loop, ASYNC_ECLOSED, "the executor is shut down");
    job->loop = loop;
    job->executor = executor;
    job->job.work = on_work;
    job->job.done = on_done;
    loop->holds++;
    if (executor->active >= executor->limit || !aw_list_is_empty(&executor->waiting)) {
        set_waiting(executor, job);
        return 0;
    }
    set_running(executor, job);
    r = loop->backend->ops->job_submit(loop->backend, &job->job);
    if (r >= 0)
        return 0;
    take_off(job);
    return aw_fail(loop, r, "no thread for a blocking job: %s", async_strerror(r));
}

int aw_executor_cancel(struct aw_executor_job *job)
{
    struct aw_executor *executor = job->executor;

    if (job->state == AW_JOB_IDLE)
        return 0;
    if (job->state == AW_JOB_RUNNING && job->loop->backend->ops->job_cancel(job->loop->backend, &job->job) == 0)
        return 0;
    take_off(job);
    if (executor)
        go_on(executor, NULL);
    return 1;
}

/* Hands a job back that never ran. */
static void drop(struct aw_executor_job *job)
{
    take_off(job);
    job->done(job);
}

void aw_executor_fini(struct aw_executor *executor)
{
    struct aw_list running, *link;

    if (executor->gone)
        *executor->gone = true;
    executor->shut_down = true;
    aw_list_init(&running);
    aw_list_splice(&running, &executor->running);
    while ((link = aw_list_pop(&running)) != NULL) {
        struct aw_executor_job *job = AW_LIST_ENTRY(link, struct aw_executor_job, link);

        if (executor->loop->backend->ops->job_cancel(executor->loop->backend, &job->job) == 1)
            aw_list_append(&executor->waiting, &job->link);
        else
            job->executor = NULL;
    }
    while ((link = executor->waiting.next) != &executor->waiting)
        drop(AW_LIST_ENTRY(link, struct aw_executor_job, link));
}

/* ---- the loop's own ---- */

struct executor_part {
    struct aw_loop_part part; /* first */
    struct aw_executor executor;
};

static void close_part(struct aw_loop_part *part, async_loop *loop)
{
    struct executor_part *mine = (struct executor_part *)part;

    aw_executor_fini(&mine->executor);
    aw_free(&loop->allocator, mine);
}

static struct aw_executor *find_or_make(async_loop *loop, const void *key, unsigned limit)
{
    struct executor_part *mine = (struct executor_part *)aw_loop_find_part(loop, key);

    if (mine)
        return &mine->executor;
    mine = aw_alloc_zeroed(&loop->allocator, sizeof *mine);
    if (!mine)
        return NULL;
    aw_executor_init(&mine->executor, loop, limit);
    /* A loop that is being closed takes no more jobs: nobody would wait for them. */
    mine->executor.shut_down = loop->closed;
    mine->part.key = key;
    mine->part.close = close_part;
    aw_loop_attach_part(loop, &mine->part);
    return &mine->executor;
}

struct aw_executor *aw_loop_executor(async_loop *loop)
{
    static const char key;

    return find_or_make(loop, &key, DEFAULT_LIMIT);
}

struct aw_executor *aw_loop_resolver_executor(async_loop *loop)
{
    static const char key;

    return find_or_make(loop, &key, RESOLVER_LIMIT);
}
