/* SPDX-License-Identifier: MIT */
/* Five thousand connections that talk at the same time.
 *
 * Design notes: the server is a process of its own and the clients are one task for each connection in this one.
 * First all ask as fast as they are answered: that gives the throughput, and its latencies are mostly queueing,
 * since everybody waits for everybody. Then each asks five times a second, which gives latencies of a server with
 * room to spare. Samples of both are kept in one array and sorted. */
#include "demo.h"

#include <await.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONNECTIONS = 5000, SPARE_FDS = 64, BATCH = 250, MESSAGE = 1024, MOST_SAMPLES = 4 * 1000 * 1000 };
static const double FULL_SECONDS = 2.0, PACED_SECONDS = 3.0, PACE = 0.2;

struct load {
    char port[8];
    int count, connected;
    async_future *begin; /* done when everybody is connected */
    double full_end, paced_end;
    float *samples; /* microseconds */
    size_t full_count, count_all;
};

/* ---- the server ---- */

async_def(echo, async_stream *, stream)
{
    const void *data;
    ssize_t n;

    while ((n = await_stream_peek(stream, &data)) > 0) { /* lent, not copied */
        int r = async_stream_write(stream, data, (size_t)n);

        if (r == 0)
            r = async_stream_consume(stream, (size_t)n);
        if (r == 0)
            r = await_stream_drain(stream);
        if (r < 0)
            return r;
    }
    return (int)n;
}

async_def(await_serve, int, port_pipe)
{
    async_server_options options = { .size = sizeof options, .host = "127.0.0.1", .port = "0", .backlog = 4096 };
    async_server *server;
    int port, r = await_start_server_with(&options, echo, &server);

    if (r < 0)
        return r;
    port = async_server_port(server);
    if (write(port_pipe, &port, sizeof port) != sizeof port)
        return -errno;
    return await_server_serve_forever(server);
}

static pid_t start_server(int *ret_port)
{
    int ends[2];
    pid_t child;

    if (pipe(ends) < 0)
        return -errno;
    fflush(stdout);
    child = fork();
    if (child == 0)
        _exit(async_run(await_serve, ends[1]) < 0);
    close(ends[1]);
    if (child > 0 && read(ends[0], ret_port, sizeof *ret_port) != sizeof *ret_port)
        *ret_port = 0;
    close(ends[0]);
    return child < 0 ? -errno : child;
}

/* ---- the clients ---- */

async_def(await_ask, struct load *, load, async_stream *, stream)
{
    char message[MESSAGE];
    double start = async_time();
    ssize_t n;
    int r;

    memset(message, 'm', sizeof message);
    r = await_stream_write(stream, message, sizeof message);
    if (r < 0)
        return r;
    n = await_stream_readexactly(stream, message, sizeof message);
    if (n > 0 && load->count_all < MOST_SAMPLES)
        load->samples[load->count_all++] = (float)((async_time() - start) * 1e6);
    return n < 0 ? (int)n : 0;
}

async_def(await_client, struct load *, load, int, number)
{
    async_stream *stream = NULL;
    int r;

    async_defer(async_stream_free, stream);
    r = await_open_connection("127.0.0.1", load->port, &stream);
    if (r < 0)
        return r;
    load->connected++;
    r = await_future(load->begin);
    while (r == 0 && async_time() < load->full_end)
        r = await_ask(load, stream);
    if (r == 0) /* spread over the first interval, behind the last answers of the first half */
        r = await_sleep(load->full_end + 0.5 + PACE * number / load->count - async_time());
    if (load->full_count == 0)
        load->full_count = load->count_all;
    while (r == 0 && async_time() < load->paced_end) {
        double next = async_time() + PACE;

        r = await_ask(load, stream);
        if (r == 0)
            r = await_sleep(next - async_time());
    }
    return r;
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static void print_samples(const char *label, float *samples, size_t count, double seconds)
{
    if (count == 0)
        return;
    qsort(samples, count, sizeof *samples, by_size);
    printf("  %-36s %9s answers/s   p50 %8.0f us   p99 %8.0f us\n", label,
           terminal_number((long)((double)count / seconds)), (double)samples[count / 2],
           (double)samples[count * 99 / 100]);
}

async_def(await_load, struct load *, load)
{
    async_task_group *group = async_task_group_new();
    double start = async_time();
    int r = 0;

    load->begin = async_future_new();
    async_defer(async_future_unref, load->begin);
    await_defer(await_task_group_close, group);
    for (int i = 0; i < load->count && r == 0;) {
        for (int batch = 0; batch < BATCH && i < load->count; batch++, i++)
            async_task_group_create_task(group, await_client, load, i);
        while (r == 0 && load->connected < i && async_task_group_pending(group) == (size_t)i)
            r = await_sleep(0.001); /* the accept queue has an end */
    }
    if (r < 0)
        return r;
    printf("  %-36s %9s in %.2f s\n", "connected", terminal_number(load->connected), async_time() - start);
    fflush(stdout);
    load->full_end = async_time() + FULL_SECONDS;
    load->paced_end = load->full_end + 0.5 + PACED_SECONDS;
    async_future_set_result(load->begin, NULL);
    r = await_task_group(group);
    if (r < 0)
        return r;
    print_samples("everybody as fast as possible", load->samples, load->full_count, FULL_SECONDS);
    print_samples("everybody five times a second", load->samples + load->full_count, load->count_all - load->full_count,
                  PACED_SECONDS);
    return 0;
}

/* As many as the descriptor limit allows; raises the soft limit up to the hard one. */
static int allowed_connections(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return CONNECTIONS;
    if (limit.rlim_cur < CONNECTIONS + SPARE_FDS) {
        limit.rlim_cur = limit.rlim_max < CONNECTIONS + SPARE_FDS ? limit.rlim_max : CONNECTIONS + SPARE_FDS;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    return limit.rlim_cur >= CONNECTIONS + SPARE_FDS ? CONNECTIONS : (int)limit.rlim_cur - SPARE_FDS;
}

static int run_load(struct load *load)
{
    int port = 0, r;
    pid_t server = start_server(&port);

    if (server < 0)
        return server;
    snprintf(load->port, sizeof load->port, "%d", port);
    r = port > 0 ? async_run(await_load, load) : -ECONNREFUSED;
    kill(server, SIGINT); /* drained: every client is gone */
    waitpid(server, NULL, 0);
    return r;
}

int demo_connections(void)
{
    struct load load = { .count = allowed_connections() };
    char heading[100];
    int r;

    snprintf(heading, sizeof heading, "3. %s connections at the same time, echoing messages of 1 KiB",
             terminal_number(load.count));
    terminal_heading(heading);
    if (load.count < CONNECTIONS)
        printf("  (not %s: the hard limit of open files, `ulimit -Hn`, does not allow it)\n",
               terminal_number(CONNECTIONS));
    load.samples = malloc(MOST_SAMPLES * sizeof *load.samples);
    r = load.samples && load.count > 0 ? run_load(&load) : -ENOMEM;
    free(load.samples);
    if (r < 0)
        fprintf(stderr, "  connections: %s\n", async_strerror(r));
    return r;
}
