/* SPDX-License-Identifier: MIT */
/* expect gcc: switch jumps into scope of identifier with variably modified type */
/* expect clang: cannot jump from switch statement to this case label */
#include <await.h>

int choose(int n, async_task_group *group);
int choose(int n, async_task_group *group)
{
    switch (n) {
    case 1:;
        await_defer(await_task_group_close, group);
        break;
    case 2:
        n = 3;
    }
    return n;
}
