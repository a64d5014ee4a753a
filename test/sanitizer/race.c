/* SPDX-License-Identifier: MIT */
/* A task and a thread count in one variable: TSan must name both lines. Two tasks of one loop may do so. */
#include <await.h>
#include <pthread.h>
#include <stdio.h>

static long shared, of_tasks;

static void *count_on_thread(void *arg)
{
    (void)arg;
#ifndef FIXED
    shared++; /* PLANT */
#endif
    return NULL;
}

async_def(await_count, int, rounds)
{
    for (int i = 0; i < rounds; i++) {
        int r = await_sleep(0);

        if (r < 0)
            return r;
        of_tasks++;
        shared++; /* PLANT */
    }
    return 0;
}

async_main(void)
{
    pthread_t thread;
    int r = pthread_create(&thread, NULL, count_on_thread, NULL);

    if (r != 0)
        return -r;
    r = await_gather(async_create_task(await_count, 10), async_create_task(await_count, 10));
    pthread_join(thread, NULL);
    return r < 0 ? r : printf("%ld\n", of_tasks) < 0;
}
