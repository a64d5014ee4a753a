/* SPDX-License-Identifier: MIT */
/* expect gcc: 'puts__create_task' undeclared */
/* expect clang: use of undeclared identifier 'puts__create_task' */
#include <await.h>
#include <stdio.h>

async_task *start(void);
async_task *start(void)
{
    return async_create_task(puts, "x");
}
