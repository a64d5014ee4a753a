/* SPDX-License-Identifier: MIT */
/* Twenty pages from a local server, in sequence and then concurrently.
 *
 * Design notes: server, fetching and progress bar are tasks on one thread. The server takes as long for a page as
 * its number says, and sends it in pieces, so that the timeline shows waiting and receiving. */
#include "demo.h"
#include "timeline.h"

#include <await.h>
#include <stdio.h>
#include <string.h>

enum { PAGES = 20, PIECES = 6, PIECE_SIZE = 2000 };

struct fetching {
    const char *label;
    char port[8];
    double start;
    int done;
    struct timeline_bar bars[PAGES];
};

/* 50 to 200 ms, for each number another. */
static double page_delay(int number)
{
    return 0.05 + 0.01 * (number * 7 % 16);
}

async_def(serve_page, async_stream *, stream)
{
    char line[100], piece[PIECE_SIZE];
    ssize_t n = await_stream_readline(stream, line, sizeof line);
    int number, r;

    if (n <= 0)
        return (int)n;
    if (sscanf(line, "GET /%d", &number) != 1)
        return -EBADMSG;
    memset(piece, 'x', sizeof piece);
    r = await_sleep(page_delay(number));
    for (int i = 0; i < PIECES && r == 0; i++) {
        r = await_stream_write(stream, piece, sizeof piece);
        if (r == 0)
            r = await_sleep(0.008);
    }
    return r;
}

async_def(await_fetch, struct fetching *, f, int, number)
{
    struct timeline_bar *bar = &f->bars[number];
    async_stream *stream = NULL;
    char buf[4096];
    ssize_t n;
    size_t size = 0;
    int r;

    async_timeout(10.0);
    async_defer(async_stream_free, stream);
    bar->begin = async_time() - f->start;
    r = await_open_connection("127.0.0.1", f->port, &stream);
    if (r < 0)
        return r;
    n = snprintf(buf, sizeof buf, "GET /%d\r\n", number);
    r = await_stream_write(stream, buf, (size_t)n);
    if (r < 0)
        return r;
    while ((n = await_stream_read(stream, buf, sizeof buf)) > 0) {
        if (size == 0)
            bar->first_byte = async_time() - f->start;
        size += (size_t)n;
    }
    bar->end = async_time() - f->start;
    f->done++;
    return n < 0 ? (int)n : size == PIECES * PIECE_SIZE ? 0 : ASYNC_EEOF;
}

async_def(await_show_progress, const struct fetching *, f)
{
    int r = 0;

    while (r == 0) {
        terminal_bar(f->label, f->done, PAGES, async_time() - f->start, 0);
        r = await_sleep(0.03);
    }
    return 0; /* cancelled when the fetching is over */
}

async_def(await_fetch_in_sequence, struct fetching *, f)
{
    int r = 0;

    for (int i = 0; i < PAGES && r == 0; i++)
        r = await_fetch(f, i);
    return r;
}

async_def(await_fetch_concurrently, struct fetching *, f)
{
    async_task_group *group = async_task_group_new();

    await_defer(await_task_group_close, group);
    for (int i = 0; i < PAGES; i++)
        async_task_group_create_task(group, await_fetch, f, i);
    return await_task_group(group);
}

/* Fetches with a progress bar beside it; *ret_seconds is how long it took. */
async_def(await_measure, struct fetching *, f, async_task *, fetching, double *, ret_seconds)
{
    async_task *progress = async_create_task(await_show_progress, f);
    int result = 0, r;

    f->start = async_time();
    r = await_task(fetching, &result);
    *ret_seconds = async_time() - f->start;
    async_task_cancel(progress);
    if (r == 0)
        r = await_task(progress, NULL);
    else
        async_task_unref(progress);
    terminal_bar(f->label, f->done, PAGES, *ret_seconds, 1);
    return r < 0 ? r : result;
}

async_def(await_demo, const char *, svg_path)
{
    struct fetching one = { .label = "one after the other" }, all = { .label = "all at the same time" };
    struct timeline_panel panels[2] = { { .title = "One after the other", .bars = one.bars, .count = PAGES },
                                        { .title = "All at the same time", .bars = all.bars, .count = PAGES } };
    async_server *server;
    int r = await_start_server(serve_page, "127.0.0.1", "0", &server);

    if (r < 0)
        return r;
    snprintf(one.port, sizeof one.port, "%d", async_server_port(server));
    memcpy(all.port, one.port, sizeof all.port);
    r = await_measure(&one, async_create_task(await_fetch_in_sequence, &one), &panels[0].seconds);
    if (r < 0)
        return r;
    r = await_measure(&all, async_create_task(await_fetch_concurrently, &all), &panels[1].seconds);
    if (r < 0)
        return r;
    printf("\n  %.1f times faster, on the same one thread.\n", panels[0].seconds / panels[1].seconds);
    r = timeline_write(svg_path, panels, 2);
    if (r == 0)
        printf("  See it: %s\n", svg_path);
    return r;
}

int demo_pages(const char *svg_path)
{
    int r;

    terminal_heading("1. Twenty pages from a local server that takes 0.1 to 0.25 s for each");
    r = async_run(await_demo, svg_path);
    if (r < 0)
        fprintf(stderr, "  pages: %s\n", async_strerror(r));
    return r;
}
