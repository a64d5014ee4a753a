/* SPDX-License-Identifier: MIT */
/* timers_libuv: the rows of timers.c on uv_timer_t, which counts in milliseconds. */
#include "../bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

enum { PAIRS = 200000, HOUR_MS = 3600 * 1000 };

static uv_loop_t *loop;
static uv_timer_t *timers;
static long count, fired;

static void on_timer(uv_timer_t *timer)
{
    (void)timer;
    fired++;
}

static void add(uv_timer_t *timer)
{
    uv_timer_start(timer, on_timer, HOUR_MS + bench_random() / 2000, 0);
}

static void fill(void)
{
    timers = malloc((size_t)(count + 1) * sizeof *timers);
    if (timers == NULL)
        bench_die("malloc", UV_ENOMEM);
    for (long i = 0; i <= count; i++)
        uv_timer_init(loop, &timers[i]);
    for (long i = 0; i < count; i++)
        add(&timers[i]);
}

static double measure_add_cancel(void)
{
    int64_t start = bench_cpu();

    for (int i = 0; i < PAIRS; i++) {
        add(&timers[count]);
        uv_timer_stop(&timers[count]);
    }
    return (double)(bench_cpu() - start) / PAIRS;
}

static double measure_random(void)
{
    int64_t start = bench_cpu();

    for (int i = 0; i < PAIRS; i++) {
        uv_timer_t *timer = &timers[bench_random() % (unsigned long)count];

        uv_timer_stop(timer);
        add(timer);
    }
    return (double)(bench_cpu() - start) / PAIRS;
}

static double measure_fire(void)
{
    const struct timespec pause = { 0, 3000000 };
    int64_t start, spent;

    uv_update_time(loop);
    fired = 0;
    start = bench_cpu();
    for (long i = 0; i < count; i++)
        uv_timer_start(&timers[i], on_timer, 1 + bench_random() % 2, 0);
    spent = bench_cpu() - start;
    nanosleep(&pause, NULL);
    start = bench_cpu();
    while (fired < count)
        uv_run(loop, UV_RUN_NOWAIT);
    return (double)(spent + bench_cpu() - start) / (double)count;
}

static void row(const char *what, int repetitions, double (*measure)(void))
{
    char name[64];

    snprintf(name, sizeof name, "timers %s/%s", what, bench_count(count));
    bench_row(name, "libuv", "ns", repetitions, measure);
}

static void rows(long n)
{
    count = n;
    fill();
    row("add+cancel", 7, measure_add_cancel);
    row("random cancel+add", 5, measure_random);
    for (long i = 0; i < count; i++)
        uv_timer_stop(&timers[i]);
    row("add+fire", n > 100000 ? 3 : 5, measure_fire);
    for (long i = 0; i <= count; i++)
        uv_close((uv_handle_t *)&timers[i], NULL);
    uv_run(loop, UV_RUN_DEFAULT);
    free(timers);
}

int main(int argc, char **argv)
{
    bench_pin();
    loop = uv_default_loop();
    for (int i = 1; i < argc; i++)
        rows(atol(argv[i]));
    return 0;
}
