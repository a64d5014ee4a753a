/* SPDX-License-Identifier: MIT */
/* echo_stream: our server as everybody writes it first: a task for each connection, read into an array on its
 * stack, write it back. `echo_stream SIZE` picks the handler whose array holds a whole message.
 */
#include "serve.h"
#include <await.h>
#include <string.h>

/* An array's size must be known to the compiler: one handler for each size, all of the same shape. */
#define ECHO(name, size)                                                                                               \
    static async_def(name, async_stream *, stream)                                                                     \
    {                                                                                                                  \
        char buf[size];                                                                                                \
        ssize_t n;                                                                                                     \
                                                                                                                       \
        while ((n = await_stream_read(stream, buf, sizeof buf)) > 0) {                                                 \
            int r = await_stream_write(stream, buf, (size_t)n);                                                        \
            if (r < 0)                                                                                                 \
                return r;                                                                                              \
        }                                                                                                              \
        return (int)n;                                                                                                 \
    }

ECHO(echo_4k, 4096)
ECHO(echo_16k, 16 * 1024)
ECHO(echo_128k, 128 * 1024)

async_def(serve, long, size)
{
    async_server_options options = {
        .size = sizeof options, .host = "127.0.0.1", .port = "0", .backlog = 1024, .grace = -1
    };
    async_server *server;
    int r;

    if (size <= 4096)
        r = await_start_server_with(&options, echo_4k, &server);
    else if (size <= 16 * 1024)
        r = await_start_server_with(&options, echo_16k, &server);
    else
        r = await_start_server_with(&options, echo_128k, &server);
    if (r < 0)
        return r;
    serve_ready(async_server_port(server));
    return await_server_serve_forever(server);
}

static int run(void *size)
{
    return serve(*(long *)size);
}

int main(int argc, char **argv)
{
    long size = argc > 1 ? atol(argv[1]) : 1024;
    async_loop_options options = { .size = sizeof options, .stack_size = size > 16 * 1024 ? 192 * 1024 : 0 };
    async_runner *runner = NULL;
    int r = async_runner_open(&options, &runner);

    if (r < 0 || (r = async_runner_run(runner, run, &size)) < 0)
        fprintf(stderr, "echo_stream: %s\n", async_strerror(r));
    if (runner != NULL)
        async_runner_close(runner);
    return r < 0;
}
