/* SPDX-License-Identifier: MIT */
/* expect gcc: ignoring return value of 'aw_gather' */
/* expect clang: ignoring return value of function declared with 'warn_unused_result' */
#include <await.h>

void join(async_task *a, async_task *b);
void join(async_task *a, async_task *b)
{
    await_gather(a, b);
}
