/* SPDX-License-Identifier: MIT */
/* Reading, ending and callbacks, the same on both backends. */
#include "transport/fixture.h"

static char buf[64 * 1024];

static ssize_t get(struct end *end, size_t size)
{
    return aw_transport_read(&end->transport, buf, size);
}

/* ---- what is believed ---- */

TEST_ON_BOTH(a_fresh_transport_makes_no_blind_read_and_misses_nothing)
{
    struct end end;

    install_faults(loop);
    end_open(&end, loop);
    peer_send(&end, "early");
    ASYNC_CHECK_EQ(get(&end, sizeof buf), -EAGAIN);
    ASYNC_CHECK_EQ(faults.receives, 0);
    wait_until_readable(&end);
    ASYNC_CHECK_EQ(get(&end, sizeof buf), 5);
    ASYNC_CHECK(memcmp(buf, "early", 5) == 0);
    end_close(&end);
}

TEST_ON_BOTH(data_that_came_before_the_transport_is_reported)
{
    struct end end = { .peer = -1 };
    int fd;

    end.peer = raw_pair(loop, &fd);
    ASYNC_CHECK_EQ(loop->sys->send(loop->backend, end.peer, "early", 5), 5);
    ASYNC_CHECK_EQ(aw_transport_open(&end.transport, loop, fd, false, &end_sink), 0);
    wait_until_readable(&end);
    ASYNC_CHECK_EQ(get(&end, sizeof buf), 5);
    end_close(&end);
}

TEST_ON_BOTH(a_short_read_spares_the_next_system_call)
{
    struct end end;

    install_faults(loop);
    end_open(&end, loop);
    peer_send(&end, "hello");
    wait_until_readable(&end);
    ASYNC_CHECK_EQ(get(&end, sizeof buf), 5);
    ASYNC_CHECK_EQ(get(&end, sizeof buf), -EAGAIN);
    ASYNC_CHECK_EQ(faults.receives, 1);
    end_close(&end);
}

TEST_ON_BOTH(a_filled_buffer_keeps_the_belief)
{
    struct end end;

    install_faults(loop);
    end_open(&end, loop);
    peer_send(&end, "0123456789");
    wait_until_readable(&end);
    ASYNC_CHECK_EQ(get(&end, 4), 4);
    ASYNC_CHECK_EQ(get(&end, 4), 4);
    ASYNC_CHECK_EQ(get(&end, 4), 2);
    ASYNC_CHECK_EQ(get(&end, 4), -EAGAIN);
    ASYNC_CHECK_EQ(faults.receives, 3);
    peer_send(&end, "abcd");
    wait_until_readable(&end);
    ASYNC_CHECK_EQ(get(&end, 4), 4);
    ASYNC_CHECK_EQ(get(&end, 4), -EAGAIN); /* this one asks */
    ASYNC_CHECK_EQ(faults.receives, 5);
    ASYNC_CHECK_EQ(get(&end, 4), -EAGAIN); /* and this one does not */
    ASYNC_CHECK_EQ(faults.receives, 5);
    end_close(&end);
}

TEST_ON_BOTH(single_bytes_arrive_one_by_one)
{
    struct end end;

    end_open(&end, loop);
    for (int i = 0; i < 100; i++) {
        char byte[2] = { (char)('a' + i % 26), '\0' };

        peer_send(&end, byte);
        wait_until_readable(&end);
        ASYNC_CHECK_EQ(get(&end, sizeof buf), 1);
        ASYNC_CHECK_EQ(buf[0], byte[0]);
    }
    end_close(&end);
}

TEST_ON_BOTH(readable_is_told_once_for_each_asking)
{
    struct end end;

    end_open(&end, loop);
    peer_send(&end, "x");
    settle(loop);
    ASYNC_CHECK_EQ(end.readables, 0);
    wait_until_readable(&end); /* believed by now: comes through the loop all the same */
    peer_send(&end, "y");
    settle(loop);
    ASYNC_CHECK_EQ(end.readables, 1);
    aw_transport_want_read(&end.transport, true);
    aw_transport_want_read(&end.transport, false);
    settle(loop);
    ASYNC_CHECK_EQ(end.readables, 1);
    ASYNC_CHECK_EQ(get(&end, sizeof buf), 2);
    end_close(&end);
}

TEST_ON_BOTH(an_interrupted_read_is_repeated)
{
    struct end end;

    install_faults(loop);
    end_open(&end, loop);
    peer_send(&end, "x");
    wait_until_readable(&end);
    faults.fail_receive = -EINTR;
    ASYNC_CHECK_EQ(get(&end, sizeof buf), 1);
    end_close(&end);
}

TEST_ON_BOTH(a_read_without_kernel_memory_loses_nothing)
{
    struct end end;

    install_faults(loop);
    end_open(&end, loop);
    peer_send(&end, "x");
    wait_until_readable(&end);
    faults.fail_receive = -ENOMEM;
    ASYNC_CHECK_EQ(get(&end, sizeof buf), -ENOMEM);
    ASYNC_CHECK_EQ(get(&end, sizeof buf), 1);
    ASYNC_CHECK_EQ(get(&end, 0), -EAGAIN);
    end_close(&end);
    ASYNC_CHECK_EQ(end.losts, 0);
}

/* ---- the peer ends ---- */

TEST_ON_BOTH(data_and_end_in_one_edge_are_both_seen)
{
    struct end end;

    end_open(&end, loop);
    peer_send(&end, "last words");
    peer_close(&end);
    wait_until_readable(&end);
    ASYNC_CHECK_EQ(get(&end, sizeof buf), 10);
    ASYNC_CHECK_EQ(get(&end, sizeof buf), 0);
    ASYNC_CHECK_EQ(get(&end, sizeof buf), 0);
    wait_until_readable(&end); /* the end can be taken again and again */
    settle(loop);
    ASYNC_CHECK_EQ(end.losts, 0); /* we may still write */
    end_close(&end);
}

TEST_ON_BOTH(a_half_closed_peer_still_gets_our_answer)
{
    struct end end;

    end_open(&end, loop);
    peer_send(&end, "question");
    ASYNC_CHECK_EQ(loop->sys->shutdown(loop->backend, end.peer, SHUT_WR), 0);
    wait_until_readable(&end);
    ASYNC_CHECK_EQ(get(&end, sizeof buf), 8);
    ASYNC_CHECK_EQ(get(&end, sizeof buf), 0);
    ASYNC_CHECK_EQ(end_write(&end, "answer", 6), 0);
    ASYNC_CHECK_EQ(aw_transport_write_eof(&end.transport), 0);
    UNTIL(loop, peer_recv(&end, buf, sizeof buf) == 6);
    UNTIL(loop, peer_recv(&end, buf, sizeof buf) == 0);
    aw_transport_close(&end.transport);
    settle(loop);
    ASYNC_CHECK(end.losts == 1 && end.error == 0);
    end_close(&end);
}

TEST_ON_BOTH(a_reset_is_told_once_and_stays)
{
    struct end end;

    end_open(&end, loop);
    aw_transport_want_read(&end.transport, true);
    peer_reset(&end);
    UNTIL(loop, end.readables == 1);
    ASYNC_CHECK_EQ(get(&end, sizeof buf), -ECONNRESET);
    ASYNC_CHECK_HAS(async_last_error(), "reading from");
    ASYNC_CHECK_EQ(end.losts, 0); /* through the loop, not from inside the call */
    ASYNC_CHECK_EQ(get(&end, sizeof buf), -ECONNRESET);
    ASYNC_CHECK_EQ(end_write(&end, "x", 1), -ECONNRESET);
    settle(loop);
    ASYNC_CHECK(end.losts == 1 && end.error == -ECONNRESET);
    aw_transport_close(&end.transport);
    aw_transport_abort(&end.transport, -EIO);
    ASYNC_CHECK_EQ(aw_transport_set_limits(&end.transport, 1, 0), 0);
    settle(loop);
    ASYNC_CHECK_EQ(end.losts, 1);
    end_close(&end);
}

TEST_ON_BOTH(an_end_and_then_a_reset_is_an_end_for_the_reader)
{
    struct end end;

    end_open(&end, loop);
    peer_send(&end, "bye");
    ASYNC_CHECK_EQ(loop->sys->shutdown(loop->backend, end.peer, SHUT_WR), 0);
    wait_until_readable(&end);
    ASYNC_CHECK_EQ(get(&end, 3), 3);
    ASYNC_CHECK_EQ(get(&end, sizeof buf), 0);
    peer_reset(&end);
    settle(loop);
    ASYNC_CHECK_EQ(end.losts, 0);
    UNTIL(loop, end_write(&end, "x", 1) == -EPIPE);
    settle(loop);
    ASYNC_CHECK(end.losts == 1 && end.error == -EPIPE);
    end_close(&end);
}

/* The peer says why it leaves, does not read what we sent, and closes: its kernel resets the connection. */
TEST_ON_BOTH(a_failed_write_does_not_hide_what_the_peer_said)
{
    struct end end;

    end_open(&end, loop);
    ASYNC_CHECK_EQ(end_write(&end, "unread", 6), 0);
    settle(loop);
    peer_send(&end, "413 too large");
    peer_close(&end);
    settle(loop);
    ASYNC_CHECK_EQ(end_write(&end, "more", 4), -ECONNRESET);
    ASYNC_CHECK_HAS(async_last_error(), "writing to");
    ASYNC_CHECK_EQ(end_write(&end, "more", 4), -ECONNRESET);
    settle(loop);
    ASYNC_CHECK_EQ(end.losts, 0);
    wait_until_readable(&end);
    ASYNC_CHECK_EQ(get(&end, 3), 3);
    ASYNC_CHECK_EQ(get(&end, sizeof buf), 10);
    /* Not a clean end, though the kernel would say so now: it has told of the reset, to the writer. */
    ASYNC_CHECK_EQ(get(&end, sizeof buf), -ECONNRESET);
    settle(loop);
    ASYNC_CHECK(end.losts == 1 && end.error == -ECONNRESET);
    end_close(&end);
}

TEST_ON_BOTH(closing_after_a_failed_write_tells_of_it)
{
    struct end end;

    end_open(&end, loop);
    peer_reset(&end);
    settle(loop);
    ASYNC_CHECK_EQ(end_write(&end, "x", 1), -ECONNRESET);
    settle(loop);
    ASYNC_CHECK_EQ(end.losts, 0);
    ASYNC_CHECK_EQ(aw_transport_write_eof(&end.transport), -ECONNRESET);
    aw_transport_close(&end.transport);
    settle(loop);
    ASYNC_CHECK(end.losts == 1 && end.error == -ECONNRESET);
    end_close(&end);
}

/* ---- we end ---- */

TEST_ON_BOTH(close_is_told_through_the_loop_and_ends_the_stream)
{
    struct end end;

    end_open(&end, loop);
    end.in_call = true;
    aw_transport_close(&end.transport);
    aw_transport_close(&end.transport);
    end.in_call = false;
    ASYNC_CHECK_EQ(end.losts, 0);
    ASYNC_CHECK_EQ(get(&end, sizeof buf), ASYNC_ECLOSED);
    ASYNC_CHECK_EQ(end_write(&end, "x", 1), ASYNC_ECLOSED);
    ASYNC_CHECK_EQ(aw_transport_write_eof(&end.transport), ASYNC_ECLOSED);
    aw_transport_want_read(&end.transport, true);
    settle(loop);
    ASYNC_CHECK(end.losts == 1 && end.error == 0 && end.readables == 0);
    UNTIL(loop, peer_recv(&end, buf, sizeof buf) == 0);
    end_close(&end);
}

TEST_ON_BOTH(abort_tells_the_given_reason_and_no_other_callback)
{
    struct end end;

    end_open(&end, loop);
    peer_send(&end, "x");
    settle(loop);
    aw_transport_want_read(&end.transport, true);
    aw_transport_abort(&end.transport, ASYNC_ETIMEOUT);
    ASYNC_CHECK_EQ(get(&end, 1), ASYNC_ETIMEOUT);
    settle(loop);
    ASYNC_CHECK(end.losts == 1 && end.error == ASYNC_ETIMEOUT && end.readables == 0);
    end_close(&end);
}

TEST_ON_BOTH(destroy_is_silent_and_closes_at_once)
{
    struct end end;

    end_open(&end, loop);
    aw_transport_close(&end.transport);
    aw_transport_destroy(&end.transport);
    memset(&end.transport, 0xee, sizeof end.transport);
    settle(loop);
    ASYNC_CHECK_EQ(end.losts, 0);
    UNTIL(loop, loop->sys->recv(loop->backend, end.peer, buf, sizeof buf) == 0);
    loop->sys->close(loop->backend, end.peer);
}

static void destroy_here(struct end *end)
{
    int peer = end->peer;

    aw_transport_destroy(&end->transport);
    memset(&end->transport, 0xee, sizeof end->transport); /* whoever looks at it now is lost */
    end->peer = peer;
}

TEST_ON_BOTH(the_owner_may_vanish_in_readable)
{
    struct end end;

    end_open(&end, loop);
    end.on_readable = destroy_here;
    peer_send(&end, "x");
    aw_transport_want_read(&end.transport, true);
    UNTIL(loop, end.readables == 1);
    settle(loop);
    loop->sys->close(loop->backend, end.peer);
}

TEST_ON_BOTH(the_owner_may_vanish_in_lost)
{
    struct end end;

    end_open(&end, loop);
    end.on_lost = destroy_here;
    aw_transport_close(&end.transport);
    UNTIL(loop, end.losts == 1);
    settle(loop);
    loop->sys->close(loop->backend, end.peer);
}

/* ---- opening ---- */

TEST_ON_BOTH(a_descriptor_has_one_transport)
{
    struct end end, second;

    end_open(&end, loop);
    ASYNC_CHECK_EQ(aw_transport_open(&second.transport, loop, end.transport.io.fd, false, &end_sink), -EBUSY);
    aw_transport_destroy(&second.transport); /* of one that was not opened: nothing */
    peer_send(&end, "still there");
    wait_until_readable(&end);
    ASYNC_CHECK_EQ(get(&end, sizeof buf), 11);
    end_close(&end);
}

TEST_ON_BOTH(a_wrong_descriptor_is_refused)
{
    struct aw_transport transport;

    ASYNC_CHECK_EQ(aw_transport_open(&transport, loop, -1, false, &end_sink), -EBADF);
    ASYNC_CHECK_EQ(aw_transport_open(&transport, loop, 12345, false, &end_sink), -EBADF);
    ASYNC_CHECK_EQ(aw_transport_open(&transport, loop, 12345, true, &end_sink), -EBADF);
}

TEST_ON_BOTH(opening_without_memory_leaves_the_descriptor_to_the_caller)
{
    struct aw_transport transport;
    int fd, peer = raw_pair(loop, &fd), r;
    long n = 0;

    do {
        async_test_fail_allocation(++n, 0);
        r = aw_transport_open(&transport, loop, fd, false, &end_sink);
        async_test_fail_allocation(0, 0);
        ASYNC_CHECK(r == 0 || r == -ENOMEM);
    } while (r < 0);
    ASYNC_CHECK(n > 1);
    aw_transport_destroy(&transport);
    ASYNC_CHECK_EQ(loop->sys->close(loop->backend, fd), -EBADF);
    loop->sys->close(loop->backend, peer);
}
