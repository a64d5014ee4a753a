/* SPDX-License-Identifier: MIT */
/* Tasks: functions that run concurrently on one thread and may wait anywhere.
 *
 *     async_def(say, const char *, what, double, delay)
 *     {
 *         int r = await_sleep(delay);
 *         if (r < 0)
 *             return r;
 *         puts(what);
 *         return 0;
 *     }
 *
 *     r = say("now", 1.0);                                       // await say("now", 1.0)
 *     async_task *task = async_create_task(say, "later", 2.0);   // asyncio.create_task(say(...))
 *     r = await_task(task, &result);                             // joins: consumes the reference
 *
 * A task's failure is a negative result. Whoever joins the task gets it; a failure that nobody looked
 * at is reported once, with the task's name and birthplace. `await_task`, gather, wait_for and
 * task_group_add consume the reference, as pthread_join does; async_task_ref() first to keep it;
 * async_task_unref() detaches. Every call takes NULL, which stands for "the task that failed with
 * -ENOMEM": no constructor's result needs a check of its own.
 */
#ifndef AWAIT_TASK_H
#define AWAIT_TASK_H

#include <await/loop.h>
#include <await/macros.h>

#ifdef __cplusplus
extern "C" {
#endif

/* async_def(name, type, parameter, ...)        defines `int name(type parameter, ...)`, 0 to 8 parameters,
 *                                              which can be called or given to async_create_task
 * async_declare(name, type, parameter, ...);   the same for a header; the definition is an ordinary one
 * async_create_task(name, arguments...)        -> async_task *, scheduled for the next turn
 * async_create_task_with(options, name, arguments...)  the same with a name, a stack size
 * await_create_task_eager(name, arguments...)  -> async_task *: runs to its first suspension at once
 *
 * Arguments are copied into the task. Arrays and function pointers need a typedef.
 */
#define async_def(...) AW_CAT(AW_DEFINE_, AW_NARG(__VA_ARGS__))(__VA_ARGS__)
#define async_declare(...) AW_CAT(AW_DECLARE_, AW_NARG(__VA_ARGS__))(__VA_ARGS__)
#define async_create_task(...) AW_CAT(AW_CREATE_, AW_ONE(__VA_ARGS__))(__VA_ARGS__)
#define async_create_task_with(options, ...) aw_task_at(aw_task_create_call(AW_CALL(__VA_ARGS__), options), AW_HERE)
#define await_create_task_eager(...) aw_task_start_eager(async_create_task(__VA_ARGS__))

typedef struct async_task_options {
    size_t size;       /* sizeof(async_task_options) */
    const char *name;  /* copied; NULL: the function's name */
    size_t stack_size; /* bytes; 0: the loop's */
    int measure_stack; /* fill the stack with a pattern, for async_task_stack_used() */
} async_task_options;

/* The untyped form: a task that runs fn(arg) on the running loop.
 *
 * suspends  no
 * returns   the task, NULL without memory or without a running loop
 * owns      the caller owns one reference; `arg` stays the caller's
 * threads   loop thread
 * asyncio   create_task()
 */
ASYNC_API async_task *async_task_new(int (*fn)(void *arg), void *arg);

/* The same on a loop that need not run. options may be NULL.
 *
 * suspends  no
 * returns   as async_task_new
 * owns      the caller owns one reference; `arg` stays the caller's
 * threads   loop thread
 * asyncio   loop.create_task()
 */
ASYNC_API async_task *async_loop_create_task(async_loop *loop, int (*fn)(void *arg), void *arg,
                                             const async_task_options *options);

/* suspends  no
 * returns   task
 * owns      the caller owns one more reference
 * threads   loop thread
 * asyncio   none: references are counted by Python
 */
ASYNC_API async_task *async_task_ref(async_task *task);

/* Gives a reference back. The task runs on without it: the loop owns it, it shows in every dump, and
 * its failure is reported. NULL does nothing.
 *
 * suspends  no
 * returns   nothing
 * threads   loop thread
 * asyncio   dropping the last name of a task
 */
ASYNC_API void async_task_unref(async_task *task);

/* Waits until `task` has ended. In a cancelled scope it cancels the task, waits for its end, and then
 * returns the reason: a child may point into this frame.
 *
 * suspends  yes, if the task has not ended
 * returns   0 and *ret_result (NULL is allowed) the task's own result; the scope's reason
 * errors    -ENOMEM task is NULL · -EDEADLK the calling task itself
 * owns      consumes the reference, whatever it returns but -EDEADLK
 * threads   loop thread, in a task
 * asyncio   await task
 */
ASYNC_AWAIT int await_task(async_task *task, int *ret_result);

/* Waits for a task without being its owner: in a cancelled scope it returns at once, and the task runs on.
 *
 * suspends  yes, if the task has not ended
 * returns   0 and *ret_result: the reference is consumed; the scope's reason: the reference is kept
 * errors    -ENOMEM task is NULL · -EDEADLK the calling task itself
 * threads   loop thread, in a task
 * asyncio   await shield(task)
 */
ASYNC_AWAIT int await_shield(async_task *task, int *ret_result);

/* Waits at most `seconds` for `task`; then cancels it and waits for its end.
 *
 * suspends  yes, if the task has not ended
 * returns   0 and *ret_result; ASYNC_ETIMEOUT; the scope's reason; -EINVAL for NaN
 * errors    -ENOMEM task is NULL · -EDEADLK the calling task itself
 * owns      consumes the reference, whatever it returns
 * threads   loop thread, in a task
 * asyncio   wait_for()
 */
ASYNC_AWAIT int await_wait_for(async_task *task, double seconds, int *ret_result);

/* Asks a task to end: cancels its outermost scope. It ends when its function returns; one that has not
 * begun begins, and its first await is refused (its arguments may own something). NULL does nothing.
 *
 * suspends  no
 * returns   1 the request was made, 0 the task has ended
 * threads   loop thread
 * asyncio   Task.cancel()
 */
ASYNC_API int async_task_cancel(async_task *task);

/* The same with a message, which async_last_error() in the task and reports show; it is copied.
 *
 * suspends  no
 * returns   as async_task_cancel
 * threads   loop thread
 * asyncio   Task.cancel(msg)
 */
ASYNC_API int async_task_cancel_message(async_task *task, const char *message);

/* How many cancel requests are open; uncancel takes one back, and at 0 the task's outermost scope is
 * whole again.
 *
 * suspends  no
 * returns   the number of open requests, after the call
 * threads   loop thread
 * asyncio   Task.cancelling(), Task.uncancel()
 */
ASYNC_API int async_task_cancelling(const async_task *task);
ASYNC_API int async_task_uncancel(async_task *task);

/* suspends  no
 * returns   1 the task's function has returned, else 0; 1 for NULL
 * threads   loop thread
 * asyncio   Task.done()
 */
ASYNC_API int async_task_done(const async_task *task);

/* suspends  no
 * returns   1 it ended with ASYNC_ECANCELED, else 0
 * threads   loop thread
 * asyncio   Task.cancelled()
 */
ASYNC_API int async_task_cancelled(const async_task *task);

/* What the task's function returned. Looking at a failure counts as having retrieved it.
 *
 * suspends  no
 * returns   0 and *ret_result; ASYNC_ESTATE it has not ended · -ENOMEM task is NULL
 * threads   loop thread
 * asyncio   Task.result(), Task.exception()
 */
ASYNC_API int async_task_result(async_task *task, int *ret_result);

/* The sentence of the failure that a task ended with.
 *
 * suspends  no
 * returns   text that lives as long as the task, "" when it did not fail
 * threads   loop thread
 * asyncio   str(Task.exception())
 */
ASYNC_API const char *async_task_error(const async_task *task);

/* suspends  no
 * returns   the name, borrowed; "no task" for NULL
 * threads   loop thread
 * asyncio   Task.get_name()
 */
ASYNC_API const char *async_task_name(const async_task *task);

/* Copies the name into the task.
 *
 * suspends  no
 * returns   0; -ENOMEM · -EINVAL
 * threads   loop thread
 * asyncio   Task.set_name()
 */
ASYNC_API int async_task_set_name(async_task *task, const char *name);

/* suspends  no
 * returns   "file.c:12" where the task was created, "?" if that is not known
 * threads   loop thread
 * asyncio   Task.get_stack(), source_traceback
 */
ASYNC_API const char *async_task_birthplace(const async_task *task);

/* suspends  no
 * returns   the operation in which the task waits ("await_sleep", "await_stream_read"), "" if it runs
 *           or is ready
 * threads   loop thread
 * asyncio   Task.print_stack()
 */
ASYNC_API const char *async_task_waiting(const async_task *task);

/* The deepest that a task's stack has been, in bytes. Measured only when asked for by
 * async_task_options.measure_stack.
 *
 * suspends  no
 * returns   bytes; 0 if it was not asked for
 * threads   loop thread
 * asyncio   none
 */
ASYNC_API size_t async_task_stack_used(const async_task *task);

/* Called through the loop, one turn after the task has ended.
 *
 * suspends  no
 * returns   0; -ENOMEM
 * owns      the task is kept until the callback has run
 * threads   loop thread
 * asyncio   Task.add_done_callback()
 */
ASYNC_API int async_task_add_done_callback(async_task *task, int (*callback)(async_task *task, void *arg), void *arg);

/* The task that is running, NULL outside of tasks.
 *
 * suspends  no
 * returns   the task, borrowed
 * threads   any
 * asyncio   current_task()
 */
ASYNC_API async_task *async_current_task(void);

/* The tasks of a loop that have not ended, oldest first.
 *
 * suspends  no
 * returns   how many there are; at most `capacity` are written
 * owns      borrowed: async_task_ref() those you keep over an await
 * threads   loop thread
 * asyncio   all_tasks()
 */
ASYNC_API size_t async_all_tasks(const async_loop *loop, async_task **ret_tasks, size_t capacity);

/* ---- waiting for several ---- */

/* await_gather(first, second, ...): waits for all of them.
 *
 * suspends  yes
 * returns   0; the scope's reason (then all were cancelled and have ended); else the first failure in
 *           the order of the arguments (-EDEADLK for the calling task itself)
 * owns      consumes every reference but the calling task's own
 * threads   loop thread, in a task
 * asyncio   gather()
 */
#define await_gather(...) AW_TASKS(aw_gather, __VA_ARGS__)

/* await_gather for an array.
 *
 * suspends  yes
 * returns   as await_gather; -EINVAL tasks is NULL
 * owns      consumes every reference
 * threads   loop thread, in a task
 * asyncio   gather(*tasks)
 */
ASYNC_AWAIT int await_gather_all(async_task *const *tasks, size_t count);

/* Waits for all and gives each one's own result; a failure is a result like any other.
 *
 * suspends  yes
 * returns   0 and ret_results[0..count-1]; the scope's reason · -EINVAL
 * owns      consumes every reference
 * threads   loop thread, in a task
 * asyncio   gather(*tasks, return_exceptions=True)
 */
ASYNC_AWAIT int await_gather_results(async_task *const *tasks, size_t count, int *ret_results);

enum async_return_when {
    ASYNC_ALL_COMPLETED,
    ASYNC_FIRST_COMPLETED,
    ASYNC_FIRST_EXCEPTION /* or all, when none fails; being cancelled is no failure */
};

/* Waits until the tasks are done in the sense of `when`, without owning or cancelling them.
 *
 * suspends  yes, unless it is so already
 * returns   the number of tasks that are done; the scope's reason (they run on) · -EINVAL
 * owns      nothing: ask async_task_done() which, then join or unref them
 * threads   loop thread, in a task
 * asyncio   wait(tasks, return_when=...)
 */
ASYNC_AWAIT int await_wait(async_task *const *tasks, size_t count, enum async_return_when when);

/* Gives the tasks of an array one by one in the order in which they end, and replaces each that it
 * gives by NULL in the array:
 *
 *     while ((r = await_as_completed(tasks, count, &task)) > 0)
 *         r = await_task(task, &result);
 *
 * suspends  yes, unless one has ended already
 * returns   1 and *ret_task; 0 when all have been given; the scope's reason (they run on) · -EINVAL
 * owns      the reference moves from the array to *ret_task
 * threads   loop thread, in a task
 * asyncio   as_completed()
 */
ASYNC_AWAIT int await_as_completed(async_task **tasks, size_t count, async_task **ret_task);

/* ---- the low-level pair, to build your own primitives ---- */

/* Parks the calling task until async_resume(). `what` is static text that dumps show.
 *
 * suspends  yes
 * returns   the value given to async_resume (>= 0); the scope's reason
 * threads   loop thread, in a task
 * asyncio   a bare `yield`
 */
ASYNC_AWAIT int await_suspend(const char *what);

/* Makes a task that is parked in await_suspend ready to run in the next turn.
 *
 * suspends  no
 * returns   0; ASYNC_ESTATE it is not parked there (a second resume, too) · -EINVAL value is negative
 * threads   loop thread
 * asyncio   coroutine.send(value)
 */
ASYNC_API int async_resume(async_task *task, int value);

/* Waits; 0 lets every other ready task run once; infinity waits until it is cancelled.
 *
 * suspends  yes
 * returns   0; the scope's reason; -EINVAL for NaN
 * threads   loop thread, in a task
 * asyncio   sleep()
 */
ASYNC_AWAIT int await_sleep(double seconds);

/* ---- what the macros reach; not for direct use ---- */
ASYNC_API async_task *aw_task_create_call(struct aw_call *call, const async_task_options *options);
ASYNC_AWAIT async_task *aw_task_start_eager(async_task *task);
ASYNC_AWAIT int aw_gather(async_task *const *tasks);

#ifdef __cplusplus
}
#endif
#endif
