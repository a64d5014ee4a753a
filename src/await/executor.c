/* SPDX-License-Identifier: MIT */
/* Design notes: asyncio's executors: a call on a thread whose outcome is a future. The job's record holds one
 * reference to the future and watches it: a future that is completed by somebody else (cancelled) takes the job back if
 * it has not begun. A job that runs on for nobody drops what it returns. */
#include "os/os.h"
#include "task/task.h"
#include <await/thread.h>

struct async_executor {
    struct aw_executor executor; /* first */
    async_loop *loop;
    struct aw_list waiters; /* in await_executor_shutdown */
};

struct future_job {
    struct aw_executor_job job; /* first */
    struct aw_watch watch;
    async_loop *loop;
    async_future *future;
    void *(*fn)(void *arg);
    void *arg, *value;
    bool ran;
};

/* ---- jobs ---- */

static void work(struct aw_executor_job *base)
{
    struct future_job *job = (struct future_job *)base;

    job->value = job->fn(job->arg); /* user code, on a thread */
    job->ran = true;
}

static void discard(struct future_job *job)
{
    async_future_unref(job->future);
    aw_free(&job->loop->allocator, job);
}

static void done(struct aw_executor_job *base)
{
    struct future_job *job = (struct future_job *)base;

    aw_list_remove(&job->watch.link);
    if (!async_future_done(job->future) && (!job->ran || async_future_set_result(job->future, job->value) < 0))
        async_future_cancel(job->future);
    discard(job);
}

static void completed_by_others(struct aw_watch *watch)
{
    struct future_job *job = AW_CONTAINER_OF(watch, struct future_job, watch);

    if (aw_executor_cancel(&job->job))
        discard(job);
}

static struct future_job *job_new(async_loop *loop, void *(*fn)(void *), void *arg)
{
    struct future_job *job = aw_alloc(&loop->allocator, sizeof *job);
    async_future *future = job ? async_loop_create_future(loop) : NULL;

    if (!future) {
        aw_free(&loop->allocator, job);
        return NULL;
    }
    *job = (struct future_job){ .job = { .work = work, .done = done },
                                .watch.fired = completed_by_others,
                                .loop = loop,
                                .future = future,
                                .fn = fn,
                                .arg = arg };
    aw_future_watch(future, &job->watch);
    return job;
}

async_future *async_run_in_executor(async_executor *executor, void *(*fn)(void *arg), void *arg)
{
    static const char what[] = "async_run_in_executor";
    async_loop *loop = executor ? executor->loop : async_get_running_loop();
    struct aw_executor *inner;
    struct future_job *job;
    async_future *future;
    int r;

    if (!loop || !fn) {
        aw_fail(loop, loop ? -EINVAL : ASYNC_ENOTASK, "%s: %s", what, loop ? "fn is NULL" : "no loop is running");
        return NULL;
    }
    inner = executor ? &executor->executor : aw_loop_executor(loop);
    job = inner ? job_new(loop, fn, arg) : NULL;
    r = job ? aw_executor_submit(inner, &job->job) : -ENOMEM;
    if (r < 0) {
        if (job)
            discard(job);
        aw_fail(loop, r, "%s: %s", what, async_strerror(r));
        return NULL;
    }
    future = async_future_ref(job->future);
    return future;
}

/* ---- executors ---- */

static void wake_waiters(async_executor *executor, int result)
{
    struct aw_list *link;

    while ((link = aw_list_pop(&executor->waiters)) != NULL)
        aw_wait_wake(AW_LIST_ENTRY(link, struct aw_wait, link), result);
}

static void on_idle(struct aw_executor *executor, void *arg)
{
    (void)executor;
    wake_waiters(arg, 0);
}

async_executor *async_executor_new(unsigned max_threads)
{
    async_loop *loop = async_get_running_loop();
    async_executor *executor;

    if (!loop) {
        aw_fail(NULL, ASYNC_ENOTASK, "async_executor_new: no loop is running on this thread");
        return NULL;
    }
    executor = aw_alloc_zeroed(&loop->allocator, sizeof *executor);
    if (!executor) {
        aw_fail(loop, -ENOMEM, "async_executor_new: no memory");
        return NULL;
    }
    aw_executor_init(&executor->executor, loop, max_threads);
    executor->executor.idle = on_idle;
    executor->executor.idle_arg = executor;
    executor->loop = loop;
    aw_list_init(&executor->waiters);
    return executor;
}

static void leave_waiters(struct aw_wait *wait, int reason)
{
    aw_list_remove(&wait->link);
    aw_wait_wake(wait, reason);
}

int await_executor_shutdown(async_executor *executor)
{
    struct aw_wait wait = { .what = "await_executor_shutdown", .subject = executor, .cancel = leave_waiters };
    int r;

    if (!executor)
        return aw_fail(NULL, -EINVAL, "%s: executor is NULL", wait.what);
    r = aw_await_enter(wait.what);
    if (r < 0)
        return r;
    executor->executor.shut_down = true;
    if (executor->executor.active == 0 && aw_list_is_empty(&executor->executor.waiting))
        return 0;
    aw_list_append(&executor->waiters, &wait.link);
    return aw_wait_park(&wait);
}

void async_executor_free(async_executor *executor)
{
    if (!executor)
        return;
    aw_executor_fini(&executor->executor);
    wake_waiters(executor, ASYNC_ECLOSED);
    aw_free(&executor->loop->allocator, executor);
}
