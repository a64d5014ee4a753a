/* SPDX-License-Identifier: MIT */
/* What does it cost to reach a loop from another thread? Posting as fast as one thread can while the loop runs
 * (whole time for posting and running, per callback), and the way there and back between two loops on two
 * threads that both sleep, half of which is one wake-up.
 */
#include "bench.h"
#include <await.h>
#include <await/embed.h>
#include <pthread.h>
#include <stdlib.h>

enum { POSTS = 200000, ROUND_TRIPS = 10000 };

static async_loop *loop;
static long left;
static async_handle posts[POSTS];

static int count_down(void *arg)
{
    (void)arg;
    if (--left == 0)
        async_loop_stop(loop);
    return 0;
}

static int count_down_embedded(async_handle *handle)
{
    (void)handle;
    return count_down(NULL);
}

static void *post_all(void *arg)
{
    (void)arg;
    for (int i = 0; i < POSTS; i++)
        BENCH_CHECK(async_loop_call_soon_threadsafe(loop, count_down, NULL));
    return NULL;
}

static void *post_all_embedded(void *arg)
{
    (void)arg;
    for (int i = 0; i < POSTS; i++)
        BENCH_CHECK(async_loop_schedule_threadsafe(loop, &posts[i]));
    return NULL;
}

static double measure_posts(void *(*thread_main)(void *))
{
    pthread_t thread;
    int64_t start;

    left = POSTS;
    for (int i = 0; i < POSTS; i++)
        async_handle_init(&posts[i], count_down_embedded);
    start = bench_now();
    if (pthread_create(&thread, NULL, thread_main, NULL) != 0)
        bench_die("pthread_create", -1);
    BENCH_CHECK(async_loop_run_forever(loop));
    start = bench_now() - start;
    pthread_join(thread, NULL);
    return (double)start / POSTS;
}

static double measure_call(void)
{
    return measure_posts(post_all);
}

static double measure_embedded(void)
{
    return measure_posts(post_all_embedded);
}

/* ---- there and back ---- */

static async_loop *other_loop;
static pthread_barrier_t barrier;
static async_handle there, back, end;

static int on_there(async_handle *handle)
{
    (void)handle;
    return async_loop_schedule_threadsafe(loop, &back);
}

static int on_back(async_handle *handle)
{
    (void)handle;
    if (--left > 0)
        return async_loop_schedule_threadsafe(other_loop, &there);
    async_loop_stop(loop);
    return 0;
}

static int on_end(async_handle *handle)
{
    (void)handle;
    async_loop_stop(other_loop);
    return 0;
}

static void *other_main(void *arg)
{
    (void)arg;
    BENCH_CHECK(async_loop_open(NULL, &other_loop));
    pthread_barrier_wait(&barrier);
    BENCH_CHECK(async_loop_run_forever(other_loop));
    BENCH_CHECK(async_loop_close(other_loop));
    return NULL;
}

static double measure_wakeup(void)
{
    pthread_t thread;
    int64_t start;

    async_handle_init(&there, on_there);
    async_handle_init(&back, on_back);
    async_handle_init(&end, on_end);
    pthread_barrier_init(&barrier, NULL, 2);
    if (pthread_create(&thread, NULL, other_main, NULL) != 0)
        bench_die("pthread_create", -1);
    pthread_barrier_wait(&barrier);
    left = ROUND_TRIPS;
    start = bench_now();
    BENCH_CHECK(async_loop_schedule_threadsafe(other_loop, &there));
    BENCH_CHECK(async_loop_run_forever(loop));
    start = bench_now() - start;
    BENCH_CHECK(async_loop_schedule_threadsafe(other_loop, &end));
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&barrier);
    return (double)start / (2.0 * ROUND_TRIPS);
}

int main(void)
{
    unsetenv("BENCH_CPU"); /* two threads want two processors */
    BENCH_CHECK(async_loop_open(NULL, &loop));
    bench_row("cross-thread post", "libawait", "ns", 5, measure_call);
    bench_row("cross-thread post embedded", "libawait", "ns", 5, measure_embedded);
    bench_row("cross-thread wake-up", "libawait", "ns", 5, measure_wakeup);
    BENCH_CHECK(async_loop_close(loop));
    return 0;
}
