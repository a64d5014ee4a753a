/* SPDX-License-Identifier: MIT */
/* A failure that nobody looks at is reported once, with the name and birthplace of its task. */
#include <await.h>
#include <stdio.h>

async_def(fail, double, delay, int, code)
{
    int r = await_sleep(delay);

    return r < 0 ? r : code;
}

async_main(void)
{
    async_task *joined = async_create_task(fail, 1.0, -ENOENT);
    int result, r = await_task(joined, &result);

    if (r < 0)
        return r;
    printf("somebody looked: %s\n", async_strerror(result)); /* so it is not reported */

    async_task_unref(async_create_task(fail, 1.0, -EIO)); /* nobody will ever look at this one */
    r = await_sleep(2.0);
    puts("and the program goes on");
    return r;
}
