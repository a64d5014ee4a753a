/* SPDX-License-Identifier: MIT */
/* One client and one server, ended in every possible place: cancelled at its k-th suspension for every k, and without
 * memory at its n-th allocation for every n. Each run must end with a code that says what happened, and leave
 * nothing behind; the harness counts tasks, descriptors and memory. */
#include "fixture.h"
#include <stdbool.h>

async_def(line_echo, async_stream *, stream)
{
    char line[128];
    ssize_t n;

    while ((n = await_stream_readline(stream, line, sizeof line)) > 0) {
        int r = await_stream_write(stream, line, (size_t)n);
        if (r < 0)
            return r;
    }
    return (int)n;
}

/* Everything that a client does: look up, connect, write, read in all ways, half-close, close. */
async_def(await_talk, const char *, port)
{
    char line[64], buf[64];
    const void *data;
    ssize_t n;
    async_stream *stream = NULL;
    await_defer(await_stream_close, stream);
    int r = await_open_connection("localhost", port, &stream);

    if (r < 0)
        return r;
    if ((r = await_stream_write(stream, "one\ntwo\nthree\nfour\n", 19)) < 0)
        return r;
    if ((n = await_stream_readline(stream, line, sizeof line)) < 0)
        return (int)n;
    if ((n = await_stream_readexactly(stream, buf, 6)) < 0)
        return (int)n;
    if ((n = await_stream_peek(stream, &data)) < 0)
        return (int)n;
    if ((r = await_sleep(0)) < 0)
        return r;
    if ((n = await_stream_readuntil(stream, "four\n", 5, line, sizeof line)) < 0)
        return (int)n;
    ASYNC_CHECK_STR(line, "ree\nfour\n");
    if ((r = async_stream_write_eof(stream)) < 0)
        return r;
    if ((n = await_stream_read(stream, buf, sizeof buf)) != 0)
        return n < 0 ? (int)n : -EBADMSG;
    return 0;
}

async_def(talk_in_turns, const char *, port, int *, ret_result)
{
    *ret_result = await_talk(port);
    return 0;
}

/* The same with its own server, which the cancellation hits as well. */
async_def(serve_and_talk, int, unused)
{
    async_server *server = NULL;
    async_defer(async_server_free, server);
    char port[16];
    int r = await_start_server(line_echo, HOST, "0", &server);

    (void)unused;
    if (r < 0)
        return r;
    snprintf(port, sizeof port, "%s", port_of(server));
    r = await_talk(port);
    if (r < 0)
        return r;
    async_server_close(server);
    return await_server_wait_closed(server);
}

/* Lets `turns` turns pass; true when the task has ended before. */
ASYNC_SUSPENDS static bool await_turns(async_task *task, int turns)
{
    for (int i = 0; i < turns && !async_task_done(task); i++)
        ASYNC_CHECK_EQ(await_sleep(0), 0);
    return async_task_done(task);
}

ASYNC_TEST(a_client_can_be_cancelled_at_each_of_its_suspensions)
{
    bool ended = false;

    for (int k = 0; !ended && k < 10000; k++) {
        async_task *task = async_create_task(serve_and_talk, 0);
        int result = 1;

        ended = await_turns(task, k);
        async_task_cancel(task);
        ASYNC_CHECK_EQ(await_task(task, &result), 0);
        if (result < 0 && result != ASYNC_ECANCELED)
            ASYNC_FAIL("cancelled in turn %d, it ended with %s: %s", k, async_error_name(result), async_last_error());
        ASYNC_CHECK_EQ(await_test_settle(), 0);
    }
    ASYNC_CHECK(ended);
}

ASYNC_TEST(a_server_survives_clients_that_are_cancelled_anywhere)
{
    async_server *server;
    bool ended = false;
    int result = 1;

    ASYNC_CHECK_EQ(await_start_server(line_echo, HOST, "0", &server), 0);
    for (int k = 0; !ended && k < 10000; k++) {
        async_task *task = async_create_task(talk_in_turns, port_of(server), &result);

        ended = await_turns(task, k);
        async_task_cancel(task);
        ASYNC_CHECK_EQ(await_task(task, NULL), 0);
        ASYNC_CHECK(result == 0 || result == ASYNC_ECANCELED);
    }
    ASYNC_CHECK(ended);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    ASYNC_CHECK_EQ(async_server_clients(server), 0);
    ASYNC_CHECK_EQ(async_test_reports(), 0);
    async_server_free(server);
}

/* ---- without memory ---- */

static bool is_plausible(int result)
{
    switch (result) {
    case 0:
    case -ENOMEM:
    case ASYNC_EDNS: /* the resolver's own */
    case ASYNC_EEOF: /* the other side had no memory, and went away */
    case -ECONNRESET:
    case -EPIPE:
        return true;
    default:
        return false;
    }
}

ASYNC_SUSPENDS static int await_without_memory(long n, int persistent)
{
    async_task *task;
    int result = 1;

    async_test_fail_allocation(n, persistent);
    task = async_task_ref(async_create_task(serve_and_talk, 0));
    if (await_task(task, &result) == -ENOMEM)
        result = -ENOMEM; /* there was no task */
    async_test_fail_allocation(0, 0);
    if (!is_plausible(result))
        ASYNC_FAIL("allocation %ld failed, and it ended with %s: %s", n, async_error_name(result),
                   async_task_error(task));
    if (task && result < 0 && !persistent)
        ASYNC_CHECK(strchr(async_task_error(task), ':') != NULL); /* a sentence, not only a code's */
    async_task_unref(task);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    (void)async_test_reports(); /* a handler that found no memory says so */
    return result;
}

ASYNC_SUSPENDS static void await_sweep(int persistent)
{
    long before, needed, failures = 0;

    ASYNC_CHECK_EQ(await_without_memory(0, 0), 0); /* what stays for the loop's life is made now */
    before = async_test_allocations();
    ASYNC_CHECK_EQ(await_without_memory(0, 0), 0);
    needed = async_test_allocations() - before;
    for (long n = 1; n <= needed; n++)
        failures += await_without_memory(n, persistent) < 0;
    ASYNC_CHECK(failures > 0);
    ASYNC_CHECK_EQ(await_without_memory(0, 0), 0); /* the loop is as good as new */
}

ASYNC_TEST(each_allocation_may_fail_once)
{
    await_sweep(0);
}

ASYNC_TEST(all_allocations_may_fail_from_each_on)
{
    await_sweep(1);
}
