/* SPDX-License-Identifier: MIT */
/* The simulated world: its clock, its seed, its limits; and that it is like the real one, by random scripts. */
#include "backend/backend_test.h"
#include "backend/sim.h"

#include <fcntl.h>
#include <unistd.h>

static void open_sim(struct world *w, uint64_t seed)
{
    world_open(w, &aw_backend_sim, seed);
}

/* ---- time ---- */

ASYNC_TEST_PLAIN(a_year_passes_at_once_and_to_the_nanosecond)
{
    int64_t year = 365 * 24 * 3600 * AW_NS_PER_SEC + 1;
    struct aw_event events[4];
    struct world w;

    open_sim(&w, 0);
    ASYNC_CHECK_EQ(now(&w), 1000 * AW_NS_PER_SEC);
    ASYNC_CHECK_EQ(w.ops->wait(w.backend, year, events, 4), 0);
    ASYNC_CHECK_EQ(now(&w), 1000 * AW_NS_PER_SEC + year);
    aw_sim_advance(w.backend, 5);
    aw_sim_advance(w.backend, -5);
    ASYNC_CHECK_EQ(now(&w), 1000 * AW_NS_PER_SEC + year + 5);
    world_close(&w);
}

ASYNC_TEST_PLAIN(no_time_passes_while_there_is_something_to_do)
{
    struct aw_event events[4];
    struct world w;
    int fd;

    open_sim(&w, 0);
    fd = new_socket(&w);
    add(&w, fd, AW_WRITABLE, 7);
    ASYNC_CHECK_EQ(w.ops->wait(w.backend, AW_NS_PER_SEC, events, 4), 1);
    w.ops->remove(w.backend, fd);
    w.ops->wake(w.backend);
    ASYNC_CHECK_EQ(w.ops->wait(w.backend, AW_NS_PER_SEC, events, 4), 0);
    ASYNC_CHECK_EQ(now(&w), 1000 * AW_NS_PER_SEC);
    world_close(&w);
}

/* ---- descriptors ---- */

ASYNC_TEST_PLAIN(descriptors_are_dense_and_the_lowest_free_one_comes_first)
{
    struct world w;
    int fds[40];

    open_sim(&w, 0);
    for (int i = 0; i < 40; i++) {
        fds[i] = new_socket(&w);
        ASYNC_CHECK_EQ(fds[i], AW_SIM_FIRST_FD + i);
    }
    close_fd(&w, fds[30]);
    close_fd(&w, fds[3]);
    ASYNC_CHECK_EQ(new_socket(&w), fds[3]);
    ASYNC_CHECK_EQ(new_socket(&w), fds[30]);
    ASYNC_CHECK_EQ(new_socket(&w), fds[39] + 1);
    world_close(&w); /* frees them all */
}

ASYNC_TEST_PLAIN(real_descriptors_are_none_here)
{
    struct world w;
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

    open_sim(&w, 0);
    ASYNC_CHECK_EQ(recv_one(&w, fd), -EBADF);
    ASYNC_CHECK_EQ(w.sys->close(w.backend, fd), -EBADF);
    ASYNC_CHECK_EQ(w.ops->add(w.backend, fd, AW_READABLE, 1), -EBADF);
    ASYNC_CHECK_EQ(w.sys->file_type(w.backend, fd), -EBADF);
    ASYNC_CHECK_EQ(close(fd), 0);
    world_close(&w);
}

ASYNC_TEST_PLAIN(the_limit_of_descriptors_loses_no_connection)
{
    struct world w;
    int listener, client, fd;

    open_sim(&w, 0);
    aw_sim_limit_descriptors(w.backend, 2);
    listener = new_listener(&w, 1);
    client = new_client(&w, listener);
    ASYNC_CHECK_EQ(w.sys->accept(w.backend, listener, NULL, NULL), -EMFILE);
    ASYNC_CHECK_EQ(w.sys->socket(w.backend, AF_INET, SOCK_STREAM, 0), -EMFILE);
    aw_sim_limit_descriptors(w.backend, 3);
    fd = w.sys->accept(w.backend, listener, NULL, NULL);
    ASYNC_CHECK(fd >= 0);
    ASYNC_CHECK_EQ(send_text(&w, client, "x"), 1);
    check_recv(&w, fd, "x");
    world_close(&w);
}

ASYNC_TEST_PLAIN(only_streams_of_the_two_families_exist)
{
    struct world w;

    open_sim(&w, 0);
    ASYNC_CHECK_EQ(w.sys->socket(w.backend, AF_UNIX, SOCK_STREAM, 0), -EAFNOSUPPORT);
    ASYNC_CHECK_EQ(w.sys->socket(w.backend, AF_INET, SOCK_DGRAM, 0), -ESOCKTNOSUPPORT);
    ASYNC_CHECK_EQ(w.sys->socket(w.backend, AF_INET, SOCK_STREAM, IPPROTO_UDP), -EPROTONOSUPPORT);
    ASYNC_CHECK_EQ(connect_to(&w, new_socket(&w), ipv4(0x01020304, 80)), -ENETUNREACH);
    world_close(&w);
}

ASYNC_TEST_PLAIN(ports_are_given_in_order_and_run_out)
{
    struct world w;
    int fd, count = 0, r;

    open_sim(&w, 0);
    aw_sim_limit_descriptors(w.backend, 30000);
    do {
        fd = new_socket(&w);
        r = bind_to(&w, fd, ipv4(INADDR_LOOPBACK, 0));
        if (r == 0)
            ASYNC_CHECK_EQ(ntohs(address_of(&w, fd).sin_port), 32768 + count++);
    } while (r == 0);
    ASYNC_CHECK_EQ(r, -EADDRINUSE);
    ASYNC_CHECK_EQ(count, 28232);
    ASYNC_CHECK_EQ(connect_to(&w, fd, ipv4(INADDR_LOOPBACK, 1)), -EADDRNOTAVAIL);
    close_fd(&w, AW_SIM_FIRST_FD + 7);
    ASYNC_CHECK_EQ(bind_to(&w, fd, ipv4(INADDR_LOOPBACK, 0)), 0);
    ASYNC_CHECK_EQ(ntohs(address_of(&w, fd).sin_port), 32768 + 7);
    world_close(&w);
}

ASYNC_TEST_PLAIN(listeners_on_one_port_share_the_connections)
{
    struct world w;
    int listeners[2], counts[2] = { 0, 0 };
    struct sockaddr_in address = ipv4(INADDR_LOOPBACK, 80);

    open_sim(&w, 0);
    for (int i = 0; i < 2; i++) {
        listeners[i] = new_socket(&w);
        set_option(&w, listeners[i], SOL_SOCKET, SO_REUSEPORT, 1);
        ASYNC_CHECK_EQ(bind_to(&w, listeners[i], address), 0);
        ASYNC_CHECK_EQ(w.sys->listen(w.backend, listeners[i], 100), 0);
    }
    for (int i = 0; i < 20; i++)
        ASYNC_CHECK_EQ(connect_to(&w, new_socket(&w), address), -EINPROGRESS);
    for (int i = 0; i < 2; i++)
        while (w.sys->accept(w.backend, listeners[i], NULL, NULL) >= 0)
            counts[i]++;
    ASYNC_CHECK_EQ(counts[0], 10);
    ASYNC_CHECK_EQ(counts[1], 10);
    world_close(&w);
}

ASYNC_TEST_PLAIN(localhost_is_known_and_nothing_else)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_CANONNAME }, *list = NULL;
    struct sockaddr_in6 first;
    struct world w;

    open_sim(&w, 0);
    ASYNC_CHECK_EQ(w.sys->getaddrinfo(w.backend, "localhost", "http", &hints, &list), 0);
    memcpy(&first, list->ai_addr, sizeof first);
    ASYNC_CHECK(IN6_IS_ADDR_LOOPBACK(&first.sin6_addr));
    ASYNC_CHECK_EQ(ntohs(first.sin6_port), 80);
    ASYNC_CHECK_STR(list->ai_canonname, "localhost");
    ASYNC_CHECK_EQ(list->ai_next->ai_family, AF_INET);
    ASYNC_CHECK(!list->ai_next->ai_next);
    w.sys->freeaddrinfo(w.backend, list);
    ASYNC_CHECK_EQ(w.sys->getaddrinfo(w.backend, "example.org", "80", &hints, &list), EAI_NONAME);
    hints.ai_socktype = SOCK_DGRAM;
    ASYNC_CHECK_EQ(w.sys->getaddrinfo(w.backend, "localhost", "80", &hints, &list), EAI_SOCKTYPE);
    async_test_fail_allocation(2, 0); /* the second address */
    ASYNC_CHECK_EQ(w.sys->getaddrinfo(w.backend, "localhost", "80", NULL, &list), EAI_MEMORY);
    world_close(&w);
}

ASYNC_TEST_PLAIN(asking_for_space_is_enough_to_be_told_of_it)
{
    static char bytes[AW_SIM_BUFFER_SIZE];
    struct world w;
    int ends[2];

    open_sim(&w, 0);
    new_pair(&w, ends);
    ASYNC_CHECK_EQ(w.sys->send(w.backend, ends[0], bytes, sizeof bytes), AW_SIM_BUFFER_SIZE); /* all, just so */
    add(&w, ends[0], AW_WRITABLE | AW_EDGE, 7);
    ASYNC_CHECK_EQ(look(&w, 7), 0);
    ASYNC_CHECK_EQ(w.sys->recv(w.backend, ends[1], bytes, sizeof bytes), AW_SIM_BUFFER_SIZE);
    ASYNC_CHECK_EQ(look(&w, 7), AW_WRITABLE);
    world_close(&w);
}

/* ---- no memory ---- */

/* Everything that needs memory, once; the number of the failed call. */
static int use_memory(struct world *w)
{
    struct sockaddr_in address = ipv4(INADDR_LOOPBACK, 80);
    int listener = w->sys->socket(w->backend, AF_INET, SOCK_STREAM, 0), client, r;

    if (listener < 0)
        return listener;
    ASYNC_CHECK_EQ(bind_to(w, listener, address), 0);
    ASYNC_CHECK_EQ(w->sys->listen(w->backend, listener, 1), 0);
    client = w->sys->socket(w->backend, AF_INET, SOCK_STREAM, 0);
    if (client < 0)
        return client;
    r = connect_to(w, client, address);
    if (r != -EINPROGRESS)
        return r;
    return send_text(w, client, "x") == 1 ? 0 : -ENOMEM;
}

ASYNC_TEST_PLAIN(every_failing_allocation_is_told_and_nothing_leaks)
{
    int failures = 0, r;

    do {
        struct world w;

        open_sim(&w, 0);
        async_test_fail_allocation(failures + 1, 0);
        r = use_memory(&w);
        async_test_fail_allocation(0, 0);
        ASYNC_CHECK(r == 0 || r == -ENOMEM);
        world_close(&w);
        failures += r != 0;
    } while (r != 0);
    ASYNC_CHECK_EQ(failures, 5); /* table, listener, client, the accepted end, its buffer */
}

/* ---- the seed ---- */

#define PAIRS 8
#define ROUNDS 20

/* Makes the same things happen in the same order and writes down in which order they are told. */
static void trace_events(uint64_t seed, uint64_t trace[ROUNDS][PAIRS])
{
    struct aw_event events[PAIRS];
    int pairs[PAIRS][2];
    struct world w;

    open_sim(&w, seed);
    for (int i = 0; i < PAIRS; i++) {
        new_pair(&w, pairs[i]);
        add(&w, pairs[i][1], AW_READABLE | AW_EDGE, (uint64_t)i);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < PAIRS; i++)
            send_text(&w, pairs[i][0], "x");
        ASYNC_CHECK_EQ(w.ops->wait(w.backend, 0, events, PAIRS), PAIRS);
        for (int i = 0; i < PAIRS; i++)
            trace[round][i] = events[i].token;
    }
    world_close(&w);
}

static bool is_permutation(const uint64_t *order)
{
    unsigned seen = 0;

    for (int i = 0; i < PAIRS; i++)
        seen |= 1u << order[i];
    return seen == (1u << PAIRS) - 1;
}

ASYNC_TEST_PLAIN(seed_0_tells_events_in_the_order_in_which_they_happened)
{
    uint64_t trace[ROUNDS][PAIRS];

    trace_events(0, trace);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < PAIRS; i++)
            ASYNC_CHECK_EQ(trace[round][i], i);
}

ASYNC_TEST_PLAIN(the_same_seed_gives_the_same_run_and_another_one_a_permutation)
{
    uint64_t once[ROUNDS][PAIRS], again[ROUNDS][PAIRS], other[ROUNDS][PAIRS];

    trace_events(42, once);
    trace_events(42, again);
    trace_events(43, other);
    ASYNC_CHECK(memcmp(once, again, sizeof once) == 0);
    ASYNC_CHECK(memcmp(once, other, sizeof once) != 0);
    ASYNC_CHECK(memcmp(once[0], once[1], sizeof once[0]) != 0);
    for (int round = 0; round < ROUNDS; round++)
        ASYNC_CHECK(is_permutation(once[round]) && is_permutation(other[round]));
}

ASYNC_TEST_PLAIN(a_seed_never_moves_an_event_to_another_wait)
{
    struct aw_event events[4];
    struct world w;
    int fds[6];

    open_sim(&w, 7);
    for (int i = 0; i < 6; i++) {
        fds[i] = new_socket(&w);
        add(&w, fds[i], AW_WRITABLE | AW_EDGE, (uint64_t)i);
    }
    ASYNC_CHECK_EQ(w.ops->wait(w.backend, 0, events, 4), 4);
    for (int i = 0; i < 4; i++)
        ASYNC_CHECK(events[i].token < 4);
    ASYNC_CHECK_EQ(w.ops->wait(w.backend, 0, events, 4), 2);
    world_close(&w);
}

struct job {
    struct aw_job job; /* first */
    int number, *order, *count;
};

static void work(struct aw_job *base)
{
    struct job *job = (struct job *)base;

    job->order[(*job->count)++] = job->number;
}

static void done(struct aw_job *base)
{
    struct job *job = (struct job *)base;

    ASYNC_CHECK_EQ(job->order[*job->count - 1], job->number); /* right after its work */
}

static void trace_jobs(uint64_t seed, int order[PAIRS])
{
    struct job jobs[PAIRS];
    struct aw_event events[1];
    struct world w;
    int count = 0;

    open_sim(&w, seed);
    for (int i = 0; i < PAIRS; i++) {
        jobs[i] = (struct job){ { .work = work, .done = done }, i, order, &count };
        ASYNC_CHECK_EQ(w.ops->job_submit(w.backend, &jobs[i].job), 0);
    }
    ASYNC_CHECK_EQ(w.ops->wait(w.backend, AW_NEVER, events, 1), 0);
    ASYNC_CHECK_EQ(count, PAIRS);
    world_close(&w);
}

ASYNC_TEST_PLAIN(jobs_run_in_order_or_by_the_seed_within_one_wait)
{
    int fifo[PAIRS], once[PAIRS], again[PAIRS];

    trace_jobs(0, fifo);
    trace_jobs(5, once);
    trace_jobs(5, again);
    for (int i = 0; i < PAIRS; i++)
        ASYNC_CHECK_EQ(fifo[i], i);
    ASYNC_CHECK(memcmp(once, again, sizeof once) == 0);
    ASYNC_CHECK(memcmp(once, fifo, sizeof once) != 0);
}
