/* SPDX-License-Identifier: MIT */
/* The process ends inside a task while another one is parked. LSan must name the memory that nobody has, and not what
 * only a parked task's or main's frame points to. */
#include <await.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static __attribute__((noinline)) void lose(void)
{
#ifndef FIXED
    char *volatile lost = malloc(100); /* PLANT */

    lost = NULL;
    (void)lost;
#endif
}

/* What lose() and malloc() left on the stack. */
static __attribute__((noinline)) void overwrite(void)
{
    volatile char frame[20000];

    for (size_t i = 0; i < sizeof frame; i++)
        frame[i] = 0;
}

async_def(await_hold, int, size)
{
    char *volatile held = malloc((size_t)size); /* HELD */
    int r = await_sleep(INFINITY);

    free(held);
    return r;
}

async_def(await_exit, int, code)
{
    async_task *holder = async_create_task(await_hold, 200);
    int r = await_sleep(0);

    if (r < 0)
        return r;
    async_task_unref(holder);
    lose();
    overwrite();
    exit(code);
}

int main(void)
{
    char *volatile held = malloc(300); /* HELD */
    int r = async_run(await_exit, 0);

    free(held);
    return r != 0;
}
