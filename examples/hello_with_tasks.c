/* SPDX-License-Identifier: MIT */
/* Two greetings at the same time, on one thread. */
#include <await.h>
#include <stdio.h>

async_def(say, const char *, what, double, delay) /* async def say(what, delay): */
{
    int r = await_sleep(delay);

    if (r < 0)
        return r; /* cancelled: nothing is said */
    puts(what);
    return 0;
}

async_main(void)
{
    double start = async_time();
    async_task *first, *second;
    int r = say("Before: a plain call is `await say(...)`", 1.0);

    if (r < 0)
        return r;
    first = async_create_task(say, "First hello!", 2.0);
    second = async_create_task(say, "Second hello!", 1.0);
    r = await_gather(first, second); /* joins both: nothing to free */
    if (r < 0)
        return r;
    printf("All three took %.1f s\n", async_time() - start); /* 1 + max(2, 1) */
    return 0;
}
