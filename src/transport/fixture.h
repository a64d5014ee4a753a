/* SPDX-License-Identifier: MIT */
/* For the tests of this floor: a loop on each backend, a transport with a raw descriptor as its peer, and a table
 * of system calls that counts and can be told to misbehave. */
#ifndef AW_TRANSPORT_FIXTURE_H
#define AW_TRANSPORT_FIXTURE_H

#include "transport/transport.h"
#include <await/testing.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

/* TEST_ON_BOTH(name) { ... loop ... }: two cases, on sim and on linux. */
#define TEST_ON_BOTH(name)                                                                                             \
    static void name(async_loop *loop);                                                                                \
    ASYNC_TEST_PLAIN(name##_on_sim)                                                                                    \
    {                                                                                                                  \
        with_loop("sim", name);                                                                                        \
    }                                                                                                                  \
    ASYNC_TEST_PLAIN(name##_on_linux)                                                                                  \
    {                                                                                                                  \
        with_loop("linux", name);                                                                                      \
    }                                                                                                                  \
    static void name(async_loop *loop)

#define TEST_ON_LINUX(name)                                                                                            \
    static void name(async_loop *loop);                                                                                \
    ASYNC_TEST_PLAIN(name##_on_linux)                                                                                  \
    {                                                                                                                  \
        with_loop("linux", name);                                                                                      \
    }                                                                                                                  \
    static void name(async_loop *loop)

/* Turns until it is so; on linux bytes need a moment. */
#define UNTIL(loop, condition)                                                                                         \
    do {                                                                                                               \
        int turns_ = 0;                                                                                                \
        bool met_;                                                                                                     \
        while (!(met_ = (condition)) && turns_++ < 2000)                                                               \
            ASYNC_CHECK(async_loop_turn(loop, 0.005) >= 0);                                                            \
        if (!met_)                                                                                                     \
            ASYNC_FAIL("never: %s", #condition);                                                                       \
    } while (0)

/* All that may happen has happened. Two turns without an event are the best that can be had of a real kernel. */
static inline void settle(async_loop *loop)
{
    for (int i = 0; i < 4; i++)
        ASYNC_CHECK(async_loop_turn(loop, 0) >= 0);
}

static inline void with_loop(const char *backend, void (*test)(async_loop *loop))
{
    async_loop_options options = *async_test_options();
    async_loop *loop;

    options.backend = backend;
    loop = async_loop_new(&options);
    ASYNC_CHECK(loop != NULL);
    test(loop);
    ASYNC_CHECK_EQ(loop->holds, 0);
    ASYNC_CHECK_EQ(loop->io_count, 0);
    ASYNC_CHECK_EQ(async_loop_close(loop), 0);
}

static inline struct sockaddr_in localhost(uint16_t port)
{
    return (
        struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
}

static inline uint16_t port_of(async_loop *loop, int fd)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;

    ASYNC_CHECK_EQ(loop->sys->getsockname(loop->backend, fd, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin_port);
}

static inline int raw_listener(async_loop *loop)
{
    struct sockaddr_in address = localhost(0);
    int fd = aw_listen_socket(loop, (struct sockaddr *)&address, sizeof address, NULL);

    ASYNC_CHECK(fd >= 0);
    return fd;
}

static inline int raw_connect(async_loop *loop, uint16_t port)
{
    struct sockaddr_in address = localhost(port);
    int fd = loop->sys->socket(loop->backend, AF_INET, SOCK_STREAM, 0);
    int r;

    ASYNC_CHECK(fd >= 0);
    r = loop->sys->connect(loop->backend, fd, (struct sockaddr *)&address, sizeof address);
    ASYNC_CHECK(r == 0 || r == -EINPROGRESS);
    return fd;
}

/* ---- system calls that count and misbehave ---- */

static struct {
    const struct aw_sys *real;
    struct aw_sys table;
    long receives, sends, accepts;
    int fail_send, fail_receive, fail_accept, fail_shutdown, fail_connect; /* the next one; 0: none */
    long fail_accepts;                                                     /* how many times */
    size_t send_limit;                                                     /* bytes a call; 0: none */
    bool swallow;                                                          /* the kernel takes everything */
} faults __attribute__((unused));

static inline int take_fault(int *fault)
{
    int r = *fault;

    *fault = 0;
    return r;
}

static ssize_t faulty_recv(struct aw_backend *b, int fd, void *buf, size_t size)
{
    int r = take_fault(&faults.fail_receive);

    faults.receives++;
    return r ? r : faults.real->recv(b, fd, buf, size);
}

static ssize_t faulty_sendv(struct aw_backend *b, int fd, const struct iovec *pieces, int count)
{
    int r = take_fault(&faults.fail_send);
    struct iovec first = pieces[0];

    faults.sends++;
    if (r)
        return r;
    if (faults.swallow) {
        ssize_t all = 0;
        for (int i = 0; i < count; i++)
            all += (ssize_t)pieces[i].iov_len;
        return all;
    }
    if (!faults.send_limit)
        return faults.real->sendv(b, fd, pieces, count);
    if (first.iov_len > faults.send_limit)
        first.iov_len = faults.send_limit;
    return faults.real->sendv(b, fd, &first, 1);
}

static ssize_t faulty_send(struct aw_backend *b, int fd, const void *data, size_t size)
{
    struct iovec piece = { (void *)(uintptr_t)data, size };

    return faulty_sendv(b, fd, &piece, 1);
}

static int faulty_accept(struct aw_backend *b, int fd, struct sockaddr *address, socklen_t *size)
{
    faults.accepts++;
    if (faults.fail_accepts > 0 && faults.fail_accepts--)
        return faults.fail_accept;
    return faults.real->accept(b, fd, address, size);
}

static int faulty_shutdown(struct aw_backend *b, int fd, int how)
{
    int r = take_fault(&faults.fail_shutdown);

    return r ? r : faults.real->shutdown(b, fd, how);
}

static int faulty_connect(struct aw_backend *b, int fd, const struct sockaddr *address, socklen_t size)
{
    int r = take_fault(&faults.fail_connect);

    return r ? r : faults.real->connect(b, fd, address, size);
}

static inline void install_faults(async_loop *loop)
{
    memset(&faults, 0, sizeof faults);
    faults.real = loop->sys;
    faults.table = *loop->sys;
    faults.table.recv = faulty_recv;
    faults.table.send = faulty_send;
    faults.table.sendv = faulty_sendv;
    faults.table.accept = faulty_accept;
    faults.table.shutdown = faulty_shutdown;
    faults.table.connect = faulty_connect;
    loop->sys = &faults.table;
}

/* ---- a transport and its peer ---- */

struct end {
    struct aw_transport transport; /* first */
    int peer;                      /* the raw other end; -1 closed */
    int readables, pauses, resumes, losts, error;
    bool in_call; /* no callback but pause_writing may come now */
    void (*on_readable)(struct end *end);
    void (*on_pause)(struct end *end);
    void (*on_resume)(struct end *end);
    void (*on_lost)(struct end *end);
};

static inline void end_readable(struct aw_transport *transport)
{
    struct end *end = (struct end *)transport;

    ASYNC_CHECK(!end->in_call);
    ASYNC_CHECK_EQ(end->losts, 0);
    end->readables++;
    if (end->on_readable)
        end->on_readable(end);
}

static inline void end_pause(struct aw_transport *transport)
{
    struct end *end = (struct end *)transport;

    ASYNC_CHECK_EQ(end->losts, 0);
    ASYNC_CHECK_EQ(end->pauses, end->resumes);
    end->pauses++;
    if (end->on_pause)
        end->on_pause(end);
}

static inline void end_resume(struct aw_transport *transport)
{
    struct end *end = (struct end *)transport;

    ASYNC_CHECK(!end->in_call);
    ASYNC_CHECK_EQ(end->losts, 0);
    end->resumes++;
    ASYNC_CHECK_EQ(end->pauses, end->resumes);
    if (end->on_resume)
        end->on_resume(end);
}

static inline void end_lost(struct aw_transport *transport, int error)
{
    struct end *end = (struct end *)transport;

    ASYNC_CHECK(!end->in_call);
    end->losts++;
    end->error = error;
    if (end->on_lost)
        end->on_lost(end);
}

static const struct aw_sink end_sink = { end_readable, end_pause, end_resume, end_lost };

/* A connected pair: a raw one, which it returns, and the accepted one. */
static inline int raw_pair(async_loop *loop, int *ret_accepted)
{
    int listening = raw_listener(loop);
    int peer = raw_connect(loop, port_of(loop, listening)), fd = -EAGAIN;

    for (int i = 0; i < 1000 && fd == -EAGAIN; i++)
        fd = loop->sys->accept(loop->backend, listening, NULL, NULL);
    ASYNC_CHECK(fd >= 0);
    loop->sys->close(loop->backend, listening);
    *ret_accepted = fd;
    return peer;
}

static inline void end_open(struct end *end, async_loop *loop)
{
    int fd;

    memset(end, 0, sizeof *end);
    end->peer = raw_pair(loop, &fd);
    ASYNC_CHECK_EQ(aw_transport_open(&end->transport, loop, fd, false, &end_sink), 0);
}

static inline void peer_close(struct end *end)
{
    async_loop *loop = end->transport.loop;

    if (end->peer >= 0)
        loop->sys->close(loop->backend, end->peer);
    end->peer = -1;
}

static inline void peer_reset(struct end *end)
{
    async_loop *loop = end->transport.loop;
    struct linger linger = { 1, 0 };

    ASYNC_CHECK_EQ(loop->sys->setsockopt(loop->backend, end->peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    peer_close(end);
}

static inline void peer_send(struct end *end, const char *text)
{
    async_loop *loop = end->transport.loop;
    const struct aw_sys *sys = faults.real ? faults.real : loop->sys;

    ASYNC_CHECK_EQ(sys->send(loop->backend, end->peer, text, strlen(text)), strlen(text));
}

/* What there is for the peer: bytes, 0 the end, -EAGAIN, or why not. */
static inline ssize_t peer_recv(struct end *end, void *buf, size_t size)
{
    async_loop *loop = end->transport.loop;
    const struct aw_sys *sys = faults.real ? faults.real : loop->sys;

    return sys->recv(loop->backend, end->peer, buf, size);
}

static inline void end_close(struct end *end)
{
    aw_transport_destroy(&end->transport);
    peer_close(end);
}

static inline int end_write(struct end *end, const void *data, size_t size)
{
    struct iovec piece = { (void *)(uintptr_t)data, size };
    int r;

    end->in_call = true;
    r = aw_transport_write(&end->transport, &piece, 1);
    end->in_call = false;
    return r;
}

/* Asks for reading and waits until it can be done. */
static inline void wait_until_readable(struct end *end)
{
    int before = end->readables;

    end->in_call = true;
    aw_transport_want_read(&end->transport, true);
    end->in_call = false;
    UNTIL(end->transport.loop, end->readables > before);
}

#endif
