/* SPDX-License-Identifier: MIT */
/* expect gcc: jump into scope of identifier with variably modified type */
/* expect clang: cannot jump from this goto statement to its label */
#include <await.h>

int count(int n);
int count(int n)
{
    if (n > 0)
        goto out;
    async_nosuspend();
    n++;
out:
    return n;
}
