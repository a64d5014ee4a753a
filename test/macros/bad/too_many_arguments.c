/* SPDX-License-Identifier: MIT */
/* expect gcc: too many arguments to function 'say__create_task' */
/* expect clang: too many arguments to function call */
#include <await.h>

async_def(say, const char *, what)
{
    return what != NULL;
}

async_task *start(void);
async_task *start(void)
{
    return async_create_task(say, "x", 1);
}
