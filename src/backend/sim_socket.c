/* SPDX-License-Identifier: MIT */
/* Design notes: what a socket is, and the table of descriptors: dense, the lowest free one first, as the kernel
 * gives them, so that reuse of a number, with all its mistakes, happens here as it does there. */
#include "backend/sim.h"

#include <string.h>

struct aw_sim_socket *aw_sim_socket_new(struct aw_sim *sim, int family)
{
    struct aw_sim_socket *socket = aw_alloc_zeroed(&sim->allocator, sizeof *socket);

    if (!socket)
        return NULL;
    socket->fd = -1;
    socket->family = family;
    socket->local = socket->asked = socket->remote = aw_sim_address_any(family);
    aw_list_init(&socket->watch.ready);
    aw_list_init(&socket->bound);
    aw_list_init(&socket->listening);
    aw_list_init(&socket->accepted);
    aw_list_init(&socket->waiting);
    aw_list_init(&socket->queued);
    return socket;
}

void aw_sim_socket_free(struct aw_sim *sim, struct aw_sim_socket *socket)
{
    aw_sim_unwatch(socket);
    aw_list_remove(&socket->bound);
    aw_list_remove(&socket->listening);
    aw_list_remove(&socket->queued);
    aw_free(&sim->allocator, socket->received.bytes);
    aw_free(&sim->allocator, socket);
}

/* ---- descriptors ---- */

struct aw_sim_socket *aw_sim_socket_find(struct aw_sim *sim, int fd)
{
    return fd >= AW_SIM_FIRST_FD && fd - AW_SIM_FIRST_FD < sim->socket_slots ? sim->sockets[fd - AW_SIM_FIRST_FD]
                                                                             : NULL;
}

static int grow_table(struct aw_sim *sim)
{
    int slots = sim->socket_slots ? 2 * sim->socket_slots : 16;
    struct aw_sim_socket **sockets = aw_resize(&sim->allocator, sim->sockets, (size_t)slots * sizeof(void *));

    if (!sockets)
        return -ENOMEM;
    memset(sockets + sim->socket_slots, 0, (size_t)(slots - sim->socket_slots) * sizeof(void *));
    sim->sockets = sockets;
    sim->socket_slots = slots;
    return 0;
}

int aw_sim_socket_find_slot(struct aw_sim *sim)
{
    int slot = sim->socket_first_free;
    int r;

    while (slot < sim->socket_slots && sim->sockets[slot])
        slot++;
    sim->socket_first_free = slot;
    if (slot >= sim->socket_limit)
        return -EMFILE;
    if (slot < sim->socket_slots)
        return AW_SIM_FIRST_FD + slot;
    r = grow_table(sim);
    return r < 0 ? r : AW_SIM_FIRST_FD + slot;
}

void aw_sim_socket_install(struct aw_sim *sim, int fd, struct aw_sim_socket *socket)
{
    socket->fd = fd;
    sim->sockets[fd - AW_SIM_FIRST_FD] = socket;
}

static void uninstall(struct aw_sim *sim, struct aw_sim_socket *socket)
{
    int slot = socket->fd - AW_SIM_FIRST_FD;

    sim->sockets[slot] = NULL;
    if (slot < sim->socket_first_free)
        sim->socket_first_free = slot;
}

/* ---- open and close ---- */

int aw_sim_socket_open(struct aw_sim *sim, int family, int type, int protocol)
{
    struct aw_sim_socket *socket;
    int fd;

    if (family != AF_INET && family != AF_INET6)
        return -EAFNOSUPPORT;
    if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM)
        return -ESOCKTNOSUPPORT;
    if (protocol != 0 && protocol != IPPROTO_TCP)
        return -EPROTONOSUPPORT;
    fd = aw_sim_socket_find_slot(sim);
    if (fd < 0)
        return fd;
    socket = aw_sim_socket_new(sim, family);
    if (!socket)
        return -ENOMEM;
    aw_sim_socket_install(sim, fd, socket);
    return fd;
}

void aw_sim_socket_close(struct aw_sim *sim, struct aw_sim_socket *socket)
{
    uninstall(sim, socket);
    aw_sim_unwatch(socket);
    aw_sim_disconnect(sim, socket);
    aw_sim_socket_free(sim, socket);
}

void aw_sim_sockets_fini(struct aw_sim *sim)
{
    for (int i = 0; i < sim->socket_slots; i++)
        if (sim->sockets[i])
            aw_sim_socket_close(sim, sim->sockets[i]);
    aw_free(&sim->allocator, sim->sockets);
}

/* ---- state ---- */

/* What epoll would say of it: the kernel's tcp_poll, case by case. */
unsigned aw_sim_socket_poll(struct aw_sim_socket *socket)
{
    unsigned events = 0;

    if (socket->state == AW_SIM_LISTENING)
        return aw_list_is_empty(&socket->accepted) ? 0 : AW_READABLE;
    if (socket->state == AW_SIM_CLOSED || (socket->read_ended && socket->write_ended))
        events |= AW_HANGUP;
    if (socket->read_ended)
        events |= AW_READABLE | AW_READ_END;
    if (socket->error)
        events |= AW_ERROR;
    if (socket->state == AW_SIM_CONNECTING)
        return events;
    if (socket->received.used > 0)
        events |= AW_READABLE;
    if (socket->write_ended || aw_sim_has_space(socket))
        events |= AW_WRITABLE;
    else
        socket->wants_space = true;
    return events;
}

int aw_sim_socket_take_error(struct aw_sim_socket *socket, int otherwise)
{
    int error = socket->error;

    socket->error = 0;
    return error ? -error : otherwise;
}
