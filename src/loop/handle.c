/* SPDX-License-Identifier: MIT */
/* Design notes: a handle is in exactly one of the states of aw_handle_state. The ready queue is doubly linked, so that
 * cancelling takes a handle out at once and its memory is the owner's again (a flag in a singly linked queue would hold
 * the memory until its turn came). call_soon, call_later and call_at are embedded handles that the loop
 * allocates and keeps on a free list. */
#include "loop/loop.h"

#include <math.h>

#if AW_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(memory, size) __asan_poison_memory_region(memory, size)
#define UNPOISON(memory, size) __asan_unpoison_memory_region(memory, size)
#else
#define POISON(memory, size) ((void)(memory), (void)(size))
#define UNPOISON(memory, size) ((void)(memory), (void)(size))
#endif

/* ---- embedded ---- */

void async_handle_init(async_handle *handle, int (*run)(async_handle *handle))
{
    *handle = (struct async_handle){ .run = run };
}

void async_timer_handle_init(async_timer_handle *timer, int (*run)(async_handle *handle))
{
    *timer = (struct async_timer_handle){ .handle.run = run };
}

int async_handle_is_scheduled(const async_handle *handle)
{
    return handle && handle->state != AW_HANDLE_IDLE;
}

int async_embed_check(size_t handle_size, size_t timer_size)
{
    if (handle_size == sizeof(struct async_handle) && timer_size == sizeof(struct async_timer_handle))
        return 0;
    return aw_fail(NULL, -EINVAL, "async_embed_check: <await/embed.h> is not the library's own");
}

static int check_schedule(async_loop *loop, const async_handle *handle, const char *what)
{
    if (!loop || !handle || !handle->run)
        return aw_fail(loop, -EINVAL, "%s: loop, handle or its function is NULL", what);
    if (handle->state != AW_HANDLE_IDLE)
        return aw_fail(loop, -EALREADY, "%s: the handle is scheduled already", what);
    return aw_loop_check_thread(loop, what);
}

int async_loop_schedule(async_loop *loop, async_handle *handle)
{
    int r = check_schedule(loop, handle, "async_loop_schedule");
    if (r < 0)
        return r;
    aw_loop_make_ready(loop, handle);
    return 0;
}

int async_loop_schedule_at(async_loop *loop, async_timer_handle *timer, int64_t when)
{
    int r = check_schedule(loop, timer ? &timer->handle : NULL, "async_loop_schedule_at");
    if (r < 0)
        return r;
    r = aw_loop_start_timer(loop, timer, when);
    return r < 0 ? aw_fail(loop, r, "async_loop_schedule_at: no memory for one more timer") : 0;
}

int aw_loop_start_timer(async_loop *loop, async_timer_handle *timer, int64_t when)
{
    int r;

    timer->loop = loop;
    timer->when = when;
    r = aw_timer_heap_add(&loop->timers, &loop->allocator, timer);
    if (r < 0)
        return r;
    timer->handle.state = AW_HANDLE_TIMER;
    return 0;
}

int async_loop_unschedule(async_loop *loop, async_handle *handle)
{
    if (!handle)
        return 0;
    switch ((enum aw_handle_state)handle->state) {
    case AW_HANDLE_IDLE:
        return 0;
    case AW_HANDLE_TIMER:
        aw_timer_heap_remove(&loop->timers, (async_timer_handle *)handle);
        break;
    case AW_HANDLE_POSTED:
        /* It may be anywhere on the stack that other threads push to: bring all of it here first. */
        aw_loop_take_posted(loop);
        aw_handle_unlink(handle);
        break;
    case AW_HANDLE_READY:
    case AW_HANDLE_DUE:
        aw_handle_unlink(handle);
        break;
    }
    handle->state = AW_HANDLE_IDLE;
    return 1;
}

int64_t async_loop_time_ns(const async_loop *loop)
{
    return aw_loop_now(loop);
}

/* ---- allocated ---- */

struct callback {
    struct async_timer_handle timer; /* first */
    async_callback function;
    void *arg;
};

static void give_back(async_loop *loop, struct callback *callback)
{
    async_handle *handle = &callback->timer.handle;

    if (loop->free_callback_count >= AW_FREE_CALLBACKS_MAX) {
        aw_free(&loop->allocator, callback);
        return;
    }
    loop->free_callback_count++;
    handle->next = loop->free_callbacks;
    loop->free_callbacks = handle;
    /* A borrowed pointer that is used too late is reported by ASan instead of hitting somebody else's callback. */
    POISON(handle, sizeof *callback);
}

static struct callback *take_one(async_loop *loop)
{
    struct callback *callback = (struct callback *)loop->free_callbacks;

    if (!callback)
        return aw_alloc(&loop->allocator, sizeof *callback);
    UNPOISON(callback, sizeof *callback);
    loop->free_callbacks = callback->timer.handle.next;
    loop->free_callback_count--;
    return callback;
}

static int run_callback(async_handle *handle)
{
    struct callback *callback = (struct callback *)handle;
    async_callback function = callback->function;
    void *arg = callback->arg;

    /* Before the user's code: it may schedule itself again, and gets this very handle. */
    give_back(callback->timer.loop, callback);
    return function(arg);
}

static struct callback *callback_new(async_loop *loop, async_callback function, void *arg, const char *what)
{
    struct callback *callback;

    if (!loop || !function) {
        aw_fail(loop, -EINVAL, "%s: loop or callback is NULL", what);
        return NULL;
    }
    if (aw_loop_check_thread(loop, what) < 0)
        return NULL;
    callback = take_one(loop);
    if (!callback) {
        aw_fail(loop, -ENOMEM, "%s: no memory", what);
        return NULL;
    }
    callback->timer.handle.run = run_callback;
    callback->timer.handle.state = AW_HANDLE_IDLE;
    callback->timer.loop = loop;
    callback->timer.when = INT64_MIN; /* not a timer */
    callback->function = function;
    callback->arg = arg;
    return callback;
}

async_handle *async_loop_call_soon(async_loop *loop, async_callback callback, void *arg)
{
    struct callback *new = callback_new(loop, callback, arg, "async_call_soon");

    if (!new)
        return NULL;
    aw_loop_make_ready(loop, &new->timer.handle);
    return &new->timer.handle;
}

static async_handle *call_at_ns(async_loop *loop, int64_t when, async_callback callback, void *arg, const char *what)
{
    struct callback *new = callback_new(loop, callback, arg, what);

    if (!new)
        return NULL;
    if (aw_loop_start_timer(loop, &new->timer, when) < 0) {
        give_back(loop, new);
        aw_fail(loop, -ENOMEM, "%s: no memory for one more timer", what);
        return NULL;
    }
    return &new->timer.handle;
}

async_handle *async_loop_call_later(async_loop *loop, double delay, async_callback callback, void *arg)
{
    int64_t now;

    if (isnan(delay)) {
        aw_fail(loop, -EINVAL, "async_call_later: the delay is not a number");
        return NULL;
    }
    now = loop ? aw_loop_now(loop) : 0;
    if (loop && !(delay > 0))
        loop->tick_at_poll = INT64_MIN; /* due in the very next turn, which must look */
    return call_at_ns(loop, aw_ns_add(now, delay > 0 ? aw_ns_from_seconds(delay) : 0), callback, arg,
                      "async_call_later");
}

async_handle *async_loop_call_at(async_loop *loop, double when, async_callback callback, void *arg)
{
    if (isnan(when)) {
        aw_fail(loop, -EINVAL, "async_call_at: the time is not a number");
        return NULL;
    }
    return call_at_ns(loop, aw_ns_from_seconds(when), callback, arg, "async_call_at");
}

void async_handle_cancel(async_handle *handle)
{
    struct callback *callback = (struct callback *)handle;

    if (!handle || handle->state == AW_HANDLE_IDLE)
        return;
    async_loop_unschedule(callback->timer.loop, handle);
    give_back(callback->timer.loop, callback);
}

double async_handle_when(const async_handle *handle)
{
    const async_timer_handle *timer = (const async_timer_handle *)handle;

    return handle && timer->when != INT64_MIN ? aw_seconds_from_ns(timer->when) : NAN;
}

/* ---- from other threads ---- */

/* Posted callbacks are not of the free list: another thread allocated them. */
struct posted_callback {
    struct async_handle handle; /* first */
    async_loop *loop;
    async_callback function;
    void *arg;
};

static int run_posted(async_handle *handle)
{
    struct posted_callback posted = *(struct posted_callback *)handle;

    aw_free(&posted.loop->allocator, handle);
    return posted.function(posted.arg);
}

int async_loop_call_soon_threadsafe(async_loop *loop, async_callback callback, void *arg)
{
    struct posted_callback *posted;

    if (!loop || !callback)
        return aw_fail(loop, -EINVAL, "async_call_soon_threadsafe: loop or callback is NULL");
    if (loop->closed)
        return aw_fail(loop, ASYNC_ECLOSED, "async_call_soon_threadsafe: the loop is closed");
    posted = aw_alloc(&loop->allocator, sizeof *posted);
    if (!posted)
        return aw_fail(loop, -ENOMEM, "async_call_soon_threadsafe: no memory");
    *posted = (struct posted_callback){ { .run = run_posted }, loop, callback, arg };
    return async_loop_schedule_threadsafe(loop, &posted->handle);
}

static void drop_all(async_loop *loop, struct async_handle *head)
{
    struct async_handle *handle;

    while ((handle = head->next) != head) {
        aw_handle_unlink(handle);
        handle->state = AW_HANDLE_IDLE;
        if (handle->run == run_callback)
            give_back(loop, (struct callback *)handle);
        else if (handle->run == run_posted)
            aw_free(&loop->allocator, handle);
        else if (handle->flags & AW_HANDLE_RUN_AT_CLOSE)
            (void)handle->run(handle);
    }
}

void aw_timers_drop(async_loop *loop)
{
    drop_all(loop, &loop->due);
    while (loop->timers.count > 0) {
        async_timer_handle *timer = loop->timers.entries[loop->timers.count - 1].timer;

        async_loop_unschedule(loop, &timer->handle);
        if (timer->handle.run == run_callback)
            give_back(loop, (struct callback *)timer);
    }
}

void aw_callbacks_fini(async_loop *loop)
{
    struct callback *callback;

    aw_loop_take_posted(loop);
    drop_all(loop, &loop->running);
    drop_all(loop, &loop->ready);
    aw_timers_drop(loop);
    while (loop->free_callbacks) {
        callback = take_one(loop);
        aw_free(&loop->allocator, callback);
    }
}
