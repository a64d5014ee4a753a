/* SPDX-License-Identifier: MIT */
/* expect gcc: makes pointer from integer */
/* expect clang: incompatible integer to pointer conversion */
#include <await.h>

async_def(say, const char *, what)
{
    return what != NULL;
}

async_task *start(void);
async_task *start(void)
{
    return async_create_task(say, 42);
}
