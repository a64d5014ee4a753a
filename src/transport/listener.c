/* SPDX-License-Identifier: MIT */
/* Design notes: level-triggered, so that what one turn leaves is offered again, and at most 64 connections an event, so
 * that a storm of them starves nobody. Without descriptors or memory the kernel would report the waiting connection
 * again and again: then listening stops for a second, the shortage is counted and reported once, and everything goes on
 * when descriptors are there again. TCP_NODELAY is set on the listening socket: Linux hands it on to what it accepts,
 * which saves a system call a connection. */
#include "transport/transport.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#define ACCEPTS_PER_EVENT 64
#define RETRY_AFTER AW_NS_PER_SEC

static void set_interest(struct aw_listener *listener)
{
    bool listening = !listener->paused && !listener->starved;

    (void)aw_io_modify(listener->loop, &listener->io, listening ? AW_READABLE : 0);
}

/* ---- what accept can say ---- */

enum verdict { AGAIN, SHORTAGE, BROKEN };

static enum verdict judge(int error)
{
    switch (-error) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return SHORTAGE;
    case EBADF:
    case EFAULT:
    case EINVAL:
    case ENOTSOCK:
        return BROKEN;
    default: /* ECONNABORTED, EINTR, and the failures of one connection that Linux reports here: see accept(2) */
        return AGAIN;
    }
}

static void report(struct aw_listener *listener, int error, const char *consequence)
{
    async_loop *loop = listener->loop;
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char text[AW_ADDRESS_TEXT];

    if (loop->sys->getsockname(loop->backend, listener->io.fd, (struct sockaddr *)&address, &size) < 0)
        size = 0;
    aw_address_format(text, sizeof text, (struct sockaddr *)&address, size);
    aw_loop_report(loop, error, NULL, NULL, NULL, NULL, "accepting connections on %s: %s; %s", text,
                   async_strerror(error), consequence);
}

static void starve(struct aw_listener *listener, int error)
{
    async_loop *loop = listener->loop;
    bool told = listener->told;

    listener->starved_count++;
    /* Without memory for the timer it goes on trying in each turn. */
    if (aw_loop_start_timer(loop, &listener->retry, aw_ns_add(aw_loop_now(loop), RETRY_AFTER)) >= 0) {
        listener->starved = true;
        set_interest(listener);
    }
    listener->told = true;
    if (!told) /* last: the user's handler may close the listener */
        report(listener, error, "trying again every second");
}

/* The descriptor is not a listening socket any more. */
static void give_up(struct aw_listener *listener, int error)
{
    aw_io_remove(listener->loop, &listener->io);
    listener->broken = true;
    report(listener, error, "it is closed for good");
}

static int run_retry(struct async_handle *handle)
{
    struct aw_listener *listener = AW_CONTAINER_OF(handle, struct aw_listener, retry.handle);

    listener->starved = false;
    set_interest(listener);
    return 0;
}

/* ---- accepting ---- */

/* False: no more in this event. */
static bool accept_one(struct aw_listener *listener)
{
    async_loop *loop = listener->loop;
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    bool gone = false;
    int fd = loop->sys->accept(loop->backend, listener->io.fd, (struct sockaddr *)&address, &size);

    if (fd == -EAGAIN)
        return false;
    if (fd < 0) {
        enum verdict verdict = judge(fd);
        if (verdict == SHORTAGE)
            starve(listener, fd);
        else if (verdict == BROKEN)
            give_up(listener, fd);
        return verdict == AGAIN;
    }
    listener->told = false;
    listener->accepted_count++;
    listener->gone = &gone;
    listener->accepted(listener, fd, (struct sockaddr *)&address, size);
    if (gone) /* the callback closed it: its memory may be gone, too */
        return false;
    listener->gone = NULL;
    return !listener->paused;
}

static void on_readable(struct aw_io *io, unsigned events)
{
    struct aw_listener *listener = (struct aw_listener *)io;
    int left = ACCEPTS_PER_EVENT;

    (void)events;
    while (accept_one(listener) && --left > 0)
        ;
}

/* ---- life ---- */

static int set_options(async_loop *loop, int fd, int family, bool reuse_port)
{
    int one = 1;
    int r = loop->sys->setsockopt(loop->backend, fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);

    if (r >= 0 && reuse_port)
        r = loop->sys->setsockopt(loop->backend, fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    /* The IPv4 address has a socket of its own. */
    if (r >= 0 && family == AF_INET6)
        r = loop->sys->setsockopt(loop->backend, fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    return r;
}

static int bind_and_listen(async_loop *loop, int fd, const struct sockaddr *address, socklen_t size,
                           const struct aw_listen_options *options)
{
    int backlog = options && options->backlog > 0 ? options->backlog : 100;
    bool reuse_port = options && options->reuse_port;
    int r = address->sa_family == AF_UNIX ? 0 : set_options(loop, fd, address->sa_family, reuse_port);

    if (r >= 0)
        r = loop->sys->bind(loop->backend, fd, address, size);
    if (r >= 0)
        r = loop->sys->listen(loop->backend, fd, backlog);
    return r;
}

int aw_listen_socket(async_loop *loop, const struct sockaddr *address, socklen_t size,
                     const struct aw_listen_options *options)
{
    char text[AW_ADDRESS_TEXT];
    int fd = loop->sys->socket(loop->backend, address->sa_family, SOCK_STREAM, 0);
    int r = fd < 0 ? fd : bind_and_listen(loop, fd, address, size, options);

    if (r >= 0)
        return fd;
    if (fd >= 0)
        (void)loop->sys->close(loop->backend, fd);
    return aw_fail(loop, r, "listening on %s: %s", aw_address_format(text, sizeof text, address, size),
                   async_strerror(r));
}

/* An inherited socket may be anything, and blocking. */
static int check_inherited(async_loop *loop, int fd)
{
    int listening = 1, flags;
    socklen_t size = sizeof listening;
    int r = loop->sys->getsockopt(loop->backend, fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size);

    if (r < 0)
        return r;
    if (!listening)
        return -EINVAL;
    flags = loop->sys->get_flags(loop->backend, fd);
    if (flags < 0 || flags & O_NONBLOCK)
        return flags < 0 ? flags : 0;
    return loop->sys->set_flags(loop->backend, fd, flags | O_NONBLOCK);
}

int aw_listener_open(struct aw_listener *listener, async_loop *loop, int fd,
                     void (*accepted)(struct aw_listener *, int, const struct sockaddr *, socklen_t))
{
    int one = 1, r;

    *listener = (struct aw_listener){ .io.ready = on_readable, .loop = loop, .accepted = accepted };
    async_timer_handle_init(&listener->retry, run_retry);
    r = check_inherited(loop, fd);
    if (r >= 0)
        r = aw_io_add(loop, &listener->io, fd, AW_READABLE);
    if (r < 0) {
        listener->io.fd = -1;
        return aw_fail(loop, r, "listening on descriptor %d: %s", fd, async_strerror(r));
    }
    /* Refused by a Unix socket, which needs none. */
    (void)loop->sys->setsockopt(loop->backend, fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return 0;
}

void aw_listener_pause(struct aw_listener *listener, bool paused)
{
    listener->paused = paused;
    if (listener->io.fd >= 0 && !listener->broken)
        set_interest(listener);
}

void aw_listener_close(struct aw_listener *listener)
{
    async_loop *loop = listener->loop;
    int fd = listener->io.fd;

    if (!loop || fd < 0)
        return;
    (void)async_loop_unschedule(loop, &listener->retry.handle);
    if (!listener->broken)
        aw_io_remove(loop, &listener->io);
    (void)loop->sys->close(loop->backend, fd);
    listener->io.fd = -1;
    if (listener->gone)
        *listener->gone = true;
}
