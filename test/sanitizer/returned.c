/* SPDX-License-Identifier: MIT */
/* A task keeps a pointer into a function that has returned, over an await: ASan must name the line. */
#include <await.h>
#include <stdio.h>

static int *volatile kept[2];

static __attribute__((noinline)) void keep(int index)
{
    static int safe[2];
    int local = index;

#ifdef FIXED
    kept[index] = &safe[index];
#else
    kept[index] = &local;
#endif
    safe[index] = local;
}

async_def(await_use, int, index)
{
    int r;

    keep(index);
    r = await_sleep(0);
    if (r < 0)
        return r;
    *kept[index] += 1; /* PLANT */
    return printf("%d\n", index) < 0;
}

async_main(void)
{
    return await_gather(async_create_task(await_use, 0), async_create_task(await_use, 1));
}
