/* SPDX-License-Identifier: MIT */
/* Cancel scopes: timeouts and shields that hold until the end of the enclosing block.
 *
 *     async_timeout(10.0);                  // covers every await below, also in functions called
 *     r = await_open_connection(host, "80", &stream);
 *
 * Cancellation is level-triggered: in a cancelled scope every await_* is refused with the scope's
 * reason until the scope is left. The reason is that of the outermost cancelled scope inside of the
 * nearest shield: ASYNC_ECANCELED, or ASYNC_ETIMEOUT for a deadline. An operation that completed
 * keeps its result: the next await tells. So a retry loop asks whose deadline it was:
 *
 *     do {
 *         async_timeout(0.5);
 *         r = await_ask(server);
 *     } while (r == ASYNC_ETIMEOUT && !async_cancelled());
 *
 * and cleanup that has to wait says how long it may:
 *
 *     async_shield(1.0);
 *     r = await_stream_write(stream, "bye\n", 4);
 */
#ifndef AWAIT_SCOPE_H
#define AWAIT_SCOPE_H

#include <await/macros.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Lives in the caller's frame, so that entering one can never fail. The words are the library's. */
typedef struct async_scope {
    uint64_t aw_opaque[20];
} async_scope;

/* async_timeout(seconds);  async_timeout(seconds, name);
 * async_timeout_at(when);  async_timeout_at(when, name);
 * A statement. Infinity never fires, 0 or less has expired already, NaN makes each await -EINVAL.
 *
 * async_shield();  async_shield(seconds);
 * A statement. Cancellation from outside does not reach the awaits of this block; with seconds, for at
 * most so long from here: then they get ASYNC_ETIMEOUT.
 *
 * async_nosuspend();
 * A statement. Anything inside that suspends the task is a mistake: reported, and in debug mode fatal.
 */
#define async_timeout(...) AW_CAT(AW_TIMEOUT_, AW_NARG(__VA_ARGS__))(aw_scope_enter, __VA_ARGS__)
#define async_timeout_at(...) AW_CAT(AW_TIMEOUT_, AW_NARG(__VA_ARGS__))(aw_scope_enter_at, __VA_ARGS__)
/* `async_shield()` passes -0.0, which no number of seconds plus 0.0 is: it means for ever. */
#define async_shield(...)                                                                                              \
    AW_SCOPE(AW_CAT(aw_shield_, __COUNTER__), aw_shield_enter,                                                         \
             (sizeof("" #__VA_ARGS__) == 1 ? -0.0 : (__VA_ARGS__ + 0.0)))
#define async_nosuspend() AW_NOSUSPEND(AW_CAT(aw_nosuspend_, __COUNTER__))

/* Has this scope's own deadline passed? May be asked after the await that it ended.
 *
 * suspends  no
 * returns   1 or 0
 * threads   loop thread
 * asyncio   Timeout.expired()
 */
ASYNC_API int async_scope_expired(const async_scope *scope);

/* Moves the deadline of a scope that has not expired: `when` on the loop's clock, infinity for none.
 *
 * suspends  no
 * returns   0; ASYNC_ESTATE it has expired or was cancelled · -EINVAL NaN
 * threads   loop thread, the task that entered it
 * asyncio   Timeout.reschedule()
 */
ASYNC_API int async_scope_reschedule(async_scope *scope, double when);

/* suspends  no
 * returns   the deadline on the loop's clock, infinity for none
 * threads   loop thread
 * asyncio   Timeout.when()
 */
ASYNC_API double async_scope_when(const async_scope *scope);

/* Cancels a scope by hand: awaits in it return ASYNC_ECANCELED until it is left.
 *
 * suspends  no
 * returns   nothing
 * threads   loop thread
 * asyncio   none (trio: CancelScope.cancel())
 */
ASYNC_API void async_scope_cancel(async_scope *scope);

/* Why awaits are refused here: the reason that the next await would return.
 *
 * suspends  no
 * returns   0 when they are not; ASYNC_ECANCELED, ASYNC_ETIMEOUT, or another scope's reason
 * threads   loop thread, in a task; elsewhere 0
 * asyncio   none (trio: current_effective_deadline() == -inf)
 */
ASYNC_API int async_cancelled(void);

/* ---- what the macros reach; not for direct use ---- */
ASYNC_API void aw_scope_enter(async_scope *scope, double seconds, const char *where);
ASYNC_API void aw_scope_enter_at(async_scope *scope, double when, const char *where);
ASYNC_API void aw_shield_enter(async_scope *scope, double seconds, const char *where);
ASYNC_API void aw_scope_leave(async_scope *scope);
ASYNC_API int aw_nosuspend_enter(const char *where);
ASYNC_API void aw_nosuspend_leave(const int *token);

#ifdef __cplusplus
}
#endif
#endif
