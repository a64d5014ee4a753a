/* SPDX-License-Identifier: MIT */
#include <await.h>
#include <stdio.h>

async_def(await_fetch, const char *, host, size_t *, ret_bytes)
{
    async_timeout(10.0);                               /* covers DNS, connect and every read below */
    async_stream *stream = NULL;
    async_defer(async_stream_free, stream);
    int r = await_open_connection(host, "80", &stream);
    if (r < 0)
        return r;                                      /* ASYNC_ETIMEOUT if the ten seconds ran out */
    r = await_stream_write(stream, "GET / HTTP/1.0\r\n\r\n", 18);
    if (r < 0)
        return r;
    char buf[4096];
    ssize_t n;
    while ((n = await_stream_read(stream, buf, sizeof buf)) > 0)
        *ret_bytes += (size_t)n;
    return (int)n;
}

async_def(await_fetch_both, size_t *, sizes)
{
    async_task_group *group = async_task_group_new();
    await_defer(await_task_group_close, group);        /* whatever happens, both have ended at the brace */

    async_task_group_add(group, async_create_task(await_fetch, "a.example", &sizes[0]));
    async_task_group_add(group, async_create_task(await_fetch, "b.example", &sizes[1]));
    return await_task_group(group);                    /* first failure cancels the rest */
}

async_main(void)
{
    size_t sizes[2] = { 0 };
    int r = await_fetch_both(sizes);

    if (r >= 0)
        printf("%zu + %zu bytes\n", sizes[0], sizes[1]);
    return r;
}
