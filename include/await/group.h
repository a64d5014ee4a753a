/* SPDX-License-Identifier: MIT */
/* A task group: tasks that end together, the normal way to run several.
 *
 *     async_task_group *group = async_task_group_new();
 *     await_defer(await_task_group_close, group);       // at the brace all have ended, whatever path
 *
 *     async_task_group_create_task(group, await_fetch, "a.example", &sizes[0]);
 *     async_task_group_create_task(group, await_fetch, "b.example", &sizes[1]);
 *     return await_task_group(group);                   // the first failure cancels the rest
 */
#ifndef AWAIT_GROUP_H
#define AWAIT_GROUP_H

#include <await/task.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct async_task_group async_task_group;

#define async_task_group_create_task(group, ...) async_task_group_add(group, async_create_task(__VA_ARGS__))

/* Makes an empty group on the running loop.
 *
 * suspends  no
 * returns   the group; NULL without memory or without a running loop: every call then says -ENOMEM
 * owns      the caller owns it: await_task_group_close() ends it
 * threads   loop thread
 * asyncio   TaskGroup()
 */
ASYNC_API async_task_group *async_task_group_new(void);

/* Adds a task. A group that has failed already cancels it at once.
 *
 * suspends  no
 * returns   0; -ENOMEM group or task is NULL (the group has then failed with -ENOMEM) · -EINVAL the task is in
 *           a group already, of another loop, or the calling one
 * owns      consumes the reference, whatever it returns but -EINVAL
 * threads   loop thread
 * asyncio   TaskGroup.create_task()
 */
ASYNC_API int async_task_group_add(async_task_group *group, async_task *task);

/* Waits for all tasks, also those added meanwhile. The first failure cancels the rest; in a cancelled
 * scope all are cancelled. It returns when all have ended.
 *
 * suspends  yes, unless all have ended
 * returns   0; the scope's reason; else the failure that came first · -ENOMEM group is NULL
 * owns      the group stays the caller's and can be used again
 * threads   loop thread, in a task
 * asyncio   TaskGroup.__aexit__
 */
ASYNC_AWAIT int await_task_group(async_task_group *group);

/* Cancels what is left; await_task_group() waits for its end. (asyncio 3.15 has the same.)
 *
 * suspends  no
 * returns   nothing
 * threads   loop thread
 * asyncio   TaskGroup.cancel()
 */
ASYNC_API void async_task_group_cancel(async_task_group *group);

/* suspends  no
 * returns   how many tasks have not ended
 * threads   loop thread
 * asyncio   len(TaskGroup._tasks)
 */
ASYNC_API size_t async_task_group_pending(const async_task_group *group);

/* Cancels what is left, waits for its end under a shield, frees the group. NULL does nothing. Meant
 * for await_defer. A failure that await_task_group() did not return is reported.
 *
 * suspends  yes, unless all have ended
 * returns   nothing
 * owns      the group is gone
 * threads   loop thread, in a task
 * asyncio   TaskGroup.__aexit__
 */
ASYNC_API ASYNC_SUSPENDS void await_task_group_close(async_task_group *group);

#ifdef __cplusplus
}
#endif
#endif
