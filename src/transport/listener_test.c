/* SPDX-License-Identifier: MIT */
#include "transport/fixture.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>

#define CLIENTS 300

static struct {
    struct aw_listener listener;
    int fds[CLIENTS], count, most_per_turn, this_turn;
    struct sockaddr_in newest;
    void (*on_accepted)(void);
} server;

static int clients[CLIENTS];

static void accepted(struct aw_listener *listener, int fd, const struct sockaddr *address, socklen_t size)
{
    (void)listener;
    ASYNC_CHECK(fd >= 0);
    ASYNC_CHECK(server.count < CLIENTS);
    ASYNC_CHECK(size == sizeof server.newest);
    memcpy(&server.newest, address, sizeof server.newest);
    server.fds[server.count++] = fd;
    server.this_turn++;
    if (server.on_accepted)
        server.on_accepted();
}

static uint16_t serve(async_loop *loop)
{
    struct aw_listen_options options = { .backlog = CLIENTS };
    struct sockaddr_in address = localhost(0);
    int fd = aw_listen_socket(loop, (struct sockaddr *)&address, sizeof address, &options);

    ASYNC_CHECK(fd >= 0);
    memset(&server, 0, sizeof server);
    ASYNC_CHECK_EQ(aw_listener_open(&server.listener, loop, fd, accepted), 0);
    return port_of(loop, fd);
}

static void connect_clients(async_loop *loop, uint16_t port, int count)
{
    for (int i = 0; i < count; i++)
        clients[i] = raw_connect(loop, port);
}

static void close_all(async_loop *loop, int count)
{
    for (int i = 0; i < server.count; i++)
        loop->sys->close(loop->backend, server.fds[i]);
    for (int i = 0; i < count; i++)
        loop->sys->close(loop->backend, clients[i]);
    aw_listener_close(&server.listener);
    aw_listener_close(&server.listener);
}

TEST_ON_BOTH(a_connection_comes_with_its_address)
{
    uint16_t port = serve(loop);

    connect_clients(loop, port, 1);
    UNTIL(loop, server.count == 1);
    ASYNC_CHECK_EQ(ntohs(server.newest.sin_port), port_of(loop, clients[0]));
    ASYNC_CHECK_EQ(server.listener.accepted_count, 1);
    close_all(loop, 1);
}

TEST_ON_LINUX(an_accepted_connection_does_not_wait_for_acknowledgements)
{
    uint16_t port = serve(loop);
    int nodelay = 0;
    socklen_t size = sizeof nodelay;

    connect_clients(loop, port, 1);
    UNTIL(loop, server.count == 1);
    ASYNC_CHECK_EQ(getsockopt(server.fds[0], IPPROTO_TCP, TCP_NODELAY, &nodelay, &size), 0);
    ASYNC_CHECK_EQ(nodelay, 1);
    ASYNC_CHECK(fcntl(server.fds[0], F_GETFL) & O_NONBLOCK);
    ASYNC_CHECK(fcntl(server.fds[0], F_GETFD) & FD_CLOEXEC);
    close_all(loop, 1);
}

TEST_ON_BOTH(a_storm_of_connections_is_accepted_in_portions)
{
    uint16_t port = serve(loop);

    connect_clients(loop, port, 200);
    for (int turns = 0; server.count < 200 && turns < 1000; turns++) {
        server.this_turn = 0;
        ASYNC_CHECK(async_loop_turn(loop, 0.01) >= 0);
        ASYNC_CHECK(server.this_turn <= 64);
    }
    ASYNC_CHECK_EQ(server.count, 200);
    close_all(loop, 200);
}

static void pause_after_one(void)
{
    aw_listener_pause(&server.listener, true);
}

TEST_ON_BOTH(a_paused_listener_lets_connections_wait)
{
    uint16_t port = serve(loop);

    server.on_accepted = pause_after_one;
    connect_clients(loop, port, 3);
    UNTIL(loop, server.count == 1);
    settle(loop);
    ASYNC_CHECK_EQ(server.count, 1);
    aw_listener_pause(&server.listener, false);
    UNTIL(loop, server.count == 2);
    settle(loop);
    ASYNC_CHECK_EQ(server.count, 2);
    server.on_accepted = NULL;
    aw_listener_pause(&server.listener, false);
    UNTIL(loop, server.count == 3);
    close_all(loop, 3);
}

static void close_and_vanish(void)
{
    aw_listener_close(&server.listener);
    memset(&server.listener, 0xee, sizeof server.listener);
}

TEST_ON_BOTH(the_owner_may_close_the_listener_in_its_callback)
{
    uint16_t port = serve(loop);

    server.on_accepted = close_and_vanish;
    connect_clients(loop, port, 3);
    UNTIL(loop, server.count == 1);
    settle(loop);
    ASYNC_CHECK_EQ(server.count, 1);
    memset(&server.listener, 0, sizeof server.listener);
    close_all(loop, 3);
}

TEST_ON_BOTH(a_connection_that_failed_before_accept_is_skipped)
{
    uint16_t port;

    install_faults(loop);
    port = serve(loop);
    faults.fail_accept = -ECONNABORTED;
    faults.fail_accepts = 5;
    connect_clients(loop, port, 2);
    UNTIL(loop, server.count == 2);
    ASYNC_CHECK_EQ(server.listener.starved_count, 0);
    close_all(loop, 2);
}

/* ---- shortage ---- */

TEST_ON_BOTH(without_descriptors_it_waits_a_second_and_goes_on)
{
    uint16_t port;
    double start;
    int calls = 0;

    install_faults(loop);
    port = serve(loop);
    faults.fail_accept = -EMFILE;
    faults.fail_accepts = 3;
    connect_clients(loop, port, 2);
    start = async_loop_time(loop);
    while (server.count < 2) {
        ASYNC_CHECK(async_loop_turn(loop, 10) >= 0);
        ASYNC_CHECK(++calls < 100);
    }
    ASYNC_CHECK(async_loop_time(loop) - start >= 3);
    ASYNC_CHECK_EQ(server.listener.starved_count, 3);
    ASYNC_CHECK_EQ(faults.accepts, 6); /* 3 refused, 2, and one that finds nothing: no spinning */
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_HAS(async_test_report(0), "127.0.0.1:");
    ASYNC_CHECK_HAS(async_test_report(0), "EMFILE");
    close_all(loop, 2);
}

TEST_ON_BOTH(a_shortage_is_reported_again_after_a_recovery)
{
    uint16_t port;

    install_faults(loop);
    port = serve(loop);
    for (int i = 0; i < 2; i++) {
        faults.fail_accept = -ENOMEM;
        faults.fail_accepts = 1;
        clients[i] = raw_connect(loop, port);
        UNTIL(loop, server.count == i + 1);
    }
    ASYNC_CHECK_EQ(async_test_reports(), 2);
    close_all(loop, 2);
}

TEST_ON_BOTH(pausing_during_a_shortage_holds_after_it)
{
    uint16_t port;

    install_faults(loop);
    port = serve(loop);
    faults.fail_accept = -ENFILE;
    faults.fail_accepts = 1;
    connect_clients(loop, port, 1);
    UNTIL(loop, server.listener.starved);
    aw_listener_pause(&server.listener, true);
    UNTIL(loop, !server.listener.starved);
    settle(loop);
    ASYNC_CHECK_EQ(server.count, 0);
    aw_listener_pause(&server.listener, false);
    UNTIL(loop, server.count == 1);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    close_all(loop, 1);
}

TEST_ON_BOTH(closing_during_a_shortage_takes_the_timer_back)
{
    uint16_t port;

    install_faults(loop);
    port = serve(loop);
    faults.fail_accept = -EMFILE;
    faults.fail_accepts = 1;
    connect_clients(loop, port, 1);
    UNTIL(loop, server.listener.starved);
    close_all(loop, 1);
    ASYNC_CHECK_EQ(loop->timers.count, 0);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
}

TEST_ON_BOTH(a_shortage_without_memory_for_its_timer_goes_on_trying)
{
    uint16_t port;

    install_faults(loop);
    port = serve(loop);
    faults.fail_accept = -EMFILE;
    faults.fail_accepts = 5;
    connect_clients(loop, port, 1);
    async_test_fail_allocation(1, 1);
    for (int i = 0; i < 100 && server.listener.starved_count < 3; i++)
        ASYNC_CHECK(async_loop_turn(loop, 0.01) >= 0);
    async_test_fail_allocation(0, 0);
    ASYNC_CHECK(server.listener.starved_count >= 3);
    UNTIL(loop, server.count == 1);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    close_all(loop, 1);
}

/* No fault of ours this time: the kernel itself says EMFILE. */
TEST_ON_LINUX(a_real_shortage_of_descriptors_ends_by_itself)
{
    uint16_t port = serve(loop);
    struct rlimit before, low;
    int probe;

    connect_clients(loop, port, 20);
    probe = dup(0);
    ASYNC_CHECK(probe >= 0);
    close(probe);
    ASYNC_CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = (rlim_t)probe + 10;
    ASYNC_CHECK_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    UNTIL(loop, server.listener.starved);
    ASYNC_CHECK_EQ(server.count, 10);
    ASYNC_CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    UNTIL(loop, server.count == 20);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    close_all(loop, 20);
}

TEST_ON_LINUX(a_listener_that_was_shut_down_behind_its_back_is_reported_and_does_not_spin)
{
    serve(loop);
    ASYNC_CHECK_EQ(shutdown(server.listener.io.fd, SHUT_RDWR), 0);
    UNTIL(loop, async_test_reports() == 1);
    ASYNC_CHECK_HAS(async_test_report(0), "EINVAL");
    settle(loop);
    aw_listener_pause(&server.listener, true);
    ASYNC_CHECK_EQ(async_test_reports(), 1);
    ASYNC_CHECK_EQ(loop->io_count, 0);
    close_all(loop, 0);
}

/* ---- opening ---- */

TEST_ON_BOTH(a_port_in_use_is_refused_with_a_sentence)
{
    uint16_t port = serve(loop);
    struct sockaddr_in address = localhost(port);

    ASYNC_CHECK_EQ(aw_listen_socket(loop, (struct sockaddr *)&address, sizeof address, NULL), -EADDRINUSE);
    ASYNC_CHECK_HAS(async_last_error(), "listening on 127.0.0.1:");
    close_all(loop, 0);
}

TEST_ON_BOTH(two_listeners_share_a_port_when_both_ask)
{
    struct aw_listen_options options = { .reuse_port = true };
    struct sockaddr_in address = localhost(0);
    int first = aw_listen_socket(loop, (struct sockaddr *)&address, sizeof address, &options), second;

    ASYNC_CHECK(first >= 0);
    address = localhost(port_of(loop, first));
    second = aw_listen_socket(loop, (struct sockaddr *)&address, sizeof address, &options);
    ASYNC_CHECK(second >= 0);
    loop->sys->close(loop->backend, first);
    loop->sys->close(loop->backend, second);
}

TEST_ON_BOTH(both_families_listen_on_one_port)
{
    struct sockaddr_in6 any6 = { .sin6_family = AF_INET6 };
    struct sockaddr_in any = { .sin_family = AF_INET };
    int v4 = aw_listen_socket(loop, (struct sockaddr *)&any, sizeof any, NULL), v6;

    ASYNC_CHECK(v4 >= 0);
    any6.sin6_port = htons(port_of(loop, v4));
    v6 = aw_listen_socket(loop, (struct sockaddr *)&any6, sizeof any6, NULL);
    if (v6 == -EAFNOSUPPORT || v6 == -EADDRNOTAVAIL) {
        loop->sys->close(loop->backend, v4);
        return; /* no IPv6 on this machine */
    }
    ASYNC_CHECK(v6 >= 0);
    loop->sys->close(loop->backend, v4);
    loop->sys->close(loop->backend, v6);
}

TEST_ON_LINUX(an_inherited_listening_socket_is_made_nonblocking)
{
    int fd = raw_listener(loop);

    ASYNC_CHECK_EQ(fcntl(fd, F_SETFL, 0), 0);
    memset(&server, 0, sizeof server);
    ASYNC_CHECK_EQ(aw_listener_open(&server.listener, loop, fd, accepted), 0);
    connect_clients(loop, port_of(loop, fd), 1);
    UNTIL(loop, server.count == 1);
    settle(loop);
    close_all(loop, 1);
}

TEST_ON_BOTH(what_does_not_listen_is_refused)
{
    int fd, peer = raw_pair(loop, &fd);

    ASYNC_CHECK_EQ(aw_listener_open(&server.listener, loop, fd, accepted), -EINVAL);
    ASYNC_CHECK_EQ(aw_listener_open(&server.listener, loop, -1, accepted), -EBADF);
    aw_listener_close(&server.listener);
    loop->sys->close(loop->backend, fd);
    loop->sys->close(loop->backend, peer);
}
