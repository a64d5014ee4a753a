/* SPDX-License-Identifier: MIT */
/* What does await_sleep(0) cost, from one task to the next through the ready queue? With 2 tasks all is hot; with
 * 1,000 each one's stack has to come back from the second-level cache.
 */
#include "bench.h"
#include <await.h>
#include <stdlib.h>

enum { YIELDS = 2000000 };

static async_def(spin, long, times)
{
    for (long i = 0; i < times; i++) {
        int r = await_sleep(0);
        if (r < 0)
            return r;
    }
    return 0;
}

static async_def(run_tasks, long, count, double *, ret_ns)
{
    async_task **tasks = calloc((size_t)count, sizeof *tasks);
    int64_t start;
    int r;

    if (tasks == NULL)
        return -ENOMEM;
    for (long i = 0; i < count; i++)
        tasks[i] = async_create_task(spin, YIELDS / count);
    start = bench_cpu();
    r = await_gather_all(tasks, (size_t)count);
    *ret_ns = (double)(bench_cpu() - start) / YIELDS;
    free(tasks);
    return r;
}

static long task_count;

static double measure(void)
{
    double ns = 0;

    BENCH_CHECK(async_run(run_tasks, task_count, &ns));
    return ns;
}

int main(void)
{
    task_count = 2;
    bench_row("yield/2 tasks", "libawait", "ns", 7, measure);
    task_count = 1000;
    bench_row("yield/1k tasks", "libawait", "ns", 7, measure);
    return 0;
}
