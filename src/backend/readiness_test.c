/* SPDX-License-Identifier: MIT */
/* When which events come: the same on every backend. */
#include "backend/backend_test.h"

#define ALL (AW_READABLE | AW_WRITABLE | AW_READ_END)

BOTH(level_watch_reports_until_the_data_is_read)
{
    int ends[2];

    new_pair(w, ends);
    add(w, ends[1], AW_READABLE, 7);
    ASYNC_CHECK_EQ(look(w, 7), 0);
    send_text(w, ends[0], "xy");
    ASYNC_CHECK_EQ(wait_for_events(w, 7, AW_READABLE), AW_READABLE);
    ASYNC_CHECK_EQ(look(w, 7), AW_READABLE);
    ASYNC_CHECK_EQ(recv_one(w, ends[1]), 1);
    ASYNC_CHECK_EQ(look(w, 7), AW_READABLE);
    ASYNC_CHECK_EQ(recv_one(w, ends[1]), 1);
    ASYNC_CHECK_EQ(look(w, 7), 0);
    close_fd(w, ends[0]);
    close_fd(w, ends[1]);
}

BOTH(edge_watch_reports_each_arrival_once)
{
    int ends[2];

    new_pair(w, ends);
    add(w, ends[1], AW_READABLE | AW_EDGE, 7);
    for (int i = 0; i < 3; i++) { /* nothing is read between */
        send_text(w, ends[0], "x");
        ASYNC_CHECK_EQ(wait_for_events(w, 7, AW_READABLE), AW_READABLE);
        ASYNC_CHECK_EQ(look(w, 7), 0);
    }
    check_recv(w, ends[1], "xxx");
    close_fd(w, ends[0]);
    close_fd(w, ends[1]);
}

BOTH(edge_watch_reports_at_once_what_is_already_true)
{
    int ends[2];

    new_pair(w, ends);
    add(w, ends[1], AW_READABLE, 7);
    send_text(w, ends[0], "x");
    wait_for_events(w, 7, AW_READABLE);
    ASYNC_CHECK_EQ(w->ops->remove(w->backend, ends[1]), 0);
    add(w, ends[1], ALL | AW_EDGE, 8);
    ASYNC_CHECK_EQ(look(w, 8), AW_READABLE | AW_WRITABLE);
    ASYNC_CHECK_EQ(look(w, 8), 0);
    close_fd(w, ends[0]);
    close_fd(w, ends[1]);
}

BOTH(modify_arms_an_edge_again_and_changes_the_token)
{
    int ends[2];

    new_pair(w, ends);
    add(w, ends[0], AW_WRITABLE | AW_EDGE, 7);
    ASYNC_CHECK_EQ(look(w, 7), AW_WRITABLE);
    ASYNC_CHECK_EQ(look(w, 7), 0);
    ASYNC_CHECK_EQ(w->ops->modify(w->backend, ends[0], AW_WRITABLE | AW_EDGE, 8), 0);
    ASYNC_CHECK_EQ(look(w, 8), AW_WRITABLE);
    ASYNC_CHECK_EQ(w->ops->modify(w->backend, ends[0], AW_READABLE, 9), 0);
    ASYNC_CHECK_EQ(look(w, 9), 0);
    close_fd(w, ends[0]);
    close_fd(w, ends[1]);
}

BOTH(watching_twice_or_not_at_all_is_told)
{
    int fd = new_socket(w);

    ASYNC_CHECK_EQ(w->ops->modify(w->backend, fd, AW_READABLE, 1), -ENOENT);
    ASYNC_CHECK_EQ(w->ops->remove(w->backend, fd), -ENOENT);
    add(w, fd, AW_READABLE, 1);
    ASYNC_CHECK_EQ(w->ops->add(w->backend, fd, AW_READABLE, 1), -EEXIST);
    close_fd(w, fd);
    ASYNC_CHECK_EQ(w->ops->add(w->backend, fd, AW_READABLE, 1), -EBADF);
    ASYNC_CHECK_EQ(w->ops->modify(w->backend, fd, AW_READABLE, 1), -EBADF);
    ASYNC_CHECK_EQ(w->ops->remove(w->backend, fd), -EBADF);
    ASYNC_CHECK_EQ(w->ops->add(w->backend, -1, AW_READABLE, 1), -EBADF);
}

BOTH(a_removed_or_closed_descriptor_reports_nothing)
{
    int ends[2];

    new_pair(w, ends);
    add(w, ends[0], AW_WRITABLE, 7);
    add(w, ends[1], AW_WRITABLE, 8);
    ASYNC_CHECK_EQ(w->ops->remove(w->backend, ends[0]), 0);
    close_fd(w, ends[1]);
    ASYNC_CHECK_EQ(look(w, 7) | look(w, 8), 0);
    close_fd(w, ends[0]);
}

BOTH(a_socket_that_is_not_connected_hangs_up)
{
    int fd = new_socket(w);

    add(w, fd, ALL, 7);
    ASYNC_CHECK_EQ(look(w, 7), AW_WRITABLE | AW_HANGUP);
    close_fd(w, fd);
}

BOTH(data_and_end_come_in_one_edge)
{
    int ends[2];

    new_pair(w, ends);
    send_text(w, ends[0], "last");
    close_fd(w, ends[0]);
    add(w, ends[1], AW_READABLE | AW_READ_END, 7);
    wait_for_events(w, 7, AW_READ_END);
    ASYNC_CHECK_EQ(w->ops->modify(w->backend, ends[1], ALL | AW_EDGE, 7), 0);
    ASYNC_CHECK_EQ(look(w, 7), AW_READABLE | AW_WRITABLE | AW_READ_END);
    check_recv(w, ends[1], "last");
    check_recv(w, ends[1], "");
    ASYNC_CHECK_EQ(look(w, 7), 0);
    close_fd(w, ends[1]);
}

BOTH(the_end_is_an_edge_of_its_own)
{
    int ends[2];

    new_pair(w, ends);
    add(w, ends[1], AW_READABLE | AW_READ_END | AW_EDGE, 7);
    send_text(w, ends[0], "x");
    ASYNC_CHECK_EQ(wait_for_events(w, 7, AW_READABLE), AW_READABLE);
    check_recv(w, ends[1], "x");
    close_fd(w, ends[0]);
    ASYNC_CHECK_EQ(wait_for_events(w, 7, AW_READ_END), AW_READABLE | AW_READ_END);
    ASYNC_CHECK_EQ(look(w, 7), 0);
    close_fd(w, ends[1]);
}

BOTH(hangup_comes_when_both_halves_have_ended)
{
    int ends[2];

    new_pair(w, ends);
    add(w, ends[0], ALL | AW_EDGE, 7);
    ASYNC_CHECK_EQ(look(w, 7), AW_WRITABLE);
    ASYNC_CHECK_EQ(w->sys->shutdown(w->backend, ends[0], SHUT_WR), 0);
    ASYNC_CHECK_EQ(look(w, 7), AW_WRITABLE); /* our own end is an edge, too */
    close_fd(w, ends[1]);
    ASYNC_CHECK_EQ(wait_for_events(w, 7, AW_HANGUP), AW_READABLE | AW_WRITABLE | AW_READ_END | AW_HANGUP);
    close_fd(w, ends[0]);
}

BOTH(a_reset_is_an_error_and_hangs_up_unasked)
{
    int ends[2];

    new_pair(w, ends);
    add(w, ends[0], AW_EDGE, 7);
    close_hard(w, ends[1]);
    ASYNC_CHECK_EQ(wait_for_events(w, 7, AW_ERROR | AW_HANGUP), AW_ERROR | AW_HANGUP);
    ASYNC_CHECK_EQ(look(w, 7), 0);
    ASYNC_CHECK_EQ(w->ops->modify(w->backend, ends[0], ALL, 7), 0);
    ASYNC_CHECK_EQ(look(w, 7), ALL | AW_ERROR | AW_HANGUP);
    ASYNC_CHECK_EQ(recv_one(w, ends[0]), -ECONNRESET);
    ASYNC_CHECK_EQ(look(w, 7), ALL | AW_HANGUP);
    close_fd(w, ends[0]);
}

/* Reads until a writable edge of token 7 comes; how much was read. */
static size_t drain_until_writable(struct world *w, int fd)
{
    static char buf[4096];
    int64_t deadline = now(w) + PATIENCE;
    size_t total = 0;
    ssize_t n;

    while (!(look(w, 7) & AW_WRITABLE)) {
        ASYNC_CHECK(now(w) < deadline);
        n = w->sys->recv(w->backend, fd, buf, sizeof buf);
        ASYNC_CHECK(n > 0 || n == -EAGAIN);
        total += n > 0 ? (size_t)n : 0;
    }
    return total;
}

BOTH(space_after_a_full_buffer_is_one_edge)
{
    static char buf[65536];
    int ends[2];

    new_pair(w, ends);
    add(w, ends[0], AW_WRITABLE | AW_EDGE, 7);
    ASYNC_CHECK_EQ(look(w, 7), AW_WRITABLE);
    ASYNC_CHECK(fill(w, ends[0]) > 0);
    ASYNC_CHECK_EQ(look(w, 7), 0);
    ASYNC_CHECK(drain_until_writable(w, ends[1]) > 4096); /* not for the first few bytes */
    for (int i = 0; i < 10; i++) {                        /* more space is no news */
        w->sys->recv(w->backend, ends[1], buf, sizeof buf);
        ASYNC_CHECK_EQ(look(w, 7), 0);
    }
    ASYNC_CHECK_EQ(send_text(w, ends[0], "x"), 1);
    close_fd(w, ends[0]);
    close_fd(w, ends[1]);
}

BOTH(a_full_buffer_is_not_writable)
{
    int ends[2];

    new_pair(w, ends);
    fill(w, ends[0]);
    add(w, ends[0], AW_WRITABLE, 7);
    ASYNC_CHECK_EQ(look(w, 7), 0);
    drain_until_writable(w, ends[1]);
    close_fd(w, ends[0]);
    close_fd(w, ends[1]);
}

BOTH(a_listener_reports_each_connection)
{
    int listener = new_listener(w, 8), clients[2];

    add(w, listener, AW_READABLE | AW_WRITABLE | AW_EDGE, 7);
    ASYNC_CHECK_EQ(look(w, 7), 0);
    for (int i = 0; i < 2; i++) {
        clients[i] = new_client(w, listener);
        ASYNC_CHECK_EQ(wait_for_events(w, 7, AW_READABLE), AW_READABLE);
        ASYNC_CHECK_EQ(look(w, 7), 0);
    }
    close_fd(w, listener);
    close_fd(w, clients[0]);
    close_fd(w, clients[1]);
}

BOTH(few_places_for_events_starve_nobody)
{
    struct aw_event event;
    int pairs[3][2], seen[3] = { 0, 0, 0 };

    for (int i = 0; i < 3; i++) {
        new_pair(w, pairs[i]);
        add(w, pairs[i][0], AW_WRITABLE, (uint64_t)i);
    }
    for (int i = 0; i < 9; i++) {
        ASYNC_CHECK_EQ(w->ops->wait(w->backend, 0, &event, 1), 1);
        seen[event.token]++;
    }
    for (int i = 0; i < 3; i++) {
        ASYNC_CHECK_EQ(seen[i], 3);
        close_fd(w, pairs[i][0]);
        close_fd(w, pairs[i][1]);
    }
}

BOTH(events_come_in_the_order_in_which_they_happened)
{
    struct aw_event events[4];
    int pairs[3][2], n = 0;

    for (int i = 0; i < 3; i++) {
        new_pair(w, pairs[i]);
        add(w, pairs[i][1], AW_READABLE | AW_EDGE, (uint64_t)i);
    }
    for (int i = 2; i >= 0; i--) {
        send_text(w, pairs[i][0], "x");
        while (n < 3 - i) {
            int r = w->ops->wait(w->backend, PATIENCE, events, 4);

            ASYNC_CHECK_EQ(r, 1);
            ASYNC_CHECK_EQ(events[0].token, i);
            n += r;
        }
    }
    for (int i = 0; i < 3; i++) {
        close_fd(w, pairs[i][0]);
        close_fd(w, pairs[i][1]);
    }
}
