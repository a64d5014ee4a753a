/* SPDX-License-Identifier: MIT */
/* From main() into tasks.
 *
 *     async_main(void)                       // or async_main(int argc, char **argv)
 *     {
 *         return say("hello", 1.0);
 *     }
 *
 * The body of async_main is the first task. Its result is the exit code; a negative one prints a
 * sentence and exits with 1. The first SIGINT or SIGTERM cancels it; a second one ends the process. After it
 * the other tasks are cancelled and joined, and the executor is joined. Ended by a signal, the process
 * flushes stdio and dies by that signal (130, 143), unless main returned >= 0, as a drained server does.
 */
#ifndef AWAIT_RUN_H
#define AWAIT_RUN_H

#include <await/loop.h>
#include <await/macros.h>

#define async_main(...) AW_CAT(AW_MAIN_, AW_NARG(__VA_ARGS__))(__VA_ARGS__)

/* async_run(fn, arguments...): runs one async_def function on a loop of its own, from an ordinary thread.
 *
 * suspends  no: it takes the thread
 * returns   what fn returned; -EBUSY a loop runs on this thread already · -ENOMEM · as async_loop_open
 * threads   any that runs no loop
 * asyncio   asyncio.run()
 */
#define async_run(...) aw_run(AW_CALL(__VA_ARGS__), AW_HERE)

#ifdef __cplusplus
extern "C" {
#endif

/* Runs several functions one after the other on one loop. */
typedef struct async_runner async_runner;

/* Opens a runner. options may be NULL.
 *
 * suspends  no
 * returns   0 and *ret_runner; as async_loop_open
 * owns      the caller: async_runner_close() ends it
 * threads   any that runs no loop
 * asyncio   Runner()
 */
ASYNC_API ASYNC_MUSTUSE int async_runner_open(const async_loop_options *options, async_runner **ret_runner);

/* Runs fn(arg) as a task to its end. SIGINT and SIGTERM cancel it; a second one ends the process.
 *
 * suspends  no: it takes the thread
 * returns   what fn returned; -EBUSY a loop runs on this thread already · -ENOMEM · -EINVAL
 *           ASYNC_EDEADLOCK: nothing could ever have woken it
 * threads   the thread that opened it
 * asyncio   Runner.run()
 */
ASYNC_API int async_runner_run(async_runner *runner, int (*fn)(void *arg), void *arg);

/* suspends  no
 * returns   its loop, borrowed
 * threads   the thread that opened it
 * asyncio   Runner.get_loop()
 */
ASYNC_API async_loop *async_runner_get_loop(async_runner *runner);

/* suspends  no
 * returns   the signal that cancelled the newest run, 0 if none did
 * threads   the thread that opened it
 * asyncio   Runner._interrupt_count
 */
ASYNC_API int async_runner_signal(const async_runner *runner);

/* Cancels the remaining tasks and waits for their end, joins the executor, closes the loop. NULL does
 * nothing.
 *
 * suspends  no: it takes the thread
 * returns   nothing
 * threads   the thread that opened it
 * asyncio   Runner.close()
 */
ASYNC_API void async_runner_close(async_runner *runner);

/* ---- what the macros reach; not for direct use ---- */
ASYNC_API int aw_run(struct aw_call *call, const char *where);

#ifdef __cplusplus
}
#endif
#endif
