/* SPDX-License-Identifier: MIT */
/* loop_libuv: libuv's nearest to call_soon (an idle handle: one callback a turn, each turn polls) and its wake-up
 * from another thread (uv_async, there and back between two loops).
 */
#include "../bench.h"
#include <pthread.h>
#include <stdlib.h>
#include <uv.h>

enum { CHAIN = 200000, ROUND_TRIPS = 10000 };

static uv_loop_t loop, other_loop;
static uv_async_t there, back;
static pthread_barrier_t barrier;
static long left;

static void on_idle(uv_idle_t *idle)
{
    if (--left == 0)
        uv_idle_stop(idle);
}

static double measure_idle(void)
{
    uv_idle_t idle;
    int64_t start;

    left = CHAIN;
    uv_idle_init(&loop, &idle);
    uv_idle_start(&idle, on_idle);
    start = bench_cpu();
    uv_run(&loop, UV_RUN_DEFAULT);
    start = bench_cpu() - start;
    uv_close((uv_handle_t *)&idle, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    return (double)start / CHAIN;
}

static void on_there(uv_async_t *async)
{
    if (left > 0)
        uv_async_send(&back);
    else
        uv_close((uv_handle_t *)async, NULL);
}

static void on_back(uv_async_t *async)
{
    left--;
    uv_async_send(&there);
    if (left == 0)
        uv_close((uv_handle_t *)async, NULL);
}

static void *other_main(void *arg)
{
    (void)arg;
    uv_loop_init(&other_loop);
    uv_async_init(&other_loop, &there, on_there);
    pthread_barrier_wait(&barrier);
    uv_run(&other_loop, UV_RUN_DEFAULT);
    uv_loop_close(&other_loop);
    return NULL;
}

static double measure_wakeup(void)
{
    pthread_t thread;
    int64_t start;

    left = ROUND_TRIPS;
    uv_async_init(&loop, &back, on_back);
    pthread_barrier_init(&barrier, NULL, 2);
    if (pthread_create(&thread, NULL, other_main, NULL) != 0)
        bench_die("pthread_create", -1);
    pthread_barrier_wait(&barrier);
    start = bench_now();
    uv_async_send(&there);
    uv_run(&loop, UV_RUN_DEFAULT);
    start = bench_now() - start;
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&barrier);
    return (double)start / (2.0 * ROUND_TRIPS);
}

int main(void)
{
    unsetenv("BENCH_CPU"); /* two threads want two processors */
    uv_loop_init(&loop);
    bench_row("cross-thread wake-up", "libuv", "ns", 5, measure_wakeup);
    bench_row("call_soon/chain", "libuv idle", "ns", 7, measure_idle);
    uv_loop_close(&loop);
    return 0;
}
