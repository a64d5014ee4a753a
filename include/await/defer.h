/* SPDX-License-Identifier: MIT */
/* Cleanup at the end of the block, whatever path leaves it.
 *
 *     async_stream *stream = NULL;
 *     async_defer(async_stream_free, stream);      // a cleanup that does not wait
 *     await_defer(await_stream_close, stream);     // one that may wait: runs under a shield
 *
 * The variable is captured, not its value: set it to NULL to disarm. Only pointers are accepted, and a
 * goto or switch that jumps past one does not compile.
 */
#ifndef AWAIT_DEFER_H
#define AWAIT_DEFER_H

#include <await/macros.h>

#define async_defer(fn, variable) AW_DEFER(AW_CAT(aw_defer_, __COUNTER__), aw_defer_leave, fn, variable)
#define await_defer(fn, variable) AW_DEFER(AW_CAT(aw_defer_, __COUNTER__), aw_defer_leave_await, fn, variable)

#endif
