/* SPDX-License-Identifier: MIT */
/* Design notes: the life of a task's record. It lies at the top of the task's own stack, with the copied arguments
 * below it, so that creating a task takes one stack from the pool and no other memory.
 *
 * References: one for the creator, one for the loop until the function has returned. The record goes with the last one;
 * if the task failed and nobody looked, that is when it is reported. Every record stays in tasks->all until then, so
 * that closing a loop finds what is pending and what was forgotten. */
#include "task/task.h"

#include <stdio.h>
#include <string.h>

#define RECORD_ALIGN 64
#define ARGS_FREE 1024

/* ---- this floor's part of a loop ---- */

static void close_tasks(struct aw_loop_part *part, async_loop *loop);
static const char tasks_key;

struct aw_tasks *aw_loop_tasks(async_loop *loop)
{
    struct aw_tasks *tasks = loop->tasks;

    if (AW_LIKELY(tasks != NULL))
        return tasks;
    tasks = aw_alloc_zeroed(&loop->allocator, sizeof *tasks);
    if (!tasks)
        return NULL;
    if (aw_stack_pool_open(loop->backend, &loop->allocator, &tasks->pool) < 0) {
        aw_free(&loop->allocator, tasks);
        return NULL;
    }
    tasks->loop = loop;
    tasks->part = (struct aw_loop_part){ .key = &tasks_key, .close = close_tasks };
    aw_list_init(&tasks->all);
    aw_list_init(&tasks->groups);
    aw_list_init(&tasks->holds);
    aw_context_init_thread(&tasks->loop_context);
    aw_loop_attach_part(loop, &tasks->part);
    loop->tasks = tasks;
    return tasks;
}

/* ---- creation ---- */

static void *align_down(void *address, size_t alignment)
{
    return (void *)((uintptr_t)address & ~(uintptr_t)(alignment - 1));
}

static size_t align_up(size_t size, size_t alignment)
{
    return (size + alignment - 1) & ~(alignment - 1);
}

static async_task *place_record(const struct aw_stack *stack, const void *args, size_t size, void **ret_args)
{
    async_task *task = align_down((char *)stack->top - sizeof(async_task), RECORD_ALIGN);
    char *copy = align_down((char *)task - size, 16);

    if (size > 0)
        memcpy(copy, args, size);
    *ret_args = copy;
    return task;
}

static void record_init(async_task *task, struct aw_tasks *tasks, const struct aw_stack *stack, const char *name)
{
    async_task *creator = aw_thread.task;

    /* The context and the root scope's timer-free head are the only large parts; all is set, nothing is cleared twice.
     */
    memset(task, 0, sizeof *task);
    async_handle_init(&task->handle, aw_task_step);
    task->tasks = tasks;
    task->loop = tasks->loop;
    task->stack = *stack;
    task->refs = 2;
    task->name = name;
    task->root.magic = AW_SCOPE_MAGIC;
    task->scope = &task->root;
    aw_list_init(&task->watches);
    aw_list_append(&tasks->all, &task->all);
    tasks->live++;
    if (creator)
        task->values = aw_context_inherit(creator->values);
}

/* Arguments come out of the stack, but a large struct does not shrink it: the size grows in steps, so that the pool has
 * few sizes to keep. */
static size_t stack_size_of(const async_loop *loop, const async_task_options *options, size_t args_size)
{
    size_t size = loop->stack_size ? loop->stack_size : AW_STACK_SIZE_DEFAULT;

    if (options && options->stack_size)
        size = options->stack_size;
    if (args_size > ARGS_FREE)
        size += align_up(args_size, AW_STACK_SIZE_MIN);
    return size;
}

static int apply_options(async_task *task, const async_task_options *options)
{
    task->measured = options->measure_stack != 0;
    return options->name ? async_task_set_name(task, options->name) : 0;
}

static int check_new(async_loop *loop, int (*fn)(void *), const async_task_options *options)
{
    if (!loop)
        return aw_note_set(ASYNC_ENOTASK, "async_create_task: no loop is running on this thread");
    if (!fn)
        return aw_note_set(-EINVAL, "async_create_task: the function is NULL");
    if (options && options->size != sizeof *options)
        return aw_note_set(-EINVAL, "async_create_task: options.size is %zu, not %zu", options->size, sizeof *options);
    if (loop->closed)
        return aw_note_set(ASYNC_ECLOSED, "async_create_task: the loop is closed");
    return aw_loop_check_thread(loop, "async_create_task");
}

async_task *aw_task_new(async_loop *loop, int (*fn)(void *), const void *args, size_t size, const char *name,
                        const async_task_options *options)
{
    struct aw_tasks *tasks;
    struct aw_stack stack;
    async_task *task;
    void *copy;
    int r;

    if (check_new(loop, fn, options) < 0)
        return NULL;
    tasks = aw_loop_tasks(loop);
    r = tasks ? aw_stack_get(tasks->pool, stack_size_of(loop, options, size), &stack) : -ENOMEM;
    if (r < 0) {
        aw_note_set(r, "async_create_task: %s: %s", name,
                    r == -EINVAL ? "no such stack size" : "no memory for a stack");
        return NULL;
    }
    if (options && options->measure_stack)
        aw_stack_paint(&stack); /* before anything is written there */
    task = place_record(&stack, args, size, &copy);
    record_init(task, tasks, &stack, name);
    task->fn = fn;
    task->arg = size > 0 ? copy : (void *)(uintptr_t)args;
    r = aw_context_init(&task->context, stack.low, copy, aw_task_main, task);
    if (r == 0 && options)
        r = apply_options(task, options);
    if (r < 0) {
        task->retrieved = true;
        task->tasks->live--;
        aw_task_free(task);
        aw_note_set(r, "async_create_task: %s: no memory", name);
        return NULL;
    }
    aw_loop_make_ready(loop, &task->handle);
    return task;
}

async_task *aw_task_create(int (*thunk)(void *), const void *args, size_t size, const char *name)
{
    return aw_task_new(aw_current_loop(), thunk, args, size, name, NULL);
}

async_task *aw_task_at(async_task *task, const char *where)
{
    if (task)
        task->where = where;
    return task;
}

async_task *async_task_new(int (*fn)(void *arg), void *arg)
{
    return aw_task_new(aw_current_loop(), fn, arg, 0, "task", NULL);
}

async_task *async_loop_create_task(async_loop *loop, int (*fn)(void *arg), void *arg, const async_task_options *options)
{
    return aw_task_new(loop, fn, arg, 0, "task", options);
}

/* ---- references and the end ---- */

static void report_unseen(async_task *task)
{
    char name[256];

    aw_loop_report(task->loop, task->result, task, task->name, task->where, aw_task_error(task),
                   "task %s failed with %s, and nobody looked", aw_task_describe(task, name, sizeof name),
                   async_error_name(task->result));
}

static bool failed_unseen(const async_task *task)
{
    return task->state == AW_TASK_DONE && task->result < 0 && task->result != ASYNC_ECANCELED && !task->retrieved;
}

void aw_task_free(async_task *task)
{
    struct aw_tasks *tasks = task->tasks;
    async_loop *loop = task->loop;
    struct aw_stack stack;

    if (failed_unseen(task))
        report_unseen(task);
    aw_list_remove(&task->all);
    aw_context_drop(loop, task->values);
    if (task->name_owned)
        aw_free(&loop->allocator, (void *)(uintptr_t)task->name);
    aw_free(&loop->allocator, task->error);
    aw_free(&loop->allocator, task->cancel_message);
    aw_context_fini(&task->context);
    stack = task->stack; /* the record lies on it */
    aw_stack_put(tasks->pool, &stack);
}

async_task *async_task_ref(async_task *task)
{
    if (task)
        task->refs++;
    return task;
}

void async_task_unref(async_task *task)
{
    if (task && --task->refs == 0)
        aw_task_free(task);
}

void aw_task_watch(async_task *task, struct aw_watch *watch)
{
    aw_list_append(&task->watches, &watch->link);
}

/* ---- cancelling ---- */

int async_task_cancel(async_task *task)
{
    return async_task_cancel_message(task, NULL);
}

int async_task_cancel_message(async_task *task, const char *message)
{
    if (!task || task->state == AW_TASK_DONE)
        return 0;
    if (message) {
        aw_free(&task->loop->allocator, task->cancel_message);
        task->cancel_message = aw_strdup(&task->loop->allocator, message); /* without memory: without a message */
    }
    task->cancel_requests++;
    aw_scope_cancel(task, &task->root, ASYNC_ECANCELED);
    return 1;
}

int async_task_cancelling(const async_task *task)
{
    return task ? task->cancel_requests : 0;
}

int async_task_uncancel(async_task *task)
{
    if (!task || task->cancel_requests == 0)
        return 0;
    if (--task->cancel_requests == 0 && task->root.reason == ASYNC_ECANCELED) {
        task->root.reason = 0;
        task->root.refusals = 0;
        aw_scope_changed(task);
    }
    return task->cancel_requests;
}

/* ---- asking ---- */

int async_task_done(const async_task *task)
{
    return !task || task->state == AW_TASK_DONE;
}

int async_task_cancelled(const async_task *task)
{
    return task && task->state == AW_TASK_DONE && task->result == ASYNC_ECANCELED;
}

int async_task_result(async_task *task, int *ret_result)
{
    if (!task)
        return aw_note_set(-ENOMEM, "async_task_result: there was no memory for this task");
    if (task->state != AW_TASK_DONE)
        return aw_note_set(ASYNC_ESTATE, "async_task_result: task '%s' has not ended", task->name);
    task->retrieved = true;
    if (ret_result)
        *ret_result = task->result;
    return 0;
}

const char *aw_task_error(const async_task *task)
{
    if (task->error_code == 0)
        return "";
    return task->error ? task->error : async_strerror(task->error_code);
}

const char *async_task_error(const async_task *task)
{
    return task && task->state == AW_TASK_DONE && task->result < 0 ? aw_task_error(task) : "";
}

const char *async_task_name(const async_task *task)
{
    return task ? task->name : "no task";
}

int async_task_set_name(async_task *task, const char *name)
{
    char *copy;

    if (!task || !name)
        return aw_note_set(-EINVAL, "async_task_set_name: task or name is NULL");
    copy = aw_strdup(&task->loop->allocator, name);
    if (!copy)
        return aw_note_set(-ENOMEM, "async_task_set_name: no memory");
    if (task->name_owned)
        aw_free(&task->loop->allocator, (void *)(uintptr_t)task->name);
    task->name = copy;
    task->name_owned = true;
    return 0;
}

const char *async_task_birthplace(const async_task *task)
{
    return task && task->where ? task->where : "?";
}

const char *async_task_waiting(const async_task *task)
{
    return task && task->state == AW_TASK_PARKED ? task->wait->what : "";
}

size_t async_task_stack_used(const async_task *task)
{
    if (!task || !task->measured)
        return 0;
    return aw_stack_used(&task->stack);
}

size_t async_all_tasks(const async_loop *loop, async_task **ret_tasks, size_t capacity)
{
    const struct aw_tasks *tasks = loop ? loop->tasks : NULL;
    size_t count = 0;

    if (!tasks)
        return 0;
    for (struct aw_list *link = tasks->all.next; link != &tasks->all; link = link->next) {
        async_task *task = AW_LIST_ENTRY(link, async_task, all);

        if (task->state == AW_TASK_DONE)
            continue;
        if (count < capacity && ret_tasks)
            ret_tasks[count] = task;
        count++;
    }
    return count;
}

const char *aw_task_describe(const async_task *task, char *buf, size_t size)
{
    if (task->where)
        snprintf(buf, size, "'%s' (created at %s)", task->name, task->where);
    else
        snprintf(buf, size, "'%s'", task->name);
    return buf;
}

void aw_tasks_list(const struct aw_tasks *tasks, char *buf, size_t size)
{
    size_t used = 0;

    buf[0] = 0;
    for (const struct aw_list *link = tasks->all.next; link != &tasks->all && used < size; link = link->next) {
        const async_task *task = AW_LIST_ENTRY(link, const async_task, all);
        char name[256];

        if (task->state == AW_TASK_DONE)
            continue;
        used += (size_t)snprintf(buf + used, size - used, "%stask %s %s%s", used ? "\n    " : "",
                                 aw_task_describe(task, name, sizeof name),
                                 task->state == AW_TASK_PARKED ? "waits in " : "is ready",
                                 task->state == AW_TASK_PARKED ? task->wait->what : "");
    }
}

/* ---- closing the loop ---- */

static const char *forgotten(const async_task *task)
{
    switch (task->state) {
    case AW_TASK_NEW:
        return "was never awaited: it never began";
    case AW_TASK_DONE:
        return "has ended, but was never awaited (await_task, gather) nor detached (async_task_unref)";
    default:
        return "was pending when its loop closed";
    }
}

static void report_forgotten(async_task *task)
{
    char name[256], waits[128] = "";

    if (task->state == AW_TASK_PARKED)
        snprintf(waits, sizeof waits, "; it waits in %s", task->wait->what);
    aw_loop_report(task->loop, 0, task, task->name, task->where, NULL, "task %s %s%s",
                   aw_task_describe(task, name, sizeof name), forgotten(task), waits);
}

static void drop_steps(async_loop *loop, struct async_handle *head)
{
    for (struct async_handle *handle = head->next, *next; handle != head; handle = next) {
        next = handle->next;
        if (handle->run == aw_task_step)
            async_loop_unschedule(loop, handle);
    }
}

static void drop_holds(struct aw_tasks *tasks)
{
    struct aw_list *link;

    while ((link = aw_list_pop(&tasks->holds)) != NULL) {
        struct aw_hold *hold = AW_LIST_ENTRY(link, struct aw_hold, link);
        hold->drop(hold);
    }
}

/* Everything that lies on a task's stack leaves its list before the first stack goes: timers and deadlines, waits for
 * futures, joins. */
static void forget_stacks(struct aw_tasks *tasks, async_loop *loop)
{
    aw_timers_drop(loop);
    drop_steps(loop, &loop->running);
    drop_steps(loop, &loop->ready);
    drop_holds(tasks);
    aw_done_drop_queued(loop);
    for (struct aw_list *link = tasks->all.next; link != &tasks->all; link = link->next)
        aw_done_drop(AW_LIST_ENTRY(link, async_task, all));
}

static void close_tasks(struct aw_loop_part *part, async_loop *loop)
{
    struct aw_tasks *tasks = (struct aw_tasks *)part;

    forget_stacks(tasks, loop);
    while (!aw_list_is_empty(&tasks->all)) {
        async_task *task = AW_LIST_ENTRY(tasks->all.next, async_task, all);

        if (!failed_unseen(task))
            report_forgotten(task);
        aw_task_free(task);
    }
    aw_groups_fini(tasks);
    aw_stack_pool_close(tasks->pool);
    aw_context_fini(&tasks->loop_context);
    loop->tasks = NULL;
    aw_free(&loop->allocator, tasks);
}
