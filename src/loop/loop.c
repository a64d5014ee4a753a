/* SPDX-License-Identifier: MIT */
/* Design notes: the life of a loop: open, run, stop, close, and what can be asked of it. The loop knows nothing of
 * tasks, transports or jobs: those floors attach a part of their own, which async_loop_close() closes, newest first,
 * before the loop's own memory goes. */
#include "loop/loop.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HOT_BUFFER_ALIGN 4096

/* ---- open ---- */

static int debug_default(int wanted)
{
    const char *text;

    if (wanted != 0)
        return wanted > 0;
    text = getenv("ASYNC_DEBUG");
    return text && *text && strcmp(text, "0") != 0;
}

static int find_backend(const char *wanted, const struct aw_backend_ops **ret_ops)
{
    const char *name = wanted;

    if (!name || !*name)
        name = getenv("ASYNC_BACKEND");
    if (!name || !*name)
        name = "linux";
    *ret_ops = aw_backend_find(name);
    if (*ret_ops)
        return 0;
    return aw_fail(NULL, ASYNC_ENOBACKEND, "async_loop_open: no backend is called '%s' (there are %s)", name,
                   aw_backend_names());
}

static void set_options(async_loop *loop, const async_loop_options *options)
{
    loop->clock = options->clock;
    loop->clock_arg = options->clock_arg;
    if (options->host)
        loop->host = *options->host;
    loop->exception_handler = options->exception_handler;
    loop->exception_handler_arg = options->exception_handler_arg;
    loop->debug = debug_default(options->debug);
    loop->seed = options->seed;
    loop->stack_size = options->stack_size;
    loop->slow_callback_ns = AW_NS_PER_SEC / 10;
    loop->owner_thread = (uint64_t)pthread_self();
}

static int open_backend(async_loop *loop, const struct aw_backend_ops *ops)
{
    struct aw_backend_options options = { &loop->allocator, loop->seed };
    int r = ops->open(&options, &loop->backend);

    if (r < 0)
        return aw_fail(loop, r, "async_loop_open: backend '%s': %s", ops->name, async_strerror(r));
    loop->sys = loop->backend->sys;
    return 0;
}

/* On a page: the kernel copies 100 KiB into it 15 % slower when it lies 16 bytes beside one, as malloc would have it.
 */
static int make_hot_buffer(async_loop *loop)
{
    loop->hot_memory = aw_alloc(&loop->allocator, AW_HOT_BUFFER_SIZE + HOT_BUFFER_ALIGN);
    if (!loop->hot_memory)
        return -ENOMEM;
    loop->hot_buffer = (char *)loop->hot_memory + HOT_BUFFER_ALIGN - (uintptr_t)loop->hot_memory % HOT_BUFFER_ALIGN;
    return 0;
}

static int loop_init(async_loop *loop, const struct aw_backend_ops *ops, const async_loop_options *options)
{
    aw_handle_list_init(&loop->ready);
    aw_handle_list_init(&loop->running);
    aw_handle_list_init(&loop->due);
    aw_atomic_init(&loop->posted, NULL);
    aw_atomic_init(&loop->sleeping, 0);
    set_options(loop, options);
    if (make_hot_buffer(loop) < 0)
        return aw_fail(loop, -ENOMEM, "async_loop_open: no memory");
    return open_backend(loop, ops);
}

int async_loop_open(const async_loop_options *options, async_loop **ret_loop)
{
    static const async_loop_options none = { .size = sizeof none };
    const async_allocator *allocator;
    const struct aw_backend_ops *ops;
    async_loop *loop;
    int r;

    if (!options)
        options = &none;
    if (options->size != sizeof *options || !ret_loop)
        return aw_fail(NULL, -EINVAL, "async_loop_open: options.size is %zu, not %zu, or ret_loop is NULL",
                       options->size, sizeof *options);
    if ((r = find_backend(options->backend, &ops)) < 0)
        return r;
    allocator = options->allocator ? options->allocator : &aw_allocator_default;
    loop = aw_alloc_zeroed(allocator, sizeof *loop);
    if (!loop)
        return aw_fail(NULL, -ENOMEM, "async_loop_open: no memory");
    loop->allocator = *allocator;
    r = loop_init(loop, ops, options);
    if (r < 0) {
        aw_free(allocator, loop->hot_memory);
        aw_free(allocator, loop);
        return r;
    }
    *ret_loop = loop;
    return 0;
}

async_loop *async_loop_new(const async_loop_options *options)
{
    async_loop *loop = NULL;

    return async_loop_open(options, &loop) < 0 ? NULL : loop;
}

/* ---- close ---- */

struct aw_loop_part *aw_loop_find_part(async_loop *loop, const void *key)
{
    struct aw_loop_part *part = loop->parts;

    while (part && part->key != key)
        part = part->next;
    return part;
}

void aw_loop_attach_part(async_loop *loop, struct aw_loop_part *part)
{
    part->next = loop->parts;
    loop->parts = part;
}

static void close_parts(async_loop *loop)
{
    struct aw_loop_part *part;

    while ((part = loop->parts) != NULL) {
        loop->parts = part->next;
        part->close(part, loop);
    }
}

int async_loop_close(async_loop *loop)
{
    async_allocator allocator;
    int r;

    if (!loop)
        return 0;
    if ((r = aw_loop_check_thread(loop, "async_loop_close")) < 0)
        return r;
    if (loop->in_turn || loop->is_running || loop->closed)
        return aw_fail(loop, -EBUSY, "async_loop_close: the loop is running");
    loop->closed = true;
    loop->backend->ops->jobs_stop(loop->backend); /* a job may use memory on the stack of a task that is about to go */
    close_parts(loop);
    aw_callbacks_fini(loop);
    aw_watchers_fini(loop);
    loop->backend->ops->close(loop->backend);
    aw_callbacks_fini(loop); /* the backend's threads may have posted until they ended */
    aw_io_fini(loop);
    allocator = loop->allocator;
    aw_timer_heap_fini(&loop->timers, &allocator);
    aw_free(&allocator, loop->hot_memory);
    aw_free(&allocator, loop);
    return 0;
}

/* ---- run ---- */

int aw_loop_run_forever(async_loop *loop)
{
    int r;

    loop->is_running = true;
    do
        r = aw_loop_turn(loop, AW_NEVER);
    while (r >= 0 && !loop->stopping);
    loop->is_running = false;
    loop->stopping = false;
    return r < 0 ? r : 0;
}

void async_loop_stop(async_loop *loop)
{
    if (loop)
        loop->stopping = true;
}

int async_loop_is_running(const async_loop *loop)
{
    return loop && loop->is_running;
}

int async_loop_is_closed(const async_loop *loop)
{
    return loop && loop->closed;
}

/* ---- ask and set ---- */

double async_loop_time(const async_loop *loop)
{
    return loop ? aw_seconds_from_ns(aw_loop_now(loop)) : NAN;
}

void async_loop_set_debug(async_loop *loop, int enabled)
{
    if (loop)
        loop->debug = enabled != 0;
}

int async_loop_get_debug(const async_loop *loop)
{
    return loop && loop->debug;
}

int async_loop_set_slow_callback_duration(async_loop *loop, double seconds)
{
    if (!loop || !(seconds >= 0))
        return aw_fail(loop, -EINVAL, "async_loop_set_slow_callback_duration: loop is NULL, or not a duration");
    loop->slow_callback_ns = aw_ns_from_seconds(seconds);
    return 0;
}

const char *async_loop_backend(const async_loop *loop)
{
    return loop ? loop->backend->ops->name : "";
}

static uint64_t count_ready(const async_loop *loop)
{
    uint64_t count = 0;

    for (const struct async_handle *handle = loop->ready.next; handle != &loop->ready; handle = handle->next)
        count++;
    for (const struct async_handle *handle = loop->running.next; handle != &loop->running; handle = handle->next)
        count++;
    return count;
}

int async_loop_get_statistics(const async_loop *loop, async_loop_statistics *ret_statistics)
{
    async_loop_statistics now = { .size = sizeof now };

    if (!loop || !ret_statistics || ret_statistics->size != sizeof now)
        return aw_fail(NULL, -EINVAL, "async_loop_get_statistics: an argument is NULL or its size is wrong");
    now.turns = loop->turns;
    now.callbacks = loop->callbacks;
    now.polls = loop->polls;
    now.events = loop->event_total;
    now.stale_events = loop->stale_events;
    now.wakeups = loop->wakeups;
    now.ready = count_ready(loop);
    now.timers = loop->timers.count;
    now.handlers_lost = loop->handlers_lost;
    *ret_statistics = now;
    return 0;
}
