/* SPDX-License-Identifier: MIT */
/* Sized structs for hosts that must not allocate: embed a handle or a timer in your own object.
 *
 *     struct my_job { struct async_handle handle; ... };
 *     async_handle_init(&job->handle, run_job);          // int run_job(struct async_handle *)
 *     async_loop_schedule(loop, &job->handle);
 *
 * The fields are the library's: read nothing, write nothing. The memory must stay until the callback
 * has begun or the handle was cancelled; from that moment the library does not touch it again. Build
 * host and library together: the sizes are checked by async_embed_check().
 */
#ifndef AWAIT_EMBED_H
#define AWAIT_EMBED_H

#include <await/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct async_handle {
    struct async_handle *next, *prev;
    int (*run)(struct async_handle *handle);
    uint32_t state; /* idle, ready, due, timer, posted */
    uint32_t flags;
};

struct async_timer_handle {
    struct async_handle handle; /* first: a timer is a handle */
    async_loop *loop;
    int64_t when;      /* nanoseconds on the loop's clock */
    uint64_t sequence; /* equal deadlines run in the order of their calls */
    uint32_t index;    /* place in the heap */
    uint32_t reserved;
};
typedef struct async_timer_handle async_timer_handle;

/* suspends  no
 * returns   nothing
 * threads   any
 * asyncio   Handle()
 */
ASYNC_API void async_handle_init(async_handle *handle, int (*run)(async_handle *handle));
ASYNC_API void async_timer_handle_init(async_timer_handle *timer, int (*run)(async_handle *handle));

/* call_soon without an allocation. Scheduling one that is scheduled already is refused.
 *
 * suspends  no
 * returns   0; -EALREADY · -EINVAL · ASYNC_ETHREAD
 * threads   loop thread
 * asyncio   loop.call_soon()
 */
ASYNC_API int async_loop_schedule(async_loop *loop, async_handle *handle);

/* call_at without an allocation but that of the heap's array, which grows by doubling. `when` in
 * nanoseconds of async_loop_time_ns(); INT64_MAX is never.
 *
 * suspends  no
 * returns   0; -ENOMEM · -EALREADY · -EINVAL · ASYNC_ETHREAD
 * threads   loop thread
 * asyncio   loop.call_at()
 */
ASYNC_API int async_loop_schedule_at(async_loop *loop, async_timer_handle *timer, int64_t when);

/* call_soon_threadsafe without an allocation. It cannot be cancelled before it has reached the loop.
 *
 * suspends  no
 * returns   0; -EINVAL
 * threads   any, as long as the loop is not being closed; async-signal-safe
 * asyncio   loop.call_soon_threadsafe()
 */
ASYNC_API int async_loop_schedule_threadsafe(async_loop *loop, async_handle *handle);

/* Takes an embedded handle or timer back; after it returns the memory is the host's. Use
 * async_handle_cancel() only for handles that the library made.
 *
 * suspends  no
 * returns   1 it was scheduled, 0 it was not
 * threads   loop thread
 * asyncio   Handle.cancel()
 */
ASYNC_API int async_loop_unschedule(async_loop *loop, async_handle *handle);

/* suspends  no
 * returns   1 if the handle is scheduled, else 0
 * threads   loop thread
 * asyncio   not Handle.cancelled()
 */
ASYNC_API int async_handle_is_scheduled(const async_handle *handle);

/* suspends  no
 * returns   the loop's clock in nanoseconds
 * threads   loop thread
 * asyncio   loop.time()
 */
ASYNC_API int64_t async_loop_time_ns(const async_loop *loop);

/* Was this header the library's? Call async_embed_check(sizeof(struct async_handle),
 * sizeof(struct async_timer_handle)) once.
 *
 * suspends  no
 * returns   0; -EINVAL
 * threads   any
 * asyncio   none
 */
ASYNC_API int async_embed_check(size_t handle_size, size_t timer_size);

#ifdef __cplusplus
}
#endif
#endif
