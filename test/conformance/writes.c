/* SPDX-License-Identifier: MIT */
/* Writing: water marks, peers that never read, cut-off drains, several writers, ends and resets. */
#include "fixture.h"

#define CHUNK 8192

static const char chunk[CHUNK];

/* Writes until the stream says that it is full: what the kernel and the stream took. */
ASYNC_SUSPENDS static size_t await_fill(async_stream *stream)
{
    size_t total = 0;

    for (;;) {
        async_timeout(0.02);
        ASYNC_CHECK_EQ(await_stream_write(stream, chunk, CHUNK), 0);
        total += CHUNK;
        if (async_cancelled())
            return total;
    }
}

ASYNC_SUSPENDS static size_t await_swallow(async_stream *stream, size_t total)
{
    static char buf[65536];
    size_t left = total;

    while (left > 0) {
        ssize_t n = await_stream_read(stream, buf, left < sizeof buf ? left : sizeof buf);
        ASYNC_CHECK(n > 0);
        left -= (size_t)n;
    }
    return total;
}

ASYNC_TEST(a_peer_that_never_reads_costs_a_bounded_buffer)
{
    struct pair pair;
    size_t total, high = 64 * 1024;

    await_open_pair(&pair);
    total = await_fill(pair.near);
    for (int i = 0; i < 50; i++) {
        async_timeout(0.001);
        ASYNC_CHECK_EQ(await_stream_write(pair.near, chunk, CHUNK), ASYNC_ETIMEOUT);
    }
    ASYNC_CHECK(async_stream_write_buffer_size(pair.near) > high);
    ASYNC_CHECK(async_stream_write_buffer_size(pair.near) <= 2 * high);
    ASYNC_CHECK_EQ(await_swallow(pair.far, total), total);
    ASYNC_CHECK_EQ(await_stream_write(pair.near, "end", 3), 0);
    ASYNC_CHECK_EQ(await_swallow(pair.far, 3), 3);
    close_pair(&pair);
}

async_def(write_one, async_stream *, stream, const void *, data, size_t, size)
{
    return await_stream_write(stream, data, size);
}

ASYNC_TEST(several_writers_wait_in_the_order_of_their_coming)
{
    struct pair pair;
    async_task *tasks[10];
    size_t total;
    char buf[sizeof tasks / sizeof *tasks];
    static const char digits[] = "0123456789";

    await_open_pair(&pair);
    total = await_fill(pair.near);
    for (size_t i = 0; i < sizeof buf; i++) {
        tasks[i] = async_create_task(write_one, pair.near, &digits[i], 1);
        ASYNC_CHECK_EQ(await_test_settle(), 0);
    }
    ASYNC_CHECK_EQ(await_swallow(pair.far, total), total);
    ASYNC_CHECK_EQ(await_gather_all(tasks, sizeof buf), 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.far, buf, sizeof buf), sizeof buf);
    ASYNC_CHECK(memcmp(buf, digits, sizeof buf) == 0);
    close_pair(&pair);
}

ASYNC_TEST(a_writer_that_gives_up_lets_the_next_one_pass)
{
    struct pair pair;
    async_task *first, *second;
    size_t total;
    int result = 1;
    char byte;

    await_open_pair(&pair);
    total = await_fill(pair.near);
    first = async_create_task(write_one, pair.near, "1", 1);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    second = async_create_task(write_one, pair.near, "2", 1);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    async_task_cancel(first);
    ASYNC_CHECK_EQ(await_task(first, &result), 0);
    ASYNC_CHECK_EQ(result, ASYNC_ECANCELED);
    ASYNC_CHECK_EQ(await_swallow(pair.far, total), total);
    ASYNC_CHECK_EQ(await_task(second, &result), 0);
    ASYNC_CHECK_EQ(result, 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.far, &byte, 1), 1);
    ASYNC_CHECK_EQ(byte, '2');
    close_pair(&pair);
}

ASYNC_TEST(queued_writes_are_drained)
{
    struct pair pair;
    size_t total = 0;
    async_task *drain;

    await_open_pair(&pair);
    while (async_stream_write_buffer_size(pair.near) < 200000) {
        ASYNC_CHECK_EQ(async_stream_write(pair.near, chunk, CHUNK), 0);
        total += CHUNK;
    }
    {
        async_timeout(0.01);
        ASYNC_CHECK_EQ(await_stream_drain(pair.near), ASYNC_ETIMEOUT);
    }
    drain = async_create_task(write_one, pair.near, "", 0);
    ASYNC_CHECK_EQ(await_swallow(pair.far, total), total);
    ASYNC_CHECK_EQ(await_task(drain, NULL), 0);
    ASYNC_CHECK_EQ(await_stream_drain(pair.near), 0);
    ASYNC_CHECK(async_stream_write_buffer_size(pair.near) <= 16 * 1024);
    close_pair(&pair);
}

ASYNC_TEST(water_marks_can_be_set)
{
    struct pair pair;

    await_open_pair(&pair);
    ASYNC_CHECK_EQ(async_stream_set_write_buffer_limits(pair.near, 1000, 2000), -EINVAL);
    ASYNC_CHECK_EQ(async_stream_set_write_buffer_limits(NULL, 2000, 1000), -EINVAL);
    ASYNC_CHECK_EQ(async_stream_set_write_buffer_limits(pair.near, 10000, 100), 0);
    (void)await_fill(pair.near);
    ASYNC_CHECK(async_stream_write_buffer_size(pair.near) > 10000);
    ASYNC_CHECK(async_stream_write_buffer_size(pair.near) <= 10000 + CHUNK);
    close_pair(&pair);
}

ASYNC_TEST(pieces_are_written_as_one)
{
    struct pair pair;
    struct iovec pieces[3] = { { (char *)"one ", 4 }, { NULL, 0 }, { (char *)"two", 3 } };
    struct iovec wrong = { NULL, 3 };
    char buf[8];

    await_open_pair(&pair);
    ASYNC_CHECK_EQ(await_stream_writelines(pair.near, pieces, 3), 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.far, buf, 7), 7);
    ASYNC_CHECK(memcmp(buf, "one two", 7) == 0);
    ASYNC_CHECK_EQ(await_stream_writelines(pair.near, pieces, 0), 0);
    ASYNC_CHECK_EQ(await_stream_writelines(pair.near, NULL, 1), -EINVAL);
    ASYNC_CHECK_EQ(await_stream_writelines(pair.near, &wrong, 1), -EINVAL);
    close_pair(&pair);
}

ASYNC_TEST(thousands_of_pieces_arrive_in_order)
{
    struct pair pair;
    static unsigned char bytes[5000], received[5000];
    static struct iovec pieces[5000];

    fill(bytes, sizeof bytes, 99);
    for (size_t i = 0; i < sizeof bytes; i++)
        pieces[i] = (struct iovec){ &bytes[i], 1 };
    await_open_pair(&pair);
    ASYNC_CHECK_EQ(await_stream_writelines(pair.near, pieces, sizeof bytes), 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.far, received, sizeof received), sizeof received);
    ASYNC_CHECK(memcmp(bytes, received, sizeof bytes) == 0);
    close_pair(&pair);
}

/* ---- ends ---- */

ASYNC_TEST(a_closed_stream_takes_no_more_and_sends_what_it_has)
{
    struct pair pair;
    size_t total = 0;

    await_open_pair(&pair);
    while (async_stream_write_buffer_size(pair.near) < 100000) {
        ASYNC_CHECK_EQ(async_stream_write(pair.near, chunk, CHUNK), 0);
        total += CHUNK;
    }
    ASYNC_CHECK_EQ(async_stream_close(pair.near), 0);
    ASYNC_CHECK_EQ(async_stream_is_closing(pair.near), 1);
    ASYNC_CHECK_EQ(async_stream_write(pair.near, "x", 1), ASYNC_ECLOSED);
    ASYNC_CHECK_EQ(await_stream_write(pair.near, "x", 1), ASYNC_ECLOSED);
    ASYNC_CHECK_EQ(async_stream_write_eof(pair.near), ASYNC_ECLOSED);
    {
        async_timeout(0.01);
        ASYNC_CHECK_EQ(await_stream_wait_closed(pair.near), ASYNC_ETIMEOUT);
    }
    ASYNC_CHECK_EQ(await_swallow(pair.far, total), total);
    ASYNC_CHECK_EQ(await_stream_wait_closed(pair.near), 0);
    ASYNC_CHECK_EQ(await_stream_read(pair.far, (char[8]){ 0 }, 8), 0);
    close_pair(&pair);
}

async_def(close_stream, async_stream *, stream)
{
    await_stream_close(stream);
    return 0;
}

ASYNC_TEST(closing_waits_until_all_is_sent)
{
    struct pair pair;
    size_t total = 0;
    async_task *task;

    await_open_pair(&pair);
    while (async_stream_write_buffer_size(pair.near) < 100000) {
        ASYNC_CHECK_EQ(async_stream_write(pair.near, chunk, CHUNK), 0);
        total += CHUNK;
    }
    task = async_create_task(close_stream, pair.near);
    pair.near = NULL;
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    ASYNC_CHECK_EQ(async_task_done(task), 0);
    ASYNC_CHECK_EQ(await_swallow(pair.far, total), total);
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    ASYNC_CHECK_EQ(await_stream_read(pair.far, (char[8]){ 0 }, 8), 0);
    close_pair(&pair);
}

ASYNC_TEST(a_cancelled_close_drops_what_is_queued)
{
    struct pair pair;
    async_task *task;
    int result = 1;

    await_open_pair(&pair);
    (void)await_fill(pair.near);
    task = async_create_task(close_stream, pair.near);
    pair.near = NULL;
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    async_task_cancel(task);
    ASYNC_CHECK_EQ(await_task(task, &result), 0);
    ASYNC_CHECK_EQ(result, 0);
    close_pair(&pair);
}

ASYNC_TEST(waiting_writers_are_woken_when_the_stream_ends)
{
    struct pair pair;
    async_task *waiting, *draining;
    int result = 1;

    await_open_pair(&pair);
    draining = async_create_task(write_one, pair.near, "", 0);
    ASYNC_CHECK_EQ(await_task(draining, &result), 0);
    while (async_stream_write_buffer_size(pair.near) < 70000)
        ASYNC_CHECK_EQ(async_stream_write(pair.near, chunk, CHUNK), 0);
    waiting = async_create_task(write_one, pair.near, "x", 1);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    async_stream_free(pair.near);
    pair.near = NULL;
    ASYNC_CHECK_EQ(await_task(waiting, &result), 0);
    ASYNC_CHECK_EQ(result, ASYNC_ECLOSED);
    close_pair(&pair);
}

ASYNC_TEST(a_peer_that_goes_away_wakes_the_writers)
{
    struct pair pair;
    async_task *waiting;
    int result = 1;

    await_open_pair(&pair);
    (void)await_fill(pair.near);
    waiting = async_create_task(write_one, pair.near, "x", 1);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    async_stream_free(pair.far); /* with unread bytes: a reset */
    pair.far = NULL;
    ASYNC_CHECK_EQ(await_task(waiting, &result), 0);
    ASYNC_CHECK(result == -ECONNRESET || result == -EPIPE);
    ASYNC_CHECK_EQ(await_stream_write(pair.near, "x", 1), result);
    ASYNC_CHECK_EQ(async_stream_write(pair.near, "x", 1), result);
    ASYNC_CHECK_EQ(await_stream_drain(pair.near), result);
    ASYNC_CHECK_EQ(async_stream_is_closing(pair.near), 1);
    close_pair(&pair);
}

ASYNC_TEST(a_peer_that_resets_is_an_error_and_not_a_signal)
{
    struct pair pair;
    int r = 0;

    await_open_pair(&pair);
    ASYNC_CHECK_EQ(await_stream_write(pair.near, "unread", 6), 0);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    async_stream_free(pair.far);
    pair.far = NULL;
    for (int i = 0; i < 10 && r == 0; i++) {
        r = await_stream_write(pair.near, "x", 1);
        ASYNC_CHECK_EQ(await_test_settle(), 0);
    }
    ASYNC_CHECK(r == -EPIPE || r == -ECONNRESET);
    close_pair(&pair);
}

async_def(count_turns, int *, turns)
{
    for (int i = 0; i < 3; i++) {
        int r = await_sleep(0);
        if (r < 0)
            return r;
        ++*turns;
    }
    return 0;
}

ASYNC_TEST(a_task_that_ignores_failures_lets_others_run)
{
    struct pair pair;
    async_task *task;
    int turns = 0, failures = 0;

    await_open_pair(&pair);
    async_stream_close(pair.near);
    task = async_create_task(count_turns, &turns);
    for (int i = 0; turns < 3 && i < 100000; i++)
        failures += await_stream_write(pair.near, "x", 1) < 0;
    ASYNC_CHECK_EQ(turns, 3);
    ASYNC_CHECK(failures > 0);
    ASYNC_CHECK_EQ(await_task(task, NULL), 0);
    close_pair(&pair);
}

ASYNC_TEST(null_is_answered)
{
    struct pair pair;

    await_open_pair(&pair);
    ASYNC_CHECK_EQ(await_stream_write(NULL, "x", 1), -EINVAL);
    ASYNC_CHECK_EQ(async_stream_write(NULL, "x", 1), -EINVAL);
    ASYNC_CHECK_EQ(await_stream_writelines(NULL, NULL, 0), -EINVAL);
    ASYNC_CHECK_EQ(await_stream_drain(NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_stream_write_eof(NULL), -EINVAL);
    ASYNC_CHECK_EQ(await_stream_wait_closed(NULL), -EINVAL);
    ASYNC_CHECK_EQ(await_stream_write(pair.near, NULL, 1), -EINVAL);
    ASYNC_CHECK_HAS(async_last_error(), "await_stream_write: the data is NULL");
    ASYNC_CHECK_EQ(await_stream_write(pair.near, NULL, 0), 0);
    ASYNC_CHECK_EQ(async_stream_write(pair.near, "x", SIZE_MAX), -EINVAL);
    ASYNC_CHECK_EQ(async_stream_write_buffer_size(NULL), 0);
    ASYNC_CHECK_EQ(async_stream_is_closing(NULL), 0);
    ASYNC_CHECK_EQ(async_stream_fileno(NULL), -EBADF);
    close_pair(&pair);
}
