/* SPDX-License-Identifier: MIT */
/* A future: the result of something that has not happened yet.
 *
 *     async_future *mail = async_future_new();
 *     async_call_later(1.0, deliver, mail);            // calls async_future_set_result(mail, letter)
 *     if ((r = await_future(mail)) < 0)                // the wait
 *         return r;
 *     r = async_future_result(mail, &letter);          // what came of it
 *     async_future_unref(mail);
 *
 * Any number of tasks may wait for one future; a waiter that is cancelled leaves the future alone.
 */
#ifndef AWAIT_FUTURE_H
#define AWAIT_FUTURE_H

#include <await/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct async_future async_future;

/* Called through the loop, one turn after the future is done. */
typedef int (*async_future_callback)(async_future *future, void *arg);

/* Makes a pending future on the running loop.
 *
 * suspends  no
 * returns   the future, NULL without memory or without a running loop
 * owns      the caller owns one reference
 * threads   loop thread
 * asyncio   loop.create_future()
 */
ASYNC_API async_future *async_future_new(void);

/* suspends  no
 * returns   as async_future_new, on a loop that need not run
 * owns      the caller owns one reference
 * threads   loop thread
 * asyncio   loop.create_future()
 */
ASYNC_API async_future *async_loop_create_future(async_loop *loop);

/* suspends  no
 * returns   future
 * owns      the caller owns one more reference
 * threads   loop thread
 * asyncio   none: references are counted by Python
 */
ASYNC_API async_future *async_future_ref(async_future *future);

/* Gives a reference back; the last one frees the future. A pending future that nobody can complete any
 * more is freed silently; a failure that nobody looked at is reported once. NULL does nothing.
 *
 * suspends  no
 * returns   nothing
 * threads   loop thread
 * asyncio   Future.__del__
 */
ASYNC_API void async_future_unref(async_future *future);

/* Completes the future. Its waiters and callbacks run in the next turn.
 *
 * suspends  no
 * returns   0; ASYNC_ESTATE it is done already · -EINVAL
 * owns      `value` stays the caller's
 * threads   loop thread
 * asyncio   Future.set_result()
 */
ASYNC_API int async_future_set_result(async_future *future, void *value);

/* Fails the future with a negative code.
 *
 * suspends  no
 * returns   0; ASYNC_ESTATE it is done already · -EINVAL code is not negative
 * threads   loop thread
 * asyncio   Future.set_exception()
 */
ASYNC_API int async_future_set_error(async_future *future, int code);

/* Cancels the future: its result is ASYNC_ECANCELED, which is never reported.
 *
 * suspends  no
 * returns   1 it was pending, 0 it was done already
 * threads   loop thread
 * asyncio   Future.cancel()
 */
ASYNC_API int async_future_cancel(async_future *future);

/* suspends  no
 * returns   1 or 0; 0 for NULL
 * threads   loop thread
 * asyncio   Future.done(), Future.cancelled()
 */
ASYNC_API int async_future_done(const async_future *future);
ASYNC_API int async_future_cancelled(const async_future *future);

/* What came of it. Looking at a failure counts as having retrieved it.
 *
 * suspends  no
 * returns   0 and *ret_value (which may be NULL); the code it failed with; ASYNC_ECANCELED;
 *           ASYNC_ESTATE it is pending · -EINVAL
 * owns      the value is whoever's set_result says
 * threads   loop thread
 * asyncio   Future.result()
 */
ASYNC_API int async_future_result(async_future *future, void **ret_value);

/* Calls callback(future, arg) through the loop once the future is done (at once when it is done).
 *
 * suspends  no
 * returns   0; -ENOMEM · -EINVAL
 * owns      the future is kept until the callback has run
 * threads   loop thread
 * asyncio   Future.add_done_callback()
 */
ASYNC_API int async_future_add_done_callback(async_future *future, async_future_callback callback, void *arg);

/* suspends  no
 * returns   how many entries of this callback and arg were removed
 * threads   loop thread
 * asyncio   Future.remove_done_callback()
 */
ASYNC_API int async_future_remove_done_callback(async_future *future, async_future_callback callback, void *arg);

/* Waits until the future is done. Its outcome is a matter of its own: async_future_result().
 *
 * suspends  yes, if it is pending
 * returns   0 once it is done; the scope's reason (it may still be pending)
 * owns      nothing: the caller's reference stays
 * threads   loop thread, in a task
 * asyncio   await future
 */
ASYNC_AWAIT int await_future(async_future *future);

#ifdef __cplusplus
}
#endif
#endif
