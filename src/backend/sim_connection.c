/* SPDX-License-Identifier: MIT */
/* Design notes: how two sockets come together and part. The accepted end is made when the other one
 * connects, so that all memory is asked for in connect(), and waits at the listener: in `accepted`, or in `waiting`
 * while the queue has no room (the kernel drops the SYN then and the client tries again; to both, it is the same).
 *
 * An end whose descriptor is closed is freed at once: what it had sent is in the other end's buffer, and what it
 * would have received is answered by a reset, for which no socket is needed. */
#include "backend/sim.h"

#define BACKLOG_MAX 4096 /* net.core.somaxconn */

/* ---- listening ---- */

int aw_sim_listen(struct aw_sim *sim, struct aw_sim_socket *socket, int backlog)
{
    int r;

    if (socket->stage != AW_SIM_UNCONNECTED)
        return -EINVAL;
    socket->backlog = backlog < 0 || backlog > BACKLOG_MAX ? BACKLOG_MAX : backlog;
    if (socket->state == AW_SIM_LISTENING) {
        aw_sim_admit(sim, socket);
        return 0;
    }
    if (socket->local.port == 0)
        r = aw_sim_bind_to(sim, socket, &socket->local);
    else /* two may be bound to one address that may not listen at it */
        r = aw_sim_check_conflict(sim, socket, &socket->local);
    if (r < 0)
        return r;
    socket->state = AW_SIM_LISTENING;
    aw_list_append(&sim->listeners, &socket->listening);
    return 0;
}

void aw_sim_admit(struct aw_sim *sim, struct aw_sim_socket *listener)
{
    struct aw_list *node;

    /* One more than the backlog: so the kernel counts. */
    while (listener->accepted_count <= listener->backlog && (node = aw_list_pop(&listener->waiting))) {
        struct aw_sim_socket *connection = AW_LIST_ENTRY(node, struct aw_sim_socket, queued);

        aw_list_append(&listener->accepted, node);
        listener->accepted_count++;
        connection->state = AW_SIM_CONNECTED;
        connection->stage = AW_SIM_TOLD;
        aw_sim_signal(sim, connection->peer, AW_SIM_SYN_ACK); /* the client knows first */
        aw_sim_notify(sim, listener, AW_READABLE);
    }
}

int aw_sim_accept(struct aw_sim *sim, struct aw_sim_socket *socket, struct sockaddr *address, socklen_t *size)
{
    struct aw_sim_socket *connection;
    struct aw_list *node;
    int fd;

    if (socket->state != AW_SIM_LISTENING)
        return -EINVAL;
    fd = aw_sim_socket_find_slot(sim); /* before it looks at the queue, as the kernel does */
    if (fd < 0)
        return fd;
    node = aw_list_pop(&socket->accepted);
    if (!node)
        return -EAGAIN;
    connection = AW_LIST_ENTRY(node, struct aw_sim_socket, queued);
    socket->accepted_count--;
    aw_sim_socket_install(sim, fd, connection);
    aw_sim_address_format(connection->family, &connection->remote, address, size);
    aw_sim_admit(sim, socket);
    return fd;
}

static void refuse_all(struct aw_sim *sim, struct aw_list *queue)
{
    struct aw_list *node;

    while ((node = aw_list_pop(queue))) {
        struct aw_sim_socket *connection = AW_LIST_ENTRY(node, struct aw_sim_socket, queued);

        if (connection->peer)
            aw_sim_signal(sim, connection->peer, AW_SIM_RST);
        aw_sim_socket_free(sim, connection);
    }
}

/* As if it had never connected or listened; a port that nobody asked for is given back. */
static void become_fresh(struct aw_sim *sim, struct aw_sim_socket *socket)
{
    socket->state = AW_SIM_CLOSED;
    socket->stage = AW_SIM_UNCONNECTED;
    socket->read_ended = socket->write_ended = socket->fin_received = false;
    socket->received.used = socket->received.first = 0;
    socket->local = socket->asked;
    if (socket->local.port == 0)
        aw_list_remove(&socket->bound);
    aw_sim_notify(sim, socket, AW_ERROR);
}

static void stop_listening(struct aw_sim *sim, struct aw_sim_socket *socket)
{
    become_fresh(sim, socket);
    aw_list_remove(&socket->listening);
    refuse_all(sim, &socket->accepted);
    refuse_all(sim, &socket->waiting);
    socket->accepted_count = 0;
}

/* ---- connecting ---- */

/* Among several that share the port, the client's port decides, as a hash does in the kernel. */
static struct aw_sim_socket *find_listener(struct aw_sim *sim, const struct aw_sim_socket *client)
{
    struct aw_list *node, *listeners = &sim->listeners;
    struct aw_sim_socket *found[16];
    unsigned count = 0;

    for (node = listeners->next; node != listeners && count < AW_ARRAY_SIZE(found); node = node->next) {
        struct aw_sim_socket *listener = AW_LIST_ENTRY(node, struct aw_sim_socket, listening);

        if (listener->local.port == client->remote.port && aw_sim_address_covers(listener, &client->remote))
            found[count++] = listener;
    }
    return count ? found[client->local.port % count] : NULL;
}

static void join_queue(struct aw_sim *sim, struct aw_sim_socket *listener, struct aw_sim_socket *connection)
{
    for (int i = 0; i < AW_SIM_OPTIONS; i++)
        connection->options[i] = listener->options[i];
    connection->linger = listener->linger;
    connection->family = listener->family;
    connection->state = AW_SIM_CONNECTING;
    connection->local = connection->peer->remote;
    connection->remote = connection->peer->local;
    aw_sim_bound(sim, connection);
    aw_list_append(&listener->waiting, &connection->queued);
    aw_sim_admit(sim, listener);
}

void aw_sim_arrive(struct aw_sim *sim, struct aw_sim_socket *client)
{
    struct aw_sim_socket *listener = find_listener(sim, client);

    if (listener) {
        join_queue(sim, listener, client->peer);
        return;
    }
    aw_sim_socket_free(sim, client->peer);
    client->peer = NULL;
    aw_sim_signal(sim, client, AW_SIM_RST);
}

/* Where to, and from where. */
static int choose_addresses(struct aw_sim *sim, struct aw_sim_socket *socket, const struct sockaddr *address,
                            socklen_t size)
{
    struct aw_sim_address remote, local;
    int r = aw_sim_address_parse(socket->family, address, size, &remote);

    if (r < 0)
        return r;
    if (aw_sim_address_is_any(&remote))
        remote = aw_sim_address_loopback(&remote);
    if (!aw_sim_address_is_loopback(&remote))
        return -ENETUNREACH;
    local = aw_sim_address_loopback(&remote);
    local.port = socket->local.port;
    if (local.port == 0) {
        r = aw_sim_bind_to(sim, socket, &local);
        if (r < 0)
            return -EADDRNOTAVAIL;
    } else if (aw_sim_address_is_any(&socket->local)) {
        socket->local = local;
    }
    socket->remote = remote;
    return 0;
}

static int start_connecting(struct aw_sim *sim, struct aw_sim_socket *socket, const struct sockaddr *address,
                            socklen_t size)
{
    int r = choose_addresses(sim, socket, address, size);

    if (r < 0)
        return r;
    socket->peer = aw_sim_socket_new(sim, socket->family);
    if (!socket->peer)
        return -ENOMEM;
    socket->peer->peer = socket;
    socket->state = AW_SIM_CONNECTING;
    socket->stage = AW_SIM_ASKED;
    aw_sim_signal(sim, socket, AW_SIM_SYN);
    return -EINPROGRESS;
}

/* What became of the connect that was asked for. */
static int tell_result(struct aw_sim *sim, struct aw_sim_socket *socket)
{
    if (socket->state == AW_SIM_CONNECTING)
        return -EALREADY;
    if (socket->state == AW_SIM_CLOSED) {
        become_fresh(sim, socket);
        return aw_sim_socket_take_error(socket, -ECONNABORTED);
    }
    socket->stage = AW_SIM_TOLD;
    return 0;
}

int aw_sim_connect(struct aw_sim *sim, struct aw_sim_socket *socket, const struct sockaddr *address, socklen_t size)
{
    if (socket->stage == AW_SIM_SHUT)
        return -EINVAL;
    if (socket->stage == AW_SIM_TOLD || socket->state == AW_SIM_LISTENING)
        return -EISCONN;
    if (socket->stage == AW_SIM_UNCONNECTED)
        return start_connecting(sim, socket, address, size);
    return tell_result(sim, socket);
}

/* ---- parting ---- */

bool aw_sim_is_over(const struct aw_sim_socket *socket)
{
    return socket->state != AW_SIM_CONNECTED || (socket->fin_received && socket->write_ended);
}

static bool parts_in_anger(const struct aw_sim_socket *socket)
{
    return socket->received.used > 0 || (socket->linger.l_onoff && socket->linger.l_linger == 0);
}

static void leave_peer(struct aw_sim *sim, struct aw_sim_socket *socket)
{
    struct aw_sim_socket *peer = socket->peer;

    if (!peer)
        return;
    if (!aw_sim_is_over(socket) && parts_in_anger(socket))
        aw_sim_signal(sim, peer, AW_SIM_RST);
    else if (!socket->write_ended)
        aw_sim_signal(sim, peer, AW_SIM_FIN);
    if (socket->peer)
        socket->peer->peer = NULL;
    socket->peer = NULL;
}

/* It waited for its listener, where the other end can be found. */
static void stop_connecting(struct aw_sim *sim, struct aw_sim_socket *socket)
{
    become_fresh(sim, socket);
    socket->error = ECONNRESET;
    aw_sim_socket_free(sim, socket->peer);
    socket->peer = NULL;
}

void aw_sim_disconnect(struct aw_sim *sim, struct aw_sim_socket *socket)
{
    if (socket->state == AW_SIM_LISTENING)
        stop_listening(sim, socket);
    else if (socket->state == AW_SIM_CONNECTING)
        stop_connecting(sim, socket);
    else
        leave_peer(sim, socket);
}

static void end_halves(struct aw_sim *sim, struct aw_sim_socket *socket, int how)
{
    bool tell = how != SHUT_RD && !socket->write_ended && socket->peer;

    if (how != SHUT_RD)
        socket->write_ended = true;
    if (how != SHUT_WR)
        socket->read_ended = true;
    if (tell)
        aw_sim_signal(sim, socket->peer, AW_SIM_FIN);
    aw_sim_notify(sim, socket, AW_SIM_ANY_EVENT);
}

int aw_sim_shutdown(struct aw_sim *sim, struct aw_sim_socket *socket, int how)
{
    bool was_closed = aw_sim_is_over(socket);

    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
        return -EINVAL;
    if (socket->state == AW_SIM_CONNECTING || (socket->state == AW_SIM_LISTENING && how != SHUT_WR)) {
        aw_sim_disconnect(sim, socket);
        aw_sim_notify(sim, socket, AW_SIM_ANY_EVENT);
        return 0;
    }
    if (socket->state == AW_SIM_LISTENING) {
        aw_sim_notify(sim, socket, AW_SIM_ANY_EVENT);
        return 0;
    }
    if (socket->stage == AW_SIM_ASKED)
        socket->stage = socket->state == AW_SIM_CLOSED ? AW_SIM_SHUT : AW_SIM_TOLD;
    end_halves(sim, socket, how);
    return was_closed ? -ENOTCONN : 0;
}
