/* SPDX-License-Identifier: MIT */
/* Bytes come back as they were sent: any sizes, any pieces, many connections at once. */
#include "fixture.h"

#define LARGEST (1024 * 1024)

async_def(send_all, async_stream *, stream, const unsigned char *, data, size_t, size, uint64_t, seed)
{
    size_t sent = 0;

    while (sent < size) {
        size_t piece = 1 + draw(&seed) % 70000;
        int r;

        if (piece > size - sent)
            piece = size - sent;
        r = await_stream_write(stream, data + sent, piece);
        if (r < 0)
            return r;
        sent += piece;
    }
    return 0;
}

ASYNC_SUSPENDS static void await_check_echo(async_stream *stream, size_t size, uint64_t seed)
{
    unsigned char *sent = malloc(size + 1), *received = malloc(size + 1);
    async_task *sender;
    int result = -1;

    fill(sent, size, seed);
    sender = async_create_task(send_all, stream, sent, size, seed);
    ASYNC_CHECK_EQ(await_stream_readexactly(stream, received, size), size);
    ASYNC_CHECK_EQ(await_task(sender, &result), 0);
    ASYNC_CHECK_EQ(result, 0);
    ASYNC_CHECK(memcmp(sent, received, size) == 0);
    free(sent);
    free(received);
}

ASYNC_SUSPENDS static void await_echo_random_sizes(async_server *server, uint64_t seed)
{
    async_stream *stream = await_dial(server);

    for (int i = 0; i < 12; i++)
        await_check_echo(stream, draw(&seed) % (i % 4 == 0 ? LARGEST : 5000), seed | 1);
    await_check_echo(stream, LARGEST, 3);
    await_stream_close(stream);
}

ASYNC_TEST(random_sizes_come_back_as_they_were_sent)
{
    async_server *server;

    ASYNC_CHECK_EQ(await_start_server(echo, HOST, "0", &server), 0);
    await_echo_random_sizes(server, 20260101);
    async_server_free(server);
}

ASYNC_TEST(random_sizes_come_back_from_lent_memory)
{
    async_server *server;

    ASYNC_CHECK_EQ(await_start_server(echo_lent, HOST, "0", &server), 0);
    await_echo_random_sizes(server, 77);
    async_server_free(server);
}

/* ---- many ---- */

async_def(one_client, const char *, port, int, rounds, int, number)
{
    unsigned char sent[700], received[700];
    size_t size = 1 + (size_t)(number * 37) % sizeof sent;
    async_stream *stream = NULL;
    async_defer(async_stream_free, stream);
    int r = await_open_connection(HOST, port, &stream);

    if (r < 0)
        return r;
    for (int i = 0; i < rounds; i++) {
        ssize_t n;

        fill(sent, size, (uint64_t)number * 1000 + (uint64_t)i + 1);
        if ((r = await_stream_write(stream, sent, size)) < 0)
            return r;
        if ((n = await_stream_readexactly(stream, received, size)) < 0)
            return (int)n;
        if (memcmp(sent, received, size) != 0)
            return -EBADMSG;
    }
    return 0;
}

ASYNC_SUSPENDS static void await_many(async_server *server, int clients, int rounds)
{
    async_task_group *group = async_task_group_new();
    const char *port = port_of(server);

    for (int i = 0; i < clients; i++)
        async_task_group_create_task(group, one_client, port, rounds, i);
    ASYNC_CHECK_EQ(await_task_group(group), 0);
    await_task_group_close(group);
    ASYNC_CHECK_EQ(async_server_accepted(server), clients);
}

ASYNC_TEST(a_thousand_connections_are_served_at_once)
{
    async_server *server;
    async_server_options options = { .size = sizeof options, .host = HOST, .port = "0", .backlog = 1024 };

    ASYNC_CHECK_EQ(await_start_server_with(&options, echo, &server), 0);
    await_many(server, 1000, 3);
    async_server_close(server);
    ASYNC_CHECK_EQ(await_server_wait_closed(server), 0);
    ASYNC_CHECK_EQ(async_server_clients(server), 0);
    async_server_free(server);
}

ASYNC_TEST(a_hundred_connections_share_the_lent_buffer)
{
    async_server *server;

    ASYNC_CHECK_EQ(await_start_server(echo_lent, HOST, "0", &server), 0);
    await_many(server, 100, 20);
    async_server_free(server);
}

/* ---- pieces ---- */

ASYNC_TEST(a_peer_that_dribbles_single_bytes_is_understood)
{
    static const char text[] = "dribble\nsecond line\n";
    struct pair pair;
    char line[32];

    await_open_pair(&pair);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        ASYNC_CHECK_EQ(await_stream_write(pair.near, &text[i], 1), 0);
        ASYNC_CHECK_EQ(await_test_settle(), 0);
    }
    ASYNC_CHECK_EQ(await_stream_readline(pair.far, line, sizeof line), 8);
    ASYNC_CHECK_STR(line, "dribble\n");
    ASYNC_CHECK_EQ(await_stream_readline(pair.far, line, sizeof line), 12);
    ASYNC_CHECK_STR(line, "second line\n");
    close_pair(&pair);
}

async_def(dribble, async_stream *, stream, const char *, text)
{
    int r = 0;

    for (; *text && r >= 0; text++) {
        r = await_stream_write(stream, text, 1);
        if (r >= 0)
            r = await_test_settle();
    }
    return r;
}

ASYNC_TEST(a_waiting_reader_collects_dribbled_bytes)
{
    struct pair pair;
    async_task *task;
    char buf[32];

    await_open_pair(&pair);
    task = async_create_task(dribble, pair.near, "0123456789line\r\nrest");
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.far, buf, 10), 10);
    ASYNC_CHECK(memcmp(buf, "0123456789", 10) == 0);
    ASYNC_CHECK_EQ(await_stream_readuntil(pair.far, "\r\n", 2, buf, sizeof buf), 6);
    ASYNC_CHECK_STR(buf, "line\r\n");
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.far, buf, 4), 4);
    close_pair(&pair);
}

ASYNC_TEST(data_and_the_end_at_once_are_both_seen)
{
    struct pair pair;
    char buf[64];

    await_open_pair(&pair);
    ASYNC_CHECK_EQ(async_stream_write(pair.near, "last words", 10), 0);
    ASYNC_CHECK_EQ(async_stream_close(pair.near), 0);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    ASYNC_CHECK_EQ(await_stream_read(pair.far, buf, sizeof buf), 10);
    ASYNC_CHECK_EQ(async_stream_at_eof(pair.far), 0);
    ASYNC_CHECK_EQ(await_stream_read(pair.far, buf, sizeof buf), 0);
    ASYNC_CHECK_EQ(await_stream_read(pair.far, buf, sizeof buf), 0);
    ASYNC_CHECK_EQ(async_stream_at_eof(pair.far), 1);
    close_pair(&pair);
}

ASYNC_TEST(after_a_half_close_the_other_direction_goes_on)
{
    struct pair pair;
    char buf[64];

    await_open_pair(&pair);
    ASYNC_CHECK_EQ(await_stream_write(pair.near, "question", 8), 0);
    ASYNC_CHECK_EQ(async_stream_write_eof(pair.near), 0);
    ASYNC_CHECK_EQ(async_stream_write_eof(pair.near), 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.far, buf, 8), 8);
    ASYNC_CHECK_EQ(await_stream_read(pair.far, buf, sizeof buf), 0);
    ASYNC_CHECK_EQ(await_stream_write(pair.far, "answer", 6), 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.near, buf, 6), 6);
    ASYNC_CHECK(memcmp(buf, "answer", 6) == 0);
    ASYNC_CHECK_EQ(await_stream_write(pair.near, "more", 4), -EPIPE);
    ASYNC_CHECK_HAS(async_last_error(), "await_stream_write: 127.0.0.1:");
    close_pair(&pair);
}

ASYNC_TEST(the_end_comes_while_a_reader_waits)
{
    struct pair pair;
    async_task *task;
    char buf[64];

    await_open_pair(&pair);
    task = async_create_task(dribble, pair.near, "abc");
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.far, buf, 3), 3);
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    async_stream_close(pair.near);
    ASYNC_CHECK_EQ(await_stream_read(pair.far, buf, sizeof buf), 0);
    close_pair(&pair);
}
