/* SPDX-License-Identifier: MIT */
/* Design notes: a blocking call on a thread. The job's record is allocated, not in the waiting frame: the frame may go
 * first (abandoned, or its loop was closed under it), the record goes in done(), which comes exactly once for every
 * job that was given away and not taken back.
 *
 * The two forms differ in what a cancelled scope does to a job that has begun: the join stays, because the thread uses
 * what the caller has lent; the abandoning form leaves, and done() frees the argument later. */
#include "os/os.h"
#include "task/wait.h"
#include <await/thread.h>

struct thread_job {
    struct aw_executor_job job; /* first */
    async_loop *loop;
    int (*fn)(void *arg);
    void *arg;
    void (*free_arg)(void *arg);
    int result;
    bool ran;
    struct thread_wait *waiter; /* NULL: nobody any more */
};

struct thread_wait {
    struct aw_wait wait;    /* first */
    struct thread_job *job; /* NULL once it has ended */
    int result;
    bool cut; /* the scope was cancelled while the job was under way */
};

static void work(struct aw_executor_job *base)
{
    struct thread_job *job = (struct thread_job *)base;

    job->result = job->fn(job->arg); /* user code, on a thread */
    job->ran = true;
}

static void discard(struct thread_job *job)
{
    async_loop *loop = job->loop;
    void (*free_arg)(void *) = job->free_arg;
    void *arg = job->arg;

    aw_free(&loop->allocator, job);
    if (free_arg)
        free_arg(arg); /* user code */
}

static void done(struct aw_executor_job *base)
{
    struct thread_job *job = (struct thread_job *)base;
    struct thread_wait *waiter = job->waiter;

    /* In a loop that closes, the frame of a task that was left pending is gone. */
    if (waiter && !job->loop->closed) {
        waiter->job = NULL;
        waiter->result = job->result;
        aw_wait_wake(&waiter->wait, job->ran ? 0 : ASYNC_ECLOSED);
    }
    discard(job);
}

/* ---- what a cancelled scope does ---- */

static void take_back_or_stay(struct aw_wait *wait, int reason)
{
    struct thread_wait *self = (struct thread_wait *)wait;

    self->cut = true;
    if (self->job && aw_executor_cancel(&self->job->job)) {
        discard(self->job);
        self->job = NULL;
        aw_wait_wake(wait, reason);
    }
}

static void take_back_or_leave(struct aw_wait *wait, int reason)
{
    struct thread_wait *self = (struct thread_wait *)wait;
    struct thread_job *job = self->job;

    aw_wait_wake(wait, reason);
    if (!job)
        return;
    self->job = NULL;
    job->waiter = NULL;
    if (aw_executor_cancel(&job->job))
        discard(job);
}

/* ---- the two forms ---- */

/* Gives the call to a thread. Takes `arg` over on success. */
static int start(struct thread_wait *self, async_loop *loop, int (*fn)(void *), void *arg, void (*free_arg)(void *))
{
    struct aw_executor *executor = aw_loop_executor(loop);
    struct thread_job *job = executor ? aw_alloc_zeroed(&loop->allocator, sizeof *job) : NULL;
    int r;

    if (!job)
        return -ENOMEM;
    *job = (struct thread_job){
        .job = { .work = work, .done = done }, .loop = loop, .fn = fn, .arg = arg, .free_arg = free_arg, .waiter = self
    };
    self->job = job;
    r = aw_executor_submit(executor, &job->job);
    if (r < 0)
        aw_free(&loop->allocator, job);
    return r;
}

ASYNC_SUSPENDS static int enter(int (*fn)(void *), const char *what)
{
    int r = aw_await_enter(what);

    if (r < 0)
        return r;
    return fn ? 0 : aw_fail(aw_current_loop(), -EINVAL, "%s: fn is NULL", what);
}

int await_to_thread(int (*fn)(void *arg), void *arg, int *ret_result)
{
    static const char what[] = "await_to_thread";
    struct thread_wait self = { .wait = { .what = what, .cancel = take_back_or_stay } };
    int r = enter(fn, what);

    if (r < 0)
        return r;
    r = start(&self, aw_current_loop(), fn, arg, NULL);
    if (r < 0)
        return aw_fail(NULL, r, "%s: %s", what, async_strerror(r));
    r = aw_wait_park(&self.wait);
    if (r >= 0 && self.cut)
        r = aw_await_enter(what); /* the job had begun and was waited for; now the reason */
    if (r < 0)
        return r;
    if (ret_result)
        *ret_result = self.result;
    return 0;
}

ASYNC_SUSPENDS static int call_abandonable(int (*fn)(void *), void *arg, void (*free_arg)(void *), int *ret_result,
                                           bool *ret_taken)
{
    static const char what[] = "await_to_thread_abandon";
    struct thread_wait self = { .wait = { .what = what, .cancel = take_back_or_leave } };
    int r = enter(fn, what);

    if (r < 0)
        return r;
    r = start(&self, aw_current_loop(), fn, arg, free_arg);
    if (r < 0)
        return aw_fail(NULL, r, "%s: %s", what, async_strerror(r));
    *ret_taken = true;
    r = aw_wait_park(&self.wait);
    if (r >= 0 && ret_result)
        *ret_result = self.result;
    return r;
}

int await_to_thread_abandon(int (*fn)(void *arg), void *arg, void (*free_arg)(void *arg), int *ret_result)
{
    bool taken = false;
    int r = call_abandonable(fn, arg, free_arg, ret_result, &taken);

    if (!taken && free_arg)
        free_arg(arg); /* it is ours whatever we return */
    return r;
}
