/* SPDX-License-Identifier: MIT */
#include "transport/fixture.h"

#include <netinet/tcp.h>
#include <sys/un.h>

struct attempt {
    struct aw_connector connector; /* first */
    int calls, result;
    bool starting;
};

static void on_done(struct aw_connector *connector, int fd)
{
    struct attempt *attempt = (struct attempt *)connector;

    ASYNC_CHECK(!attempt->starting);
    attempt->calls++;
    attempt->result = fd;
    memset(connector, 0xee, sizeof *connector); /* it may be freed here */
}

static int start(struct attempt *attempt, async_loop *loop, const void *address, socklen_t size)
{
    int r;

    memset(attempt, 0, sizeof *attempt);
    attempt->starting = true;
    r = aw_connector_start(&attempt->connector, loop, address, size, on_done);
    attempt->starting = false;
    return r;
}

static int start_port(struct attempt *attempt, async_loop *loop, uint16_t port)
{
    struct sockaddr_in address = localhost(port);

    return start(attempt, loop, &address, sizeof address);
}

/* A port of which nobody listens: it was free a moment ago. */
static uint16_t free_port(async_loop *loop)
{
    int fd = raw_listener(loop);
    uint16_t port = port_of(loop, fd);

    loop->sys->close(loop->backend, fd);
    return port;
}

TEST_ON_BOTH(a_connection_is_told_through_the_loop)
{
    struct attempt attempt;
    int listening = raw_listener(loop), nodelay = 0;
    socklen_t size = sizeof nodelay;

    ASYNC_CHECK_EQ(start_port(&attempt, loop, port_of(loop, listening)), 0);
    ASYNC_CHECK_EQ(attempt.calls, 0);
    UNTIL(loop, attempt.calls == 1);
    ASYNC_CHECK(attempt.result >= 0);
    ASYNC_CHECK_EQ(loop->sys->getsockopt(loop->backend, attempt.result, IPPROTO_TCP, TCP_NODELAY, &nodelay, &size), 0);
    ASYNC_CHECK_EQ(nodelay, 1);
    settle(loop);
    ASYNC_CHECK_EQ(attempt.calls, 1);
    loop->sys->close(loop->backend, attempt.result);
    loop->sys->close(loop->backend, listening);
}

TEST_ON_BOTH(a_refusal_is_told_through_the_loop)
{
    struct attempt attempt;

    ASYNC_CHECK_EQ(start_port(&attempt, loop, free_port(loop)), 0);
    ASYNC_CHECK_EQ(attempt.calls, 0);
    UNTIL(loop, attempt.calls == 1);
    ASYNC_CHECK_EQ(attempt.result, -ECONNREFUSED);
}

TEST_ON_LINUX(a_connection_that_is_there_at_once_is_told_through_the_loop)
{
    struct attempt attempt;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    socklen_t size = sizeof address;
    int listening = socket(AF_UNIX, SOCK_STREAM, 0);

    ASYNC_CHECK_EQ(bind(listening, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    ASYNC_CHECK_EQ(listen(listening, 1), 0);
    ASYNC_CHECK_EQ(getsockname(listening, (struct sockaddr *)&address, &size), 0);
    ASYNC_CHECK_EQ(start(&attempt, loop, &address, size), 0);
    ASYNC_CHECK_EQ(attempt.calls, 0);
    UNTIL(loop, attempt.calls == 1);
    ASYNC_CHECK(attempt.result >= 0);
    loop->sys->close(loop->backend, attempt.result);

    ASYNC_CHECK_EQ(start(&attempt, loop, &address, size), 0);
    aw_connector_cancel(&attempt.connector); /* before it was told */
    settle(loop);
    ASYNC_CHECK_EQ(attempt.calls, 0);
    loop->sys->close(loop->backend, listening);
}

TEST_ON_BOTH(a_cancelled_attempt_is_silent)
{
    struct attempt attempt;
    int listening = raw_listener(loop);

    ASYNC_CHECK_EQ(start_port(&attempt, loop, port_of(loop, listening)), 0);
    aw_connector_cancel(&attempt.connector);
    aw_connector_cancel(&attempt.connector);
    settle(loop);
    ASYNC_CHECK_EQ(attempt.calls, 0);
    ASYNC_CHECK_EQ(start_port(&attempt, loop, free_port(loop)), 0);
    aw_connector_cancel(&attempt.connector);
    settle(loop);
    ASYNC_CHECK_EQ(attempt.calls, 0);
    loop->sys->close(loop->backend, listening);
}

TEST_ON_BOTH(a_network_that_is_not_there_is_told_through_the_loop)
{
    struct attempt attempt;

    install_faults(loop);
    faults.fail_connect = -ENETUNREACH;
    ASYNC_CHECK_EQ(start_port(&attempt, loop, 9), 0);
    UNTIL(loop, attempt.calls == 1);
    ASYNC_CHECK_EQ(attempt.result, -ENETUNREACH);
}

TEST_ON_BOTH(a_family_that_is_not_there_fails_at_once)
{
    struct attempt attempt;
    struct sockaddr address = { .sa_family = 200 };

    ASYNC_CHECK_EQ(start(&attempt, loop, &address, sizeof address), -EAFNOSUPPORT);
    ASYNC_CHECK_HAS(async_last_error(), "connecting to address of family 200");
    aw_connector_cancel(&attempt.connector);
    ASYNC_CHECK_EQ(attempt.calls, 0);
}

TEST_ON_BOTH(connecting_without_memory_leaks_nothing)
{
    struct attempt attempt;
    int listening = raw_listener(loop), r;
    long n = 0;

    do {
        async_test_fail_allocation(++n, 0);
        r = start_port(&attempt, loop, port_of(loop, listening));
        async_test_fail_allocation(0, 0);
        ASYNC_CHECK(r == 0 || r == -ENOMEM);
    } while (r < 0);
    UNTIL(loop, attempt.calls == 1);
    if (attempt.result >= 0)
        loop->sys->close(loop->backend, attempt.result);
    loop->sys->close(loop->backend, listening);
}
