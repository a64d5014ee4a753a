/* SPDX-License-Identifier: MIT */
/* Writing, the same on both backends: the queue, its water marks, its end, its failures. */
#include "transport/fixture.h"

#include <stdlib.h>

static unsigned char data[1 << 20];
static char buf[64 * 1024];

/* A sequence without a short period, so that a lost or doubled piece shows. */
static unsigned char byte_at(uint64_t position)
{
    return (unsigned char)((position * 2654435761u) >> 13);
}

static int write_at(struct end *end, uint64_t position, size_t size)
{
    for (size_t i = 0; i < size; i++)
        data[i] = byte_at(position + i);
    return end_write(end, data, size);
}

/* Everything that is there, checked against the sequence. */
static uint64_t peer_take(struct end *end, uint64_t position, size_t most)
{
    ssize_t n = peer_recv(end, buf, most < sizeof buf ? most : sizeof buf);

    ASYNC_CHECK(n >= 0 || n == -EAGAIN);
    for (ssize_t i = 0; i < n; i++)
        if ((unsigned char)buf[i] != byte_at(position + (uint64_t)i))
            ASYNC_FAIL("byte %llu is wrong", (unsigned long long)position + (unsigned long long)i);
    return n > 0 ? (uint64_t)n : 0;
}

/* Writes until something is queued; returns how much. */
static uint64_t fill(struct end *end)
{
    uint64_t sent = 0;

    while (end->transport.queued == 0) {
        ASYNC_CHECK_EQ(write_at(end, sent, 50000), 0);
        sent += 50000;
        ASYNC_CHECK(sent < 100000000);
    }
    return sent;
}

TEST_ON_BOTH(a_write_that_the_kernel_takes_is_not_queued)
{
    struct end end;
    long before;

    install_faults(loop);
    end_open(&end, loop);
    before = async_test_allocations();
    for (int i = 0; i < 10; i++)
        ASYNC_CHECK_EQ(end_write(&end, "hello", 5), 0);
    if (strcmp(async_loop_backend(loop), "linux") == 0)
        ASYNC_CHECK_EQ(async_test_allocations(), before);
    ASYNC_CHECK_EQ(faults.sends, 10);
    ASYNC_CHECK_EQ(end.transport.queued, 0);
    UNTIL(loop, peer_recv(&end, buf, sizeof buf) == 50);
    end_close(&end);
}

TEST_ON_BOTH(pieces_go_out_as_one)
{
    struct end end;
    struct iovec pieces[200];
    char ab[] = "ab";

    install_faults(loop);
    end_open(&end, loop);
    for (int i = 0; i < 200; i++)
        pieces[i] = (struct iovec){ ab, (size_t)(i % 3) };
    ASYNC_CHECK_EQ(aw_transport_write(&end.transport, pieces, 200), 0);
    ASYNC_CHECK_EQ(aw_transport_write(&end.transport, pieces, 0), 0);
    ASYNC_CHECK_EQ(aw_transport_write(&end.transport, pieces, -1), -EINVAL);
    ASYNC_CHECK(faults.sends <= 4);
    UNTIL(loop, peer_recv(&end, buf, sizeof buf) == 199);
    ASYNC_CHECK(memcmp(buf, "aabaab", 6) == 0);
    end_close(&end);
}

TEST_ON_BOTH(a_slow_reader_gets_all_and_a_polite_writer_needs_little_memory)
{
    struct end end;
    uint64_t written = 0, taken = 0, total = 8 * 1000 * 1000;
    size_t most = 0;
    int round = 0;

    end_open(&end, loop);
    while (taken < total) {
        while (written < total && end.pauses == end.resumes) {
            size_t size = 1 + written % 3000;

            if (size > total - written)
                size = (size_t)(total - written);
            ASYNC_CHECK_EQ(write_at(&end, written, size), 0);
            written += size;
        }
        most = end.transport.queued > most ? end.transport.queued : most;
        for (int i = 0; i < 20; i++)
            taken += peer_take(&end, taken, 7000);
        ASYNC_CHECK(async_loop_turn(loop, round++ % 2 ? 0.001 : 0) >= 0);
        ASYNC_CHECK(round < 100000);
    }
    ASYNC_CHECK(end.pauses > 1 && end.pauses == end.resumes);
    ASYNC_CHECK(most > 64 * 1024 && most < 2 * 64 * 1024);
    ASYNC_CHECK(end.transport.queue_head == NULL);
    end_close(&end);
}

TEST_ON_BOTH(one_write_of_many_megabytes_arrives)
{
    struct end end;
    size_t size = 12 * 1000 * 1000;
    unsigned char *big = malloc(size);
    uint64_t taken = 0;

    ASYNC_CHECK(big != NULL);
    for (size_t i = 0; i < size; i++)
        big[i] = byte_at(i);
    end_open(&end, loop);
    ASYNC_CHECK_EQ(end_write(&end, big, size), 0);
    free(big); /* what was not sent was copied */
    ASYNC_CHECK_EQ(end.pauses, 1);
    while (taken < size) {
        taken += peer_take(&end, taken, sizeof buf);
        ASYNC_CHECK(async_loop_turn(loop, 0) >= 0);
    }
    UNTIL(loop, end.resumes == 1);
    end_close(&end);
}

TEST_ON_BOTH(a_long_queue_is_flushed_in_portions)
{
    struct end end;
    size_t before, turns = 0;

    install_faults(loop);
    end_open(&end, loop);
    fill(&end);
    for (int i = 0; i < 5; i++)
        ASYNC_CHECK_EQ(end_write(&end, data, sizeof data), 0);
    while (peer_recv(&end, buf, sizeof buf) > 0)
        ;
    faults.swallow = true; /* a kernel that is never full gives no edge either: the transport must go on by itself */
    while ((before = end.transport.queued) > 0) {
        ASYNC_CHECK(async_loop_turn(loop, 0.01) >= 0);
        ASYNC_CHECK(before - end.transport.queued <= 4 << 20);
        ASYNC_CHECK(++turns < 1000);
    }
    ASYNC_CHECK(turns >= 2);
    settle(loop);
    ASYNC_CHECK_EQ(end.resumes, 1);
    end_close(&end);
}

TEST_ON_BOTH(a_kernel_that_takes_single_bytes_gets_them_all)
{
    struct end end;
    uint64_t taken = 0;

    install_faults(loop);
    end_open(&end, loop);
    end.transport.short_reads = false; /* as on a pipe: only EAGAIN means full */
    faults.send_limit = 1;
    ASYNC_CHECK_EQ(write_at(&end, 0, 1000), 0);
    while (taken < 1000)
        taken += peer_take(&end, taken, sizeof buf);
    ASYNC_CHECK_EQ(end.transport.queued, 0);
    end_close(&end);
}

/* ---- water marks ---- */

TEST_ON_BOTH(water_marks_pause_above_high_and_resume_at_low)
{
    struct end end;

    end_open(&end, loop);
    ASYNC_CHECK_EQ(aw_transport_set_limits(&end.transport, 1, 2), -EINVAL);
    fill(&end);
    ASYNC_CHECK_EQ(aw_transport_set_limits(&end.transport, 1 << 20, 1000), 0);
    while (end.transport.queued <= (1 << 20)) {
        ASYNC_CHECK_EQ(end.pauses, end.resumes);
        ASYNC_CHECK_EQ(end_write(&end, data, 30000), 0);
    }
    ASYNC_CHECK_EQ(end.pauses, end.resumes + 1);
    while (end.transport.queued > 1000) {
        ASYNC_CHECK_EQ(end.pauses, end.resumes + 1);
        peer_recv(&end, buf, sizeof buf);
        ASYNC_CHECK(async_loop_turn(loop, 0.001) >= 0);
    }
    UNTIL(loop, end.pauses == end.resumes);
    end_close(&end);
}

/* Only sim's peer makes room in steps that are known. */
ASYNC_TEST_PLAIN(writing_resumes_while_something_is_still_queued)
{
    static struct end end;
    async_loop_options options = *async_test_options();
    async_loop *loop;

    options.backend = "sim";
    loop = async_loop_new(&options);
    end_open(&end, loop);
    fill(&end);
    ASYNC_CHECK_EQ(aw_transport_set_limits(&end.transport, 200000, 150000), 0);
    while (end.pauses == end.resumes)
        ASYNC_CHECK_EQ(end_write(&end, data, 10000), 0);
    while (end.pauses > end.resumes) {
        ASYNC_CHECK(end.transport.queued > 150000);
        ASYNC_CHECK(peer_recv(&end, buf, 30000) > 0);
        settle(loop);
    }
    ASYNC_CHECK(end.transport.queued > 100000 && end.transport.queued <= 150000);
    end_close(&end);
    ASYNC_CHECK_EQ(async_loop_close(loop), 0);
}

TEST_ON_BOTH(new_water_marks_pause_and_resume_at_once)
{
    struct end end;
    int pauses;

    end_open(&end, loop);
    fill(&end);
    pauses = end.pauses;
    ASYNC_CHECK_EQ(aw_transport_set_limits(&end.transport, 1 << 30, 1 << 20), 0);
    settle(loop);
    ASYNC_CHECK_EQ(end.pauses, end.resumes);
    ASYNC_CHECK_EQ(aw_transport_set_limits(&end.transport, 0, 0), 0);
    ASYNC_CHECK_EQ(end.pauses, pauses + 1);
    ASYNC_CHECK_EQ(end_write(&end, "x", 1), 0);
    ASYNC_CHECK_EQ(end.pauses, pauses + 1);
    end_close(&end);
}

static void destroy_here(struct end *end)
{
    aw_transport_destroy(&end->transport);
    memset(&end->transport, 0xee, sizeof end->transport);
}

static void abort_here(struct end *end)
{
    aw_transport_abort(&end->transport, -EIO);
}

TEST_ON_BOTH(the_owner_may_vanish_in_pause_writing)
{
    struct end end;

    end_open(&end, loop);
    end.on_pause = destroy_here;
    while (end.pauses == 0)
        ASYNC_CHECK_EQ(end_write(&end, data, 100000), 0);
    settle(loop);
    loop->sys->close(loop->backend, end.peer);
}

TEST_ON_BOTH(the_owner_may_abort_in_pause_writing)
{
    struct end end;

    end_open(&end, loop);
    end.on_pause = abort_here;
    while (end.pauses == 0)
        ASYNC_CHECK_EQ(end_write(&end, data, 100000), 0);
    settle(loop);
    ASYNC_CHECK(end.losts == 1 && end.error == -EIO && end.resumes == 0);
    end_close(&end);
}

/* Both are due in one event: the one that is told first takes the transport away. */
TEST_ON_BOTH(the_owner_may_vanish_in_resume_writing)
{
    struct end end;

    end_open(&end, loop);
    end.on_resume = destroy_here;
    while (end.pauses == 0)
        ASYNC_CHECK_EQ(end_write(&end, data, 100000), 0);
    aw_transport_want_read(&end.transport, true);
    peer_send(&end, "x");
    while (end.resumes == 0 && end.readables == 0) {
        peer_recv(&end, buf, sizeof buf);
        if (end.readables == 0)
            ASYNC_CHECK(async_loop_turn(loop, 0.001) >= 0);
    }
    settle(loop);
    if (end.resumes == 0)
        aw_transport_destroy(&end.transport);
    loop->sys->close(loop->backend, end.peer);
}

TEST_ON_BOTH(resume_and_readable_of_one_event_are_both_told)
{
    struct end end;

    end_open(&end, loop);
    install_faults(loop);
    while (end.pauses == 0)
        ASYNC_CHECK_EQ(end_write(&end, data, 100000), 0);
    settle(loop);
    aw_transport_want_read(&end.transport, true);
    faults.swallow = true;
    peer_send(&end, "x"); /* its edge finds a kernel that takes everything */
    while (peer_recv(&end, buf, sizeof buf) > 0)
        ;
    UNTIL(loop, end.readables == 1 && end.resumes == 1);
    end_close(&end);
}

/* ---- ending ---- */

TEST_ON_BOTH(close_sends_what_is_queued_and_then_ends)
{
    struct end end;
    uint64_t sent, taken = 0;
    ssize_t n = -EAGAIN;

    end_open(&end, loop);
    sent = fill(&end);
    aw_transport_close(&end.transport);
    settle(loop);
    ASYNC_CHECK_EQ(end.losts, 0); /* a peer that does not read keeps it open */
    while (taken < sent) {
        taken += peer_take(&end, taken, sizeof buf);
        ASYNC_CHECK(async_loop_turn(loop, 0) >= 0);
    }
    for (int i = 0; i < 1000 && n == -EAGAIN; i++) {
        ASYNC_CHECK(async_loop_turn(loop, 0.001) >= 0);
        n = peer_recv(&end, buf, sizeof buf);
    }
    ASYNC_CHECK_EQ(n, 0);
    ASYNC_CHECK_EQ(taken, sent);
    ASYNC_CHECK(end.losts == 1 && end.error == 0);
    end_close(&end);
}

TEST_ON_BOTH(a_closing_transport_whose_peer_never_reads_can_be_aborted)
{
    struct end end;

    end_open(&end, loop);
    fill(&end);
    aw_transport_close(&end.transport);
    settle(loop);
    ASYNC_CHECK_EQ(end.losts, 0);
    aw_transport_abort(&end.transport, ASYNC_ETIMEOUT);
    settle(loop);
    ASYNC_CHECK(end.losts == 1 && end.error == ASYNC_ETIMEOUT);
    ASYNC_CHECK(end.transport.queue_head == NULL);
    end_close(&end);
}

TEST_ON_BOTH(a_closing_transport_is_lost_when_the_peer_resets)
{
    struct end end;

    end_open(&end, loop);
    fill(&end);
    aw_transport_close(&end.transport);
    peer_reset(&end);
    UNTIL(loop, end.losts == 1);
    ASYNC_CHECK_EQ(end.error, -ECONNRESET);
    end_close(&end);
}

TEST_ON_BOTH(write_eof_comes_after_the_queue_and_reading_goes_on)
{
    struct end end;
    uint64_t sent, taken = 0;

    end_open(&end, loop);
    sent = fill(&end);
    ASYNC_CHECK_EQ(aw_transport_write_eof(&end.transport), 0);
    ASYNC_CHECK_EQ(aw_transport_write_eof(&end.transport), 0);
    ASYNC_CHECK_EQ(end_write(&end, "x", 1), -EPIPE);
    while (taken < sent) {
        taken += peer_take(&end, taken, sizeof buf);
        ASYNC_CHECK(async_loop_turn(loop, 0) >= 0);
    }
    UNTIL(loop, peer_recv(&end, buf, sizeof buf) == 0);
    ASYNC_CHECK_EQ(end_write(&end, "x", 1), -EPIPE);
    ASYNC_CHECK_EQ(aw_transport_write_eof(&end.transport), 0);
    peer_send(&end, "and now I");
    wait_until_readable(&end);
    ASYNC_CHECK_EQ(aw_transport_read(&end.transport, buf, sizeof buf), 9);
    end_close(&end);
}

TEST_ON_BOTH(close_after_a_queued_write_eof_sends_all)
{
    struct end end;
    uint64_t sent, taken = 0;

    end_open(&end, loop);
    sent = fill(&end);
    ASYNC_CHECK_EQ(aw_transport_write_eof(&end.transport), 0);
    aw_transport_close(&end.transport);
    while (end.losts == 0) {
        taken += peer_take(&end, taken, sizeof buf);
        ASYNC_CHECK(async_loop_turn(loop, 0) >= 0);
    }
    while (taken < sent)
        taken += peer_take(&end, taken, sizeof buf);
    ASYNC_CHECK_EQ(end.error, 0);
    end_close(&end);
}

TEST_ON_BOTH(a_write_eof_that_comes_too_late_says_so)
{
    struct end end;

    end_open(&end, loop);
    peer_reset(&end);
    settle(loop);
    ASYNC_CHECK_EQ(aw_transport_write_eof(&end.transport), -EPIPE);
    wait_until_readable(&end);
    ASYNC_CHECK_EQ(aw_transport_read(&end.transport, buf, sizeof buf), -ECONNRESET);
    settle(loop);
    ASYNC_CHECK_EQ(end.losts, 1);
    end_close(&end);
}

/* ---- failures ---- */

TEST_ON_BOTH(a_failing_flush_resumes_the_writer_and_wakes_the_reader)
{
    struct end end;

    end_open(&end, loop);
    while (end.pauses == 0)
        ASYNC_CHECK_EQ(end_write(&end, data, 100000), 0);
    aw_transport_want_read(&end.transport, true);
    peer_reset(&end);
    UNTIL(loop, end.resumes == 1 && end.readables == 1);
    ASYNC_CHECK_EQ(end.transport.write_error, -ECONNRESET);
    ASYNC_CHECK_EQ(end_write(&end, "x", 1), -ECONNRESET);
    ASYNC_CHECK_EQ(end.transport.queued, 0);
    ASYNC_CHECK_EQ(aw_transport_read(&end.transport, buf, sizeof buf), -ECONNRESET);
    settle(loop);
    ASYNC_CHECK(end.losts == 1 && end.error == -ECONNRESET);
    end_close(&end);
}

TEST_ON_BOTH(an_interrupted_write_is_repeated)
{
    struct end end;

    install_faults(loop);
    end_open(&end, loop);
    faults.fail_send = -EINTR;
    ASYNC_CHECK_EQ(end_write(&end, "x", 1), 0);
    ASYNC_CHECK_EQ(faults.sends, 2);
    UNTIL(loop, peer_recv(&end, buf, sizeof buf) == 1);
    end_close(&end);
}

TEST_ON_BOTH(a_write_without_kernel_memory_takes_nothing)
{
    struct end end;

    install_faults(loop);
    end_open(&end, loop);
    faults.fail_send = -ENOBUFS;
    ASYNC_CHECK_EQ(end_write(&end, "lost", 4), -ENOMEM);
    ASYNC_CHECK_EQ(end.transport.write_error, 0);
    ASYNC_CHECK_EQ(end_write(&end, "kept", 4), 0);
    UNTIL(loop, peer_recv(&end, buf, sizeof buf) == 4);
    ASYNC_CHECK(memcmp(buf, "kept", 4) == 0);
    end_close(&end);
}

/* A refused write took nothing and can be repeated, whichever allocation failed. */
TEST_ON_BOTH(a_write_without_memory_behind_a_queue_takes_nothing)
{
    struct end end;
    uint64_t sent, taken = 0;
    int refused = 0;

    end_open(&end, loop);
    sent = fill(&end);
    for (long n = 1; n <= 12; n++) {
        int r;

        async_test_fail_allocation(n, 0);
        r = write_at(&end, sent, 200000);
        async_test_fail_allocation(0, 0);
        ASYNC_CHECK(r == 0 || r == -ENOMEM);
        refused += r < 0;
        if (r == 0)
            sent += 200000;
    }
    ASYNC_CHECK(refused >= 5);
    while (taken < sent) {
        taken += peer_take(&end, taken, sizeof buf);
        ASYNC_CHECK(async_loop_turn(loop, 0) >= 0);
    }
    end_close(&end);
}

TEST_ON_BOTH(a_refusal_by_a_full_kernel_without_memory_takes_nothing)
{
    struct end end;

    install_faults(loop);
    end_open(&end, loop);
    faults.fail_send = -EAGAIN;
    async_test_fail_allocation(1, 0);
    ASYNC_CHECK_EQ(end_write(&end, "lost", 4), -ENOMEM);
    ASYNC_CHECK_EQ(end.transport.write_error, 0);
    ASYNC_CHECK_EQ(end_write(&end, "kept", 4), 0);
    UNTIL(loop, peer_recv(&end, buf, sizeof buf) == 4);
    end_close(&end);
}

/* The peer has a part and can never get the rest: the stream ends there, and everybody is told. */
TEST_ON_BOTH(a_part_that_was_sent_and_a_rest_without_memory_break_the_stream)
{
    struct end end;

    install_faults(loop);
    end_open(&end, loop);
    if (strcmp(async_loop_backend(loop), "sim") == 0)
        ASYNC_CHECK_EQ(end_write(&end, "xy", 2), 0); /* its own buffer is allocated now */
    faults.send_limit = 2;
    async_test_fail_allocation(1, 0);
    ASYNC_CHECK_EQ(end_write(&end, "a word", 6), -ENOMEM);
    async_test_fail_allocation(0, 0);
    ASYNC_CHECK_EQ(end.transport.write_error, -ENOMEM);
    ASYNC_CHECK_EQ(end_write(&end, "x", 1), -ENOMEM);
    UNTIL(loop, peer_recv(&end, buf, sizeof buf) > 0);
    peer_send(&end, "understood");
    peer_close(&end);
    UNTIL(loop, aw_transport_read(&end.transport, buf, sizeof buf) == 10);
    ASYNC_CHECK_EQ(aw_transport_read(&end.transport, buf, sizeof buf), 0);
    settle(loop);
    ASYNC_CHECK(end.losts == 1 && end.error == -ENOMEM);
    end_close(&end);
}
