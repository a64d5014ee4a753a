/* SPDX-License-Identifier: MIT */
/* expect gcc: jump into scope of identifier with variably modified type */
/* expect clang: cannot jump from this goto statement to its label */
#include <await.h>
#include <stdlib.h>

int fill(int n);
int fill(int n)
{
    char *buf = NULL;
    if (n > 0)
        goto out;
    async_defer(free, buf);
    buf = malloc(10);
out:
    return n;
}
