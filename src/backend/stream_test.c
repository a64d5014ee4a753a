/* SPDX-License-Identifier: MIT */
/* What the calls on connected sockets return: the same on every backend. */
#include "backend/backend_test.h"

#include <limits.h>

static void wait_for_bytes(struct world *w, int fd)
{
    add(w, fd, AW_READABLE, 99);
    wait_for_events(w, 99, AW_READABLE);
    ASYNC_CHECK_EQ(w->ops->remove(w->backend, fd), 0);
}

static void wait_for_reset(struct world *w, int fd)
{
    add(w, fd, 0, 99);
    wait_for_events(w, 99, AW_ERROR);
    ASYNC_CHECK_EQ(w->ops->remove(w->backend, fd), 0);
}

BOTH(bytes_arrive_in_order_and_then_there_are_none)
{
    char ab[] = "ab", cde[] = "cde";
    struct iovec pieces[3] = { { ab, 2 }, { NULL, 0 }, { cde, 3 } };
    int ends[2];

    new_pair(w, ends);
    ASYNC_CHECK_EQ(recv_one(w, ends[1]), -EAGAIN);
    ASYNC_CHECK_EQ(w->sys->sendv(w->backend, ends[0], pieces, 3), 5);
    wait_for_bytes(w, ends[1]);
    ASYNC_CHECK_EQ(recv_one(w, ends[1]), 1);
    check_recv(w, ends[1], "bcde");
    ASYNC_CHECK_EQ(recv_one(w, ends[1]), -EAGAIN);
    ASYNC_CHECK_EQ(w->sys->writev(w->backend, ends[1], pieces, 1), 2);
    wait_for_bytes(w, ends[0]);
    check_recv(w, ends[0], "ab");
    close_fd(w, ends[0]);
    close_fd(w, ends[1]);
}

BOTH(nothing_sent_is_nothing_received)
{
    struct iovec pieces[IOV_MAX + 1];
    int ends[2];

    memset(pieces, 0, sizeof pieces);
    new_pair(w, ends);
    ASYNC_CHECK_EQ(w->sys->send(w->backend, ends[0], "", 0), 0);
    ASYNC_CHECK_EQ(w->sys->sendv(w->backend, ends[0], pieces, 0), 0);
    ASYNC_CHECK_EQ(w->sys->sendv(w->backend, ends[0], pieces, IOV_MAX), 0);
    ASYNC_CHECK_EQ(w->sys->sendv(w->backend, ends[0], pieces, IOV_MAX + 1), -EMSGSIZE);
    ASYNC_CHECK_EQ(recv_one(w, ends[1]), -EAGAIN);
    close_fd(w, ends[0]);
    close_fd(w, ends[1]);
}

BOTH(the_end_comes_after_the_data_and_stays)
{
    int ends[2];

    new_pair(w, ends);
    send_text(w, ends[0], "bye");
    close_fd(w, ends[0]);
    wait_for_bytes(w, ends[1]);
    check_recv(w, ends[1], "bye");
    wait_for_bytes(w, ends[1]);
    check_recv(w, ends[1], "");
    check_recv(w, ends[1], "");
    close_fd(w, ends[1]);
}

BOTH(after_half_a_close_the_other_half_works)
{
    int ends[2];

    new_pair(w, ends);
    ASYNC_CHECK_EQ(w->sys->shutdown(w->backend, ends[0], SHUT_WR), 0);
    ASYNC_CHECK_EQ(send_text(w, ends[0], "x"), -EPIPE);
    wait_for_bytes(w, ends[1]);
    check_recv(w, ends[1], "");
    ASYNC_CHECK_EQ(send_text(w, ends[1], "still here"), 10);
    wait_for_bytes(w, ends[0]);
    check_recv(w, ends[0], "still here");
    close_fd(w, ends[1]);
    wait_for_bytes(w, ends[0]);
    check_recv(w, ends[0], "");
    close_fd(w, ends[0]);
}

BOTH(a_reset_is_told_once_then_the_pipe_is_broken)
{
    int ends[2];

    new_pair(w, ends);
    close_hard(w, ends[1]);
    wait_for_reset(w, ends[0]);
    ASYNC_CHECK_EQ(recv_one(w, ends[0]), -ECONNRESET);
    ASYNC_CHECK_EQ(recv_one(w, ends[0]), 0);
    ASYNC_CHECK_EQ(send_text(w, ends[0], "x"), -EPIPE);
    ASYNC_CHECK_EQ(get_option(w, ends[0], SOL_SOCKET, SO_ERROR), 0);
    ASYNC_CHECK_EQ(w->sys->shutdown(w->backend, ends[0], SHUT_WR), -ENOTCONN);
    close_fd(w, ends[0]);
}

BOTH(a_sender_hears_of_a_reset_too)
{
    int ends[2];

    new_pair(w, ends);
    close_hard(w, ends[1]);
    wait_for_reset(w, ends[0]);
    ASYNC_CHECK_EQ(send_text(w, ends[0], "x"), -ECONNRESET);
    ASYNC_CHECK_EQ(send_text(w, ends[0], "x"), -EPIPE);
    close_fd(w, ends[0]);
}

BOTH(data_before_a_reset_can_be_read)
{
    int ends[2];

    new_pair(w, ends);
    send_text(w, ends[1], "data");
    wait_for_bytes(w, ends[0]);
    close_hard(w, ends[1]);
    wait_for_reset(w, ends[0]);
    check_recv(w, ends[0], "data");
    ASYNC_CHECK_EQ(recv_one(w, ends[0]), -ECONNRESET);
    close_fd(w, ends[0]);
}

BOTH(closing_with_unread_data_resets)
{
    int ends[2];

    new_pair(w, ends);
    send_text(w, ends[0], "never read");
    wait_for_bytes(w, ends[1]);
    close_fd(w, ends[1]);
    wait_for_reset(w, ends[0]);
    ASYNC_CHECK_EQ(recv_one(w, ends[0]), -ECONNRESET);
    close_fd(w, ends[0]);
}

BOTH(sending_to_one_who_has_closed_breaks_the_pipe)
{
    int ends[2];

    new_pair(w, ends);
    close_fd(w, ends[1]);
    wait_for_bytes(w, ends[0]);
    ASYNC_CHECK_EQ(send_text(w, ends[0], "is anybody there?"), 17);
    wait_for_reset(w, ends[0]);
    check_recv(w, ends[0], "");
    ASYNC_CHECK_EQ(send_text(w, ends[0], "x"), -EPIPE); /* and no signal has killed us */
    ASYNC_CHECK_EQ(send_text(w, ends[0], "x"), -EPIPE);
    close_fd(w, ends[0]);
}

BOTH(sending_to_one_who_has_shut_down_both_halves_resets_both)
{
    int ends[2];

    new_pair(w, ends);
    ASYNC_CHECK_EQ(w->sys->shutdown(w->backend, ends[1], SHUT_RDWR), 0);
    wait_for_bytes(w, ends[0]);
    ASYNC_CHECK_EQ(send_text(w, ends[0], "x"), 1);
    wait_for_reset(w, ends[0]);
    wait_for_reset(w, ends[1]);
    ASYNC_CHECK_EQ(send_text(w, ends[0], "x"), -EPIPE);
    ASYNC_CHECK_EQ(recv_one(w, ends[1]), -ECONNRESET);
    close_fd(w, ends[0]);
    close_fd(w, ends[1]);
}

BOTH(a_full_buffer_takes_a_part_and_then_nothing)
{
    static const char zeros[1 << 20];
    static char buf[1 << 16];
    size_t sent, received = 0;
    int ends[2];

    new_pair(w, ends);
    sent = (size_t)w->sys->send(w->backend, ends[0], zeros, 100);
    sent += fill(w, ends[0]);
    ASYNC_CHECK_EQ(w->sys->send(w->backend, ends[0], zeros, sizeof zeros), -EAGAIN);
    close_fd(w, ends[0]); /* what was taken is delivered all the same */
    while (received < sent) {
        ssize_t n = w->sys->recv(w->backend, ends[1], buf, sizeof buf);

        if (n == -EAGAIN)
            wait_for_bytes(w, ends[1]);
        ASYNC_CHECK(n != 0);
        received += n > 0 ? (size_t)n : 0;
    }
    wait_for_bytes(w, ends[1]);
    check_recv(w, ends[1], "");
    close_fd(w, ends[1]);
}

BOTH(big_sends_are_cut_short)
{
    size_t size = 64 << 20;
    char *zeros = w->sys->map(w->backend, size);
    ssize_t n;
    int ends[2];

    ASYNC_CHECK(zeros != NULL);
    new_pair(w, ends);
    n = w->sys->send(w->backend, ends[0], zeros, size);
    ASYNC_CHECK(n > 0 && n < (ssize_t)size);
    close_fd(w, ends[0]);
    close_fd(w, ends[1]);
    w->sys->unmap(w->backend, zeros, size);
}

/* Each byte tells its place, with a period that no buffer has. */
BOTH(a_long_stream_arrives_unchanged)
{
    unsigned char buf[8192];
    size_t sent = 0, received = 0, total = 600000;
    int ends[2];

    new_pair(w, ends);
    while (received < total) {
        size_t chunk = 1 + sent * 7919 % sizeof buf;
        ssize_t n;

        for (size_t i = 0; i < chunk; i++)
            buf[i] = (unsigned char)((sent + i) % 251);
        n = sent < total ? w->sys->send(w->backend, ends[0], buf, chunk) : 0;
        ASYNC_CHECK(n >= 0 || n == -EAGAIN);
        sent += n > 0 ? (size_t)n : 0;
        n = w->sys->recv(w->backend, ends[1], buf, 1 + received * 104729 % (sizeof buf / 2)); /* behind the sender */
        if (n == -EAGAIN && sent > received)
            wait_for_bytes(w, ends[1]);
        for (ssize_t i = 0; i < n; i++)
            ASYNC_CHECK_EQ(buf[i], (unsigned char)((received + (size_t)i) % 251));
        received += n > 0 ? (size_t)n : 0;
    }
    close_fd(w, ends[0]);
    close_fd(w, ends[1]);
}

BOTH(a_socket_that_is_not_connected_says_so)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int fd = new_socket(w), listener = new_listener(w, 1);

    ASYNC_CHECK_EQ(recv_one(w, fd), -ENOTCONN);
    ASYNC_CHECK_EQ(send_text(w, fd, "x"), -EPIPE);
    ASYNC_CHECK_EQ(w->sys->getpeername(w->backend, fd, (struct sockaddr *)&address, &size), -ENOTCONN);
    ASYNC_CHECK_EQ(w->sys->shutdown(w->backend, fd, SHUT_RDWR), -ENOTCONN);
    ASYNC_CHECK_EQ(recv_one(w, listener), -ENOTCONN);
    ASYNC_CHECK_EQ(send_text(w, listener, "x"), -EPIPE);
    ASYNC_CHECK_EQ(w->sys->shutdown(w->backend, fd, 77), -EINVAL);
    close_fd(w, fd);
    close_fd(w, listener);
}

BOTH(descriptors_that_are_none_are_refused)
{
    int value = 0;
    socklen_t size = sizeof value;

    ASYNC_CHECK_EQ(recv_one(w, -1), -EBADF);
    ASYNC_CHECK_EQ(send_text(w, -1, "x"), -EBADF);
    ASYNC_CHECK_EQ(w->sys->listen(w->backend, -1, 1), -EBADF);
    ASYNC_CHECK_EQ(w->sys->accept(w->backend, -1, NULL, NULL), -EBADF);
    ASYNC_CHECK_EQ(w->sys->shutdown(w->backend, -1, SHUT_WR), -EBADF);
    ASYNC_CHECK_EQ(w->sys->close(w->backend, -1), -EBADF);
    ASYNC_CHECK_EQ(w->sys->getsockopt(w->backend, -1, SOL_SOCKET, SO_ERROR, &value, &size), -EBADF);
    ASYNC_CHECK_EQ(w->sys->get_flags(w->backend, -1), -EBADF);
    ASYNC_CHECK_EQ(w->sys->file_type(w->backend, -1), -EBADF);
    ASYNC_CHECK_EQ(w->sys->read(w->backend, -1, &value, 1), -EBADF);
}
