/* SPDX-License-Identifier: MIT */
/* expect gcc: expected expression before 'async_scope' */
/* expect clang: expected expression */
#include <await.h>

int wait_some(int n);
int wait_some(int n)
{
    if (n > 0)
        async_timeout(1.0);
    return await_sleep(n);
}
