/* SPDX-License-Identifier: MIT */
/* Design notes: one connection to one address. Trying several is for the caller. The outcome always comes through the
 * loop, also when the kernel knows it at once (a Unix socket, a refusal on this machine): callers have one path. */
#include "transport/transport.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

static void finish(struct aw_connector *connector, int error)
{
    async_loop *loop = connector->loop;
    int fd = connector->io.fd;

    connector->io.fd = -1;
    if (error < 0)
        (void)loop->sys->close(loop->backend, fd);
    connector->done(connector, error < 0 ? error : fd); /* may free the connector */
}

static void on_writable(struct aw_io *io, unsigned events)
{
    struct aw_connector *connector = (struct aw_connector *)io;
    async_loop *loop = connector->loop;
    int error = 0, r;
    socklen_t size = sizeof error;

    (void)events; /* whatever came, the socket knows what it means */
    r = loop->sys->getsockopt(loop->backend, io->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    aw_io_remove(loop, io);
    finish(connector, r < 0 ? r : -error);
}

static int run_at_once(struct async_handle *handle)
{
    struct aw_connector *connector = AW_CONTAINER_OF(handle, struct aw_connector, at_once);

    finish(connector, connector->result);
    return 0;
}

static int connect_socket(struct aw_connector *connector, int fd, const struct sockaddr *address, socklen_t size)
{
    async_loop *loop = connector->loop;
    int r = loop->sys->connect(loop->backend, fd, address, size);

    /* After a signal it goes on in the background, as after EINPROGRESS. */
    if (r == -EINPROGRESS || r == -EINTR)
        return aw_io_add(loop, &connector->io, fd, AW_WRITABLE);
    connector->io.fd = fd;
    connector->result = r;
    aw_loop_make_ready(loop, &connector->at_once);
    return 0;
}

int aw_connector_start(struct aw_connector *connector, async_loop *loop, const struct sockaddr *address, socklen_t size,
                       void (*done)(struct aw_connector *, int))
{
    char text[AW_ADDRESS_TEXT];
    int one = 1, r, fd;

    *connector = (struct aw_connector){ .io = { .fd = -1, .ready = on_writable }, .loop = loop, .done = done };
    async_handle_init(&connector->at_once, run_at_once);
    fd = r = loop->sys->socket(loop->backend, address->sa_family, SOCK_STREAM, 0);
    if (fd >= 0) {
        /* As in asyncio: a small write must not wait for the acknowledgement of the one before. */
        if (address->sa_family == AF_INET || address->sa_family == AF_INET6)
            (void)loop->sys->setsockopt(loop->backend, fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        r = connect_socket(connector, fd, address, size);
    }
    if (r >= 0)
        return 0;
    if (fd >= 0)
        (void)loop->sys->close(loop->backend, fd);
    connector->io.fd = -1;
    return aw_fail(loop, r, "connecting to %s: %s", aw_address_format(text, sizeof text, address, size),
                   async_strerror(r));
}

void aw_connector_cancel(struct aw_connector *connector)
{
    async_loop *loop = connector->loop;
    int fd = connector->io.fd;

    if (!loop || fd < 0)
        return;
    if (!async_loop_unschedule(loop, &connector->at_once))
        aw_io_remove(loop, &connector->io);
    (void)loop->sys->close(loop->backend, fd);
    connector->io.fd = -1;
}
