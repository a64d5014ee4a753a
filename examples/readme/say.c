/* SPDX-License-Identifier: MIT */
#include <await.h>
#include <stdio.h>

async_def(say, const char *, what, double, delay)      /* async def say(what, delay): */
{
    int r = await_sleep(delay);
    if (r < 0)
        return r;
    puts(what);
    return 0;
}

async_main(void)                                       /* asyncio.run(main()) */
{
    async_task *first  = async_create_task(say, "First hello!", 2.0);
    async_task *second = async_create_task(say, "Second hello!", 1.0);
    return await_gather(first, second);                /* prints Second, First; after 2 s */
}
