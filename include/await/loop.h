/* SPDX-License-Identifier: MIT */
/* The event loop: callbacks, timers, descriptors, and the turn that runs them.
 *
 * Most programs never see a loop: `async_main` and `async_run` make one, and tasks do the rest. Use
 * this half to write callbacks, to drive the loop from a foreign host, or to mix both:
 *
 *     async_loop *loop = async_loop_new(NULL);
 *     async_loop_call_later(loop, 0.5, say_hello, NULL);
 *     async_loop_run_forever(loop);
 *     async_loop_close(loop);
 *
 * A loop belongs to the thread that made it; only functions named *_threadsafe may be called from
 * another one. Each async_loop_x(loop, ...) has a short form async_x(...) for the running loop.
 * Callbacks return int: negative stops the turn, whose caller gets that number; the rest stays queued.
 *
 * A turn, in asyncio's order: wait for events, calling nothing; run what was ready before the wait and
 * what other threads posted; dispatch the events; run the timers that are due. What these schedule
 * runs in the next turn.
 */
#ifndef AWAIT_LOOP_H
#define AWAIT_LOOP_H

#include <await/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A scheduled callback. Borrowed: it is valid until its callback begins or it is cancelled. */
typedef struct async_handle async_handle;

typedef int (*async_callback)(void *arg);

/* What went wrong where nobody could be told. Fields that do not apply are NULL or 0. */
typedef struct async_error_context {
    size_t size;         /* sizeof of this struct in the library: it may grow at its end */
    const char *message; /* one sentence, with all that is known */
    int error;           /* the code, or 0 */
    async_loop *loop;
    async_task *task; /* the task concerned */
    const char *task_name;
    const char *birthplace; /* "file.c:12": where the task or future was made */
    const char *detail;     /* the failure's own sentence, or a list of tasks, one a line */
} async_error_context;

typedef void (*async_exception_handler)(async_loop *loop, const async_error_context *context, void *arg);

/* How a foreign host (an interpreter, a GUI) follows the waits of the loop; each may be NULL. */
typedef struct async_host {
    void *arg;
    void (*block_begin)(void *arg); /* right before a wait that can block */
    void (*block_end)(void *arg);   /* right after it */
    int (*interrupted)(void *arg);  /* the wait was interrupted by a signal; negative stops the turn */
} async_host;

/* Zero means the default everywhere. Set `size` first: { .size = sizeof(async_loop_options) }. */
typedef struct async_loop_options {
    size_t size;
    const char *backend;              /* "linux", "sim"; NULL: $ASYNC_BACKEND, then "linux" */
    const async_allocator *allocator; /* copied; NULL: malloc */
    const async_host *host;           /* copied */
    double (*clock)(void *arg);       /* seconds, never going back; NULL: the backend's */
    void *clock_arg;
    async_exception_handler exception_handler; /* NULL: one line on stderr */
    void *exception_handler_arg;
    int debug;         /* 1 on, -1 off, 0: $ASYNC_DEBUG */
    uint64_t seed;     /* sim: 0 is FIFO, others permute independent wake-ups */
    size_t stack_size; /* bytes for each task; 0: 64 KiB */
} async_loop_options;

/* Makes a loop for the calling thread. Installs nothing in the process.
 *
 * suspends  no
 * returns   0 and *ret_loop
 * errors    -EINVAL size is wrong · ASYNC_ENOBACKEND · -ENOMEM · -EMFILE · what the kernel says
 * owns      the caller owns the loop: async_loop_close() ends it
 * threads   any; the loop belongs to the calling thread
 * asyncio   new_event_loop()
 */
ASYNC_API ASYNC_MUSTUSE int async_loop_open(const async_loop_options *options, async_loop **ret_loop);

/* async_loop_open() for those who want only the loop. options may be NULL.
 *
 * suspends  no
 * returns   the loop, or NULL: async_last_error() says why
 * threads   any; the loop belongs to the calling thread
 * asyncio   new_event_loop()
 */
ASYNC_API async_loop *async_loop_new(const async_loop_options *options);

/* Ends a loop: reports tasks that are pending, drops callbacks that did not run, frees everything
 * it owns. NULL does nothing. The pointer is dead afterwards.
 *
 * suspends  no
 * returns   0; -EBUSY the loop is running · ASYNC_ETHREAD
 * threads   loop thread
 * asyncio   loop.close()
 */
ASYNC_API int async_loop_close(async_loop *loop);

/* Runs turns until async_loop_stop() or until a callback returns a negative number.
 *
 * suspends  no: it takes the thread
 * returns   0 after stop; the callback's number; ASYNC_EDEADLOCK when nothing can ever happen
 * errors    -EINVAL loop is NULL · -EBUSY it, or another loop of this thread, is running
 * threads   loop thread
 * asyncio   loop.run_forever()
 */
ASYNC_API int async_loop_run_forever(async_loop *loop);

/* Runs turns until `task` has ended.
 *
 * suspends  no: it takes the thread
 * returns   0 once the task has ended, *ret_result (may be NULL) its result; as run_forever otherwise, also
 *           -ENOMEM for a NULL task, ASYNC_ESTATE when it was stopped before the end
 * owns      consumes the reference when it returns 0; otherwise the task is still the caller's
 * threads   loop thread
 * asyncio   loop.run_until_complete()
 */
ASYNC_API int async_loop_run_until_complete(async_loop *loop, async_task *task, int *ret_result);

/* One turn, for hosts that run the loop themselves. Waits at most `max_wait` seconds (infinity: for
 * ever; 0 or negative: not at all) and never when something is ready.
 *
 * suspends  no
 * returns   the number of callbacks that ran (0: the wait ended without any);
 *           a callback's negative number: the rest stays queued for the next turn;
 *           ASYNC_EDEADLOCK: asked to wait for ever, but nothing can ever wake the loop
 * errors    -EINVAL loop is NULL, max_wait is NaN · -EBUSY called from inside a turn
 * threads   loop thread
 * asyncio   BaseEventLoop._run_once
 */
ASYNC_API int async_loop_turn(async_loop *loop, double max_wait);

/* Makes run_forever return after the current turn. Before running: it will run one turn.
 *
 * suspends  no
 * returns   nothing
 * threads   loop thread; from others: async_loop_call_soon_threadsafe(loop, ...)
 * asyncio   loop.stop()
 */
ASYNC_API void async_loop_stop(async_loop *loop);

/* suspends  no
 * returns   1 while run_forever or run_until_complete is under way, else 0; 0 for NULL
 * threads   loop thread
 * asyncio   loop.is_running()
 */
ASYNC_API int async_loop_is_running(const async_loop *loop);

/* suspends  no
 * returns   1 from the moment async_loop_close() has begun (as seen by callbacks and destructors that
 *           it calls), else 0
 * threads   loop thread
 * asyncio   loop.is_closed()
 */
ASYNC_API int async_loop_is_closed(const async_loop *loop);

/* Schedules callback(arg) for the next turn, behind what is scheduled already.
 *
 * suspends  no
 * returns   the handle, borrowed; NULL without memory or with a NULL argument
 * owns      the loop owns the handle; `arg` stays the caller's
 * threads   loop thread
 * asyncio   loop.call_soon()
 */
ASYNC_API async_handle *async_loop_call_soon(async_loop *loop, async_callback callback, void *arg);

/* Schedules callback(arg) in `delay` seconds: negative or 0 is the next turn, infinity never.
 *
 * suspends  no
 * returns   the handle, borrowed; NULL without memory, for NaN or a NULL argument
 * owns      the loop owns the handle; `arg` stays the caller's
 * threads   loop thread
 * asyncio   loop.call_later()
 */
ASYNC_API async_handle *async_loop_call_later(async_loop *loop, double delay, async_callback callback, void *arg);

/* Schedules callback(arg) at `when` on the loop's clock; equal times run in the order of their calls.
 *
 * suspends  no
 * returns   the handle, borrowed; NULL without memory, for NaN or a NULL argument
 * owns      the loop owns the handle; `arg` stays the caller's
 * threads   loop thread
 * asyncio   loop.call_at()
 */
ASYNC_API async_handle *async_loop_call_at(async_loop *loop, double when, async_callback callback, void *arg);

/* Schedules callback(arg) from any thread or signal handler's deferred part, and wakes the loop.
 *
 * suspends  no
 * returns   0; -ENOMEM · -EINVAL · ASYNC_ECLOSED
 * owns      `arg` stays the caller's until the callback runs
 * threads   any, as long as the loop is not being closed
 * asyncio   loop.call_soon_threadsafe()
 */
ASYNC_API int async_loop_call_soon_threadsafe(async_loop *loop, async_callback callback, void *arg);

/* Takes a callback back. It never runs afterwards, and the handle is dead. NULL does nothing.
 *
 * suspends  no
 * returns   nothing
 * threads   loop thread
 * asyncio   Handle.cancel()
 */
ASYNC_API void async_handle_cancel(async_handle *handle);

/* suspends  no
 * returns   the time a handle of call_later or call_at is due, in seconds on the loop's clock;
 *           NaN for one of call_soon
 * threads   loop thread
 * asyncio   TimerHandle.when()
 */
ASYNC_API double async_handle_when(const async_handle *handle);

/* The loop's own clock, in seconds: monotonic, from an arbitrary start; read anew at each call.
 *
 * suspends  no
 * returns   seconds; NaN for NULL
 * threads   loop thread
 * asyncio   loop.time()
 */
ASYNC_API double async_loop_time(const async_loop *loop);

/* Calls callback(arg) in every turn in which `fd` is readable, has ended or has failed
 * (level-triggered whatever the backend does). A second call replaces the first one's callback.
 *
 * suspends  no
 * returns   0
 * errors    -EINVAL · -EBADF · -EPERM not pollable (regular files, /dev/null) · -EBUSY the fd is used by
 *           a transport of this loop · -ENOMEM
 * owns      the fd stays the caller's: remove the reader before closing it
 * threads   loop thread
 * asyncio   loop.add_reader()
 */
ASYNC_API int async_loop_add_reader(async_loop *loop, int fd, async_callback callback, void *arg);

/* The same for writable.
 *
 * suspends  no
 * returns   as async_loop_add_reader
 * owns      the fd stays the caller's
 * threads   loop thread
 * asyncio   loop.add_writer()
 */
ASYNC_API int async_loop_add_writer(async_loop *loop, int fd, async_callback callback, void *arg);

/* Ends a reader. An event of this turn that was not delivered yet is swallowed.
 *
 * suspends  no
 * returns   1 there was one, 0 there was none; -EBUSY a transport's fd · -EINVAL
 * threads   loop thread
 * asyncio   loop.remove_reader()
 */
ASYNC_API int async_loop_remove_reader(async_loop *loop, int fd);

/* suspends  no
 * returns   as async_loop_remove_reader
 * threads   loop thread
 * asyncio   loop.remove_writer()
 */
ASYNC_API int async_loop_remove_writer(async_loop *loop, int fd);

/* Sets who hears of failures that nobody can be told; NULL is the default, one paragraph on stderr.
 *
 * suspends  no
 * returns   nothing
 * owns      `arg` stays the caller's
 * threads   loop thread
 * asyncio   loop.set_exception_handler()
 */
ASYNC_API void async_loop_set_exception_handler(async_loop *loop, async_exception_handler handler, void *arg);

/* Gives a failure to the loop's exception handler.
 *
 * suspends  no
 * returns   nothing
 * threads   loop thread
 * asyncio   loop.call_exception_handler()
 */
ASYNC_API void async_loop_call_exception_handler(async_loop *loop, const async_error_context *context);

/* Debug mode: callbacks slower than slow_callback_duration are reported, calls from a foreign thread
 * are refused with ASYNC_ETHREAD, failures remember the stack of the library call.
 *
 * suspends  no
 * returns   nothing
 * threads   loop thread
 * asyncio   loop.set_debug()
 */
ASYNC_API void async_loop_set_debug(async_loop *loop, int enabled);

/* suspends  no
 * returns   1 or 0
 * threads   loop thread
 * asyncio   loop.get_debug()
 */
ASYNC_API int async_loop_get_debug(const async_loop *loop);

/* How long one callback or one step of a task may take before debug mode reports it; default 0.1.
 *
 * suspends  no
 * returns   0; -EINVAL for NaN or a negative number
 * threads   loop thread
 * asyncio   loop.slow_callback_duration
 */
ASYNC_API int async_loop_set_slow_callback_duration(async_loop *loop, double seconds);

/* suspends  no
 * returns   the backend's name, "linux" or "sim"
 * threads   loop thread
 * asyncio   type(loop).__name__
 */
ASYNC_API const char *async_loop_backend(const async_loop *loop);

/* What a loop has done so far; read at any time. */
typedef struct async_loop_statistics {
    size_t size; /* set by the caller: sizeof(async_loop_statistics) */
    uint64_t turns;
    uint64_t callbacks;     /* callbacks and task steps that ran */
    uint64_t polls;         /* calls of the backend's wait */
    uint64_t events;        /* descriptor events dispatched */
    uint64_t stale_events;  /* events of descriptors that were removed meanwhile */
    uint64_t wakeups;       /* waits ended by another thread */
    uint64_t ready;         /* callbacks queued now */
    uint64_t timers;        /* timers pending now */
    uint64_t handlers_lost; /* server handlers that ended because their peer went away */
} async_loop_statistics;

/* suspends  no
 * returns   0; -EINVAL
 * threads   loop thread
 * asyncio   none (trio.lowlevel.current_statistics)
 */
ASYNC_API int async_loop_get_statistics(const async_loop *loop, async_loop_statistics *ret_statistics);

/* The loop that is running on this thread, NULL if none.
 *
 * suspends  no
 * returns   the loop, borrowed
 * threads   any
 * asyncio   get_running_loop()
 */
ASYNC_API async_loop *async_get_running_loop(void);

/* Tells the thread which loop runs on it, for a host that calls async_loop_turn() itself. NULL: none any more.
 *
 * suspends  no
 * returns   nothing
 * threads   loop thread
 * asyncio   events._set_running_loop()
 */
ASYNC_API void async_set_running_loop(async_loop *loop);

/* The short forms: the same as above on the running loop. Without one they return NULL, NaN or
 * ASYNC_ENOTASK.
 *
 * suspends  no
 * returns   as the long forms
 * threads   loop thread
 * asyncio   get_running_loop().call_soon() and so on
 */
ASYNC_API async_handle *async_call_soon(async_callback callback, void *arg);
ASYNC_API async_handle *async_call_later(double delay, async_callback callback, void *arg);
ASYNC_API async_handle *async_call_at(double when, async_callback callback, void *arg);
ASYNC_API int async_add_reader(int fd, async_callback callback, void *arg);
ASYNC_API int async_add_writer(int fd, async_callback callback, void *arg);
ASYNC_API int async_remove_reader(int fd);
ASYNC_API int async_remove_writer(int fd);
ASYNC_API double async_time(void);
ASYNC_API void async_stop(void);

#ifdef __cplusplus
}
#endif
#endif
