/* SPDX-License-Identifier: MIT */
/* expect gcc: incompatible pointer type */
/* expect clang: incompatible pointer types */
#include <await.h>

void use(async_task *task);
void use(async_task *task)
{
    async_defer(async_stream_free, task);
}
