/* SPDX-License-Identifier: MIT */
/* What does a task cost from creation to join? One at a time; 1,000 at once; 1,000 at once that each yield once, so
 * that all stacks are in use together.
 */
#include "bench.h"
#include <await.h>

enum { BATCH = 1000, ROUNDS = 300, SINGLES = 200000 };

static async_def(nothing, long, value)
{
    return (int)(value & 1);
}

static async_def(yield_once, long, value)
{
    int r = await_sleep(0);
    return r < 0 ? r : (int)(value & 1);
}

static async_def(run_singles, double *, ret_ns)
{
    int64_t start = bench_cpu();

    for (long i = 0; i < SINGLES; i++) {
        int result, r = await_task(async_create_task(nothing, i), &result);
        if (r < 0)
            return r;
    }
    *ret_ns = (double)(bench_cpu() - start) / SINGLES;
    return 0;
}

static async_task *create(int yields, long value)
{
    return yields ? async_create_task(yield_once, value) : async_create_task(nothing, value);
}

static async_def(run_batches, int, yields, double *, ret_ns)
{
    async_task *tasks[BATCH];
    int64_t start = bench_cpu();

    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < BATCH; i++)
            tasks[i] = create(yields, i);
        for (int i = 0; i < BATCH; i++) {
            int result, r = await_task(tasks[i], &result);
            if (r < 0)
                return r;
        }
    }
    *ret_ns = (double)(bench_cpu() - start) / (BATCH * ROUNDS);
    return 0;
}

static double singles(void)
{
    double ns = 0;

    BENCH_CHECK(async_run(run_singles, &ns));
    return ns;
}

static double batches(void)
{
    double ns = 0;

    BENCH_CHECK(async_run(run_batches, 0, &ns));
    return ns;
}

static double batches_yielding(void)
{
    double ns = 0;

    BENCH_CHECK(async_run(run_batches, 1, &ns));
    return ns;
}

int main(void)
{
    bench_row("create+run+join/one at a time", "libawait", "ns", 7, singles);
    bench_row("create+run+join/1k at once", "libawait", "ns", 7, batches);
    bench_row("create+yield+join/1k at once", "libawait", "ns", 7, batches_yielding);
    return 0;
}
