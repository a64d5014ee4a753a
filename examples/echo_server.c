/* SPDX-License-Identifier: MIT */
/* Sends back what it is sent: echo_server [HOST PORT]. Each connection is a task of its own. */
#include <await.h>
#include <stdio.h>

async_def(echo, async_stream *, stream)
{
    char buf[4096];
    ssize_t n;

    while ((n = await_stream_read(stream, buf, sizeof buf)) > 0) {
        int r = await_stream_write(stream, buf, (size_t)n); /* write + drain: a slow reader slows us down */

        if (r < 0)
            return r;
    }
    return (int)n; /* the server closes and frees the stream */
}

async_main(int argc, char **argv)
{
    const char *host = argc > 1 ? argv[1] : "127.0.0.1";
    const char *port = argc > 2 ? argv[2] : "8888";
    async_server *server;
    int r = await_start_server(echo, host, port, &server);

    if (r < 0)
        return r;
    printf("Serving on %s port %d, end with Ctrl-C\n", host, async_server_port(server));
    r = await_server_serve_forever(server); /* SIGINT: drained, then 0 */
    printf("Served %llu connections\n", (unsigned long long)async_server_accepted(server));
    return r;
}
