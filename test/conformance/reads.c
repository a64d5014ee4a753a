/* SPDX-License-Identifier: MIT */
/* Reading: lines, exact sizes, separators, lent memory; limits, ends, resets, cancellation: nothing is ever lost. */
#include "fixture.h"

ASYNC_SUSPENDS static void await_send(async_stream *stream, const char *text)
{
    ASYNC_CHECK_EQ(await_stream_write(stream, text, strlen(text)), 0);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
}

/* The peer goes away without reading what it got: that resets the connection. */
ASYNC_SUSPENDS static void await_reset_by_far(struct pair *pair)
{
    ASYNC_CHECK_EQ(await_stream_write(pair->near, "unread", 6), 0);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    async_stream_free(pair->far);
    pair->far = NULL;
    ASYNC_CHECK_EQ(await_test_settle(), 0);
}

/* ---- lines and separators ---- */

ASYNC_TEST(lines_come_one_by_one_with_their_ends)
{
    struct pair pair;
    char line[16];

    await_open_pair(&pair);
    await_send(pair.near, "one\n\nthree\nhalf");
    ASYNC_CHECK_EQ(await_stream_readline(pair.far, line, sizeof line), 4);
    ASYNC_CHECK_STR(line, "one\n");
    ASYNC_CHECK_EQ(await_stream_readline(pair.far, line, sizeof line), 1);
    ASYNC_CHECK_STR(line, "\n");
    ASYNC_CHECK_EQ(await_stream_readline(pair.far, line, sizeof line), 6);
    async_stream_close(pair.near);
    ASYNC_CHECK_EQ(await_stream_readline(pair.far, line, sizeof line), ASYNC_EEOF);
    ASYNC_CHECK_HAS(async_last_error(), "await_stream_readline: ");
    ASYNC_CHECK_EQ(async_stream_buffered(pair.far), 4);
    ASYNC_CHECK_EQ(await_stream_read(pair.far, line, sizeof line), 4);
    ASYNC_CHECK(memcmp(line, "half", 4) == 0);
    ASYNC_CHECK_EQ(await_stream_readline(pair.far, line, sizeof line), 0);
    close_pair(&pair);
}

ASYNC_TEST(a_line_that_is_too_long_stays_in_the_stream)
{
    struct pair pair;
    char line[32];

    await_open_pair(&pair);
    await_send(pair.near, "0123456789\nnext\n");
    ASYNC_CHECK_EQ(await_stream_readline(pair.far, line, 11), ASYNC_ELIMIT);
    ASYNC_CHECK_HAS(async_last_error(), "within 10 bytes");
    ASYNC_CHECK_EQ(async_stream_buffered(pair.far), 16);
    ASYNC_CHECK_EQ(await_stream_readline(pair.far, line, 12), 11);
    ASYNC_CHECK_STR(line, "0123456789\n");
    ASYNC_CHECK_EQ(await_stream_readline(pair.far, line, 6), 5);
    ASYNC_CHECK_EQ(await_stream_readline(pair.far, line, 1), ASYNC_ELIMIT);
    ASYNC_CHECK_EQ(await_stream_readline(pair.far, line, 0), -EINVAL);
    close_pair(&pair);
}

ASYNC_TEST(an_endless_line_is_refused_before_it_fills_the_memory)
{
    struct pair pair;
    char chunk[1000], line[200];

    memset(chunk, 'x', sizeof chunk);
    await_open_pair(&pair);
    ASYNC_CHECK_EQ(await_stream_write(pair.near, chunk, sizeof chunk), 0);
    ASYNC_CHECK_EQ(await_stream_readline(pair.far, line, sizeof line), ASYNC_ELIMIT);
    close_pair(&pair);
}

ASYNC_TEST(a_separator_may_come_in_two_pieces)
{
    struct pair pair;
    char buf[32];

    await_open_pair(&pair);
    await_send(pair.near, "head\r\n\r");
    {
        async_timeout(0.01);
        ASYNC_CHECK_EQ(await_stream_readuntil(pair.far, "\r\n\r\n", 4, buf, sizeof buf), ASYNC_ETIMEOUT);
    }
    ASYNC_CHECK_EQ(async_stream_buffered(pair.far), 7);
    await_send(pair.near, "\nbody");
    ASYNC_CHECK_EQ(await_stream_readuntil(pair.far, "\r\n\r\n", 4, buf, sizeof buf), 8);
    ASYNC_CHECK_STR(buf, "head\r\n\r\n");
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.far, buf, 4), 4);
    ASYNC_CHECK_EQ(await_stream_readuntil(pair.far, "", 0, buf, sizeof buf), -EINVAL);
    ASYNC_CHECK_EQ(await_stream_readuntil(pair.far, NULL, 1, buf, sizeof buf), -EINVAL);
    close_pair(&pair);
}

/* ---- exact sizes ---- */

ASYNC_TEST(a_peer_that_ends_too_early_leaves_its_bytes_in_the_stream)
{
    struct pair pair;
    char buf[16];

    await_open_pair(&pair);
    await_send(pair.near, "12345");
    async_stream_close(pair.near);
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.far, buf, 10), ASYNC_EEOF);
    ASYNC_CHECK_HAS(async_last_error(), "after 5 of 10 bytes");
    ASYNC_CHECK_EQ(async_stream_buffered(pair.far), 5);
    ASYNC_CHECK_EQ(async_stream_at_eof(pair.far), 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.far, buf, 5), 5);
    ASYNC_CHECK_EQ(async_stream_at_eof(pair.far), 1);
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.far, buf, 0), 0);
    close_pair(&pair);
}

ASYNC_TEST(a_cancelled_exact_read_has_taken_nothing)
{
    struct pair pair;
    char buf[16];

    await_open_pair(&pair);
    await_send(pair.near, "1234");
    for (int i = 0; i < 3; i++) {
        async_timeout(0.01);
        ASYNC_CHECK_EQ(await_stream_readexactly(pair.far, buf, 8), ASYNC_ETIMEOUT);
        ASYNC_CHECK_EQ(async_stream_buffered(pair.far), 4);
    }
    await_send(pair.near, "5678");
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.far, buf, 8), 8);
    ASYNC_CHECK(memcmp(buf, "12345678", 8) == 0);
    close_pair(&pair);
}

ASYNC_TEST(a_timeout_says_which_operation_and_deadline)
{
    struct pair pair;
    char buf[16];

    await_open_pair(&pair);
    {
        async_timeout(0.01);
        ASYNC_CHECK_EQ(await_stream_read(pair.far, buf, sizeof buf), ASYNC_ETIMEOUT);
        ASYNC_CHECK_HAS(async_last_error(), "await_stream_read");
        ASYNC_CHECK_HAS(async_last_error(), "reads.c:");
    }
    close_pair(&pair);
}

/* ---- lent memory ---- */

ASYNC_TEST(what_is_not_consumed_stays_in_the_stream)
{
    struct pair pair;
    const void *data;
    char buf[16];

    await_open_pair(&pair);
    await_send(pair.near, "abcdef");
    ASYNC_CHECK_EQ(await_stream_peek(pair.far, &data), 6);
    ASYNC_CHECK(memcmp(data, "abcdef", 6) == 0);
    ASYNC_CHECK_EQ(async_stream_consume(pair.far, 2), 0);
    ASYNC_CHECK_EQ(async_stream_consume(pair.far, 5), -EINVAL);
    ASYNC_CHECK_EQ(await_stream_peek(pair.far, &data), 4);
    ASYNC_CHECK(memcmp(data, "cdef", 4) == 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.far, buf, 3), 3);
    ASYNC_CHECK_EQ(await_stream_read(pair.far, buf, sizeof buf), 1);
    ASYNC_CHECK_EQ(buf[0], 'f');
    async_stream_close(pair.near);
    ASYNC_CHECK_EQ(await_stream_peek(pair.far, &data), 0);
    close_pair(&pair);
}

ASYNC_TEST(two_streams_do_not_overwrite_what_they_lend)
{
    struct pair first, second;
    const void *data;
    char buf[16];

    await_open_pair(&first);
    await_open_pair(&second);
    await_send(first.near, "first one");
    await_send(second.near, "second");
    ASYNC_CHECK_EQ(await_stream_peek(first.far, &data), 9);
    ASYNC_CHECK_EQ(async_stream_consume(first.far, 6), 0);
    ASYNC_CHECK_EQ(await_stream_peek(second.far, &data), 6);
    ASYNC_CHECK(memcmp(data, "second", 6) == 0);
    ASYNC_CHECK_EQ(await_stream_peek(first.far, &data), 3);
    ASYNC_CHECK(memcmp(data, "one", 3) == 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(second.far, buf, 6), 6);
    ASYNC_CHECK(memcmp(buf, "second", 6) == 0);
    close_pair(&first);
    close_pair(&second);
}

ASYNC_TEST(lent_memory_may_be_written_when_the_budget_is_spent)
{
    struct pair pair, other;
    const void *data;
    char buf[8];

    await_open_pair(&pair);
    await_open_pair(&other);
    for (int i = 0; i < 300; i++) {
        await_send(pair.near, "message");
        ASYNC_CHECK_EQ(await_stream_peek(pair.far, &data), 7);
        ASYNC_CHECK_EQ(await_stream_write(other.near, data, 7), 0);
        ASYNC_CHECK_EQ(async_stream_consume(pair.far, 7), 0);
        ASYNC_CHECK_EQ(await_stream_readexactly(other.far, buf, 7), 7);
        ASYNC_CHECK(memcmp(buf, "message", 7) == 0);
    }
    close_pair(&pair);
    close_pair(&other);
}

/* ---- two readers, closed streams, resets ---- */

async_def(read_once, async_stream *, stream, ssize_t *, ret_n)
{
    char buf[64];

    *ret_n = await_stream_read(stream, buf, sizeof buf);
    return 0;
}

ASYNC_TEST(a_second_reader_is_refused)
{
    struct pair pair;
    ssize_t first = -1;
    async_task *task;
    char buf[8];

    await_open_pair(&pair);
    task = async_create_task(read_once, pair.far, &first);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    ASYNC_CHECK_EQ(await_stream_read(pair.far, buf, sizeof buf), -EBUSY);
    ASYNC_CHECK_EQ(await_stream_readline(pair.far, buf, sizeof buf), -EBUSY);
    ASYNC_CHECK_HAS(async_last_error(), "another task is reading");
    await_send(pair.near, "x");
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    ASYNC_CHECK_EQ(first, 1);
    close_pair(&pair);
}

ASYNC_TEST(a_reader_is_woken_when_its_stream_is_closed)
{
    struct pair pair;
    ssize_t n = 1;
    async_task *task;

    await_open_pair(&pair);
    task = async_create_task(read_once, pair.far, &n);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    async_stream_close(pair.far);
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    ASYNC_CHECK_EQ(n, ASYNC_ECLOSED);
    close_pair(&pair);
}

ASYNC_TEST(a_reader_is_woken_when_its_stream_is_freed)
{
    struct pair pair;
    ssize_t n = 1;
    async_task *task;

    await_open_pair(&pair);
    task = async_create_task(read_once, pair.far, &n);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    close_pair(&pair);
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    ASYNC_CHECK_EQ(n, ASYNC_ECLOSED);
}

async_def(free_in_a_moment, async_stream *, stream)
{
    async_stream_free(stream);
    return 0;
}

ASYNC_TEST(a_reader_that_was_woken_survives_the_end_of_its_stream)
{
    struct pair pair;
    ssize_t n = 1;
    async_task *reader, *killer;

    await_open_pair(&pair);
    reader = async_create_task(read_once, pair.far, &n);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    /* The byte wakes the reader in the turn in which the stream is freed, whichever comes first. */
    ASYNC_CHECK_EQ(async_stream_write(pair.near, "x", 1), 0);
    killer = async_create_task(free_in_a_moment, pair.far);
    pair.far = NULL;
    ASYNC_CHECK_EQ(await_gather(reader, killer), 0);
    ASYNC_CHECK(n == 1 || n == ASYNC_ECLOSED);
    close_pair(&pair);
}

ASYNC_TEST(a_closed_stream_is_not_read)
{
    struct pair pair;
    const void *data;
    char buf[8];

    await_open_pair(&pair);
    await_send(pair.near, "unread");
    ASYNC_CHECK_EQ(await_stream_peek(pair.far, &data), 6);
    ASYNC_CHECK_EQ(async_stream_close(pair.far), 0);
    ASYNC_CHECK_EQ(async_stream_close(pair.far), 0);
    ASYNC_CHECK_EQ(async_stream_buffered(pair.far), 0);
    ASYNC_CHECK_EQ(await_stream_read(pair.far, buf, sizeof buf), ASYNC_ECLOSED);
    ASYNC_CHECK_EQ(await_stream_wait_closed(pair.far), 0);
    ASYNC_CHECK_EQ(await_stream_wait_closed(pair.far), 0);
    ASYNC_CHECK_EQ(await_stream_wait_closed(pair.near), ASYNC_ESTATE);
    ASYNC_CHECK_EQ(async_stream_fileno(pair.far), -EBADF);
    close_pair(&pair);
}

ASYNC_TEST(a_reset_fails_the_read_with_the_peers_name)
{
    struct pair pair;
    char buf[8], peer[64];

    await_open_pair(&pair);
    snprintf(peer, sizeof peer, "await_stream_read: %s: ", async_stream_peername(pair.near));
    await_reset_by_far(&pair);
    ASYNC_CHECK_EQ(await_stream_read(pair.near, buf, sizeof buf), -ECONNRESET);
    ASYNC_CHECK_HAS(async_last_error(), peer);
    ASYNC_CHECK(await_stream_read(pair.near, buf, sizeof buf) < 0);
    ASYNC_CHECK(await_stream_write(pair.near, "x", 1) < 0);
    ASYNC_CHECK_EQ(async_stream_is_closing(pair.near), 1);
    close_pair(&pair);
}

ASYNC_TEST(a_reset_wakes_a_reader_in_the_middle_of_a_line)
{
    struct pair pair;
    ssize_t n = 1;
    async_task *task;
    char buf[8];

    await_open_pair(&pair);
    await_send(pair.far, "half a li");
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.near, buf, 4), 4);
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.near, buf, 5), 5);
    task = async_create_task(read_once, pair.near, &n);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    await_reset_by_far(&pair);
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    ASYNC_CHECK_EQ(n, -ECONNRESET);
    close_pair(&pair);
}

/* ---- mistakes ---- */

ASYNC_TEST(null_and_zero_are_answered)
{
    struct pair pair;
    const void *data;
    char buf[8];

    await_open_pair(&pair);
    ASYNC_CHECK_EQ(await_stream_read(NULL, buf, sizeof buf), -EINVAL);
    ASYNC_CHECK_EQ(await_stream_readexactly(NULL, buf, 1), -EINVAL);
    ASYNC_CHECK_EQ(await_stream_readline(NULL, buf, 8), -EINVAL);
    ASYNC_CHECK_EQ(await_stream_readuntil(NULL, "x", 1, buf, 8), -EINVAL);
    ASYNC_CHECK_EQ(await_stream_peek(NULL, &data), -EINVAL);
    ASYNC_CHECK_HAS(async_last_error(), "await_stream_peek: stream is NULL");
    ASYNC_CHECK_EQ(await_stream_read(pair.far, NULL, 1), -EINVAL);
    ASYNC_CHECK_EQ(await_stream_read(pair.far, buf, 0), 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.far, NULL, 1), -EINVAL);
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.far, buf, SIZE_MAX), -EINVAL);
    ASYNC_CHECK_EQ(await_stream_readline(pair.far, NULL, 8), -EINVAL);
    ASYNC_CHECK_EQ(await_stream_peek(pair.far, NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_stream_consume(NULL, 0), -EINVAL);
    ASYNC_CHECK_EQ(async_stream_consume(pair.far, 1), -EINVAL);
    ASYNC_CHECK_EQ(async_stream_buffered(NULL), 0);
    ASYNC_CHECK_EQ(async_stream_at_eof(NULL), 0);
    ASYNC_CHECK_EQ(async_stream_close(NULL), -EINVAL);
    ASYNC_CHECK_STR(async_stream_peername(NULL), "");
    ASYNC_CHECK_STR(async_stream_sockname(NULL), "");
    ASYNC_CHECK(async_stream_ref(NULL) == NULL);
    async_stream_free(NULL);
    await_stream_close(NULL);
    close_pair(&pair);
}
