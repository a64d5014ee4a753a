/* SPDX-License-Identifier: MIT */
/* expect gcc: 'fn__create_task' undeclared */
/* expect clang: use of undeclared identifier 'fn__create_task' */
#include <await.h>

async_task *start(int (*fn)(void));
async_task *start(int (*fn)(void))
{
    return async_create_task(fn);
}
