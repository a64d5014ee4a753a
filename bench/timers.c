/* SPDX-License-Identifier: MIT */
/* What does a timer cost while 1,000, 100,000 or 1,000,000 others are pending? Added and cancelled at once (the
 * timeout that does not fire), a random one cancelled and added anew (the idle timeout that is pushed back), and
 * added and fired, all due in one turn.
 */
#include "bench.h"
#include <await.h>
#include <await/embed.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PAIRS = 200000, HOUR_S = 3600 };

static async_loop *loop;
static async_timer_handle *timers;
static long count, fired;

static int on_timer(async_handle *handle)
{
    (void)handle;
    fired++;
    return 0;
}

static int64_t random_time(int64_t now)
{
    return now + HOUR_S * INT64_C(1000000000) + (int64_t)bench_random() * 500;
}

static void add(async_timer_handle *timer, int64_t when)
{
    BENCH_CHECK(async_loop_schedule_at(loop, timer, when));
}

static void fill(void)
{
    int64_t now = async_loop_time_ns(loop);

    timers = malloc((size_t)(count + 1) * sizeof *timers);
    if (timers == NULL)
        bench_die("malloc", -ENOMEM);
    for (long i = 0; i <= count; i++)
        async_timer_handle_init(&timers[i], on_timer);
    for (long i = 0; i < count; i++)
        add(&timers[i], random_time(now));
}

static void empty(void)
{
    for (long i = 0; i < count; i++)
        async_loop_unschedule(loop, &timers[i].handle);
    free(timers);
}

static double measure_add_cancel(void)
{
    int64_t now = async_loop_time_ns(loop), start = bench_cpu();

    for (int i = 0; i < PAIRS; i++) {
        add(&timers[count], random_time(now));
        async_loop_unschedule(loop, &timers[count].handle);
    }
    return (double)(bench_cpu() - start) / PAIRS;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static double measure_call_later_cancel(void)
{
    int64_t start = bench_cpu();

    for (int i = 0; i < PAIRS; i++)
        async_handle_cancel(async_loop_call_later(loop, HOUR_S + bench_random() * 5e-7, nothing, NULL));
    return (double)(bench_cpu() - start) / PAIRS;
}

static double measure_random(void)
{
    int64_t now = async_loop_time_ns(loop), start = bench_cpu();

    for (int i = 0; i < PAIRS; i++) {
        async_timer_handle *timer = &timers[bench_random() % (unsigned long)count];

        async_loop_unschedule(loop, &timer->handle);
        add(timer, random_time(now));
    }
    return (double)(bench_cpu() - start) / PAIRS;
}

/* The time until all are due is taken out: it is waiting, not work. */
static double measure_fire(void)
{
    const struct timespec pause = { 0, 3000000 };
    int64_t now = async_loop_time_ns(loop), start = bench_cpu(), spent;

    fired = 0;
    for (long i = 0; i < count; i++)
        add(&timers[i], now + 1000000 + bench_random() % 1000000);
    spent = bench_cpu() - start;
    nanosleep(&pause, NULL);
    start = bench_cpu();
    while (fired < count)
        BENCH_CHECK(async_loop_turn(loop, 0));
    return (double)(spent + bench_cpu() - start) / (double)count;
}

static void row(const char *what, int repetitions, double (*measure)(void))
{
    char name[64];

    snprintf(name, sizeof name, "timers %s/%s", what, bench_count(count));
    bench_row(name, "libawait", "ns", repetitions, measure);
}

static void rows(long n)
{
    count = n;
    fill();
    row("add+cancel", 7, measure_add_cancel);
    row("call_later+cancel", 7, measure_call_later_cancel);
    row("random cancel+add", 5, measure_random);
    for (long i = 0; i < count; i++)
        async_loop_unschedule(loop, &timers[i].handle);
    row("add+fire", n > 100000 ? 3 : 5, measure_fire);
    empty();
}

int main(int argc, char **argv)
{
    bench_pin();
    BENCH_CHECK(async_loop_open(NULL, &loop));
    for (int i = 1; i < argc; i++)
        rows(atol(argv[i]));
    BENCH_CHECK(async_loop_close(loop));
    return 0;
}
