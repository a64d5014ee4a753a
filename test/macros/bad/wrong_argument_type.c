/* SPDX-License-Identifier: MIT */
/* expect gcc: incompatible type for argument 1 of 'say__create_task' */
/* expect clang: passing 'double' to parameter of incompatible type 'const char *' */
#include <await.h>

async_def(say, const char *, what, double, delay)
{
    return what && delay > 0;
}

async_task *start(void);
async_task *start(void)
{
    return async_create_task(say, 2.0, "x");
}
