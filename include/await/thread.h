/* SPDX-License-Identifier: MIT */
/* Blocking functions on threads, without blocking the loop.
 *
 *     r = await_to_thread(compress, &job, &result);     // int compress(void *arg), on a thread
 *
 * A job that has begun cannot be interrupted: a cancelled await_to_thread waits for it, because the
 * thread uses the caller's memory. await_to_thread_abandon does not wait: it owns its argument.
 */
#ifndef AWAIT_THREAD_H
#define AWAIT_THREAD_H

#include <await/future.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct async_executor async_executor;

/* Makes an executor that runs at most `max_threads` jobs at a time (0: a sensible number).
 *
 * suspends  no
 * returns   the executor, NULL without memory or without a running loop
 * owns      the caller: async_executor_free() after await_executor_shutdown()
 * threads   loop thread
 * asyncio   ThreadPoolExecutor(max_workers)
 */
ASYNC_API async_executor *async_executor_new(unsigned max_threads);

/* Refuses new jobs, waits for those that have been given.
 *
 * suspends  yes, unless it is idle
 * returns   0; the scope's reason (jobs go on) · -EINVAL
 * threads   loop thread, in a task
 * asyncio   Executor.shutdown(wait=True), loop.shutdown_default_executor()
 */
ASYNC_AWAIT int await_executor_shutdown(async_executor *executor);

/* Frees an executor; jobs that have begun run on and their results are dropped, others never begin.
 * NULL does nothing.
 *
 * suspends  no
 * returns   nothing
 * threads   loop thread
 * asyncio   Executor.shutdown(wait=False, cancel_futures=True)
 */
ASYNC_API void async_executor_free(async_executor *executor);

/* Runs fn(arg) on a thread of `executor` (NULL: the loop's default one). Cancelling the future takes back
 * a job that has not begun.
 *
 * suspends  no
 * returns   a future whose value is what fn returned; NULL without memory, or the executor is shut down
 * owns      the caller owns one reference; `arg` must stay until the job has ended
 * threads   loop thread
 * asyncio   loop.run_in_executor()
 */
ASYNC_API async_future *async_run_in_executor(async_executor *executor, void *(*fn)(void *arg), void *arg);

/* Runs fn(arg) on a thread of the default executor and waits for it. In a cancelled scope a job that has
 * not begun is taken back; one that has begun is waited for.
 *
 * suspends  yes
 * returns   0 and *ret_result (may be NULL) what fn returned; the scope's reason · -ENOMEM · -EAGAIN no thread
 * owns      `arg` is lent to the thread until this returns
 * threads   loop thread, in a task
 * asyncio   to_thread()
 */
ASYNC_AWAIT int await_to_thread(int (*fn)(void *arg), void *arg, int *ret_result);

/* The same, but a cancelled wait returns at once and the thread goes on with `arg`.
 *
 * suspends  yes
 * returns   as await_to_thread
 * owns      takes `arg`: free_arg(arg) is called exactly once, on the loop's thread or, if the loop is
 *           gone, on the job's; free_arg may be NULL
 * threads   loop thread, in a task
 * asyncio   to_thread() whose future is dropped
 */
ASYNC_AWAIT int await_to_thread_abandon(int (*fn)(void *arg), void *arg, void (*free_arg)(void *arg), int *ret_result);

#ifdef __cplusplus
}
#endif
#endif
