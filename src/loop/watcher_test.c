/* SPDX-License-Identifier: MIT */
/* Design notes: real descriptors, so the linux backend. */
#include "loop/loop.h"

#include <await/testing.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char trace[4096];
static async_loop *the_loop;

static int write_letter(void *arg)
{
    strcat(trace, arg);
    return 0;
}

static async_loop *open_loop(void)
{
    async_loop_options options = *async_test_options();

    options.backend = "linux";
    ASYNC_CHECK_EQ(async_loop_open(&options, &the_loop), 0);
    trace[0] = 0;
    return the_loop;
}

static int turn(async_loop *loop)
{
    return async_loop_turn(loop, 0);
}

static void open_pair(int fds[2])
{
    ASYNC_CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static void close_pair(int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

static uint64_t stale_events(const async_loop *loop)
{
    async_loop_statistics s = { .size = sizeof s };

    ASYNC_CHECK_EQ(async_loop_get_statistics(loop, &s), 0);
    return s.stale_events;
}

ASYNC_TEST_PLAIN(a_reader_is_called_in_each_turn_as_long_as_there_is_something_to_read)
{
    async_loop *loop = open_loop();
    int fds[2];
    char buf[8];

    open_pair(fds);
    ASYNC_CHECK_EQ(async_loop_add_reader(loop, fds[0], write_letter, "r"), 0);
    ASYNC_CHECK_EQ(turn(loop), 0);
    ASYNC_CHECK_EQ(write(fds[1], "xyz", 3), 3);
    for (int i = 0; i < 5; i++)
        ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_EQ(read(fds[0], buf, 1), 1);
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_EQ(read(fds[0], buf, 8), 2);
    ASYNC_CHECK_EQ(turn(loop), 0);
    ASYNC_CHECK_STR(trace, "rrrrrr");
    ASYNC_CHECK_EQ(async_loop_remove_reader(loop, fds[0]), 1);
    async_loop_close(loop);
    close_pair(fds);
}

ASYNC_TEST_PLAIN(a_writer_is_called_in_each_turn_as_long_as_there_is_room)
{
    async_loop *loop = open_loop();
    char buf[4096] = { 0 };
    int fds[2];

    open_pair(fds);
    ASYNC_CHECK_EQ(async_loop_add_writer(loop, fds[0], write_letter, "w"), 0);
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_EQ(turn(loop), 1);
    while (write(fds[0], buf, sizeof buf) > 0)
        ;
    ASYNC_CHECK_EQ(turn(loop), 0);
    while (read(fds[1], buf, sizeof buf) > 0)
        ;
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_STR(trace, "www");
    ASYNC_CHECK_EQ(async_loop_remove_writer(loop, fds[0]), 1);
    async_loop_close(loop);
    close_pair(fds);
}

ASYNC_TEST_PLAIN(the_reader_of_a_descriptor_is_called_before_its_writer)
{
    async_loop *loop = open_loop();
    int fds[2];

    open_pair(fds);
    ASYNC_CHECK_EQ(write(fds[1], "x", 1), 1);
    async_loop_add_writer(loop, fds[0], write_letter, "w");
    async_loop_add_reader(loop, fds[0], write_letter, "r");
    turn(loop);
    ASYNC_CHECK_STR(trace, "rw");
    ASYNC_CHECK_EQ(async_loop_remove_reader(loop, fds[0]), 1);
    turn(loop);
    ASYNC_CHECK_STR(trace, "rww");
    ASYNC_CHECK_EQ(async_loop_remove_writer(loop, fds[0]), 1);
    ASYNC_CHECK_EQ(turn(loop), 0);
    async_loop_close(loop);
    close_pair(fds);
}

ASYNC_TEST_PLAIN(the_end_of_the_peer_wakes_the_reader_and_the_writer)
{
    async_loop *loop = open_loop();
    char buf[4096] = { 0 };
    int fds[2];

    open_pair(fds);
    while (write(fds[0], buf, sizeof buf) > 0)
        ;
    async_loop_add_reader(loop, fds[0], write_letter, "r");
    async_loop_add_writer(loop, fds[0], write_letter, "w");
    ASYNC_CHECK_EQ(turn(loop), 0);
    close(fds[1]);
    turn(loop);
    ASYNC_CHECK_STR(trace, "rw");
    async_loop_close(loop);
    close(fds[0]);
}

ASYNC_TEST_PLAIN(a_second_add_replaces_the_callback)
{
    async_loop *loop = open_loop();
    int fds[2];

    open_pair(fds);
    ASYNC_CHECK_EQ(write(fds[1], "x", 1), 1);
    ASYNC_CHECK_EQ(async_loop_add_reader(loop, fds[0], write_letter, "a"), 0);
    ASYNC_CHECK_EQ(async_loop_add_reader(loop, fds[0], write_letter, "b"), 0);
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_STR(trace, "b");
    ASYNC_CHECK_EQ(async_loop_remove_reader(loop, fds[0]), 1);
    ASYNC_CHECK_EQ(async_loop_remove_reader(loop, fds[0]), 0);
    ASYNC_CHECK_EQ(turn(loop), 0);
    async_loop_close(loop);
    close_pair(fds);
}

/* ---- changes from within callbacks ---- */

struct change {
    int fd;
    const char *letter;
};

static int remove_own_reader(void *arg)
{
    struct change *change = arg;

    strcat(trace, change->letter);
    ASYNC_CHECK_EQ(async_loop_remove_reader(the_loop, change->fd), 1);
    return 0;
}

ASYNC_TEST_PLAIN(a_reader_may_remove_itself)
{
    async_loop *loop = open_loop();
    struct change change = { .letter = "r" };
    int fds[2];

    open_pair(fds);
    ASYNC_CHECK_EQ(write(fds[1], "x", 1), 1);
    change.fd = fds[0];
    async_loop_add_reader(loop, fds[0], remove_own_reader, &change);
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_EQ(turn(loop), 0);
    ASYNC_CHECK_STR(trace, "r");
    async_loop_close(loop);
    close_pair(fds);
}

static int remove_both(void *arg)
{
    struct change *change = arg;

    strcat(trace, change->letter);
    ASYNC_CHECK_EQ(async_loop_remove_reader(the_loop, change->fd), 1);
    ASYNC_CHECK_EQ(async_loop_remove_writer(the_loop, change->fd), 1);
    return 0;
}

ASYNC_TEST_PLAIN(a_reader_that_removes_its_writer_swallows_the_writers_event)
{
    async_loop *loop = open_loop();
    struct change change = { .letter = "r" };
    int fds[2];

    open_pair(fds);
    ASYNC_CHECK_EQ(write(fds[1], "x", 1), 1);
    change.fd = fds[0];
    async_loop_add_reader(loop, fds[0], remove_both, &change);
    async_loop_add_writer(loop, fds[0], write_letter, "w");
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_STR(trace, "r");
    ASYNC_CHECK_EQ(turn(loop), 0);
    async_loop_close(loop);
    close_pair(fds);
}

static int replace_watcher(void *arg)
{
    struct change *change = arg;

    remove_both(arg);
    ASYNC_CHECK_EQ(async_loop_add_writer(the_loop, change->fd, write_letter, "n"), 0);
    return 0;
}

ASYNC_TEST_PLAIN(a_writer_added_anew_by_the_reader_waits_for_the_next_turn)
{
    async_loop *loop = open_loop();
    struct change change = { .letter = "r" };
    int fds[2];

    open_pair(fds);
    ASYNC_CHECK_EQ(write(fds[1], "x", 1), 1);
    change.fd = fds[0];
    async_loop_add_reader(loop, fds[0], replace_watcher, &change);
    async_loop_add_writer(loop, fds[0], write_letter, "w");
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_STR(trace, "r");
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_STR(trace, "rn");
    async_loop_close(loop);
    close_pair(fds);
}

/* Two readable descriptors; the first callback, whichever it is, removes the other one. */
static int pairs[2][2];

static int remove_other(void *arg)
{
    int own = (int)(intptr_t)arg;

    strcat(trace, own ? "b" : "a");
    ASYNC_CHECK_EQ(async_loop_remove_reader(the_loop, pairs[!own][0]), 1);
    return 0;
}

ASYNC_TEST_PLAIN(a_reader_removed_by_another_one_of_the_same_turn_is_not_called)
{
    async_loop *loop = open_loop();

    for (intptr_t i = 0; i < 2; i++) {
        open_pair(pairs[i]);
        ASYNC_CHECK_EQ(write(pairs[i][1], "x", 1), 1);
        ASYNC_CHECK_EQ(async_loop_add_reader(loop, pairs[i][0], remove_other, (void *)i), 0);
    }
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_EQ(strlen(trace), 1);
    ASYNC_CHECK_EQ(stale_events(loop), 1);
    async_loop_close(loop);
    close_pair(pairs[0]);
    close_pair(pairs[1]);
}

static int remove_first_pair(void *arg)
{
    (void)arg;
    strcat(trace, "s");
    ASYNC_CHECK_EQ(async_loop_remove_reader(the_loop, pairs[0][0]), 1);
    return 0;
}

ASYNC_TEST_PLAIN(a_reader_removed_by_a_ready_callback_swallows_the_event_that_was_collected)
{
    async_loop *loop = open_loop();

    open_pair(pairs[0]);
    ASYNC_CHECK_EQ(write(pairs[0][1], "x", 1), 1);
    async_loop_add_reader(loop, pairs[0][0], write_letter, "r");
    async_loop_call_soon(loop, remove_first_pair, NULL);
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_STR(trace, "s");
    ASYNC_CHECK_EQ(stale_events(loop), 1);
    async_loop_close(loop);
    close_pair(pairs[0]);
}

static int close_and_reuse(void *arg)
{
    int fd = pairs[0][0];

    (void)arg;
    strcat(trace, "s");
    ASYNC_CHECK_EQ(async_loop_remove_reader(the_loop, fd), 1);
    close_pair(pairs[0]);
    open_pair(pairs[1]);
    ASYNC_CHECK_EQ(pairs[1][0], fd);
    ASYNC_CHECK_EQ(async_loop_add_reader(the_loop, fd, write_letter, "wrong"), 0);
    return 0;
}

ASYNC_TEST_PLAIN(an_old_event_does_not_reach_a_new_descriptor_of_the_same_number)
{
    async_loop *loop = open_loop();

    open_pair(pairs[0]);
    ASYNC_CHECK_EQ(write(pairs[0][1], "x", 1), 1);
    async_loop_add_reader(loop, pairs[0][0], write_letter, "r");
    async_loop_call_soon(loop, close_and_reuse, NULL);
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_STR(trace, "s");
    ASYNC_CHECK_EQ(turn(loop), 0);
    ASYNC_CHECK_EQ(write(pairs[1][1], "x", 1), 1);
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_STR(trace, "swrong");
    async_loop_close(loop);
    close_pair(pairs[1]);
}

ASYNC_TEST_PLAIN(a_descriptor_closed_without_removing_its_reader_does_no_harm)
{
    async_loop *loop = open_loop();
    int fds[2], others[2];

    open_pair(fds);
    ASYNC_CHECK_EQ(write(fds[1], "x", 1), 1);
    async_loop_add_reader(loop, fds[0], write_letter, "r");
    close_pair(fds);
    ASYNC_CHECK_EQ(turn(loop), 0);
    open_pair(others);
    ASYNC_CHECK_EQ(others[0], fds[0]);
    ASYNC_CHECK_EQ(async_loop_remove_reader(loop, fds[0]), 1);
    ASYNC_CHECK_EQ(async_loop_add_reader(loop, others[0], write_letter, "n"), 0);
    ASYNC_CHECK_EQ(write(others[1], "x", 1), 1);
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_STR(trace, "n");
    async_loop_close(loop);
    close_pair(others);
}

/* ---- what is refused ---- */

ASYNC_TEST_PLAIN(a_regular_file_cannot_be_watched)
{
    async_loop *loop = open_loop();
    FILE *file = tmpfile();

    ASYNC_CHECK(file);
    ASYNC_CHECK_EQ(async_loop_add_reader(loop, fileno(file), write_letter, "x"), -EPERM);
    ASYNC_CHECK_HAS(async_last_error(), "cannot be waited for");
    ASYNC_CHECK_EQ(async_loop_add_writer(loop, fileno(file), write_letter, "x"), -EPERM);
    ASYNC_CHECK_EQ(async_loop_remove_reader(loop, fileno(file)), 0);
    async_loop_close(loop);
    fclose(file);
}

ASYNC_TEST_PLAIN(dev_null_cannot_be_watched)
{
    async_loop *loop = open_loop();
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    ASYNC_CHECK_EQ(async_loop_add_reader(loop, fd, write_letter, "x"), -EPERM);
    ASYNC_CHECK_EQ(async_loop_add_writer(loop, fd, write_letter, "x"), -EPERM);
    async_loop_close(loop);
    close(fd);
}

ASYNC_TEST_PLAIN(a_number_that_is_no_descriptor_is_refused)
{
    static const int numbers[] = { -1, INT32_MIN, 999, 100000, 1 << 28, INT32_MAX };
    async_loop *loop = open_loop();

    for (size_t i = 0; i < AW_ARRAY_SIZE(numbers); i++) {
        ASYNC_CHECK_EQ(async_loop_add_reader(loop, numbers[i], write_letter, "x"), -EBADF);
        ASYNC_CHECK_EQ(async_loop_add_writer(loop, numbers[i], write_letter, "x"), -EBADF);
        ASYNC_CHECK_EQ(async_loop_remove_reader(loop, numbers[i]), 0);
        ASYNC_CHECK_EQ(async_loop_remove_writer(loop, numbers[i]), 0);
    }
    ASYNC_CHECK_EQ(loop->slot_count, 0); /* and costs no memory */
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(null_is_refused)
{
    async_loop *loop = open_loop();

    ASYNC_CHECK_EQ(async_loop_add_reader(NULL, 0, write_letter, NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_add_reader(loop, 0, NULL, NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_add_writer(NULL, 0, write_letter, NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_add_writer(loop, 0, NULL, NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_remove_reader(NULL, 0), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_remove_writer(NULL, 0), -EINVAL);
    async_loop_close(loop);
}

static void ignore_ready(struct aw_io *io, unsigned events)
{
    (void)io;
    (void)events;
}

ASYNC_TEST_PLAIN(the_descriptor_of_a_transport_is_busy)
{
    async_loop *loop = open_loop();
    struct aw_io io = { .ready = ignore_ready };
    int fds[2];

    open_pair(fds);
    ASYNC_CHECK_EQ(aw_io_add(loop, &io, fds[0], AW_READABLE | AW_EDGE), 0);
    ASYNC_CHECK_EQ(async_loop_add_reader(loop, fds[0], write_letter, "x"), -EBUSY);
    ASYNC_CHECK_EQ(async_loop_add_writer(loop, fds[0], write_letter, "x"), -EBUSY);
    ASYNC_CHECK_EQ(async_loop_remove_reader(loop, fds[0]), -EBUSY);
    ASYNC_CHECK_HAS(async_last_error(), "used by a stream or server");
    aw_io_remove(loop, &io);
    ASYNC_CHECK_EQ(async_loop_add_reader(loop, fds[0], write_letter, "x"), 0);
    ASYNC_CHECK_EQ(aw_io_add(loop, &io, fds[0], AW_READABLE), -EBUSY);
    async_loop_close(loop);
    close_pair(fds);
}

ASYNC_TEST_PLAIN(without_memory_a_watcher_is_refused_and_nothing_is_registered)
{
    async_loop *loop = open_loop();
    int fds[2];

    open_pair(fds);
    for (int n = 1; n <= 2; n++) {
        async_test_fail_allocation(n, 0);
        ASYNC_CHECK_EQ(async_loop_add_reader(loop, fds[0], write_letter, "x"), -ENOMEM);
        async_test_fail_allocation(0, 0);
        ASYNC_CHECK_EQ(async_loop_remove_reader(loop, fds[0]), 0);
    }
    ASYNC_CHECK_EQ(async_loop_add_reader(loop, fds[0], write_letter, "r"), 0);
    ASYNC_CHECK_EQ(write(fds[1], "x", 1), 1);
    ASYNC_CHECK_EQ(turn(loop), 1);
    async_loop_close(loop);
    close_pair(fds);
}

ASYNC_TEST_PLAIN(closing_the_loop_frees_watchers_and_leaves_descriptors_open)
{
    async_loop *loop = open_loop();
    int fds[2];

    open_pair(fds);
    async_loop_add_reader(loop, fds[0], write_letter, "x");
    async_loop_add_writer(loop, fds[0], write_letter, "x");
    async_loop_add_writer(loop, fds[1], write_letter, "x");
    async_loop_close(loop);
    ASYNC_CHECK_EQ(fcntl(fds[0], F_GETFD) >= 0, 1);
    close_pair(fds);
}
