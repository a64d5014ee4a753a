/* SPDX-License-Identifier: MIT */
/* Task-local values, inherited by the tasks that a task creates.
 *
 *     static async_context_var request_id = ASYNC_CONTEXT_VAR("request_id");
 *
 *     async_context_set(&request_id, id, NULL);
 *     ... in any function that this task, or one it creates from now on, calls:
 *     log("%s", (char *)async_context_get(&request_id, "-"));
 *
 * A new task sees the values at its creation; what either sets later the other does not see.
 */
#ifndef AWAIT_CONTEXT_H
#define AWAIT_CONTEXT_H

#include <await/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct async_context_var {
    const char *name;
} async_context_var;

#define ASYNC_CONTEXT_VAR(name)                                                                                        \
    {                                                                                                                  \
        name                                                                                                           \
    }

/* Sets a variable for the current task. `free_value` (may be NULL) is called once, when no task can see
 * this value any more.
 *
 * suspends  no
 * returns   0; -ENOMEM (the value stays the caller's) · ASYNC_ENOTASK · -EINVAL
 * owns      the value is the context's if free_value is given
 * threads   loop thread, in a task
 * asyncio   contextvars.ContextVar.set()
 */
ASYNC_API int async_context_set(const async_context_var *var, void *value, void (*free_value)(void *value));

/* suspends  no
 * returns   the value that this task sees, `fallback` if there is none or outside of a task
 * owns      borrowed
 * threads   any
 * asyncio   contextvars.ContextVar.get()
 */
ASYNC_API void *async_context_get(const async_context_var *var, const void *fallback);

#ifdef __cplusplus
}
#endif
#endif
