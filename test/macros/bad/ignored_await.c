/* SPDX-License-Identifier: MIT */
/* expect gcc: ignoring return value of 'await_sleep' */
/* expect clang: ignoring return value of function declared with 'warn_unused_result' */
#include <await.h>

void nap(void);
void nap(void)
{
    await_sleep(1.0);
}
