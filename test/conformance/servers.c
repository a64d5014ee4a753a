/* SPDX-License-Identifier: MIT */
/* Servers: ports and addresses, limits, the end of handlers, draining, ownership of streams. */
#include "fixture.h"
#include <await/scope.h>

/* ---- listening ---- */

ASYNC_TEST(port_zero_is_one_port_for_all_addresses)
{
    static const char *const hosts[] = { "127.0.0.1", "::1", "127.0.0.1", NULL };
    async_server_options options = { .size = sizeof options, .hosts = hosts, .port = "0" };
    async_server *server;
    async_stream *stream = NULL;
    int fds[4];
    size_t count;
    int r = await_start_server_with(&options, echo, &server);

    ASYNC_CHECK_EQ(r, 0);
    count = async_server_sockets(server, fds, 4);
    ASYNC_CHECK(count == 2 || count == 1); /* a machine may have no IPv6 */
    ASYNC_CHECK(async_server_port(server) > 0);
    if (count == 2) {
        ASYNC_CHECK_EQ(await_open_connection("::1", port_of(server), &stream), 0);
        ASYNC_CHECK_HAS(async_stream_peername(stream), "[::1]:");
        async_stream_free(stream);
    }
    ASYNC_CHECK_EQ(await_open_connection("127.0.0.1", port_of(server), &stream), 0);
    async_stream_free(stream);
    async_server_free(server);
}

ASYNC_TEST(all_interfaces_are_the_default)
{
    async_server *server;
    async_stream *stream;

    ASYNC_CHECK_EQ(await_start_server(echo, NULL, "0", &server), 0);
    stream = await_dial(server);
    async_stream_free(stream);
    async_server_free(server);
}

ASYNC_TEST(a_port_in_use_is_refused_with_its_address)
{
    async_server *server, *second = NULL;
    char text[64];

    ASYNC_CHECK_EQ(await_start_server(echo, HOST, "0", &server), 0);
    snprintf(text, sizeof text, "await_start_server: 127.0.0.1:%s: ", port_of(server));
    ASYNC_CHECK_EQ(await_start_server(echo, HOST, port_of(server), &second), -EADDRINUSE);
    ASYNC_CHECK_HAS(async_last_error(), text);
    ASYNC_CHECK(second == NULL);
    async_server_free(server);
}

ASYNC_TEST(two_servers_may_share_a_port_when_both_say_so)
{
    async_server_options options = { .size = sizeof options, .host = HOST, .reuse_port = 1 };
    async_server *first, *second;

    ASYNC_CHECK_EQ(await_start_server_with(&options, echo, &first), 0);
    options.port = port_of(first);
    ASYNC_CHECK_EQ(await_start_server_with(&options, echo, &second), 0);
    async_server_free(first);
    async_server_free(second);
}

ASYNC_TEST(mistakes_in_options_are_answered)
{
    async_server_options options = { .size = sizeof options, .host = HOST, .port = "0" };
    async_server *server = NULL;

    ASYNC_CHECK_EQ(await_start_server(echo, HOST, "70000", &server), -EINVAL);
    ASYNC_CHECK_EQ(await_start_server(echo, HOST, "no-such-service", &server), ASYNC_ENONAME);
    ASYNC_CHECK_HAS(async_last_error(), "await_start_server: 127.0.0.1:no-such-service: ");
    ASYNC_CHECK_EQ(await_start_server_with(NULL, echo, &server), -EINVAL);
    options.size = 1;
    ASYNC_CHECK_EQ(await_start_server_with(&options, echo, &server), -EINVAL);
    options.size = sizeof options;
    options.grace = __builtin_nan("");
    ASYNC_CHECK_EQ(await_start_server_with(&options, echo, &server), -EINVAL);
    options.grace = 0;
    options.fd_count = 1;
    ASYNC_CHECK_EQ(await_start_server_with(&options, echo, &server), -EINVAL);
    options.fds = (int[]){ 987 };
    ASYNC_CHECK(await_start_server_with(&options, echo, &server) < 0);
    options = (async_server_options){ .size = sizeof options, .hosts = (const char *const[]){ NULL } };
    ASYNC_CHECK_EQ(await_start_server_with(&options, echo, &server), -EINVAL);
    ASYNC_CHECK(server == NULL);
    ASYNC_CHECK_EQ(await_server_serve_forever(NULL), -EINVAL);
    ASYNC_CHECK_EQ(await_server_wait_closed(NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_server_is_serving(NULL), 0);
    ASYNC_CHECK_EQ(async_server_port(NULL), 0);
    ASYNC_CHECK_EQ(async_server_sockets(NULL, NULL, 0), 0);
    ASYNC_CHECK_EQ(async_server_clients(NULL), 0);
    ASYNC_CHECK_EQ(async_server_accepted(NULL), 0);
    async_server_close(NULL);
    async_server_close_clients(NULL);
    async_server_free(NULL);
}

ASYNC_TEST(a_closed_server_accepts_no_more)
{
    async_server *server;
    async_stream *stream = NULL;
    char port[16];

    ASYNC_CHECK_EQ(await_start_server(echo, HOST, "0", &server), 0);
    ASYNC_CHECK_EQ(async_server_is_serving(server), 1);
    ASYNC_CHECK_EQ(await_server_wait_closed(server), ASYNC_ESTATE);
    snprintf(port, sizeof port, "%s", port_of(server));
    async_server_close(server);
    async_server_close(server);
    ASYNC_CHECK_EQ(async_server_is_serving(server), 0);
    ASYNC_CHECK_EQ(async_server_port(server), 0);
    ASYNC_CHECK_EQ(await_open_connection(HOST, port, &stream), -ECONNREFUSED);
    ASYNC_CHECK_EQ(await_server_wait_closed(server), 0);
    ASYNC_CHECK_EQ(await_server_serve_forever(server), ASYNC_ECLOSED);
    async_server_free(server);
}

ASYNC_TEST(a_server_that_nobody_frees_goes_with_its_loop)
{
    async_server *server;
    async_stream *stream;

    ASYNC_CHECK_EQ(await_start_server(echo, HOST, "0", &server), 0);
    stream = await_dial(server);
    ASYNC_CHECK_EQ(await_stream_write(stream, "x", 1), 0);
    ASYNC_CHECK_EQ(await_stream_read(stream, (char[2]){ 0 }, 1), 1);
    async_stream_free(stream);
}

/* ---- handlers ---- */

struct counters {
    int running, most, ended;
};

async_def(count_up, async_stream *, stream, struct counters *, counters)
{
    char byte;

    counters->running++;
    if (counters->running > counters->most)
        counters->most = counters->running;
    if (await_stream_read(stream, &byte, 1) == 1 && await_stream_write(stream, &byte, 1) < 0)
        counters->most = -1;
    counters->running--;
    counters->ended++;
    return 0;
}

async_def(exchange_a_byte, const char *, port)
{
    async_stream *stream = NULL;
    async_defer(async_stream_free, stream);
    char byte;
    int r = await_open_connection(HOST, port, &stream);

    if (r >= 0)
        r = await_stream_write(stream, "b", 1);
    if (r >= 0)
        r = (int)await_stream_readexactly(stream, &byte, 1);
    return r < 0 ? r : 0;
}

ASYNC_TEST(no_more_handlers_than_the_limit_run_at_a_time)
{
    struct counters counters = { 0, 0, 0 };
    async_server_options options = { .size = sizeof options, .host = HOST, .limit = 3 };
    async_server *server;
    async_task *tasks[20];

    ASYNC_CHECK_EQ(await_start_server_with(&options, count_up, &server, &counters), 0);
    for (int i = 0; i < 20; i++)
        tasks[i] = async_create_task(exchange_a_byte, port_of(server));
    ASYNC_CHECK_EQ(await_gather_all(tasks, 20), 0);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    ASYNC_CHECK_EQ(counters.ended, 20);
    ASYNC_CHECK(counters.most >= 1 && counters.most <= 3);
    async_server_free(server);
}

async_def(fail_at_once, async_stream *, stream, int, code)
{
    (void)stream;
    return code;
}

/* Connects and waits until the server has ended the connection. */
ASYNC_SUSPENDS static void await_visit(const async_server *server)
{
    async_stream *stream = await_dial(server);
    char byte;

    (void)!await_stream_read(stream, &byte, 1);
    async_stream_free(stream);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
}

ASYNC_TEST(a_failed_handler_is_reported_with_its_name)
{
    async_server *server;

    ASYNC_CHECK_EQ(await_start_server(fail_at_once, HOST, "0", &server, -EBADMSG), 0);
    await_visit(server);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "fail_at_once");
    ASYNC_CHECK_HAS(async_test_report(0), "-EBADMSG");
    ASYNC_CHECK_HAS(async_test_report(0), "servers.c:");
    ASYNC_CHECK_EQ(async_server_clients(server), 0);
    ASYNC_CHECK_EQ(async_server_accepted(server), 1);
    async_server_free(server);
}

ASYNC_TEST(many_failures_are_reported_ten_times_a_minute)
{
    async_server *server;

    ASYNC_CHECK_EQ(await_start_server(fail_at_once, HOST, "0", &server, -EBADMSG), 0);
    for (int i = 0; i < 15; i++)
        await_visit(server);
    ASYNC_CHECK_EQ(async_test_reports(), 10);
    if (strcmp(async_loop_backend(async_get_running_loop()), "sim") == 0) {
        ASYNC_CHECK_EQ(await_sleep(61), 0);
        await_visit(server);
        ASYNC_CHECK_EQ(async_test_reports(), 11);
        ASYNC_CHECK_HAS(async_test_report(10), "5 more");
    }
    async_server_free(server);
}

ASYNC_TEST(handlers_whose_peers_go_away_are_counted_only)
{
    static const int codes[] = { -ECONNRESET, -EPIPE, ASYNC_EEOF, ASYNC_ECANCELED };

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        async_loop_statistics before = { .size = sizeof before }, after = before;
        async_server *server;

        async_loop_get_statistics(async_get_running_loop(), &before);
        ASYNC_CHECK_EQ(await_start_server(fail_at_once, HOST, "0", &server, codes[i]), 0);
        await_visit(server);
        async_loop_get_statistics(async_get_running_loop(), &after);
        ASYNC_CHECK_EQ(after.handlers_lost - before.handlers_lost, 1);
        async_server_free(server);
    }
    ASYNC_CHECK_EQ(async_test_reports(), 0);
}

async_def(say_much, async_stream *, stream, size_t, size)
{
    static const char zeros[4096];

    for (size_t sent = 0; sent < size; sent += sizeof zeros) {
        int r = async_stream_write(stream, zeros, sizeof zeros);
        if (r < 0)
            return r;
    }
    return 0;
}

ASYNC_TEST(what_a_handler_has_queued_is_sent_after_its_end)
{
    static char buf[65536];
    size_t size = 4096 * 100, received = 0;
    async_server *server;
    async_stream *stream;
    ssize_t n;

    ASYNC_CHECK_EQ(await_start_server(say_much, HOST, "0", &server, size), 0);
    stream = await_dial(server);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    ASYNC_CHECK_EQ(async_server_clients(server), 0);
    while ((n = await_stream_read(stream, buf, sizeof buf)) > 0)
        received += (size_t)n;
    ASYNC_CHECK_EQ(n, 0);
    ASYNC_CHECK_EQ(received, size);
    async_stream_free(stream);
    async_server_free(server);
}

/* ---- who owns the stream ---- */

enum farewell { FREE, CLOSE, AWAIT_CLOSE, REF_AND_FREE };

async_def(say_farewell, async_stream *, stream, enum farewell, farewell)
{
    int r = await_stream_write(stream, "bye", 3);

    switch (farewell) {
    case FREE:
        async_stream_free(stream);
        break;
    case CLOSE:
        async_stream_close(stream);
        break;
    case AWAIT_CLOSE:
        await_stream_close(stream);
        break;
    case REF_AND_FREE:
        async_stream_free(async_stream_ref(stream));
        break;
    }
    if (r >= 0)
        r = await_sleep(0);
    return r;
}

ASYNC_TEST(a_handler_may_free_close_or_leave_its_stream)
{
    for (enum farewell farewell = FREE; farewell <= REF_AND_FREE; farewell++) {
        async_server *server;
        async_stream *stream;
        char buf[8];

        ASYNC_CHECK_EQ(await_start_server(say_farewell, HOST, "0", &server, farewell), 0);
        stream = await_dial(server);
        ASYNC_CHECK_EQ(await_stream_readexactly(stream, buf, 3), 3);
        ASYNC_CHECK_EQ(await_stream_read(stream, buf, sizeof buf), 0);
        async_stream_free(stream);
        ASYNC_CHECK_EQ(await_test_settle(), 0);
        ASYNC_CHECK_EQ(async_server_clients(server), 0);
        async_server_close(server);
        ASYNC_CHECK_EQ(await_server_wait_closed(server), 0);
        async_server_free(server);
    }
}

ASYNC_TEST(a_stream_that_was_taken_over_outlives_its_handler_and_server)
{
    struct pair pair;
    char buf[8];

    await_open_pair(&pair); /* the handler has returned, the server is freed */
    ASYNC_CHECK_EQ(await_stream_write(pair.far, "still", 5), 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(pair.near, buf, 5), 5);
    close_pair(&pair);
}

/* ---- the end ---- */

async_def(serve, async_server *, server)
{
    return await_server_serve_forever(server);
}

async_def(slow_echo, async_stream *, stream, double, seconds)
{
    char byte;
    ssize_t n = await_stream_read(stream, &byte, 1);
    int r;

    if (n <= 0)
        return (int)n;
    r = await_sleep(seconds);
    if (r >= 0)
        r = await_stream_write(stream, &byte, 1);
    return r;
}

ASYNC_TEST(a_cancelled_server_lets_handlers_finish)
{
    async_server *server;
    async_stream *stream;
    async_task *task;
    int result = 1;
    char byte;

    ASYNC_CHECK_EQ(await_start_server(slow_echo, HOST, "0", &server, 0.02), 0);
    task = async_create_task(serve, server);
    stream = await_dial(server);
    ASYNC_CHECK_EQ(await_stream_write(stream, "x", 1), 0);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    async_task_cancel(task);
    ASYNC_CHECK_EQ(await_stream_readexactly(stream, &byte, 1), 1);
    ASYNC_CHECK_EQ(await_task(task, &result), 0);
    ASYNC_CHECK_EQ(result, 0);
    ASYNC_CHECK_EQ(async_server_is_serving(server), 0);
    ASYNC_CHECK_EQ(async_server_clients(server), 0);
    async_stream_free(stream);
    async_server_free(server);
}

ASYNC_TEST(handlers_that_do_not_finish_are_cancelled_after_the_grace)
{
    async_server_options options = { .size = sizeof options, .host = HOST, .grace = 0.05 };
    async_server *server;
    async_stream *stream;
    async_task *task;
    double begin;
    int result = 1;
    char byte;

    ASYNC_CHECK_EQ(await_start_server_with(&options, echo, &server), 0);
    task = async_create_task(serve, server);
    stream = await_dial(server);
    ASYNC_CHECK_EQ(await_stream_write(stream, "x", 1), 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(stream, &byte, 1), 1);
    begin = async_time();
    async_task_cancel(task);
    ASYNC_CHECK_EQ(await_task(task, &result), 0);
    ASYNC_CHECK_EQ(result, 0);
    ASYNC_CHECK(async_time() - begin > 0.0499);
    ASYNC_CHECK(async_time() - begin < 5);
    ASYNC_CHECK_EQ(await_stream_read(stream, &byte, 1), 0);
    async_stream_free(stream);
    async_server_free(server);
}

ASYNC_TEST(without_a_grace_handlers_are_cancelled_at_once)
{
    async_server_options options = { .size = sizeof options, .host = HOST, .grace = -1 };
    async_server *server;
    async_stream *stream;
    char byte;

    ASYNC_CHECK_EQ(await_start_server_with(&options, echo, &server), 0);
    stream = await_dial(server);
    ASYNC_CHECK_EQ(await_stream_write(stream, "x", 1), 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(stream, &byte, 1), 1);
    {
        async_timeout(0);
        ASYNC_CHECK_EQ(await_server_serve_forever(server), ASYNC_ETIMEOUT);
    }
    ASYNC_CHECK_EQ(async_server_clients(server), 0);
    async_stream_free(stream);
    async_server_free(server);
}

ASYNC_TEST(a_deadline_ends_serving_with_its_own_code)
{
    async_server *server;

    ASYNC_CHECK_EQ(await_start_server(echo, HOST, "0", &server), 0);
    {
        async_timeout(0.01);
        ASYNC_CHECK_EQ(await_server_serve_forever(server), ASYNC_ETIMEOUT);
    }
    ASYNC_CHECK_EQ(async_server_is_serving(server), 0);
    async_server_free(server);
}

ASYNC_TEST(closing_a_server_ends_serve_forever)
{
    async_server *server;
    async_task *task;
    int result = 1;

    ASYNC_CHECK_EQ(await_start_server(echo, HOST, "0", &server), 0);
    task = async_create_task(serve, server);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    async_server_close(server);
    ASYNC_CHECK_EQ(await_task(task, &result), 0);
    ASYNC_CHECK_EQ(result, ASYNC_ECLOSED);
    async_server_free(server);
}

ASYNC_TEST(freeing_a_server_wakes_those_who_wait_on_it)
{
    async_server *server;
    async_stream *stream;
    async_task *task;
    int result = 1;
    char byte;

    ASYNC_CHECK_EQ(await_start_server(echo, HOST, "0", &server), 0);
    task = async_create_task(serve, server);
    stream = await_dial(server);
    ASYNC_CHECK_EQ(await_stream_write(stream, "x", 1), 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(stream, &byte, 1), 1);
    async_server_free(server);
    ASYNC_CHECK_EQ(await_task(task, &result), 0);
    ASYNC_CHECK_EQ(result, ASYNC_ECLOSED);
    ASYNC_CHECK_EQ(await_stream_read(stream, &byte, 1), 0);
    async_stream_free(stream);
}

ASYNC_TEST(a_peer_that_never_reads_does_not_hold_a_closed_server_for_ever)
{
    size_t size = 20 * 1024 * 1024;
    async_server *server;
    async_stream *stream;
    double begin = async_time();

    if (strcmp(async_loop_backend(async_get_running_loop()), "sim") != 0)
        ASYNC_SKIP("takes half a minute on a real clock");
    ASYNC_CHECK_EQ(await_start_server(say_much, HOST, "0", &server, size), 0);
    stream = await_dial(server);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    async_server_close(server);
    ASYNC_CHECK_EQ(await_server_wait_closed(server), 0);
    ASYNC_CHECK(async_time() - begin > 29.9);
    async_stream_free(stream);
    async_server_free(server);
}

async_def(wait_for_end, async_server *, server)
{
    return await_server_wait_closed(server);
}

ASYNC_TEST(waiting_for_a_servers_end_can_be_cancelled)
{
    async_server *server;
    async_stream *stream;
    async_task *task;
    int result = 1;
    char byte;

    ASYNC_CHECK_EQ(await_start_server(echo, HOST, "0", &server), 0);
    stream = await_dial(server);
    ASYNC_CHECK_EQ(await_stream_write(stream, "x", 1), 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(stream, &byte, 1), 1);
    async_server_close(server);
    task = async_create_task(wait_for_end, server);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    async_task_cancel(task);
    ASYNC_CHECK_EQ(await_task(task, &result), 0);
    ASYNC_CHECK_EQ(result, ASYNC_ECANCELED);
    async_server_close_clients(server);
    ASYNC_CHECK_EQ(await_server_wait_closed(server), 0);
    async_stream_free(stream);
    async_server_free(server);
}
