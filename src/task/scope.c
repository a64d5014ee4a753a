/* SPDX-License-Identifier: MIT */
/* Design notes: cancel scopes. A task's scopes form a chain from the innermost one to the root scope in its
 * record, which task.cancel() cancels. The reason that awaits get is that of the outermost cancelled scope inside of
 * the nearest shield; it is kept at hand in task->reason, so that an await in a healthy scope costs one compare.
 *
 * Cancellation is a level: it is looked at by every await. A task that is parked when its reason changes is told
 * through its wait's `cancel`, at that moment, so that a waiter leaves its queue before anything can be handed to it.
 *
 * A scope lies in its caller's frame. A frame that was left by longjmp leaves its scope in the chain: each await, and
 * each scope that is entered, compares the innermost scope's address with where its caller's frame ends; what lies
 * deeper is dead and is taken off. The end of the frame, not another scope's address: compilers lay out variables as
 * they like, also those of functions that they inline. A dead scope that a live frame has grown over is found when the
 * scope around it is left. */
#include "task/task.h"
#include <await/scope.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct timed_scope {
    struct aw_scope scope; /* first */
    async_task *task;
    async_timer_handle timer;
};

_Static_assert(sizeof(struct timed_scope) <= sizeof(async_scope), "async_scope has no room for a scope");

static struct timed_scope *timed(async_scope *scope)
{
    return (struct timed_scope *)(void *)scope;
}

static const struct timed_scope *timed_const(const async_scope *scope)
{
    return (const struct timed_scope *)(const void *)scope;
}

/* ---- reasons ---- */

int aw_scope_reason(const async_task *task)
{
    int reason = 0;

    for (const struct aw_scope *scope = task->scope; scope; scope = scope->parent) {
        if (scope->reason != 0)
            reason = scope->reason;
        if (scope->shield)
            break;
    }
    return reason;
}

void aw_scope_changed(async_task *task)
{
    int reason = aw_scope_reason(task);

    if (reason == task->reason)
        return;
    task->reason = reason;
    if (reason != 0 && task->state == AW_TASK_PARKED && task->wait->cancel && !task->wait->awake)
        task->wait->cancel(task->wait, reason);
}

void aw_scope_cancel(async_task *task, struct aw_scope *scope, int reason)
{
    if (scope->reason != 0)
        return; /* the first reason stays */
    scope->reason = reason;
    aw_scope_changed(task);
}

static const struct aw_scope *find_cause(const async_task *task, int reason)
{
    const struct aw_scope *cause = &task->root;

    for (const struct aw_scope *scope = task->scope; scope; scope = scope->parent) {
        if (scope->reason == reason)
            cause = scope;
        if (scope->shield)
            break;
    }
    return cause;
}

AW_COLD int aw_scope_explain(const async_task *task, const char *what, int reason)
{
    const struct aw_scope *cause = find_cause(task, reason);
    char name[200];

    aw_task_describe(task, name, sizeof name);
    if (reason == ASYNC_ETIMEOUT)
        return aw_note_set(reason, "%s: the deadline set at %s has passed, in task %s", what,
                           cause->where ? cause->where : "?", name);
    if (reason != ASYNC_ECANCELED)
        return aw_note_set(reason, "%s: %s, in task %s", what, async_strerror(reason), name);
    if (cause == &task->root && task->cancel_message)
        return aw_note_set(reason, "%s: cancelled (%s), in task %s", what, task->cancel_message, name);
    return aw_note_set(reason, "%s: cancelled, in task %s", what, name);
}

/* ---- frames that are gone ---- */

static bool is_intact(const struct aw_scope *scope)
{
    return scope->magic == AW_SCOPE_MAGIC;
}

static bool is_on_stack(const async_task *task, const void *address)
{
    return (const char *)address >= (const char *)task->stack.low &&
           (const char *)address <= (const char *)task->stack.top;
}

/* A frame that is not on the task's stack (a coroutine library of the user's) says nothing. */
static bool is_dead(const async_task *task, const struct aw_scope *scope, const void *frame)
{
    return scope != &task->root && (const char *)scope < (const char *)frame && is_on_stack(task, scope) &&
           is_on_stack(task, frame);
}

/* `scope` is the innermost one that lives; everything below `end` is dead, and overwritten by the frames of this very
 * call: nothing may be written there. */
static AW_COLD void drop_dead(async_task *task, struct aw_scope *scope, const void *end)
{
    const struct aw_scope *dead = task->scope;
    const char *where = is_intact(dead) && dead->where ? dead->where : "a place that is overwritten";
    char name[256];

    aw_timer_heap_forget(&task->loop->timers, task->stack.low, end);
    task->scope = scope;
    task->reason = aw_scope_reason(task);
    aw_loop_report(task->loop, 0, task, task->name, task->where, NULL,
                   "task %s has left the scope entered at %s by longjmp: no cleanup of that block has run",
                   aw_task_describe(task, name, sizeof name), where);
    if (task->loop->debug)
        abort();
}

/* The chain can be followed as long as the marks are there; behind one that is not, the root is all that is known. */
AW_COLD void aw_scope_drop_dead(async_task *task, const void *frame)
{
    struct aw_scope *scope = task->scope;

    if (!is_dead(task, scope, frame))
        return;
    while (is_intact(scope) && is_dead(task, scope, frame))
        scope = scope->parent;
    drop_dead(task, is_intact(scope) ? scope : &task->root, frame);
}

/* A scope is left while others, which must be deeper, are still entered. */
static AW_COLD void drop_deeper(async_task *task, struct aw_scope *scope, const void *frame)
{
    if (AW_ASAN)
        task->scope = scope;
    else
        drop_dead(task, scope, frame);
}

/* ---- entering and leaving ---- */

static int deadline_passed(async_handle *handle)
{
    struct timed_scope *self = AW_CONTAINER_OF(handle, struct timed_scope, timer.handle);

    if (self->scope.reason == 0)
        self->scope.expired = true;
    aw_scope_cancel(self->task, &self->scope, ASYNC_ETIMEOUT);
    return 0;
}

/* Outside of a task there is nothing to cancel: the scope is inert, and leaving it does nothing. */
static struct timed_scope *push(async_scope *scope, const char *where, bool shield, const void *frame)
{
    struct timed_scope *self = timed(scope);
    async_task *task = aw_thread.task;

    self->scope = (struct aw_scope){ .shield = shield, .where = where, .magic = AW_SCOPE_MAGIC };
    self->task = task;
    async_timer_handle_init(&self->timer, deadline_passed);
    self->timer.when = AW_NEVER;
    if (!task)
        return self;
    aw_scope_check_frames(task, frame);
    self->scope.parent = task->scope;
    task->scope = &self->scope;
    if (AW_UNLIKELY(shield && task->reason != 0))
        task->reason = 0; /* a fresh shield: nothing inside of it is cancelled */
    return self;
}

/* A timer that finds no memory fails the scope at once: entering cannot, and a deadline must not be forgotten. */
static void arm(struct timed_scope *self, int64_t when)
{
    async_loop *loop = self->task->loop;

    self->timer.when = when;
    if (when == AW_NEVER)
        return;
    if (when <= aw_loop_now(loop))
        (void)deadline_passed(&self->timer.handle);
    else if (aw_loop_start_timer(loop, &self->timer, when) < 0)
        aw_scope_cancel(self->task, &self->scope, -ENOMEM);
}

static void set_deadline(struct timed_scope *self, double seconds, bool absolute)
{
    int64_t when;

    if (!self->task)
        return;
    if (isnan(seconds)) {
        aw_scope_cancel(self->task, &self->scope, -EINVAL);
        return;
    }
    when = aw_ns_from_seconds(seconds);
    arm(self, absolute ? when : aw_ns_add(aw_loop_now(self->task->loop), when));
}

AW_NOINLINE void aw_scope_enter(async_scope *scope, double seconds, const char *where)
{
    set_deadline(push(scope, where, false, AW_FRAME), seconds, false);
}

AW_NOINLINE void aw_scope_enter_at(async_scope *scope, double when, const char *where)
{
    set_deadline(push(scope, where, false, AW_FRAME), when, true);
}

AW_NOINLINE void aw_shield_enter(async_scope *scope, double seconds, const char *where)
{
    struct timed_scope *self = push(scope, where, true, AW_FRAME);

    if (seconds == 0 && signbit(seconds)) /* async_shield(): the macro passes -0.0, which no grace is */
        return;
    set_deadline(self, seconds, false);
}

AW_NOINLINE void aw_scope_leave(async_scope *scope)
{
    struct timed_scope *self = timed(scope);
    async_task *task = self->task;

    self->scope.magic = 0;
    if (!task)
        return;
    if (self->timer.handle.state != AW_HANDLE_IDLE)
        async_loop_unschedule(task->loop, &self->timer.handle);
    if (AW_UNLIKELY(task->scope != &self->scope))
        drop_deeper(task, &self->scope, AW_FRAME);
    task->scope = self->scope.parent;
    if (self->scope.shield || task->reason != 0)
        task->reason = aw_scope_reason(task);
}

/* ---- asking ---- */

int async_scope_expired(const async_scope *scope)
{
    return scope && timed_const(scope)->scope.expired;
}

double async_scope_when(const async_scope *scope)
{
    return scope ? aw_seconds_from_ns(timed_const(scope)->timer.when) : NAN;
}

int async_scope_reschedule(async_scope *scope, double when)
{
    struct timed_scope *self = scope ? timed(scope) : NULL;

    if (!self || !self->task || isnan(when))
        return aw_note_set(-EINVAL, "async_scope_reschedule: no scope of a task, or the time is not a number");
    if (self->scope.reason != 0 || self->scope.magic != AW_SCOPE_MAGIC)
        return aw_note_set(ASYNC_ESTATE, "async_scope_reschedule: the scope has expired, was cancelled or was left");
    async_loop_unschedule(self->task->loop, &self->timer.handle);
    arm(self, aw_ns_from_seconds(when));
    return 0;
}

void async_scope_cancel(async_scope *scope)
{
    struct timed_scope *self = scope ? timed(scope) : NULL;

    if (self && self->task && self->scope.magic == AW_SCOPE_MAGIC)
        aw_scope_cancel(self->task, &self->scope, ASYNC_ECANCELED);
}

int async_cancelled(void)
{
    return aw_await_reason();
}

/* ---- regions that must not suspend ---- */

int aw_nosuspend_enter(const char *where)
{
    (void)where;
    if (aw_thread.task)
        aw_thread.task->nosuspend++;
    return 0;
}

void aw_nosuspend_leave(const int *token)
{
    (void)token;
    if (aw_thread.task)
        aw_thread.task->nosuspend--;
}

/* ---- cleanups ---- */

static void run_defer(struct aw_defer *defer)
{
    void *value;

    /* By memcpy: the variable has a pointer type of the user's. */
    __builtin_memcpy(&value, defer->variable, sizeof value);
    if (value)
        defer->fn(value);
}

void aw_defer_leave(struct aw_defer *defer)
{
    run_defer(defer);
}

void aw_defer_leave_await(struct aw_defer *defer)
{
    async_scope shield;

    /* Its waits have to work also when the block is left because of a cancellation. */
    aw_shield_enter(&shield, -0.0, "await_defer");
    run_defer(defer);
    aw_scope_leave(&shield);
}

const size_t aw_one = 1;
