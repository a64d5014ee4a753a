/* SPDX-License-Identifier: MIT */
/* Connecting: refused, unresolvable, cut off, several addresses; what a stream knows of itself. */
#include "fixture.h"
#include <arpa/inet.h>
#include <netinet/in.h>

/* A port on which nobody listens. */
ASYNC_SUSPENDS static const char *await_free_port(void)
{
    static char port[16];
    async_server *server;

    ASYNC_CHECK_EQ(await_start_server(echo, HOST, "0", &server), 0);
    snprintf(port, sizeof port, "%d", async_server_port(server));
    async_server_free(server);
    return port;
}

ASYNC_TEST(a_refused_connection_names_host_port_and_reason)
{
    const char *port = await_free_port();
    async_stream *stream = NULL;
    char text[128];

    ASYNC_CHECK_EQ(await_open_connection(HOST, port, &stream), -ECONNREFUSED);
    snprintf(text, sizeof text, "await_open_connection: 127.0.0.1:%s: ", port);
    ASYNC_CHECK_HAS(async_last_error(), text);
    ASYNC_CHECK_HAS(async_last_error(), async_strerror(-ECONNREFUSED));
    ASYNC_CHECK(stream == NULL);
}

ASYNC_TEST(all_addresses_of_a_name_are_tried)
{
    async_server *server;
    async_stream *stream = NULL;

    ASYNC_CHECK_EQ(await_start_server(echo, HOST, "0", &server), 0);
    /* It may resolve to ::1 first, where nobody listens. */
    ASYNC_CHECK_EQ(await_open_connection("localhost", port_of(server), &stream), 0);
    ASYNC_CHECK_HAS(async_stream_peername(stream), "127.0.0.1:");
    async_stream_free(stream);
    async_server_free(server);
}

ASYNC_TEST(a_failed_name_says_what_each_address_said)
{
    const char *port = await_free_port();
    async_stream *stream = NULL;

    ASYNC_CHECK(await_open_connection("localhost", port, &stream) < 0);
    ASYNC_CHECK_HAS(async_last_error(), "await_open_connection: localhost:");
    ASYNC_CHECK_HAS(async_last_error(), "(");
    ASYNC_CHECK_HAS(async_last_error(), "127.0.0.1:");
}

ASYNC_TEST(a_failed_number_is_named_once)
{
    char expected[128];
    const char *port = await_free_port();
    async_stream *stream = NULL;

    snprintf(expected, sizeof expected, "await_open_connection: " HOST ":%s: %s", port, async_strerror(-ECONNREFUSED));
    ASYNC_CHECK_EQ(await_open_connection(HOST, port, &stream), -ECONNREFUSED);
    ASYNC_CHECK_STR(async_last_error(), expected);
}

ASYNC_TEST(a_port_that_cannot_be_is_refused_with_its_number)
{
    async_stream *stream = NULL;

    ASYNC_CHECK_EQ(await_open_connection(HOST, "65536", &stream), -EINVAL);
    ASYNC_CHECK_HAS(async_last_error(), HOST ":65536: ports end at 65535");
}

ASYNC_TEST(an_unknown_name_or_service_is_an_error_of_its_own)
{
    async_stream *stream = NULL;
    int r = await_open_connection("no such host", "80", &stream);

    ASYNC_CHECK(r == ASYNC_ENONAME || r == ASYNC_EDNS);
    ASYNC_CHECK_HAS(async_last_error(), "await_open_connection: no such host:80: ");
    ASYNC_CHECK_EQ(await_open_connection(HOST, "no-such-service", &stream), ASYNC_ENONAME);
    ASYNC_CHECK_EQ(await_open_connection(HOST, "70000", &stream), -EINVAL);
    ASYNC_CHECK_EQ(await_open_connection(NULL, "80", &stream), -EINVAL);
    ASYNC_CHECK_EQ(await_open_connection(HOST, NULL, &stream), -EINVAL);
    ASYNC_CHECK_EQ(await_open_connection(HOST, "80", NULL), -EINVAL);
    ASYNC_CHECK(stream == NULL);
}

ASYNC_TEST(a_spent_deadline_refuses_to_connect)
{
    async_stream *stream = NULL;

    async_timeout(0);
    ASYNC_CHECK_EQ(await_open_connection(HOST, "80", &stream), ASYNC_ETIMEOUT);
    ASYNC_CHECK(stream == NULL);
}

ASYNC_SUSPENDS static int connect_in_vain(void *arg)
{
    async_stream *stream = NULL;
    int r = await_open_connection("localhost", arg, &stream);

    async_stream_free(stream);
    return r;
}

/* In whichever stage the cancellation comes, nothing is left behind. */
ASYNC_TEST(connecting_can_be_cancelled_at_each_stage)
{
    async_server *server;

    ASYNC_CHECK_EQ(await_start_server(echo, HOST, "0", &server), 0);
    for (int turns = 0; turns < 12; turns++) {
        async_task *task = async_task_new(connect_in_vain, (void *)(uintptr_t)port_of(server));
        int result = 1;

        for (int i = 0; i < turns; i++)
            ASYNC_CHECK_EQ(await_sleep(0), 0);
        async_task_cancel(task);
        ASYNC_CHECK_EQ(await_task(task, &result), 0);
        ASYNC_CHECK(result == 0 || result == ASYNC_ECANCELED);
    }
    async_server_free(server);
}

/* A listener that accepts no more: when its backlog is full, too, nobody answers. */
ASYNC_TEST(a_deadline_ends_a_connect_that_nobody_answers)
{
    async_server_options options = { .size = sizeof options, .host = HOST, .backlog = 1, .limit = 1 };
    async_server *server;
    async_stream *streams[8] = { NULL };
    int r = 0, count = 0;

    ASYNC_CHECK_EQ(await_start_server_with(&options, echo, &server), 0);
    for (; r == 0 && count < 8; count++) {
        async_timeout(0.05);
        r = await_open_connection(HOST, port_of(server), &streams[count]);
    }
    ASYNC_CHECK_EQ(r, ASYNC_ETIMEOUT);
    ASYNC_CHECK_HAS(async_last_error(), "await_open_connection");
    while (count-- > 0)
        async_stream_free(streams[count]);
    async_server_free(server);
}

/* ---- what a stream knows of itself ---- */

ASYNC_TEST(both_ends_know_each_others_addresses)
{
    struct pair pair;
    struct sockaddr_storage address;
    socklen_t size = 0;
    char name[64];

    await_open_pair(&pair);
    ASYNC_CHECK_STR(async_stream_peername(pair.near), async_stream_sockname(pair.far));
    ASYNC_CHECK_STR(async_stream_peername(pair.far), async_stream_sockname(pair.near));
    ASYNC_CHECK_EQ(async_stream_getpeername(pair.near, &address, &size), 0);
    ASYNC_CHECK_EQ(address.ss_family, AF_INET);
    ASYNC_CHECK_EQ(size, sizeof(struct sockaddr_in));
    snprintf(name, sizeof name, "127.0.0.1:%d", ntohs(((struct sockaddr_in *)&address)->sin_port));
    ASYNC_CHECK_STR(name, async_stream_peername(pair.near));
    ASYNC_CHECK_EQ(async_stream_getsockname(pair.far, &address, &size), 0);
    ASYNC_CHECK_EQ(async_stream_getsockname(pair.far, NULL, &size), -EINVAL);
    ASYNC_CHECK_EQ(async_stream_getpeername(NULL, &address, &size), -EINVAL);
    ASYNC_CHECK(async_stream_fileno(pair.near) >= 0);

    /* The peer's name outlives the connection. */
    async_stream_close(pair.near);
    ASYNC_CHECK_EQ(await_stream_wait_closed(pair.near), 0);
    ASYNC_CHECK_STR(async_stream_peername(pair.near), name);
    ASYNC_CHECK_EQ(async_stream_getsockname(pair.near, &address, &size), -EBADF);
    close_pair(&pair);
}
