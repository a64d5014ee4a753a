/* SPDX-License-Identifier: MIT */
/* What does a callback through the ready queue cost? A chain (each schedules the next: one turn each, the way futures
 * resolve one another) and 10,000 queued at once; with the library's handles and with embedded ones.
 */
#include "bench.h"
#include <await.h>
#include <await/embed.h>

enum { CHAIN = 500000, BATCH = 10000, ROUNDS = 50 };

static async_loop *loop;
static long left;
static async_handle batch[BATCH];

static void finish_one(void)
{
    if (--left == 0)
        async_loop_stop(loop);
}

static int count_down(void *arg)
{
    (void)arg;
    finish_one();
    return 0;
}

static int chain(void *arg)
{
    finish_one();
    if (left > 0 && async_loop_call_soon(loop, chain, arg) == NULL)
        return -ENOMEM;
    return 0;
}

static int chain_embedded(async_handle *handle)
{
    finish_one();
    return left > 0 ? async_loop_schedule(loop, handle) : 0;
}

static int count_down_embedded(async_handle *handle)
{
    (void)handle;
    finish_one();
    return 0;
}

static double measure_chain(void)
{
    int64_t start = bench_cpu();

    left = CHAIN;
    async_loop_call_soon(loop, chain, NULL);
    BENCH_CHECK(async_loop_run_forever(loop));
    return (double)(bench_cpu() - start) / CHAIN;
}

static double measure_chain_embedded(void)
{
    int64_t start = bench_cpu();

    left = CHAIN;
    async_handle_init(&batch[0], chain_embedded);
    BENCH_CHECK(async_loop_schedule(loop, &batch[0]));
    BENCH_CHECK(async_loop_run_forever(loop));
    return (double)(bench_cpu() - start) / CHAIN;
}

static double measure_batch(void)
{
    int64_t start = bench_cpu();

    for (int round = 0; round < ROUNDS; round++) {
        left = BATCH;
        for (int i = 0; i < BATCH; i++)
            async_loop_call_soon(loop, count_down, NULL);
        BENCH_CHECK(async_loop_run_forever(loop));
    }
    return (double)(bench_cpu() - start) / (BATCH * ROUNDS);
}

static double measure_batch_embedded(void)
{
    int64_t start;

    for (int i = 0; i < BATCH; i++)
        async_handle_init(&batch[i], count_down_embedded);
    start = bench_cpu();
    for (int round = 0; round < ROUNDS; round++) {
        left = BATCH;
        for (int i = 0; i < BATCH; i++)
            async_loop_schedule(loop, &batch[i]);
        BENCH_CHECK(async_loop_run_forever(loop));
    }
    return (double)(bench_cpu() - start) / (BATCH * ROUNDS);
}

int main(void)
{
    BENCH_CHECK(async_loop_open(NULL, &loop));
    bench_row("call_soon/chain", "libawait", "ns", 7, measure_chain);
    bench_row("call_soon/10k at once", "libawait", "ns", 7, measure_batch);
    bench_row("call_soon embedded/chain", "libawait", "ns", 7, measure_chain_embedded);
    bench_row("call_soon embedded/10k at once", "libawait", "ns", 7, measure_batch_embedded);
    BENCH_CHECK(async_loop_close(loop));
    return 0;
}
