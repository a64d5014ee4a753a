/* SPDX-License-Identifier: MIT */
/* Design notes: epoll, rebuilt step by step, so that edges come exactly where the kernel's do.
 *
 * A watch is put at the end of `ready` when it is registered or changed and its socket has an event that it asks
 * for, and whenever something happens to its socket of a kind that it asks for. wait() takes the watches off in
 * order and looks at the sockets as they are then: without an event the watch is dropped silently. A level-triggered
 * watch that was reported goes back to the end, an edge-triggered one does not: that is the whole difference. */
#include "backend/sim.h"

static void append(struct aw_sim *sim, struct aw_sim_watch *watch)
{
    if (aw_list_is_empty(&watch->ready))
        aw_list_append(&sim->ready, &watch->ready);
}

static struct aw_sim_socket *watched_socket(struct aw_list *node)
{
    return AW_LIST_ENTRY(AW_LIST_ENTRY(node, struct aw_sim_watch, ready), struct aw_sim_socket, watch);
}

/* Sets what is asked for; what is true already counts as news. */
static void arm(struct aw_sim *sim, struct aw_sim_socket *socket, unsigned mask, uint64_t token)
{
    socket->watch.mask = mask | AW_ERROR | AW_HANGUP;
    socket->watch.token = token;
    aw_sim_notify(sim, socket, aw_sim_socket_poll(socket));
}

int aw_sim_add(struct aw_backend *backend, int fd, unsigned mask, uint64_t token)
{
    struct aw_sim *sim = aw_sim_from_base(backend);
    struct aw_sim_socket *socket = aw_sim_socket_find(sim, fd);

    if (!socket)
        return -EBADF;
    if (socket->watch.mask)
        return -EEXIST;
    arm(sim, socket, mask, token);
    return 0;
}

int aw_sim_modify(struct aw_backend *backend, int fd, unsigned mask, uint64_t token)
{
    struct aw_sim *sim = aw_sim_from_base(backend);
    struct aw_sim_socket *socket = aw_sim_socket_find(sim, fd);

    if (!socket)
        return -EBADF;
    if (!socket->watch.mask)
        return -ENOENT;
    arm(sim, socket, mask, token);
    return 0;
}

int aw_sim_remove(struct aw_backend *backend, int fd)
{
    struct aw_sim_socket *socket = aw_sim_socket_find(aw_sim_from_base(backend), fd);

    if (!socket)
        return -EBADF;
    if (!socket->watch.mask)
        return -ENOENT;
    aw_sim_unwatch(socket);
    return 0;
}

void aw_sim_unwatch(struct aw_sim_socket *socket)
{
    socket->watch.mask = 0;
    aw_list_remove(&socket->watch.ready);
}

void aw_sim_notify(struct aw_sim *sim, struct aw_sim_socket *socket, unsigned events)
{
    if (socket->watch.mask & events & ~(unsigned)AW_EDGE)
        append(sim, &socket->watch);
}

int aw_sim_collect(struct aw_sim *sim, struct aw_event *events, int capacity)
{
    struct aw_list batch, *node;
    int count = 0;

    aw_list_init(&batch);
    aw_list_splice(&batch, &sim->ready);
    while (count < capacity && (node = aw_list_pop(&batch))) {
        struct aw_sim_socket *socket = watched_socket(node);
        unsigned now = aw_sim_socket_poll(socket) & socket->watch.mask;

        if (!now)
            continue;
        events[count++] = (struct aw_event){ .token = socket->watch.token, .events = now };
        if (!(socket->watch.mask & AW_EDGE))
            append(sim, &socket->watch);
    }
    /* What did not fit comes first next time. */
    aw_list_splice(&batch, &sim->ready);
    aw_list_splice(&sim->ready, &batch);
    return count;
}
