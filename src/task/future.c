/* SPDX-License-Identifier: MIT */
/* Design notes: a future is a value, a state and a list of those who want to know. Waiters and callbacks are told in
 * the order in which they came, waiters by becoming ready, callbacks through the loop: completing a future never runs
 * user code. Whoever has something scheduled for a future holds a reference to it. */
#include "task/task.h"
#include <await/future.h>

struct async_future {
    async_loop *loop;
    struct aw_list watches;
    void *value;
    int error; /* 0, a code, ASYNC_ECANCELED */
    bool done, retrieved;
    uint32_t refs;
};

async_future *async_loop_create_future(async_loop *loop)
{
    async_future *future;

    if (!loop) {
        aw_note_set(ASYNC_ENOTASK, "async_future_new: no loop is running on this thread");
        return NULL;
    }
    future = aw_alloc_zeroed(&loop->allocator, sizeof *future);
    if (!future) {
        aw_note_set(-ENOMEM, "async_future_new: no memory");
        return NULL;
    }
    future->loop = loop;
    future->refs = 1;
    aw_list_init(&future->watches);
    return future;
}

async_future *async_future_new(void)
{
    return async_loop_create_future(aw_current_loop());
}

async_future *async_future_ref(async_future *future)
{
    if (future)
        future->refs++;
    return future;
}

void async_future_unref(async_future *future)
{
    if (!future || --future->refs > 0)
        return;
    if (future->done && future->error < 0 && future->error != ASYNC_ECANCELED && !future->retrieved)
        aw_loop_report(future->loop, future->error, NULL, NULL, NULL, NULL,
                       "a future failed with %s (%s), and nobody looked", async_error_name(future->error),
                       async_strerror(future->error));
    aw_free(&future->loop->allocator, future);
}

/* ---- completing ---- */

static void complete(async_future *future, void *value, int error)
{
    struct aw_list *link;

    future->done = true;
    future->value = value;
    future->error = error;
    while ((link = aw_list_pop(&future->watches)) != NULL) {
        struct aw_watch *watch = AW_LIST_ENTRY(link, struct aw_watch, link);
        watch->fired(watch);
    }
}

static int check_pending(const async_future *future, const char *what)
{
    if (!future)
        return aw_note_set(-EINVAL, "%s: future is NULL", what);
    if (future->done)
        return aw_note_set(ASYNC_ESTATE, "%s: the future is done already", what);
    return aw_loop_check_thread(future->loop, what);
}

int async_future_set_result(async_future *future, void *value)
{
    int r = check_pending(future, "async_future_set_result");

    if (r < 0)
        return r;
    complete(future, value, 0);
    return 0;
}

int async_future_set_error(async_future *future, int code)
{
    int r = check_pending(future, "async_future_set_error");

    if (r < 0)
        return r;
    if (code >= 0)
        return aw_note_set(-EINVAL, "async_future_set_error: %d is no error code", code);
    complete(future, NULL, code);
    return 0;
}

int async_future_cancel(async_future *future)
{
    if (!future || future->done)
        return 0;
    complete(future, NULL, ASYNC_ECANCELED);
    return 1;
}

void aw_future_watch(async_future *future, struct aw_watch *watch)
{
    aw_list_append(&future->watches, &watch->link);
}

/* ---- asking ---- */

int async_future_done(const async_future *future)
{
    return future && future->done;
}

int async_future_cancelled(const async_future *future)
{
    return future && future->done && future->error == ASYNC_ECANCELED;
}

int async_future_result(async_future *future, void **ret_value)
{
    if (!future)
        return aw_note_set(-EINVAL, "async_future_result: future is NULL");
    if (!future->done)
        return aw_note_set(ASYNC_ESTATE, "async_future_result: the future is pending");
    future->retrieved = true;
    if (future->error < 0)
        return aw_note_set(future->error, "async_future_result: the future failed: %s", async_strerror(future->error));
    if (ret_value)
        *ret_value = future->value;
    return 0;
}

/* ---- callbacks ---- */

struct future_callback {
    struct aw_watch watch; /* first */
    struct aw_hold hold;   /* as long as the future is pending */
    struct async_handle handle;
    async_future *future;
    async_future_callback callback;
    void *arg;
};

static int run_callback(async_handle *handle)
{
    struct future_callback *entry = AW_CONTAINER_OF(handle, struct future_callback, handle);
    struct future_callback copy = *entry;
    int r = 0;

    aw_free(&copy.future->loop->allocator, entry);
    if (!copy.future->loop->closed)
        r = copy.callback(copy.future, copy.arg); /* user code: may do anything, also give the last reference back */
    async_future_unref(copy.future);
    return r;
}

static void schedule_callback(struct aw_watch *watch)
{
    struct future_callback *entry = (struct future_callback *)watch;

    aw_list_remove(&entry->hold.link);
    aw_loop_make_ready(entry->future->loop, &entry->handle);
}

/* The loop closes: nobody will complete the future any more. */
static void drop_callback(struct aw_hold *hold)
{
    struct future_callback *entry = AW_CONTAINER_OF(hold, struct future_callback, hold);
    async_future *future = entry->future;

    aw_list_remove(&entry->watch.link);
    aw_free(&future->loop->allocator, entry);
    async_future_unref(future);
}

int async_future_add_done_callback(async_future *future, async_future_callback callback, void *arg)
{
    struct future_callback *entry;
    struct aw_tasks *tasks;

    if (!future || !callback)
        return aw_note_set(-EINVAL, "async_future_add_done_callback: future or callback is NULL");
    tasks = aw_loop_tasks(future->loop);
    entry = tasks ? aw_alloc(&future->loop->allocator, sizeof *entry) : NULL;
    if (!entry)
        return aw_note_set(-ENOMEM, "async_future_add_done_callback: no memory");
    *entry = (struct future_callback){ .watch.fired = schedule_callback,
                                       .hold.drop = drop_callback,
                                       .handle = { .run = run_callback, .flags = AW_HANDLE_RUN_AT_CLOSE },
                                       .future = async_future_ref(future),
                                       .callback = callback,
                                       .arg = arg };
    aw_list_append(&tasks->holds, &entry->hold.link);
    if (future->done)
        schedule_callback(&entry->watch);
    else
        aw_list_append(&future->watches, &entry->watch.link);
    return 0;
}

int async_future_remove_done_callback(async_future *future, async_future_callback callback, void *arg)
{
    int count = 0;

    if (!future)
        return 0;
    for (struct aw_list *link = future->watches.next, *next; link != &future->watches; link = next) {
        struct future_callback *entry = AW_LIST_ENTRY(link, struct future_callback, watch.link);

        next = link->next;
        if (entry->watch.fired != schedule_callback || entry->callback != callback || entry->arg != arg)
            continue;
        aw_list_remove(link);
        aw_list_remove(&entry->hold.link);
        aw_free(&future->loop->allocator, entry);
        future->refs--; /* the caller has one */
        count++;
    }
    return count;
}

/* ---- waiting ---- */

struct future_wait {
    struct aw_wait wait; /* first */
    struct aw_watch watch;
    struct aw_hold hold;
    async_future *future;
};

static void wait_fired(struct aw_watch *watch)
{
    aw_wait_wake(&AW_CONTAINER_OF(watch, struct future_wait, watch)->wait, 0);
}

static void wait_cancelled(struct aw_wait *wait, int reason)
{
    aw_list_remove(&((struct future_wait *)wait)->watch.link);
    aw_wait_wake(wait, reason);
}

static void drop_wait(struct aw_hold *hold)
{
    struct future_wait *wait = AW_CONTAINER_OF(hold, struct future_wait, hold);

    aw_list_remove(&wait->watch.link);
    async_future_unref(wait->future);
}

AW_NOINLINE int await_future(async_future *future)
{
    struct future_wait wait = {
        .wait = { .what = "await_future", .subject = future, .cancel = wait_cancelled },
        .watch.fired = wait_fired,
        .hold.drop = drop_wait,
        .future = future,
    };
    int r = aw_await_enter_from("await_future", AW_FRAME);

    if (r < 0)
        return r;
    if (!future)
        return aw_note_set(-EINVAL, "await_future: future is NULL");
    if (future->loop != aw_thread.task->loop)
        return aw_note_set(-EINVAL, "await_future: the future belongs to another loop");
    if (future->done)
        return 0;
    async_future_ref(future); /* whoever completes it may give the last other reference back */
    aw_list_append(&future->watches, &wait.watch.link);
    aw_list_append(&aw_thread.task->tasks->holds, &wait.hold.link);
    r = aw_wait_park(&wait.wait);
    aw_list_remove(&wait.hold.link);
    async_future_unref(future);
    return r;
}
