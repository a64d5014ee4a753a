/* SPDX-License-Identifier: MIT */
/* parked_threads: the rows of parked.c with a POSIX thread (64 KiB stack) in place of a task. The kernel's own part
 * of a thread (at least 16 KiB of kernel stack) is not in these numbers.
 */
#include "../bench.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sem_t parked, release;

static void *park(void *arg)
{
    sem_post(&parked);
    sem_wait(&release);
    return arg;
}

static void print(const char *what, const char *unit, long count, double value)
{
    char name[64];

    snprintf(name, sizeof name, "parked tasks/%s %s", bench_count(count), what);
    bench_print(name, "threads", unit, &value, 1);
}

/* Fewer than asked for when the kernel's limits say so; the figures are for each one there is. */
static long create(pthread_t *threads, long count)
{
    pthread_attr_t attributes;
    long made = 0;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 * 1024);
    while (made < count && pthread_create(&threads[made], &attributes, park, NULL) == 0)
        made++;
    for (long i = 0; i < made; i++)
        sem_wait(&parked);
    pthread_attr_destroy(&attributes);
    return made;
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 10000, made;
    pthread_t *threads = malloc((size_t)count * sizeof *threads);
    double resident, tables;
    int64_t start;

    if (threads == NULL || sem_init(&parked, 0, 0) < 0 || sem_init(&release, 0, 0) < 0)
        bench_die("set-up", -1);
    memset(threads, 0xff, (size_t)count * sizeof *threads);
    bench_pin();
    resident = bench_resident();
    tables = bench_page_tables();
    start = bench_cpu();
    made = create(threads, count);
    if (made == 0)
        bench_die("pthread_create", -1);
    print("create+park", "ns", count, (double)(bench_cpu() - start) / (double)made);
    resident = (bench_resident() - resident) / (double)made;
    tables = (bench_page_tables() - tables) / (double)made;
    print("memory", "bytes", count, resident + tables);
    print("resident", "bytes", count, resident);
    start = bench_cpu();
    for (long i = 0; i < made; i++)
        sem_post(&release);
    for (long i = 0; i < made; i++)
        pthread_join(threads[i], NULL);
    print("wake+join", "ns", count, (double)(bench_cpu() - start) / (double)made);
    free(threads);
    return 0;
}
