/* SPDX-License-Identifier: MIT */
/* Streams over what the kernel really has: pipes, inherited descriptors, urgent data, shortages; and what the hot
 * buffer does without memory. */
#include "await/stream_core.h"

#include <arpa/inet.h>
#include <await/server.h>
#include <await/testing.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- descriptors of other kinds ---- */

ASYNC_TEST_ON("linux", a_pipe_is_a_stream_in_one_direction)
{
    async_stream *in = NULL, *out = NULL;
    char buf[16];
    int fds[2];

    ASYNC_CHECK_EQ(pipe(fds), 0);
    ASYNC_CHECK_EQ(async_stream_from_fd(fds[0], &in), 0);
    ASYNC_CHECK_EQ(async_stream_from_fd(fds[1], &out), 0);
    ASYNC_CHECK_EQ(await_stream_write(out, "through\n", 8), 0);
    ASYNC_CHECK_EQ(await_stream_readline(in, buf, sizeof buf), 8);
    ASYNC_CHECK_STR(buf, "through\n");
    ASYNC_CHECK_EQ(await_stream_read(out, buf, sizeof buf), -EBADF);
    ASYNC_CHECK_EQ(await_stream_write(in, "x", 1), -EBADF);
    ASYNC_CHECK_EQ(async_stream_write_eof(out), -ENOTSUP);
    ASYNC_CHECK_STR(async_stream_peername(in), "");
    async_stream_free(out);
    ASYNC_CHECK_EQ(await_stream_read(in, buf, sizeof buf), 0);
    async_stream_free(in);
}

ASYNC_TEST_ON("linux", a_socket_pair_is_a_pair_of_streams)
{
    async_stream *a = NULL, *b = NULL;
    char buf[16];
    int fds[2];

    ASYNC_CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ASYNC_CHECK_EQ(async_stream_from_fd(fds[0], &a), 0);
    ASYNC_CHECK_EQ(async_stream_from_fd(fds[1], &b), 0);
    ASYNC_CHECK_EQ(await_stream_write(a, "hello", 5), 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(b, buf, 5), 5);
    ASYNC_CHECK_EQ(async_stream_fileno(a), fds[0]);
    async_stream_free(a);
    ASYNC_CHECK_EQ(await_stream_read(b, buf, sizeof buf), 0);
    ASYNC_CHECK_EQ(await_stream_write(b, buf, 1), -EPIPE);
    async_stream_free(b);
}

static int never(void *arg)
{
    (void)arg;
    return 0;
}

ASYNC_TEST_ON("linux", what_is_no_stream_is_refused_and_left_alone)
{
    async_stream *stream = NULL;
    int file = open("/dev/zero", O_RDONLY | O_CLOEXEC), fds[2], udp, listening;

    ASYNC_CHECK_EQ(async_stream_from_fd(-1, &stream), -EBADF);
    ASYNC_CHECK_EQ(async_stream_from_fd(900, &stream), -EBADF);
    ASYNC_CHECK_EQ(async_stream_from_fd(0, NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_stream_from_fd(file, &stream), -EPERM);
    ASYNC_CHECK_HAS(async_last_error(), "async_stream_from_fd: fd ");
    ASYNC_CHECK_EQ(fcntl(file, F_GETFL) & O_NONBLOCK, 0);
    close(file);
    udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASYNC_CHECK_EQ(listen(listening, 1), 0);
    ASYNC_CHECK_EQ(async_stream_from_fd(udp, &stream), -ENOTCONN);
    ASYNC_CHECK_EQ(async_stream_from_fd(listening, &stream), -ENOTCONN);
    close(udp);
    close(listening);
    ASYNC_CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
    ASYNC_CHECK_EQ(async_stream_from_fd(fds[0], &stream), -EINVAL);
    close(fds[0]);
    close(fds[1]);
    ASYNC_CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    ASYNC_CHECK_EQ(async_add_reader(fds[0], never, NULL), 0);
    ASYNC_CHECK_EQ(async_stream_from_fd(fds[0], &stream), -EBUSY);
    ASYNC_CHECK_EQ(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
    ASYNC_CHECK_EQ(async_remove_reader(fds[0]), 1);
    ASYNC_CHECK(stream == NULL);
    close(fds[0]);
    close(fds[1]);
}

ASYNC_TEST_ON("linux", an_inherited_descriptor_gets_its_flags_back_and_stays_open)
{
    async_stream *stream = NULL;
    int fds[2], saved = dup(0);
    char buf[8];

    ASYNC_CHECK_EQ(pipe(fds), 0);
    ASYNC_CHECK_EQ(dup2(fds[0], 0), 0);
    ASYNC_CHECK_EQ(async_stream_from_fd(0, &stream), 0);
    ASYNC_CHECK(fcntl(0, F_GETFL) & O_NONBLOCK);
    ASYNC_CHECK_EQ(write(fds[1], "typed", 5), 5);
    ASYNC_CHECK_EQ(await_stream_readexactly(stream, buf, 5), 5);
    async_stream_free(stream);
    ASYNC_CHECK_EQ(fcntl(0, F_GETFL) & O_NONBLOCK, 0);
    ASYNC_CHECK_EQ(dup2(saved, 0), 0);
    close(saved);
    close(fds[0]);
    close(fds[1]);
}

ASYNC_TEST_PLAIN(without_a_loop_there_is_no_stream)
{
    async_stream *stream = NULL;

    ASYNC_CHECK_EQ(async_stream_from_fd(0, &stream), ASYNC_ENOTASK);
    ASYNC_CHECK_EQ(await_open_connection("127.0.0.1", "80", &stream), ASYNC_ENOTASK);
    ASYNC_CHECK_HAS(async_last_error(), "await_open_connection");
}

/* ---- a server and raw clients ---- */

async_def(echo_peeked, async_stream *, stream)
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

/* A plain blocking socket: what it does is not ours. */
static int connect_raw(const async_server *server)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)async_server_port(server)) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASYNC_CHECK_EQ(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

ASYNC_SUSPENDS static ssize_t await_recv(int fd, char *buf, size_t size, size_t wanted)
{
    size_t have = 0;

    while (have < wanted) {
        ssize_t n = recv(fd, buf + have, size - have, MSG_DONTWAIT);

        if (n == 0)
            break;
        if (n > 0)
            have += (size_t)n;
        else if (errno != EAGAIN)
            return -errno;
        else
            ASYNC_CHECK_EQ(await_sleep(0), 0);
    }
    return (ssize_t)have;
}

ASYNC_TEST_ON("linux", urgent_data_does_not_stop_the_ordinary_bytes)
{
    async_server *server;
    char buf[32];
    int fd;

    ASYNC_CHECK_EQ(await_start_server(echo_peeked, "127.0.0.1", "0", &server), 0);
    fd = connect_raw(server);
    for (int i = 0; i < 20; i++) {
        ASYNC_CHECK_EQ(send(fd, "before", 6, 0), 6);
        ASYNC_CHECK_EQ(send(fd, "!", 1, MSG_OOB), 1);
        ASYNC_CHECK_EQ(send(fd, "after", 5, 0), 5);
        ASYNC_CHECK_EQ(await_recv(fd, buf, sizeof buf, 11), 11);
        ASYNC_CHECK(memcmp(buf, "beforeafter", 11) == 0);
    }
    close(fd);
    async_server_free(server);
}

ASYNC_TEST_ON("linux", resets_are_counted_and_not_reported)
{
    struct linger linger = { 1, 0 };
    async_loop_statistics statistics = { .size = sizeof statistics };
    async_server *server;
    int fds[20];

    ASYNC_CHECK_EQ(await_start_server(echo_peeked, "127.0.0.1", "0", &server), 0);
    for (int i = 0; i < 20; i++)
        fds[i] = connect_raw(server);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    for (int i = 0; i < 20; i++) {
        ASYNC_CHECK_EQ(setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
        close(fds[i]);
    }
    while (async_server_accepted(server) < 20 || async_server_clients(server) > 0)
        ASYNC_CHECK_EQ(await_sleep(0), 0);
    async_loop_get_statistics(async_get_running_loop(), &statistics);
    ASYNC_CHECK_EQ(statistics.handlers_lost, 20);
    ASYNC_CHECK_EQ(async_test_reports(), 0);
    async_server_free(server);
}

ASYNC_TEST_ON("linux", an_inherited_listening_socket_is_served)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fds[2] = { fd, -1 };
    async_server_options options = { .size = sizeof options, .fds = fds, .fd_count = 2 };
    async_server *server = NULL;
    char buf[8];
    int raw;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASYNC_CHECK_EQ(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ASYNC_CHECK_EQ(await_start_server_with(&options, echo_peeked, &server) < 0, 1); /* not listening; a bad one */
    ASYNC_CHECK_EQ(listen(fd, 5), 0);
    ASYNC_CHECK_EQ(await_start_server_with(&options, echo_peeked, &server), -EBADF);
    ASYNC_CHECK(fcntl(fd, F_GETFD) >= 0); /* a failure leaves it to us */
    options.fd_count = 1;
    ASYNC_CHECK_EQ(await_start_server_with(&options, echo_peeked, &server), 0);
    raw = connect_raw(server);
    ASYNC_CHECK_EQ(send(raw, "hi", 2, 0), 2);
    ASYNC_CHECK_EQ(await_recv(raw, buf, sizeof buf, 2), 2);
    close(raw);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    async_server_free(server);
    ASYNC_CHECK_EQ(fcntl(fd, F_GETFD), -1);
}

ASYNC_TEST_ON("linux", without_descriptors_connecting_says_so)
{
    struct rlimit before, none;
    async_stream *stream = NULL;

    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 3;
    ASYNC_CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    ASYNC_CHECK_EQ(await_open_connection("127.0.0.1", "9", &stream), -EMFILE);
    ASYNC_CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    ASYNC_CHECK_HAS(async_last_error(), "await_open_connection: 127.0.0.1:9: ");
}

/* ---- the hot buffer ---- */

struct two {
    async_server *server;
    async_stream *near, *far;
};

async_def(keep, async_stream *, stream, struct two *, two)
{
    two->far = async_stream_ref(stream);
    return 0;
}

ASYNC_SUSPENDS static void await_two(struct two *two)
{
    char port[16];

    *two = (struct two){ NULL, NULL, NULL };
    ASYNC_CHECK_EQ(await_start_server(keep, "127.0.0.1", "0", &two->server, two), 0);
    snprintf(port, sizeof port, "%d", async_server_port(two->server));
    ASYNC_CHECK_EQ(await_open_connection("127.0.0.1", port, &two->near), 0);
    while (!two->far)
        ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    async_server_free(two->server);
}

static void two_free(struct two *two)
{
    async_stream_free(two->near);
    async_stream_free(two->far);
}

ASYNC_TEST(an_idle_stream_holds_no_buffer)
{
    struct two two;
    const void *data;
    char line[16];

    await_two(&two);
    ASYNC_CHECK_EQ(await_stream_write(two.near, "line\nrest", 9), 0);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    ASYNC_CHECK_EQ(await_stream_readline(two.far, line, sizeof line), 5);
    ASYNC_CHECK(two.far->buffer == NULL); /* the rest lies in the hot one */
    ASYNC_CHECK(two.far->transport.loop->hot_lender == &two.far->lender);
    ASYNC_CHECK_EQ(await_stream_peek(two.far, &data), 4);
    ASYNC_CHECK_EQ(async_stream_consume(two.far, 4), 0);
    ASYNC_CHECK(two.far->transport.loop->hot_lender == NULL);
    two_free(&two);
}

ASYNC_TEST(a_message_that_is_taken_at_once_allocates_nothing)
{
    struct two two;
    const void *data;
    long before = 0;
    char buf[32];

    await_two(&two);
    for (int i = 0; i < 20; i++) {
        if (i == 10)
            before = async_test_allocations();
        ASYNC_CHECK_EQ(await_stream_write(two.near, "head\r\n1234", 10), 0);
        ASYNC_CHECK_EQ(await_stream_readuntil(two.far, "\r\n", 2, buf, sizeof buf), 6);
        ASYNC_CHECK_EQ(await_stream_readexactly(two.far, buf, 4), 4);
        ASYNC_CHECK_EQ(await_stream_write(two.near, "again", 5), 0);
        ASYNC_CHECK_EQ(await_stream_peek(two.far, &data), 5);
        ASYNC_CHECK_EQ(async_stream_consume(two.far, 5), 0);
    }
    ASYNC_CHECK_EQ(async_test_allocations() - before, 0);
    two_free(&two);
}

ASYNC_TEST(without_memory_a_read_loses_nothing)
{
    struct two first, second;
    const void *data;
    char buf[32];

    await_two(&first);
    await_two(&second);
    ASYNC_CHECK_EQ(await_stream_write(first.near, "kept by the lender", 18), 0);
    ASYNC_CHECK_EQ(await_stream_write(second.near, "kept by the kernel", 18), 0);
    ASYNC_CHECK_EQ(await_test_settle(), 0);
    ASYNC_CHECK_EQ(await_stream_peek(first.far, &data), 18);
    async_test_fail_allocation(1, 1);
    ASYNC_CHECK_EQ(await_stream_peek(second.far, &data), -ENOMEM);
    ASYNC_CHECK_EQ(await_stream_readexactly(first.far, buf, 19), -ENOMEM);
    async_test_fail_allocation(0, 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(second.far, buf, 18), 18);
    ASYNC_CHECK(memcmp(buf, "kept by the kernel", 18) == 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(first.far, buf, 18), 18);
    ASYNC_CHECK(memcmp(buf, "kept by the lender", 18) == 0);
    ASYNC_CHECK(first.far->buffer == NULL && second.far->buffer == NULL);
    two_free(&first);
    two_free(&second);
}

ASYNC_TEST(a_private_buffer_grows_with_what_it_holds)
{
    static char sent[300000], received[300000];
    struct two two;
    size_t done = 0;

    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (char)(i * 7);
    await_two(&two);
    for (; done < sizeof sent - 1000; done += 1000) {
        ASYNC_CHECK_EQ(async_stream_write(two.near, sent + done, 1000), 0);
        async_timeout(1e-6);
        ASYNC_CHECK_EQ(await_stream_readexactly(two.far, received, sizeof received), ASYNC_ETIMEOUT);
    }
    ASYNC_CHECK(async_stream_buffered(two.far) > 200000);
    ASYNC_CHECK_EQ(async_stream_write(two.near, sent + done, 1000), 0);
    ASYNC_CHECK_EQ(await_stream_readexactly(two.far, received, sizeof received), sizeof received);
    ASYNC_CHECK(memcmp(sent, received, sizeof sent) == 0);
    ASYNC_CHECK(two.far->buffer == NULL);
    two_free(&two);
}
