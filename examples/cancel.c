/* SPDX-License-Identifier: MIT */
/* Cancelling a task: it is asked to end, cleans up, and says what became of it. */
#include <await.h>
#include <stdio.h>

async_def(work)
{
    int r, step = 0;

    while ((r = await_sleep(1.0)) == 0)
        printf("step %d\n", ++step);
    printf("asked to stop: %s\n", async_last_error());

    /* From here to the end each await is refused, so a cancellation cannot get lost ... */
    if (await_sleep(60.0) == ASYNC_ECANCELED)
        puts("no more naps");

    /* ... except under a shield: cleanup that has to wait says how long it may. */
    async_shield(5.0);
    if (await_sleep(0.5) == 0)
        printf("saved %d steps\n", step);
    return r;
}

async_main(void)
{
    async_task *task = async_create_task(work);
    int result, r;

    if (await_sleep(2.5) == 0)
        async_task_cancel_message(task, "lunch time");
    r = await_task(task, &result); /* 0 or why *we* were to stop; a join waits for the end either way */
    if (r < 0)
        return r;
    printf("it ended with %s\n", async_error_name(result));
    return 0;
}
