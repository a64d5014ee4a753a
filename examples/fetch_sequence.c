/* SPDX-License-Identifier: MIT */
/* Twenty pages, one after the other, from a server that takes 100 ms for each. Compare fetch_concurrent.c. */
#include <await.h>
#include <stdio.h>

enum { PAGES = 20 };

async_def(serve_page, async_stream *, stream)
{
    char line[100];
    ssize_t n = await_stream_readline(stream, line, sizeof line);
    int r;

    if (n <= 0)
        return (int)n;
    r = await_sleep(0.1); /* a slow page */
    return r < 0 ? r : await_stream_write(stream, line, (size_t)n);
}

async_def(await_fetch, const char *, port, int, page, size_t *, ret_size)
{
    async_stream *stream = NULL;
    char buf[100];
    ssize_t n;
    int r;

    async_defer(async_stream_free, stream);
    r = await_open_connection("127.0.0.1", port, &stream);
    if (r < 0)
        return r;
    n = snprintf(buf, sizeof buf, "page %d\n", page);
    r = await_stream_write(stream, buf, (size_t)n);
    if (r < 0)
        return r;
    while ((n = await_stream_read(stream, buf, sizeof buf)) > 0)
        *ret_size += (size_t)n;
    return (int)n;
}

async_main(void)
{
    async_server *server;
    size_t size = 0;
    char port[8];
    double start;
    int r = await_start_server(serve_page, "127.0.0.1", "0", &server);

    if (r < 0)
        return r;
    snprintf(port, sizeof port, "%d", async_server_port(server));
    start = async_time();
    for (int i = 0; i < PAGES && r == 0; i++)
        r = await_fetch(port, i, &size); /* await fetch(...) */
    printf("%d pages, %zu bytes, %.1f s\n", PAGES, size, async_time() - start);
    return r;
}
