/* SPDX-License-Identifier: MIT */
/* expect gcc: switch jumps into scope of identifier with variably modified type */
/* expect clang: cannot jump from switch statement to this case label */
#include <await.h>
#include <stdlib.h>

int choose(int n);
int choose(int n)
{
    char *buf = NULL;
    switch (n) {
    case 1:;
        async_defer(free, buf);
        buf = malloc(10);
        break;
    case 2:
        n = 3;
    }
    return n;
}
