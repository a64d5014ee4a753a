/* SPDX-License-Identifier: MIT */
/* What only a real kernel has: urgent data, pipes, ttys, Unix sockets, inherited descriptors. */
#include "transport/fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static char buf[256 * 1024];

static void open_fd(struct end *end, async_loop *loop, int fd, bool inherited)
{
    memset(end, 0, sizeof *end);
    end->peer = -1;
    ASYNC_CHECK_EQ(aw_transport_open(&end->transport, loop, fd, inherited, &end_sink), 0);
}

static ssize_t get(struct end *end)
{
    return aw_transport_read(&end->transport, buf, sizeof buf);
}

/* Reads until there are `size` bytes, as a reader does: it waits for `readable` when there is nothing. */
static void collect(struct end *end, char *into, size_t size)
{
    size_t have = 0;

    while (have < size) {
        ssize_t n = get(end);

        if (n == -EAGAIN) {
            wait_until_readable(end);
            continue;
        }
        ASYNC_CHECK(n > 0 && have + (size_t)n <= size);
        memcpy(into + have, buf, (size_t)n);
        have += (size_t)n;
    }
}

/* ---- sockets ---- */

TEST_ON_LINUX(what_follows_urgent_data_is_not_forgotten)
{
    struct end end;
    char text[16] = "";

    end_open(&end, loop);
    aw_transport_want_read(&end.transport, true);
    for (int i = 0; i < 3; i++) {
        ASYNC_CHECK_EQ(send(end.peer, "abc", 3, 0), 3);
        ASYNC_CHECK_EQ(send(end.peer, "!", 1, MSG_OOB), 1);
        ASYNC_CHECK_EQ(send(end.peer, "def", 3, 0), 3);
        settle(loop);
        collect(&end, text, 6);
        ASYNC_CHECK_STR(text, "abcdef");
        ASYNC_CHECK_EQ(get(&end), -EAGAIN);
    }
    ASYNC_CHECK_EQ(send(end.peer, "!", 1, MSG_OOB), 1);
    settle(loop);
    ASYNC_CHECK_EQ(get(&end), -EAGAIN);
    peer_close(&end);
    wait_until_readable(&end);
    ASYNC_CHECK_EQ(get(&end), 0);
    end_close(&end);
}

TEST_ON_LINUX(urgent_data_at_every_moment_of_a_read_loses_nothing)
{
    struct end end;
    char text[8] = "";

    end_open(&end, loop);
    for (int i = 0; i < 300; i++) {
        int when = i % 3;

        ASYNC_CHECK_EQ(send(end.peer, "ab", 2, 0), 2);
        if (when == 0)
            ASYNC_CHECK_EQ(send(end.peer, "!", 1, MSG_OOB), 1);
        wait_until_readable(&end);
        if (when == 1)
            ASYNC_CHECK_EQ(send(end.peer, "!", 1, MSG_OOB), 1);
        ASYNC_CHECK_EQ(send(end.peer, "cd", 2, 0), 2);
        collect(&end, text, 4);
        ASYNC_CHECK_STR(text, "abcd");
    }
    end_close(&end);
}

/* A read stops behind a message with descriptors, and no edge follows for what lies behind it. */
TEST_ON_LINUX(a_unix_peer_that_passes_descriptors_does_not_stop_the_stream)
{
    struct end end;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
    char x = 'x';
    struct iovec piece = { &x, 1 };
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    char text[8] = "";
    int fds[2];

    ASYNC_CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    memcpy(CMSG_DATA(&control.header), &fds[1], sizeof(int));
    open_fd(&end, loop, fds[0], false);
    ASYNC_CHECK(!end.transport.short_reads);
    ASYNC_CHECK_EQ(sendmsg(fds[1], &message, 0), 1);
    ASYNC_CHECK_EQ(send(fds[1], "yyyy", 4, 0), 4);
    settle(loop);
    collect(&end, text, 5);
    ASYNC_CHECK_STR(text, "xyyyy");
    close(fds[1]);
    wait_until_readable(&end);
    ASYNC_CHECK_EQ(get(&end), 0);
    end_close(&end);
}

TEST_ON_LINUX(a_unix_stream_writes_more_than_fits_and_ends)
{
    struct end end;
    size_t taken = 0, sent = 0;
    ssize_t n;
    int fds[2];

    ASYNC_CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    open_fd(&end, loop, fds[0], false);
    while (end.pauses == 0) {
        ASYNC_CHECK_EQ(end_write(&end, buf, 100000), 0);
        sent += 100000;
    }
    aw_transport_close(&end.transport);
    do {
        n = recv(fds[1], buf, sizeof buf, MSG_DONTWAIT);
        taken += n > 0 ? (size_t)n : 0;
        ASYNC_CHECK(async_loop_turn(loop, 0) >= 0);
    } while (n != 0);
    ASYNC_CHECK_EQ(taken, sent);
    ASYNC_CHECK_EQ(end.losts, 1);
    close(fds[1]);
    end_close(&end);
}

/* A Unix socket says EPIPE to the writer and, because it left our data unread, ECONNRESET to the reader. */
TEST_ON_LINUX(a_unix_peer_that_left_is_epipe_for_the_writer)
{
    struct end end;
    int fds[2];

    ASYNC_CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    open_fd(&end, loop, fds[0], false);
    ASYNC_CHECK_EQ(send(fds[1], "bye", 3, 0), 3);
    close(fds[1]);
    ASYNC_CHECK_EQ(end_write(&end, "x", 1), -EPIPE);
    ASYNC_CHECK_EQ(get(&end), 3);
    ASYNC_CHECK_EQ(get(&end), 0);
    settle(loop);
    ASYNC_CHECK(end.losts == 1 && end.error == -EPIPE);
    end_close(&end);
}

TEST_ON_LINUX(only_byte_streams_are_transports)
{
    struct aw_transport transport;
    int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    int file = open("/dev/null", O_RDWR | O_CLOEXEC);

    ASYNC_CHECK_EQ(aw_transport_open(&transport, loop, datagrams, false, &end_sink), -EINVAL);
    ASYNC_CHECK_HAS(async_last_error(), "byte stream");
    ASYNC_CHECK_EQ(aw_transport_open(&transport, loop, file, true, &end_sink), -EPERM);
    ASYNC_CHECK_EQ(fcntl(file, F_GETFL) & O_NONBLOCK, 0);
    close(datagrams);
    close(file);
}

/* ---- pipes ---- */

TEST_ON_LINUX(a_pipe_is_read_to_its_end)
{
    struct end end;
    int fds[2];

    ASYNC_CHECK_EQ(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    open_fd(&end, loop, fds[0], false);
    ASYNC_CHECK_EQ(end_write(&end, "x", 1), -EBADF);
    ASYNC_CHECK_EQ(aw_transport_write_eof(&end.transport), -EBADF);
    ASYNC_CHECK_EQ(write(fds[1], "hello", 5), 5);
    wait_until_readable(&end);
    ASYNC_CHECK_EQ(get(&end), 5);
    ASYNC_CHECK_EQ(get(&end), -EAGAIN);
    aw_transport_want_read(&end.transport, true);
    settle(loop);
    ASYNC_CHECK_EQ(end.readables, 1);
    close(fds[1]); /* HANGUP alone, without READABLE */
    UNTIL(loop, end.readables == 2);
    ASYNC_CHECK_EQ(get(&end), 0);
    end_close(&end);
    ASYNC_CHECK_EQ(end.losts, 0);
}

TEST_ON_LINUX(a_pipe_is_written_in_parts_and_close_sends_the_rest)
{
    struct end end;
    size_t taken = 0, size = 1000 * 1000;
    ssize_t n = 1;
    int fds[2];
    char *big = malloc(size);

    ASYNC_CHECK(big != NULL);
    memset(big, 'w', size);
    ASYNC_CHECK_EQ(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    open_fd(&end, loop, fds[1], false);
    ASYNC_CHECK_EQ(get(&end), -EBADF);
    ASYNC_CHECK_EQ(aw_transport_write_eof(&end.transport), -ENOTSUP);
    ASYNC_CHECK_EQ(end_write(&end, big, size), 0);
    free(big);
    ASYNC_CHECK_EQ(end.pauses, 1);
    aw_transport_close(&end.transport);
    for (int round = 0; n != 0; round++) {
        n = read(fds[0], buf, 1 + (size_t)round * 37 % 9000);
        taken += n > 0 ? (size_t)n : 0;
        ASYNC_CHECK(async_loop_turn(loop, 0) >= 0);
    }
    ASYNC_CHECK_EQ(taken, size);
    ASYNC_CHECK(end.losts == 1 && end.error == 0);
    close(fds[0]);
    end_close(&end);
}

TEST_ON_LINUX(a_pipe_without_a_reader_is_epipe_and_no_signal)
{
    struct end end;
    int fds[2];

    signal(SIGPIPE, SIG_DFL);
    ASYNC_CHECK_EQ(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    open_fd(&end, loop, fds[1], false);
    while (end.pauses == 0)
        ASYNC_CHECK_EQ(end_write(&end, buf, 100000), 0);
    close(fds[0]);
    UNTIL(loop, end.losts == 1); /* a paused writer must hear of it */
    ASYNC_CHECK_EQ(end.error, -EPIPE);
    end_close(&end);

    ASYNC_CHECK_EQ(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    open_fd(&end, loop, fds[1], false);
    close(fds[0]);
    ASYNC_CHECK_EQ(end_write(&end, "x", 1), -EPIPE);
    settle(loop);
    ASYNC_CHECK(end.losts == 1 && end.error == -EPIPE);
    end_close(&end);
}

/* ---- ttys ---- */

static int open_pty(int *ret_other)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

    if (master < 0)
        ASYNC_SKIP("no pty here");
    ASYNC_CHECK_EQ(grantpt(master), 0);
    ASYNC_CHECK_EQ(unlockpt(master), 0);
    *ret_other = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ASYNC_CHECK(*ret_other >= 0);
    return master;
}

TEST_ON_LINUX(a_pty_ends_when_its_other_side_has_gone)
{
    struct end end;
    char text[16] = "";
    int other, master = open_pty(&other);

    open_fd(&end, loop, master, false);
    ASYNC_CHECK_EQ(write(other, "line\n", 5), 5);
    collect(&end, text, 6);
    ASYNC_CHECK_STR(text, "line\r\n");
    ASYNC_CHECK_EQ(write(other, "last", 4), 4);
    close(other);
    settle(loop);
    memset(text, 0, sizeof text);
    collect(&end, text, 4);
    ASYNC_CHECK_STR(text, "last");
    aw_transport_want_read(&end.transport, true);
    UNTIL(loop, get(&end) == 0);
    end_close(&end);
}

TEST_ON_LINUX(a_tty_is_read_line_by_line_and_written)
{
    struct end end;
    char text[16] = "";
    int other, master = open_pty(&other);

    open_fd(&end, loop, other, true);
    ASYNC_CHECK_EQ(write(master, "in\n", 3), 3);
    collect(&end, text, 3);
    ASYNC_CHECK_STR(text, "in\n");
    ASYNC_CHECK_EQ(read(master, buf, sizeof buf), 4); /* the echo */
    ASYNC_CHECK_EQ(end_write(&end, "out", 3), 0);
    ASYNC_CHECK_EQ(read(master, buf, sizeof buf), 3);
    end_close(&end);
    close(other);
    close(master);
}

/* ---- inherited ---- */

TEST_ON_LINUX(an_inherited_descriptor_gets_its_flags_back_and_stays_open)
{
    struct end end;
    int fds[2];

    ASYNC_CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    for (int way = 0; way < 2; way++) {
        open_fd(&end, loop, fds[0], true);
        ASYNC_CHECK(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
        ASYNC_CHECK_EQ(write(fds[1], "x", 1), 1);
        wait_until_readable(&end);
        ASYNC_CHECK_EQ(get(&end), 1);
        if (way == 0)
            aw_transport_close(&end.transport);
        else
            aw_transport_destroy(&end.transport);
        settle(loop);
        ASYNC_CHECK_EQ(end.losts, way == 0);
        ASYNC_CHECK_EQ(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
        aw_transport_destroy(&end.transport);
    }
    ASYNC_CHECK_EQ(write(fds[1], "x", 1), 1);
    ASYNC_CHECK_EQ(read(fds[0], buf, 1), 1);
    close(fds[0]);
    close(fds[1]);
}

TEST_ON_LINUX(an_inherited_descriptor_that_was_nonblocking_stays_so)
{
    struct end end;
    int fds[2];

    ASYNC_CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    open_fd(&end, loop, fds[0], true);
    aw_transport_destroy(&end.transport);
    ASYNC_CHECK(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    close(fds[0]);
    close(fds[1]);
}
