/* SPDX-License-Identifier: MIT */
#include <await.h>

async_def(echo, async_stream *, stream)
{
    char buf[4096];
    ssize_t n;

    while ((n = await_stream_read(stream, buf, sizeof buf)) > 0) {
        int r = await_stream_write(stream, buf, (size_t)n);   /* write + drain */
        if (r < 0)
            return r;
    }
    return (int)n;
}

async_main(void)
{
    async_server *server;
    int r = await_start_server(echo, "127.0.0.1", "8888", &server);

    return r < 0 ? r : await_server_serve_forever(server);    /* SIGINT: drained, exit 0 */
}
