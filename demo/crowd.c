/* SPDX-License-Identifier: MIT */
/* Threads against tasks: all are started, all wait at once, all are woken and joined.
 *
 * Design notes: both have 64 KiB of stack and do the same: wait for one event. "Memory" is what the kernel says
 * this process holds while all wait: its resident pages, its page tables, and (system-wide difference) the kernel's own
 * stacks, which threads have and tasks have not. Each row is measured in a child of its own. */
#include "demo.h"

#include <await.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STACK_SIZE = 64 * 1024, MOST_THREADS = 8000 };

struct row {
    long count;
    double start, join;   /* seconds */
    long before, waiting; /* KiB */
};

/* "Name:   123 kB" in a file of /proc. */
static long read_kib(const char *path, const char *name)
{
    FILE *file = fopen(path, "r");
    char line[256];
    long value = 0;

    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            value = strtol(line + strlen(name) + 1, NULL, 10);
    if (file)
        fclose(file);
    return value;
}

static long memory_kib(void)
{
    return read_kib("/proc/self/status", "VmRSS") + read_kib("/proc/self/status", "VmPTE") +
           read_kib("/proc/meminfo", "KernelStack");
}

static double seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_row(const char *what, const struct row *row)
{
    printf("  %-8s %10s %10.1f KiB %12.2f us %12.2f us\n", what, terminal_number(row->count),
           (double)(row->waiting - row->before) / (double)row->count, row->start * 1e6 / (double)row->count,
           row->join * 1e6 / (double)row->count);
    fflush(stdout);
}

/* ---- threads ---- */

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t opened, all_wait;
    long waiting;
    int open;
};

static void *wait_in_thread(void *arg)
{
    struct gate *gate = arg;

    pthread_mutex_lock(&gate->mutex);
    gate->waiting++;
    pthread_cond_signal(&gate->all_wait);
    while (!gate->open)
        pthread_cond_wait(&gate->opened, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
    return NULL;
}

/* How many of them the system gave us. */
static long start_threads(pthread_t *threads, struct gate *gate)
{
    pthread_attr_t attributes;
    long count = 0;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    while (count < MOST_THREADS && pthread_create(&threads[count], &attributes, wait_in_thread, gate) == 0)
        count++;
    pthread_attr_destroy(&attributes);
    pthread_mutex_lock(&gate->mutex);
    while (gate->waiting < count)
        pthread_cond_wait(&gate->all_wait, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
    return count;
}

static void join_threads(pthread_t *threads, long count, struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->open = 1;
    pthread_cond_broadcast(&gate->opened);
    pthread_mutex_unlock(&gate->mutex);
    for (long i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static int measure_threads(long unused)
{
    static pthread_t threads[MOST_THREADS];
    static struct gate gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 };
    struct row row = { .before = memory_kib() };
    double start = seconds_now();

    (void)unused;
    row.count = start_threads(threads, &gate);
    row.start = seconds_now() - start;
    row.waiting = memory_kib();
    start = seconds_now();
    join_threads(threads, row.count, &gate);
    row.join = seconds_now() - start;
    if (row.count == 0) {
        puts("  threads: the system gives us none");
        return 0;
    }
    print_row("threads", &row);
    if (row.count < MOST_THREADS)
        printf("           (the system does not give more than these here)\n");
    return 0;
}

/* ---- tasks ---- */

async_def(wait_in_task, async_future *, gate)
{
    return await_future(gate);
}

async_def(await_crowd, long, count)
{
    async_future *gate = async_future_new();
    async_task_group *group = async_task_group_new();
    struct row row = { .count = count, .before = memory_kib() };
    double start = seconds_now();
    int r;

    async_defer(async_future_unref, gate);
    await_defer(await_task_group_close, group);
    for (long i = 0; i < count; i++) {
        r = async_task_group_create_task(group, wait_in_task, gate);
        if (r < 0)
            return r;
    }
    r = await_sleep(0); /* each runs to its wait */
    if (r < 0)
        return r;
    row.start = seconds_now() - start;
    row.waiting = memory_kib();
    start = seconds_now();
    async_future_set_result(gate, NULL);
    r = await_task_group(group);
    row.join = seconds_now() - start;
    if (r == 0)
        print_row("tasks", &row);
    return r;
}

static int measure_tasks(long count)
{
    return async_run(await_crowd, count);
}

/* ---- both ---- */

static int in_child(int (*measure)(long), long count)
{
    int status = 0;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0)
        exit(measure(count) < 0);
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return -errno;
    return status == 0 ? 0 : -ECHILD;
}

/* What the control group leaves us, if there is one; LONG_MAX KiB otherwise. */
static long group_limit_kib(void)
{
    FILE *file = fopen("/sys/fs/cgroup/memory.max", "r");
    long long bytes = 0;
    int found = file && fscanf(file, "%lld", &bytes) == 1;

    if (file)
        fclose(file);
    return found ? (long)(bytes / 1024) : __LONG_MAX__;
}

/* A million, or as many as half of the free memory holds at 5 KiB each. */
static long most_tasks(void)
{
    long available = read_kib("/proc/meminfo", "MemAvailable"), limit = group_limit_kib();
    long fit = (available < limit ? available : limit) / 2 / 5;

    return fit > 1000000 ? 1000000 : fit / 1000 * 1000;
}

int demo_crowd(void)
{
    long most = most_tasks(), some = most < 100000 ? most : 100000;
    int r;

    terminal_heading("2. A waiting crowd: threads against tasks, each with 64 KiB of stack");
    printf("  %-8s %10s %14s %15s %15s\n", "", "how many", "memory each", "start each", "wake+join each");
    r = in_child(measure_threads, 0);
    if (r == 0)
        r = in_child(measure_tasks, some);
    if (r == 0 && most > some)
        r = in_child(measure_tasks, most);
    if (most < 1000000)
        printf("  (a million tasks do not fit into half of the free memory here)\n");
    if (r < 0)
        fprintf(stderr, "  crowd: %s\n", async_strerror(r));
    return r;
}
