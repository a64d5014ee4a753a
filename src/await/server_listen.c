/* SPDX-License-Identifier: MIT */
/* Design notes: from options to listening sockets. All names are resolved first, then all addresses get a socket, or
 * none does. With port "0" the kernel chooses the first socket's port and the others follow; when somebody else has
 * that port on another address, another one is chosen. An address whose family this machine has not switched on is
 * left out if there is another. */
#include "await/server_core.h"

#include <string.h>

#define ANY_PORT_TRIES 16

static const char what[] = "await_start_server";

void aw_server_fds_fini(async_loop *loop, struct aw_server_fds *fds)
{
    for (size_t i = 0; i < fds->count && !fds->inherited; i++)
        (void)loop->sys->close(loop->backend, fds->fds[i]);
    aw_free(&loop->allocator, fds->fds);
    *fds = (struct aw_server_fds){ NULL, 0, false };
}

static int take_inherited(async_loop *loop, const async_server_options *options, struct aw_server_fds *ret_fds)
{
    size_t size = options->fd_count * sizeof *options->fds;
    int *fds = aw_alloc(&loop->allocator, size);

    if (!fds)
        return aw_fail(loop, -ENOMEM, "%s: no memory", what);
    memcpy(fds, options->fds, size);
    *ret_fds = (struct aw_server_fds){ fds, options->fd_count, true };
    return 0;
}

/* ---- ports ---- */

static in_port_t *port_of(struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return &((struct sockaddr_in *)address)->sin_port;
    if (address->ss_family == AF_INET6)
        return &((struct sockaddr_in6 *)address)->sin6_port;
    return NULL;
}

/* The port that the kernel chose for fd, in network order; 0 if it cannot be told. */
static in_port_t chosen_port(async_loop *loop, int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    in_port_t *port;

    if (loop->sys->getsockname(loop->backend, fd, (struct sockaddr *)&address, &size) < 0)
        return 0;
    port = port_of(&address);
    return port ? *port : 0;
}

/* ---- sockets ---- */

static bool is_unavailable(int error)
{
    return error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL || error == -EPROTONOSUPPORT;
}

static int listen_on(async_loop *loop, const struct aw_address *asked, in_port_t any_port,
                     const async_server_options *options)
{
    struct aw_listen_options listen_options = { .backlog = options->backlog, .reuse_port = options->reuse_port != 0 };
    struct aw_address address = *asked;
    in_port_t *port = port_of(&address.address);

    if (port && *port == 0)
        *port = any_port;
    return aw_listen_socket(loop, (const struct sockaddr *)&address.address, address.size, &listen_options);
}

static bool asks_any_port(const struct aw_address *asked)
{
    struct aw_address address = *asked;
    const in_port_t *port = port_of(&address.address);

    return port && *port == 0;
}

static AW_COLD int fail_listen(async_loop *loop, const struct aw_address *address, int error)
{
    char text[AW_ADDRESS_TEXT];

    aw_address_format(text, sizeof text, (const struct sockaddr *)&address->address, address->size);
    return aw_fail(loop, error, "%s: %s: %s", what, text, async_strerror(error));
}

/* One socket for each address. -EADDRINUSE and *ret_chosen: somebody has the port that the kernel chose. */
static int listen_on_all(async_loop *loop, const struct aw_lookup *lookup, const async_server_options *options,
                         struct aw_server_fds *fds, bool *ret_chosen)
{
    in_port_t any_port = 0;
    int unavailable = 0;

    *ret_chosen = false;
    for (size_t i = 0; i < lookup->count; i++) {
        int fd = listen_on(loop, &lookup->addresses[i], any_port, options);

        if (is_unavailable(fd)) {
            unavailable = fd;
            continue;
        }
        if (fd < 0) {
            *ret_chosen = any_port != 0 && asks_any_port(&lookup->addresses[i]);
            return fail_listen(loop, &lookup->addresses[i], fd);
        }
        fds->fds[fds->count++] = fd;
        if (fds->count == 1)
            any_port = chosen_port(loop, fd);
    }
    return fds->count > 0 ? 0 : fail_listen(loop, &lookup->addresses[0], unavailable);
}

static int open_sockets(async_loop *loop, const struct aw_lookup *lookup, const async_server_options *options,
                        struct aw_server_fds *ret_fds)
{
    struct aw_server_fds fds = { NULL, 0, false };
    bool chosen = true;
    int r = -EADDRINUSE;

    for (int i = 0; r == -EADDRINUSE && chosen && i < ANY_PORT_TRIES; i++) {
        aw_server_fds_fini(loop, &fds);
        fds.fds = aw_alloc(&loop->allocator, lookup->count * sizeof *fds.fds);
        if (!fds.fds)
            return aw_fail(loop, -ENOMEM, "%s: no memory", what);
        r = listen_on_all(loop, lookup, options, &fds, &chosen);
    }
    if (r < 0) {
        aw_server_fds_fini(loop, &fds);
        return r;
    }
    *ret_fds = fds;
    return 0;
}

/* ---- names ---- */

ASYNC_SUSPENDS static int look_up(struct aw_lookup *lookup, async_loop *loop, const async_server_options *options)
{
    const char *port = options->port ? options->port : "0";

    if (!options->hosts)
        return aw_lookup_await(lookup, loop, options->host, port, true, what);
    for (size_t i = 0; options->hosts[i]; i++) {
        int r = aw_lookup_await(lookup, loop, options->hosts[i], port, true, what);
        if (r < 0)
            return r;
    }
    return lookup->count > 0 ? 0 : aw_fail(loop, -EINVAL, "%s: options.hosts is empty", what);
}

int aw_server_await_fds(async_loop *loop, const async_server_options *options, struct aw_server_fds *ret_fds)
{
    struct aw_lookup lookup = { NULL, 0 };
    int r;

    if (options->fd_count > 0)
        return take_inherited(loop, options, ret_fds);
    r = look_up(&lookup, loop, options);
    if (r >= 0)
        r = open_sockets(loop, &lookup, options, ret_fds);
    aw_lookup_fini(&lookup, loop);
    return r;
}
