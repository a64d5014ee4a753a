/* SPDX-License-Identifier: MIT */
/* A task keeps a pointer into a block that it has left, over an await: ASan must name the line. */
#include <await.h>
#include <stdio.h>

async_def(await_use, int, start)
{
    volatile int *kept;
    volatile int outer = start;
    int r;

    {
        volatile int inner = start;

        kept = &inner;
        *kept += 1;
    }
#ifdef FIXED
    kept = &outer;
#endif
    r = await_sleep(0);
    if (r < 0)
        return r;
    *kept += 1; /* PLANT */
    return printf("%d\n", outer) < 0;
}

async_main(void)
{
    return await_gather(async_create_task(await_use, 1), async_create_task(await_use, 2));
}
