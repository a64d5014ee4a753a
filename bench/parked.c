/* SPDX-License-Identifier: MIT */
/* What does a task cost that only waits? `parked COUNT`: creates that many, lets each run until it parks, and prints
 * resident bytes with and without page tables of each, the time to create and park one, and the time to wake and join
 * one. A process of its own for each COUNT, or the pool of the one before would be measured.
 */
#include "bench.h"
#include <await.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static async_def(park)
{
    return await_suspend("parked");
}

static void print(const char *what, const char *unit, long count, double value)
{
    char name[64];

    snprintf(name, sizeof name, "parked tasks/%s %s", bench_count(count), what);
    bench_print(name, "libawait", unit, &value, 1);
}

async_def(run, long, count)
{
    async_task **tasks = calloc((size_t)count, sizeof *tasks);
    double resident, tables;
    int64_t start, parked;
    int r, result;

    if (tasks == NULL)
        return -ENOMEM;
    memset(tasks, 0xff, (size_t)count * sizeof *tasks); /* the pages of the array are not the tasks' */
    resident = bench_resident();
    tables = bench_page_tables();
    start = bench_cpu();
    for (long i = 0; i < count; i++) {
        tasks[i] = async_create_task(park);
        if (tasks[i] == NULL)
            return -ENOMEM;
    }
    r = await_sleep(0); /* lets each run until it parks */
    parked = bench_cpu();
    resident = (bench_resident() - resident) / (double)count;
    tables = (bench_page_tables() - tables) / (double)count;
    print("memory", "bytes", count, resident + tables);
    print("resident", "bytes", count, resident);
    print("create+park", "ns", count, (double)(parked - start) / (double)count);
    start = bench_cpu();
    for (long i = 0; i < count && r >= 0; i++)
        r = async_resume(tasks[i], 0);
    for (long i = 0; i < count && r >= 0; i++)
        r = await_task(tasks[i], &result);
    print("wake+join", "ns", count, (double)(bench_cpu() - start) / (double)count);
    free(tasks);
    return r;
}

int main(int argc, char **argv)
{
    bench_pin();
    BENCH_CHECK(async_run(run, argc > 1 ? atol(argv[1]) : 10000));
    return 0;
}
