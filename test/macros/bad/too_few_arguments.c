/* SPDX-License-Identifier: MIT */
/* expect gcc: too few arguments to function 'say__create_task' */
/* expect clang: too few arguments to function call */
#include <await.h>

async_def(say, const char *, what, double, delay)
{
    return what && delay > 0;
}

async_task *start(void);
async_task *start(void)
{
    return async_create_task(say, "x");
}
