/* SPDX-License-Identifier: MIT */
/* The inside of a task, for the files of this floor. */
#ifndef AW_TASK_TASK_H
#define AW_TASK_TASK_H

#include "base/list.h"
#include "loop/loop.h"
#include "task/stack.h"
#include "task/switch.h"
#include "task/wait.h"
#include <await/context.h>
#include <await/group.h>
#include <await/task.h>

/* How many awaits that need not wait a task may make before the others get a turn (tokio's number). */
#define AW_TASK_BUDGET 128
#define AW_REFUSALS_REPORTED 10000

/* Something that wants to know when a task or future is done. Called once, in the order of attachment, while the
 * task ends; it must not run user code. */
struct aw_watch {
    struct aw_list link;
    void (*fired)(struct aw_watch *watch);
};

/* What a parked frame holds that must not be lost when its loop closes under it: on tasks->holds while it is parked. */
struct aw_hold {
    struct aw_list link;
    void (*drop)(struct aw_hold *hold);
};

/* What a chain of scopes is made of. A scope with a deadline has a timer behind it (scope.c). */
struct aw_scope {
    struct aw_scope *parent;
    int reason;     /* why it is cancelled; 0: it is not */
    uint32_t magic; /* AW_SCOPE_MAGIC while entered: a frame that was left by longjmp is found by it */
    bool shield;
    bool expired; /* its own deadline was the cause */
    bool refusals_reported;
    uint32_t refusals;
    const char *where;
};

#define AW_SCOPE_MAGIC 0x73636f70u

enum aw_task_state { AW_TASK_NEW, AW_TASK_READY, AW_TASK_RUNNING, AW_TASK_PARKED, AW_TASK_DONE };

/* What a step reads and writes lies in the first two cache lines: with 1,000 connections each line more is seen in the
 * CPU per request (bench/echo). */
struct async_task {
    struct async_handle handle; /* first: runs the task's next step */
    struct aw_context context;
    int budget;
    int reason; /* what the next await is refused with: aw_scope_reason() kept at hand */
    enum aw_task_state state;
    int nosuspend;            /* regions that it is in */
    struct aw_scope *scope;   /* innermost */
    struct aw_wait *wait;     /* where it is parked */
    async_task *eager_caller; /* runs when this one suspends for the first time */
    struct aw_tasks *tasks;
    async_loop *loop;
    int (*fn)(void *arg);
    void *arg;

    uint32_t refs;
    int cancel_requests;
    int result;
    bool retrieved, name_owned, measured;
    const char *name, *where;
    struct aw_scope root;
    struct aw_list watches;
    struct aw_list all; /* every record, oldest first */
    async_task_group *group;
    struct aw_list group_link;
    struct aw_context_node *values;
    char *error; /* the newest failure's sentence, kept while others run and after the end */
    int error_code;
    char *cancel_message;
    uint64_t done_order; /* for as_completed */
    struct aw_stack stack;
};

/* This floor's part of a loop. */
struct aw_tasks {
    struct aw_loop_part part; /* first */
    async_loop *loop;
    struct aw_context loop_context; /* the stack that calls the turn */
    struct aw_stack_pool *pool;
    async_task *dead; /* ended and unreferenced: freed by whoever runs next, not on its own stack */
    struct aw_list all;
    struct aw_list groups;
    struct aw_list holds;
    size_t live; /* tasks that have not ended */
    uint64_t done_order;
};

/* ---- current.c ---- */
struct aw_thread {
    async_task *task; /* running */
    async_loop *loop; /* running */
};
extern _Thread_local struct aw_thread aw_thread;

/* ---- task.c ---- */
struct aw_tasks *aw_loop_tasks(async_loop *loop);
/* args are copied into the new task; size 0: arg is passed as it is. */
async_task *aw_task_new(async_loop *loop, int (*fn)(void *), const void *args, size_t size, const char *name,
                        const async_task_options *options);
void aw_task_watch(async_task *task, struct aw_watch *watch);
void aw_task_free(async_task *task);
/* The newest sentence that was kept for the task, "" if nothing has failed. */
const char *aw_task_error(const async_task *task);
/* "'name' (created at file.c:12)" */
const char *aw_task_describe(const async_task *task, char *buf, size_t size);
/* "name waits in await_sleep, created at ...", one a line, of all that have not ended. */
void aw_tasks_list(const struct aw_tasks *tasks, char *buf, size_t size);

/* ---- done.c ---- */
/* Frees the done callbacks that are attached to a task / queued in a loop, without calling them. */
void aw_done_drop(async_task *task);
void aw_done_drop_queued(async_loop *loop);

/* ---- run.c ---- */
/* Runs turns until the task has ended: 0, or what stopped the loop before. */
int aw_run_until(async_loop *loop, async_task *task);
int aw_run_enter(async_loop *loop, const char *what);
void aw_run_leave(async_loop *loop);
void aw_run_report_deadlock(async_loop *loop);

/* ---- future.c ---- */
struct async_future;
/* Of a future that is pending. Taking the watch off its list ends it. */
void aw_future_watch(struct async_future *future, struct aw_watch *watch);

/* ---- step.c ---- */
int aw_task_step(async_handle *handle);
void aw_task_main(void *arg);
/* Puts a running task behind the ready ones. */
void aw_task_yield(async_task *task);
void aw_tasks_reap(struct aw_tasks *tasks);

/* ---- scope.c ---- */
int aw_scope_reason(const async_task *task);
/* The chain or a scope's state has changed: tells a parked task. */
void aw_scope_changed(async_task *task);
void aw_scope_cancel(async_task *task, struct aw_scope *scope, int reason);
/* Scopes whose frames are gone (longjmp): taken off, reported. */
void aw_scope_drop_dead(async_task *task, const void *frame);
/* Writes the sentence "what: deadline of ... has passed, task ..." and returns the reason. */
int aw_scope_explain(const async_task *task, const char *what, int reason);

/* ---- context.c ---- */
struct aw_context_node *aw_context_inherit(struct aw_context_node *node);
void aw_context_drop(async_loop *loop, struct aw_context_node *node);

/* ---- group.c ---- */
void aw_group_task_done(async_task *task);
void aw_groups_fini(struct aw_tasks *tasks);

/* ---- call.c ---- */
struct aw_call {
    int (*thunk)(void *args);
    const char *name;
    size_t size;
    async_allocator allocator;
    _Alignas(16) unsigned char args[];
};

/* A frame that was left by longjmp lies below the caller's; the root scope lies above all frames. Not with ASan: its
 * use-after-return detection keeps locals on a fake stack, where addresses say nothing about depth. */
static inline void aw_scope_check_frames(async_task *task, const void *frame)
{
    if (AW_UNLIKELY((const char *)task->scope < (const char *)frame) && !AW_ASAN)
        aw_scope_drop_dead(task, frame);
}

#endif
