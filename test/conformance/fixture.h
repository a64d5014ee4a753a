/* SPDX-License-Identifier: MIT */
/* What the scenarios share: a port of a server as text, a dialled stream, numbers from a seed, a handler that hands its
 * stream to the test. The scenarios use the public interface alone, so that they say the same about every backend. */
#ifndef CONFORMANCE_FIXTURE_H
#define CONFORMANCE_FIXTURE_H

#include <await/testing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST "127.0.0.1"
#define UNUSED __attribute__((unused))

static UNUSED const char *port_of(const async_server *server)
{
    static char text[16];

    snprintf(text, sizeof text, "%d", async_server_port(server));
    return text;
}

ASYNC_SUSPENDS static UNUSED async_stream *await_dial(const async_server *server)
{
    async_stream *stream = NULL;

    ASYNC_CHECK_EQ(await_open_connection(HOST, port_of(server), &stream), 0);
    return stream;
}

/* xorshift64*: the same numbers for the same seed everywhere. */
static UNUSED uint64_t draw(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static UNUSED void fill(unsigned char *data, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (unsigned char)draw(&seed);
}

/* ---- a pair: the test's end and the server's ---- */

struct pair {
    async_server *server;
    async_stream *near, *far; /* the client's, the server's */
};

async_def(hand_over, async_stream *, stream, struct pair *, pair)
{
    pair->far = async_stream_ref(stream);
    return 0;
}

ASYNC_SUSPENDS static UNUSED void await_open_pair(struct pair *pair)
{
    memset(pair, 0, sizeof *pair);
    ASYNC_CHECK_EQ(await_start_server(hand_over, HOST, "0", &pair->server, pair), 0);
    pair->near = await_dial(pair->server);
    while (!pair->far)
        ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    async_server_free(pair->server);
    pair->server = NULL;
}

static UNUSED void close_pair(struct pair *pair)
{
    async_stream_free(pair->near);
    async_stream_free(pair->far);
    pair->near = pair->far = NULL;
}

/* ---- an ordinary echo server ---- */

async_def(echo, async_stream *, stream)
{
    char buf[4096];
    ssize_t n;

    while ((n = await_stream_read(stream, buf, sizeof buf)) > 0) {
        int r = await_stream_write(stream, buf, (size_t)n);
        if (r < 0)
            return r;
    }
    return (int)n;
}

/* The same with lent memory. */
async_def(echo_lent, async_stream *, stream)
{
    const void *data;
    ssize_t n;

    while ((n = await_stream_peek(stream, &data)) > 0) {
        int r = await_stream_write(stream, data, (size_t)n);
        if (r < 0)
            return r;
        async_stream_consume(stream, (size_t)n);
    }
    return (int)n;
}

#endif
