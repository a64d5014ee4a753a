/* SPDX-License-Identifier: MIT */
/* Design notes
 * - The first call of a measurement is thrown away: it pays page faults and cold caches that belong to set-up.
 * - Samples, not averages, are printed: the reader decides what is typical.
 */
#include "bench.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SAMPLES_MAX = 64 };

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

int64_t bench_now(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t bench_cpu(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint32_t bench_random(void)
{
    static uint32_t state = 2463534242u;

    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

void bench_pin(void)
{
    const char *cpu = getenv("BENCH_CPU");
    cpu_set_t set;

    if (cpu == NULL)
        return;
    CPU_ZERO(&set);
    CPU_SET(atoi(cpu), &set);
    sched_setaffinity(0, sizeof set, &set);
}

void bench_print(const char *row, const char *who, const char *unit, const double *samples, int count)
{
    printf("{\"row\": \"%s\", \"who\": \"%s\", \"unit\": \"%s\", \"samples\": [", row, who, unit);
    for (int i = 0; i < count; i++)
        printf("%s%.6g", i > 0 ? ", " : "", samples[i]);
    printf("]}\n");
    fflush(stdout);
}

void bench_row(const char *row, const char *who, const char *unit, int repetitions, double (*measure)(void))
{
    double samples[SAMPLES_MAX];

    bench_pin();
    (void)measure();
    for (int i = 0; i < repetitions && i < SAMPLES_MAX; i++)
        samples[i] = measure();
    bench_print(row, who, unit, samples, repetitions);
}

void bench_die(const char *what, int code)
{
    fprintf(stderr, "bench: %s gave %d\n", what, code);
    exit(1);
}

const char *bench_count(long n)
{
    static char text[24];

    if (n >= 1000000 && n % 1000000 == 0)
        snprintf(text, sizeof text, "%ldM", n / 1000000);
    else if (n >= 1000 && n % 1000 == 0)
        snprintf(text, sizeof text, "%ldk", n / 1000);
    else
        snprintf(text, sizeof text, "%ld", n);
    return text;
}

/* A line "Key:   123 kB" of /proc/self/status, in bytes. */
static double status_bytes(const char *key)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    double kilobytes = 0;

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0)
            kilobytes = atof(line + strlen(key));
    }
    fclose(file);
    return kilobytes * 1024;
}

double bench_resident(void)
{
    return status_bytes("VmRSS:");
}

double bench_page_tables(void)
{
    return status_bytes("VmPTE:");
}
