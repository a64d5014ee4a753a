/* SPDX-License-Identifier: MIT */
/* How an await_* function waits. Its shape is always:
 *
 *     struct aw_wait wait = { .what = "await_lock_acquire", .cancel = leave_queue };
 *     int r = aw_await_enter(wait.what);        // refused? budget spent? outside of a task?
 *     if (r < 0)
 *         return r;
 *     if (lock is free) ...                     // completed without waiting
 *     put &wait where whoever completes it finds it
 *     return aw_wait_park(&wait);               // what aw_wait_wake() was given, or the scope's reason
 *
 * The wait lives in the caller's frame. Whoever completes it takes it off its list and calls
 * aw_wait_wake(wait, result >= 0 or a failure) once. When the scope is cancelled first, `cancel` is called, once for
 * each new reason, at the moment of the cancellation (not when the task runs): it takes the wait off
 * its list and calls aw_wait_wake(wait, reason). A join passes the cancellation on to what it waits for
 * instead, stays on its list, and returns aw_await_reason() at the end. cancel == NULL: the wait cannot be cut off.
 */
#ifndef AW_TASK_WAIT_H
#define AW_TASK_WAIT_H

#include "base/list.h"
#include "loop/loop.h"
#include <await/task.h>

struct aw_wait {
    struct aw_list link; /* for the owner's list */
    const char *what;    /* "await_sleep": static text for dumps */
    const void *subject; /* what it waits for, for dumps; may be NULL */
    void (*cancel)(struct aw_wait *wait, int reason);
    async_task *task; /* set by park */
    int result;
    bool awake;      /* set by wake: later wakes are mistakes */
    bool keeps_loop; /* counts as something that can wake the loop (an infinite sleep) */
};

/* What each await_* does first: ASYNC_ENOTASK; the reason of a cancelled scope; 0. Charges the task's budget, which
 * may let others run. */
ASYNC_SUSPENDS int aw_await_enter(const char *what);
/* The same, for a function that is AW_NOINLINE and has no scope of its own: with its AW_FRAME a scope that was left by
 * longjmp is always found, while the form above does not see those that its caller's frame has grown over. */
ASYNC_SUSPENDS int aw_await_enter_from(const char *what, const void *frame);
/* The same for joins and for calls that go on under cancellation: charges, never refuses. */
ASYNC_SUSPENDS int aw_await_enter_join(const char *what);
/* The reason that a cancellable await would return now; 0 none. */
int aw_await_reason(void);
/* Parks the current task. If the scope is cancelled already, `cancel` is called at once. */
ASYNC_SUSPENDS int aw_wait_park(struct aw_wait *wait);
void aw_wait_wake(struct aw_wait *wait, int result);

/* Lets every other ready task run once; not a cancellation point of its own. */
void aw_await_yield(void);

/* The running task's loop, else the thread's running one; NULL outside. */
async_loop *aw_current_loop(void);

/* ---- tasks, as far as servers need them ---- */

/* Takes a bound call's stream argument (its first one) and starts it. `ended` is called on the loop's thread, outside
 * of the task, when it has ended; the failure counts as retrieved. The task is owned by the loop. NULL: no memory. */
async_task *aw_task_create_handler(async_loop *loop, const struct aw_call *call, void *first_argument,
                                   const char *where, void (*ended)(async_task *task, int result, void *arg),
                                   void *arg);
void aw_call_free(struct aw_call *call);
const char *aw_call_name(const struct aw_call *call);

#endif
