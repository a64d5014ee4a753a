/* SPDX-License-Identifier: MIT */
/* A task writes one byte past its array, after it was suspended: ASan must name the line. */
#include <await.h>
#include <stdio.h>

#ifdef FIXED
#define PAST_END 0
#else
#define PAST_END 1
#endif

static __attribute__((noinline)) void fill(char *buf, int size)
{
    for (volatile int i = 0; i < size; i++)
        buf[i] = 'x'; /* PLANT */
}

async_def(await_fill, int, size)
{
    char buf[32];
    int r = await_sleep(0);

    if (r < 0)
        return r;
    fill(buf, size + PAST_END);
    return printf("%.*s\n", size, buf) < 0;
}

async_main(void)
{
    return await_gather(async_create_task(await_fill, 32), async_create_task(await_fill, 32));
}
