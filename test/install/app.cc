/* SPDX-License-Identifier: MIT */
#include <await.h>
#include <cstdio>

async_def(say, const char *, what, double, delay)
{
    int r = await_sleep(delay);
    if (r < 0)
        return r;
    std::puts(what);
    return 0;
}

async_main(void)
{
    async_task *first = async_create_task(say, "First hello!", 0.02);
    async_task *second = async_create_task(say, "Second hello!", 0.01);
    return await_gather(first, second);
}
