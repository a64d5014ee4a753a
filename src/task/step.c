/* SPDX-License-Identifier: MIT */
/* Design notes: how tasks give the thread to each other.
 *
 * A ready task is a handle in the loop's queue. Its step switches to the task's stack; when the task suspends,
 * the next handle of the batch is looked at, and if it is a task too, the switch goes straight to it instead of over
 * the loop's stack (debug mode times each step and goes the long way). A task that ends cannot free the stack it stands
 * on: it leaves itself in tasks->dead, and whoever runs next frees it.
 *
 * A parked task is woken by exactly one of: aw_wait_wake() by whoever completes what it waits for, or the cancellation
 * of a scope, which calls wait->cancel at once. The first one wins: the wait has left its list by then. */
#include "task/task.h"

#include <stdio.h>
#include <stdlib.h>

static void make_current(async_task *task)
{
    aw_thread.task = task;
    task->state = AW_TASK_RUNNING;
    task->budget = AW_TASK_BUDGET;
}

void aw_tasks_reap(struct aw_tasks *tasks)
{
    async_task *dead = tasks->dead;

    if (AW_LIKELY(!dead))
        return;
    tasks->dead = NULL;
    aw_task_free(dead);
}

int aw_task_step(async_handle *handle)
{
    async_task *task = (async_task *)handle;
    struct aw_tasks *tasks = task->tasks;
    async_loop *loop = task->loop;
    async_task *outer = aw_thread.task; /* one that turns this loop from inside of another */

    aw_note.code = 0; /* a callback's failure is not this task's */
    aw_note_traces = loop->debug;
    if (AW_UNLIKELY(loop->debug))
        snprintf(loop->step_name, sizeof loop->step_name, "%s", task->name); /* copied: it may end in this step */
    make_current(task);
    aw_context_switch(&tasks->loop_context, &task->context);
    aw_thread.task = outer;
    aw_tasks_reap(tasks);
    return 0;
}

/* The task that runs next without going over the loop's stack; NULL: the loop goes on. */
static async_task *take_next(async_task *task)
{
    async_loop *loop = task->loop;
    async_task *next = task->eager_caller;

    if (AW_UNLIKELY(next != NULL)) {
        task->eager_caller = NULL;
        return next;
    }
    if (loop->running.next->run != aw_task_step || AW_UNLIKELY(loop->debug))
        return NULL;
    loop->callbacks++;
    return (async_task *)aw_loop_next_running(loop);
}

/* A function of its own: its buffers would make every task that fails touch one more page of its stack. */
static AW_COLD char *note_with_stack(async_task *task)
{
    char stack[1500], both[1800];

    snprintf(both, sizeof both, "%s\n%s", aw_note.text, aw_note_stack(stack, sizeof stack));
    return aw_strdup(&task->loop->allocator, both);
}

/* Sentences belong to the task that failed; the thread's is about to be somebody else's. */
static AW_COLD void keep_note(async_task *task)
{
    char *text = aw_note.depth > 0 ? note_with_stack(task) : aw_strdup(&task->loop->allocator, aw_note.text);

    aw_free(&task->loop->allocator, task->error);
    task->error = text; /* without memory: the code alone, whose sentence is static */
    task->error_code = aw_note.code;
    aw_note.code = 0;
}

static AW_COLD void complain_nosuspend(async_task *task, const char *what)
{
    char name[256];

    aw_loop_report(task->loop, 0, task, task->name, task->where, NULL,
                   "task %s suspends inside of an async_nosuspend() block (in %s)",
                   aw_task_describe(task, name, sizeof name), what);
    if (task->loop->debug)
        abort();
}

/* Gives the thread away; returns when the task is stepped again. */
static void leave(async_task *task)
{
    async_task *next;

    if (AW_UNLIKELY(aw_note.code != 0))
        keep_note(task);
    if (AW_UNLIKELY(task->nosuspend > 0))
        complain_nosuspend(task, task->wait ? task->wait->what : "a forced turn");
    next = take_next(task);
    if (next) {
        make_current(next);
        aw_context_switch(&task->context, &next->context);
    } else {
        aw_thread.task = NULL;
        aw_context_switch(&task->context, &task->tasks->loop_context);
    }
    aw_tasks_reap(task->tasks);
}

/* The sentence that goes with the result: the newest one if it is of the same code. */
static AW_COLD void keep_failure(async_task *task, int result)
{
    if (aw_note.code == 0 && task->error_code == result)
        return;
    if (aw_note.code != result)
        aw_note_set(result, "%s", async_strerror(result));
    keep_note(task);
}

static void finish(async_task *task, int result)
{
    struct aw_list watches;
    struct aw_list *link;

    task->result = result;
    if (AW_UNLIKELY(result < 0))
        keep_failure(task, result);
    aw_note.code = 0;
    task->state = AW_TASK_DONE;
    task->nosuspend = 0;
    task->done_order = ++task->tasks->done_order;
    task->tasks->live--;
    if (task->group)
        aw_group_task_done(task);
    aw_list_init(&watches);
    aw_list_splice(&watches, &task->watches);
    while ((link = aw_list_pop(&watches)) != NULL) {
        struct aw_watch *watch = AW_LIST_ENTRY(link, struct aw_watch, link);
        watch->fired(watch);
    }
}

/* Where the kernel gives no guards an overflow is found when it has happened: nothing can be trusted any more. */
static AW_COLD void die_of_overflow(const async_task *task)
{
    char name[256];

    fprintf(
        stderr,
        "libawait: stack overflow in task %s: its stack has %zu bytes (async_task_options.stack_size gives it more)\n",
        aw_task_describe(task, name, sizeof name), (size_t)((char *)task->stack.top - (char *)task->stack.low));
    abort();
}

void aw_task_main(void *arg)
{
    async_task *task = arg;
    async_task *next;

    aw_context_entered(&task->context);
    aw_tasks_reap(task->tasks); /* the task that ran before may have ended */
    finish(task, task->fn(task->arg));
    if (AW_UNLIKELY(!aw_stack_is_intact(task->tasks->pool, &task->stack)))
        die_of_overflow(task);
    next = take_next(task);
    if (--task->refs == 0) /* the loop's reference */
        task->tasks->dead = task;
    if (next)
        make_current(next);
    else
        aw_thread.task = NULL;
    aw_context_exit(&task->context, next ? &next->context : &task->tasks->loop_context);
}

void aw_task_yield(async_task *task)
{
    task->state = AW_TASK_READY;
    aw_loop_make_ready(task->loop, &task->handle);
    leave(task);
}

/* ---- waits ---- */

static AW_COLD int no_task(const char *what)
{
    return aw_note_set(ASYNC_ENOTASK, "%s: called outside of a task; async_run(fn, ...) runs a function as one", what);
}

static AW_COLD int refuse(async_task *task, const char *what)
{
    struct aw_scope *scope = task->scope;

    if (++scope->refusals == AW_REFUSALS_REPORTED && !scope->refusals_reported) {
        char name[256];

        scope->refusals_reported = true;
        aw_loop_report(
            task->loop, task->reason, task, task->name, task->where, NULL,
            "task %s has ignored %d refused awaits in one cancelled scope (entered at %s; the newest is %s): "
            "it burns the CPU",
            aw_task_describe(task, name, sizeof name), AW_REFUSALS_REPORTED,
            scope->where ? scope->where : "the task's begin", what);
    }
    return aw_scope_explain(task, what, task->reason);
}

int aw_await_enter_from(const char *what, const void *frame)
{
    async_task *task = aw_thread.task;

    if (AW_UNLIKELY(!task))
        return no_task(what);
    aw_scope_check_frames(task, frame);
    if (AW_UNLIKELY(--task->budget < 0))
        aw_task_yield(task);
    if (AW_UNLIKELY(task->reason != 0))
        return refuse(task, what);
    return 0;
}

AW_NOINLINE int aw_await_enter(const char *what)
{
    return aw_await_enter_from(what, AW_FRAME);
}

AW_NOINLINE int aw_await_enter_join(const char *what)
{
    async_task *task = aw_thread.task;

    if (AW_UNLIKELY(!task))
        return no_task(what);
    aw_scope_check_frames(task, AW_FRAME);
    if (AW_UNLIKELY(--task->budget < 0))
        aw_task_yield(task);
    return 0;
}

int aw_await_reason(void)
{
    return aw_thread.task ? aw_thread.task->reason : 0;
}

void aw_await_yield(void)
{
    aw_task_yield(aw_thread.task);
}

int aw_wait_park(struct aw_wait *wait)
{
    async_task *task = aw_thread.task;

    wait->task = task;
    if (AW_UNLIKELY(task->reason != 0) && wait->cancel && !wait->awake)
        wait->cancel(wait, task->reason);
    if (!wait->awake) {
        task->wait = wait;
        task->state = AW_TASK_PARKED;
        if (wait->keeps_loop)
            task->loop->holds++;
        leave(task);
        if (wait->keeps_loop)
            task->loop->holds--;
        task->wait = NULL;
    }
    if (AW_UNLIKELY(wait->result < 0) && wait->result == task->reason)
        return aw_scope_explain(task, wait->what, wait->result);
    return wait->result;
}

void aw_wait_wake(struct aw_wait *wait, int result)
{
    async_task *task = wait->task;

    if (wait->awake)
        return;
    wait->awake = true;
    wait->result = result;
    if (!task || task->state != AW_TASK_PARKED || task->wait != wait)
        return; /* completed before it parked: park sees `awake` */
    task->state = AW_TASK_READY;
    aw_loop_make_ready(task->loop, &task->handle);
}

/* ---- the public pair ---- */

static void cut_suspend(struct aw_wait *wait, int reason)
{
    aw_wait_wake(wait, reason);
}

AW_NOINLINE int await_suspend(const char *what)
{
    struct aw_wait wait = { .what = what ? what : "await_suspend", .cancel = cut_suspend };
    int r = aw_await_enter_from(wait.what, AW_FRAME);

    if (r < 0)
        return r;
    return aw_wait_park(&wait);
}

int async_resume(async_task *task, int value)
{
    if (!task || value < 0)
        return aw_note_set(-EINVAL, "async_resume: no task, or a negative value");
    if (task->state != AW_TASK_PARKED || task->wait->cancel != cut_suspend)
        return aw_note_set(ASYNC_ESTATE, "async_resume: task '%s' is not parked in await_suspend", task->name);
    aw_wait_wake(task->wait, value);
    return 0;
}

/* ---- eager start ---- */

async_task *aw_task_start_eager(async_task *task)
{
    async_task *caller = aw_thread.task;
    int budget;

    if (!task || !caller || task->state != AW_TASK_NEW)
        return task;
    async_loop_unschedule(task->loop, &task->handle);
    if (AW_UNLIKELY(caller->nosuspend > 0))
        complain_nosuspend(caller, "await_create_task_eager");
    budget = caller->budget - 1;
    task->eager_caller = caller;
    task->refs++; /* it may end at once and be dropped by those it tells */
    if (aw_note.code != 0)
        keep_note(caller);
    make_current(task);
    aw_context_switch(&caller->context, &task->context);
    aw_tasks_reap(caller->tasks);
    async_task_unref(task);
    caller->budget = budget;
    if (budget < 0)
        aw_task_yield(caller);
    return task;
}
