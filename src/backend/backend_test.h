/* SPDX-License-Identifier: MIT */
/* What the tests of this floor share: a backend in the hand, without a loop around it. */
#ifndef AW_BACKEND_BACKEND_TEST_H
#define AW_BACKEND_BACKEND_TEST_H

#include "backend/backend.h"
#include <arpa/inet.h>
#include <await/testing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#define PATIENCE (10 * AW_NS_PER_SEC) /* how long a test waits for what must come; on sim it takes no time */

struct world {
    struct aw_backend *backend;
    const struct aw_backend_ops *ops;
    const struct aw_sys *sys;
};

static inline void world_open(struct world *w, const struct aw_backend_ops *ops, uint64_t seed)
{
    struct aw_backend_options options = { .allocator = async_test_options()->allocator, .seed = seed };

    ASYNC_CHECK_EQ(ops->open(&options, &w->backend), 0);
    w->ops = ops;
    w->sys = w->backend->sys;
}

static inline void world_close(struct world *w)
{
    w->ops->close(w->backend);
}

/* The same scenario on both: BOTH(name) { ... } is given the open world `w`. */
#define BOTH(name)                                                                                                     \
    static void name(struct world *w);                                                                                 \
    ASYNC_TEST_PLAIN(linux_##name)                                                                                     \
    {                                                                                                                  \
        struct world world;                                                                                            \
        world_open(&world, &aw_backend_linux, 0);                                                                      \
        name(&world);                                                                                                  \
        world_close(&world);                                                                                           \
    }                                                                                                                  \
    ASYNC_TEST_PLAIN(sim_##name)                                                                                       \
    {                                                                                                                  \
        struct world world;                                                                                            \
        world_open(&world, &aw_backend_sim, 0);                                                                        \
        name(&world);                                                                                                  \
        world_close(&world);                                                                                           \
    }                                                                                                                  \
    static void name(struct world *w)

/* ---- events ---- */

static inline int64_t now(struct world *w)
{
    return w->sys->now(w->backend);
}

static inline void add(struct world *w, int fd, unsigned mask, uint64_t token)
{
    ASYNC_CHECK_EQ(w->ops->add(w->backend, fd, mask, token), 0);
}

/* One look, without waiting: what is said of `token`, 0 for nothing. */
static inline unsigned look(struct world *w, uint64_t token)
{
    struct aw_event events[16];
    unsigned seen = 0;
    int n = w->ops->wait(w->backend, 0, events, 16);

    ASYNC_CHECK(n >= 0);
    for (int i = 0; i < n; i++)
        if (events[i].token == token)
            seen |= events[i].events;
    return seen;
}

/* Waits until all of `wanted` was said of `token`; the result is all that was said of it. */
static inline unsigned wait_for_events(struct world *w, uint64_t token, unsigned wanted)
{
    int64_t deadline = now(w) + PATIENCE;
    struct aw_event events[16];
    unsigned seen = 0;

    while ((seen & wanted) != wanted) {
        int n = w->ops->wait(w->backend, PATIENCE, events, 16);

        ASYNC_CHECK(n >= 0);
        ASYNC_CHECK(n > 0 || now(w) < deadline);
        for (int i = 0; i < n; i++)
            if (events[i].token == token)
                seen |= events[i].events;
    }
    return seen;
}

/* ---- sockets ---- */

static inline struct sockaddr_in ipv4(uint32_t ip, uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(ip) } };
}

static inline int new_socket(struct world *w)
{
    int fd = w->sys->socket(w->backend, AF_INET, SOCK_STREAM, 0);

    ASYNC_CHECK(fd >= 0);
    return fd;
}

static inline void set_option(struct world *w, int fd, int level, int name, int value)
{
    ASYNC_CHECK_EQ(w->sys->setsockopt(w->backend, fd, level, name, &value, sizeof value), 0);
}

static inline int get_option(struct world *w, int fd, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof value;

    ASYNC_CHECK_EQ(w->sys->getsockopt(w->backend, fd, level, name, &value, &size), 0);
    return value;
}

static inline struct sockaddr_in address_of(struct world *w, int fd)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;

    ASYNC_CHECK_EQ(w->sys->getsockname(w->backend, fd, (struct sockaddr *)&address, &size), 0);
    return address;
}

static inline int bind_to(struct world *w, int fd, struct sockaddr_in address)
{
    return w->sys->bind(w->backend, fd, (struct sockaddr *)&address, sizeof address);
}

static inline int connect_to(struct world *w, int fd, struct sockaddr_in address)
{
    return w->sys->connect(w->backend, fd, (struct sockaddr *)&address, sizeof address);
}

/* On 127.0.0.1, on a port of its own. */
static inline int new_listener(struct world *w, int backlog)
{
    int fd = new_socket(w);

    ASYNC_CHECK_EQ(bind_to(w, fd, ipv4(INADDR_LOOPBACK, 0)), 0);
    ASYNC_CHECK_EQ(w->sys->listen(w->backend, fd, backlog), 0);
    return fd;
}

static inline int accept_one(struct world *w, int listener)
{
    int fd;

    add(w, listener, AW_READABLE, UINT64_C(1) << 40);
    wait_for_events(w, UINT64_C(1) << 40, AW_READABLE);
    fd = w->sys->accept(w->backend, listener, NULL, NULL);
    ASYNC_CHECK(fd >= 0);
    ASYNC_CHECK_EQ(w->ops->remove(w->backend, listener), 0);
    return fd;
}

static inline int new_client(struct world *w, int listener)
{
    int fd = new_socket(w);

    ASYNC_CHECK_EQ(connect_to(w, fd, address_of(w, listener)), -EINPROGRESS);
    return fd;
}

static inline void wait_until_connected(struct world *w, int fd)
{
    add(w, fd, AW_WRITABLE, UINT64_C(1) << 41);
    wait_for_events(w, UINT64_C(1) << 41, AW_WRITABLE);
    ASYNC_CHECK_EQ(w->ops->remove(w->backend, fd), 0);
    ASYNC_CHECK_EQ(get_option(w, fd, SOL_SOCKET, SO_ERROR), 0);
}

/* Two ends of one connection: [0] has connected, [1] was accepted. */
static inline void new_pair(struct world *w, int ends[2])
{
    int listener = new_listener(w, 1);

    ends[0] = new_client(w, listener);
    ends[1] = accept_one(w, listener);
    wait_until_connected(w, ends[0]);
    ASYNC_CHECK_EQ(w->sys->close(w->backend, listener), 0);
}

static inline void close_fd(struct world *w, int fd)
{
    ASYNC_CHECK_EQ(w->sys->close(w->backend, fd), 0);
}

static inline ssize_t send_text(struct world *w, int fd, const char *text)
{
    return w->sys->send(w->backend, fd, text, strlen(text));
}

/* One recv of up to 63 bytes, which must bring exactly this. */
static inline void check_recv(struct world *w, int fd, const char *text)
{
    char buf[64];
    ssize_t n = w->sys->recv(w->backend, fd, buf, sizeof buf - 1);

    ASYNC_CHECK(n >= 0);
    buf[n] = '\0';
    ASYNC_CHECK_STR(buf, text);
}

static inline ssize_t recv_one(struct world *w, int fd)
{
    char byte;

    return w->sys->recv(w->backend, fd, &byte, 1);
}

/* Closes with a reset. */
static inline void close_hard(struct world *w, int fd)
{
    struct linger linger = { .l_onoff = 1, .l_linger = 0 };

    ASYNC_CHECK_EQ(w->sys->setsockopt(w->backend, fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    close_fd(w, fd);
}

/* Sends until it would wait; how much that was. */
static inline size_t fill(struct world *w, int fd)
{
    static const char zeros[65536];
    size_t total = 0;
    ssize_t n;

    while ((n = w->sys->send(w->backend, fd, zeros, sizeof zeros)) > 0)
        total += (size_t)n;
    ASYNC_CHECK_EQ(n, -EAGAIN);
    return total;
}

#endif
