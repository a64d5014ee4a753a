/* SPDX-License-Identifier: MIT */
/* Design notes: being called when a task has ended. The call comes through the loop, a turn later and outside of the
 * task, and the entry keeps the record alive until then. Servers use the same entry for their handlers. A loop that
 * closes frees entries that are still attached or queued, without calling anybody. */
#include "task/task.h"

#include <string.h>

struct done_callback {
    struct aw_watch watch; /* first */
    struct async_handle handle;
    async_task *task;
    int (*callback)(async_task *task, void *arg);           /* the user's, or */
    void (*ended)(async_task *task, int result, void *arg); /* a server's */
    void *arg;
};

static int run_done_callback(async_handle *handle)
{
    struct done_callback *entry = AW_CONTAINER_OF(handle, struct done_callback, handle);
    struct done_callback done = *entry;
    int r = 0;

    aw_free(&done.task->loop->allocator, entry);
    if (done.callback)
        r = done.callback(done.task, done.arg); /* user code */
    else
        done.ended(done.task, done.task->result, done.arg);
    async_task_unref(done.task);
    return r;
}

static void schedule_done_callback(struct aw_watch *watch)
{
    struct done_callback *done = (struct done_callback *)watch;

    aw_loop_make_ready(done->task->loop, &done->handle);
}

static struct done_callback *entry_new(async_loop *loop)
{
    struct done_callback *entry = aw_alloc_zeroed(&loop->allocator, sizeof *entry);

    if (!entry)
        return NULL;
    entry->watch.fired = schedule_done_callback;
    async_handle_init(&entry->handle, run_done_callback);
    return entry;
}

int async_task_add_done_callback(async_task *task, int (*callback)(async_task *task, void *arg), void *arg)
{
    struct done_callback *entry;

    if (!task || !callback)
        return aw_note_set(task ? -EINVAL : -ENOMEM, "async_task_add_done_callback: task or callback is NULL");
    entry = entry_new(task->loop);
    if (!entry)
        return aw_note_set(-ENOMEM, "async_task_add_done_callback: no memory");
    entry->task = async_task_ref(task);
    entry->callback = callback;
    entry->arg = arg;
    if (task->state == AW_TASK_DONE)
        schedule_done_callback(&entry->watch);
    else
        aw_task_watch(task, &entry->watch);
    return 0;
}

async_task *aw_task_create_handler(async_loop *loop, const struct aw_call *call, void *first_argument,
                                   const char *where, void (*ended)(async_task *task, int result, void *arg), void *arg)
{
    struct done_callback *entry = entry_new(loop);
    async_task *task;

    task = entry ? aw_task_new(loop, call->thunk, call->args, call->size, call->name, NULL) : NULL;
    if (!task) {
        aw_free(&loop->allocator, entry);
        aw_note_set(-ENOMEM, "%s: no memory for a handler", call->name);
        return NULL;
    }
    memcpy(task->arg, &first_argument, sizeof first_argument);
    task->where = where;
    task->retrieved = true; /* the server looks */
    entry->task = task;     /* with the creator's reference */
    entry->ended = ended;
    entry->arg = arg;
    aw_task_watch(task, &entry->watch);
    return task;
}

/* ---- closing the loop ---- */

void aw_done_drop(async_task *task)
{
    for (struct aw_list *link = task->watches.next, *next; link != &task->watches; link = next) {
        struct aw_watch *watch = AW_LIST_ENTRY(link, struct aw_watch, link);

        next = link->next;
        aw_list_remove(link);
        if (watch->fired == schedule_done_callback)
            aw_free(&task->loop->allocator, (struct done_callback *)watch);
    }
}

static void drop_from(async_loop *loop, struct async_handle *head)
{
    for (struct async_handle *handle = head->next, *next; handle != head; handle = next) {
        struct done_callback *entry = AW_CONTAINER_OF(handle, struct done_callback, handle);
        async_task *task;

        next = handle->next;
        if (handle->run != run_done_callback)
            continue;
        async_loop_unschedule(loop, handle);
        task = entry->task;
        aw_free(&loop->allocator, entry);
        async_task_unref(task);
    }
}

void aw_done_drop_queued(async_loop *loop)
{
    drop_from(loop, &loop->running);
    drop_from(loop, &loop->ready);
}
