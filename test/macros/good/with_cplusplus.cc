/* SPDX-License-Identifier: MIT */
/* The same from C++. */
#include <await.h>
#include <cstdlib>

async_def(say, const char *, what, double, delay)
{
    async_timeout(5.0);
    async_timeout(4.0, named);
    char *buf = static_cast<char *>(std::malloc(10));
    async_defer(std::free, buf);
    async_shield();
    async_shield(1.0);
    int r = await_sleep(delay);
    if (r < 0)
        return r;
    return what && async_scope_expired(&named);
}

async_def(none)
{
    return 0;
}

async_main(int argc, char **argv)
{
    async_task_group *group = async_task_group_new();
    await_defer(await_task_group_close, group);
    async_task *second = async_create_task(say, "second", 1.0);
    async_task_group_create_task(group, none);
    return await_gather(async_create_task(say, "first", 2.0), second);
}
