/* SPDX-License-Identifier: MIT */
/* Variables that move, that are handed on; functions that return something. */
#include <await.h>
#include <stdio.h>
#include <stdlib.h>

char *take(size_t size);
char *take(size_t size)
{
    char *buf = NULL, *result;
    FILE *file = fopen("/dev/null", "r");
    async_defer(free, buf);
    async_defer(fclose, file);
    buf = malloc(size); async_defer(free, buf); async_defer(free, buf);
    buf = realloc(buf, 2 * size);
    result = buf;
    buf = NULL;
    return result;
}

int await_both(async_stream *stream) ASYNC_SUSPENDS;
int await_both(async_stream *stream)
{
    async_task_group *group = async_task_group_new();
    const char *text = "x";
    await_defer(await_task_group_close, group);
    async_defer(async_stream_free, stream);
    (void)text;
    return await_task_group(group);
}
