/* SPDX-License-Identifier: MIT */
/* Design notes: the table of system calls of the simulated world. Each finds the socket of the descriptor and
 * asks it; what is no simulated descriptor is -EBADF, real ones included. Memory is real. */
#include "backend/real.h"
#include "backend/sim.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Declares `sim` and `socket`, or returns -EBADF from the calling function. */
#define FIND(b, fd)                                                                                                    \
    struct aw_sim *sim __attribute__((unused)) = aw_sim_from_base(b);                                                  \
    struct aw_sim_socket *socket = aw_sim_socket_find(sim, fd);                                                        \
    if (!socket)                                                                                                       \
    return -EBADF

static int64_t sim_now(struct aw_backend *b)
{
    return aw_sim_from_base(b)->clock;
}

static int sim_socket(struct aw_backend *b, int family, int type, int protocol)
{
    return aw_sim_socket_open(aw_sim_from_base(b), family, type, protocol);
}

static int sim_bind(struct aw_backend *b, int fd, const struct sockaddr *address, socklen_t size)
{
    FIND(b, fd);
    return aw_sim_bind(sim, socket, address, size);
}

static int sim_listen(struct aw_backend *b, int fd, int backlog)
{
    FIND(b, fd);
    return aw_sim_listen(sim, socket, backlog);
}

static int sim_accept(struct aw_backend *b, int fd, struct sockaddr *address, socklen_t *size)
{
    FIND(b, fd);
    return aw_sim_accept(sim, socket, address, size);
}

static int sim_connect(struct aw_backend *b, int fd, const struct sockaddr *address, socklen_t size)
{
    FIND(b, fd);
    return aw_sim_connect(sim, socket, address, size);
}

static int sim_shutdown(struct aw_backend *b, int fd, int how)
{
    FIND(b, fd);
    return aw_sim_shutdown(sim, socket, how);
}

static int sim_close(struct aw_backend *b, int fd)
{
    FIND(b, fd);
    aw_sim_socket_close(sim, socket);
    return 0;
}

static int sim_getsockname(struct aw_backend *b, int fd, struct sockaddr *address, socklen_t *size)
{
    FIND(b, fd);
    aw_sim_address_format(socket->family, &socket->local, address, size);
    return 0;
}

static int sim_getpeername(struct aw_backend *b, int fd, struct sockaddr *address, socklen_t *size)
{
    FIND(b, fd);
    if (aw_sim_is_over(socket))
        return -ENOTCONN;
    aw_sim_address_format(socket->family, &socket->remote, address, size);
    return 0;
}

static int sim_getsockopt(struct aw_backend *b, int fd, int level, int name, void *value, socklen_t *size)
{
    FIND(b, fd);
    return aw_sim_getsockopt(socket, level, name, value, size);
}

static int sim_setsockopt(struct aw_backend *b, int fd, int level, int name, const void *value, socklen_t size)
{
    FIND(b, fd);
    return aw_sim_setsockopt(socket, level, name, value, size);
}

static ssize_t sim_recv(struct aw_backend *b, int fd, void *buf, size_t size)
{
    FIND(b, fd);
    return aw_sim_recv(sim, socket, buf, size);
}

static ssize_t sim_sendv(struct aw_backend *b, int fd, const struct iovec *pieces, int count)
{
    FIND(b, fd);
    return aw_sim_send(sim, socket, pieces, count);
}

static ssize_t sim_send(struct aw_backend *b, int fd, const void *data, size_t size)
{
    struct iovec piece = { (void *)(uintptr_t)data, size };

    return sim_sendv(b, fd, &piece, 1);
}

static int sim_get_flags(struct aw_backend *b, int fd)
{
    FIND(b, fd);
    return O_RDWR | O_NONBLOCK;
}

static int sim_set_flags(struct aw_backend *b, int fd, int flags)
{
    FIND(b, fd);
    return flags & O_NONBLOCK ? 0 : -EINVAL; /* a blocking call would block the whole world */
}

static int sim_file_type(struct aw_backend *b, int fd)
{
    FIND(b, fd);
    return S_IFSOCK;
}

const struct aw_sys aw_sys_sim = {
    .now = sim_now,
    .tick = sim_now,
    .socket = sim_socket,
    .bind = sim_bind,
    .listen = sim_listen,
    .accept = sim_accept,
    .connect = sim_connect,
    .shutdown = sim_shutdown,
    .close = sim_close,
    .getsockname = sim_getsockname,
    .getpeername = sim_getpeername,
    .getsockopt = sim_getsockopt,
    .setsockopt = sim_setsockopt,
    .recv = sim_recv,
    .send = sim_send,
    .sendv = sim_sendv,
    .read = sim_recv,
    .writev = sim_sendv,
    .get_flags = sim_get_flags,
    .set_flags = sim_set_flags,
    .file_type = sim_file_type,
    .getaddrinfo = aw_sim_getaddrinfo,
    .freeaddrinfo = aw_sim_freeaddrinfo,
    .map = aw_sys_map,
    .unmap = aw_sys_unmap,
    .guard_install = aw_sys_guard_install,
    .guard_protect = aw_sys_guard_protect,
    .discard = aw_sys_discard,
};
