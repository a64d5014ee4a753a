/* SPDX-License-Identifier: MIT */
/* expect gcc: jump into scope of identifier with variably modified type */
/* expect clang: cannot jump from this goto statement to its label */
#include <await.h>

int wait_some(int n);
int wait_some(int n)
{
    if (n > 0)
        goto out;
    async_timeout(1.0);
    n = await_sleep(2.0);
out:
    return n;
}
