/* SPDX-License-Identifier: MIT */
/* Design notes: bytes from one end to the other. There is one buffer a direction, at the receiver; it stands
 * for the kernel's two. What was sent is received at once, so nothing is ever under way.
 *
 * Return values follow the kernel's tcp_recvmsg and tcp_sendmsg case by case, in their order. */
#include "backend/sim.h"

#include <limits.h>
#include <string.h>

#define BUFFER_MIN 4096

/* ---- the buffer: a ring that grows by doubling ---- */

static size_t buffer_copy_out(const struct aw_sim_buffer *buffer, char *to, size_t size)
{
    size_t until_end = buffer->allocated - buffer->first;
    size_t n = size < buffer->used ? size : buffer->used;
    size_t n1 = n < until_end ? n : until_end;

    if (n == 0)
        return 0;
    memcpy(to, buffer->bytes + buffer->first, n1);
    memcpy(to + n1, buffer->bytes, n - n1);
    return n;
}

static int buffer_reserve(struct aw_sim *sim, struct aw_sim_buffer *buffer, size_t size)
{
    uint32_t allocated = buffer->allocated ? buffer->allocated : BUFFER_MIN;
    char *bytes;

    while (allocated - buffer->used < size)
        allocated *= 2;
    if (allocated == buffer->allocated)
        return 0;
    bytes = aw_alloc(&sim->allocator, allocated);
    if (!bytes)
        return -ENOMEM;
    buffer_copy_out(buffer, bytes, buffer->used);
    aw_free(&sim->allocator, buffer->bytes);
    buffer->bytes = bytes;
    buffer->allocated = allocated;
    buffer->first = 0;
    return 0;
}

/* There is room. */
static void buffer_append(struct aw_sim_buffer *buffer, const char *data, size_t size)
{
    size_t start = (buffer->first + buffer->used) % buffer->allocated;
    size_t until_end = buffer->allocated - start;
    size_t n1 = size < until_end ? size : until_end;

    memcpy(buffer->bytes + start, data, n1);
    memcpy(buffer->bytes, data + n1, size - n1);
    buffer->used += (uint32_t)size;
}

static void buffer_consume(struct aw_sim_buffer *buffer, size_t size)
{
    buffer->used -= (uint32_t)size;
    buffer->first = buffer->used ? (uint32_t)((buffer->first + size) % buffer->allocated) : 0;
}

/* ---- the wire ---- */

static void be_reset(struct aw_sim *sim, struct aw_sim_socket *socket)
{
    if (socket->state == AW_SIM_CLOSED)
        return;
    if (socket->state == AW_SIM_CONNECTING)
        socket->error = ECONNREFUSED;
    else
        socket->error = socket->fin_received ? EPIPE : ECONNRESET;
    socket->state = AW_SIM_CLOSED;
    socket->read_ended = socket->write_ended = true;
    if (socket->peer)
        socket->peer->peer = NULL;
    socket->peer = NULL;
    aw_sim_notify(sim, socket, AW_SIM_ANY_EVENT);
}

/* Everything that one socket does to another comes through here, in order and without delay: latency,
 * loss and cut connections belong here. There is room for the data, and it is the receiver's copy. */
void aw_sim_deliver(struct aw_sim *sim, struct aw_sim_socket *to, enum aw_sim_packet packet, const char *data,
                    size_t size)
{
    switch (packet) {
    case AW_SIM_SYN:
        aw_sim_arrive(sim, to);
        return;
    case AW_SIM_SYN_ACK:
        to->state = AW_SIM_CONNECTED;
        aw_sim_notify(sim, to, AW_SIM_ANY_EVENT);
        return;
    case AW_SIM_DATA:
        buffer_append(&to->received, data, size);
        aw_sim_notify(sim, to, AW_READABLE | AW_PRIORITY);
        return;
    case AW_SIM_WINDOW:
        to->wants_space = false;
        aw_sim_notify(sim, to, AW_WRITABLE);
        return;
    case AW_SIM_FIN:
        to->read_ended = to->fin_received = true;
        aw_sim_notify(sim, to, AW_SIM_ANY_EVENT);
        return;
    case AW_SIM_RST:
        be_reset(sim, to);
        return;
    }
}

void aw_sim_signal(struct aw_sim *sim, struct aw_sim_socket *to, enum aw_sim_packet packet)
{
    aw_sim_deliver(sim, to, packet, /* data= */ NULL, /* size= */ 0);
}

/* ---- receiving ---- */

static uint32_t space(const struct aw_sim_socket *receiver)
{
    return AW_SIM_BUFFER_SIZE - receiver->received.used;
}

/* Enough to be told of: a third, so that writers are not woken for a byte. */
bool aw_sim_has_space(const struct aw_sim_socket *socket)
{
    return !socket->peer || space(socket->peer) >= socket->peer->received.used / 2;
}

static ssize_t take_bytes(struct aw_sim *sim, struct aw_sim_socket *socket, char *buf, size_t size)
{
    size_t n = buffer_copy_out(&socket->received, buf, size);

    buffer_consume(&socket->received, n);
    if (socket->peer && socket->peer->wants_space && aw_sim_has_space(socket->peer))
        aw_sim_signal(sim, socket->peer, AW_SIM_WINDOW);
    return (ssize_t)n;
}

ssize_t aw_sim_recv(struct aw_sim *sim, struct aw_sim_socket *socket, void *buf, size_t size)
{
    if (socket->state == AW_SIM_LISTENING)
        return -ENOTCONN;
    if (socket->received.used > 0)
        return take_bytes(sim, socket, buf, size);
    if (socket->fin_received)
        return 0;
    if (socket->error)
        return aw_sim_socket_take_error(socket, 0);
    if (socket->read_ended)
        return 0;
    return socket->state == AW_SIM_CLOSED ? -ENOTCONN : -EAGAIN;
}

/* ---- sending ---- */

/* The total, or -EINVAL where the kernel would not count so far. */
static ssize_t total_size(const struct iovec *pieces, int count)
{
    size_t total = 0;

    if (count < 0 || count > IOV_MAX)
        return -EMSGSIZE;
    for (int i = 0; i < count; i++)
        if (__builtin_add_overflow(total, pieces[i].iov_len, &total) || total > SSIZE_MAX)
            return -EINVAL;
    return (ssize_t)total;
}

static void put_bytes(struct aw_sim *sim, struct aw_sim_socket *receiver, const struct iovec *pieces, size_t size)
{
    for (; size > 0; pieces++) {
        size_t n = pieces->iov_len < size ? pieces->iov_len : size;

        if (n > 0)
            aw_sim_deliver(sim, receiver, AW_SIM_DATA, pieces->iov_base, n);
        size -= n;
    }
}

static ssize_t send_to_peer(struct aw_sim *sim, struct aw_sim_socket *socket, const struct iovec *pieces, size_t total)
{
    struct aw_sim_socket *peer = socket->peer;
    size_t n = total < space(peer) ? total : space(peer);
    int r;

    if (n < total)
        socket->wants_space = true;
    if (n == 0)
        return total == 0 ? 0 : -EAGAIN;
    r = buffer_reserve(sim, &peer->received, n);
    if (r < 0)
        return r;
    put_bytes(sim, peer, pieces, n);
    return (ssize_t)n;
}

/* It has shut down both halves: data is answered by a reset, which is its own end, too. */
static bool is_deaf(const struct aw_sim_socket *socket)
{
    return socket->read_ended && socket->write_ended;
}

ssize_t aw_sim_send(struct aw_sim *sim, struct aw_sim_socket *socket, const struct iovec *pieces, int count)
{
    ssize_t total = total_size(pieces, count);

    if (total < 0)
        return total;
    if (socket->state == AW_SIM_CONNECTING)
        return -EAGAIN;
    if (socket->state != AW_SIM_CONNECTED || socket->write_ended)
        return aw_sim_socket_take_error(socket, -EPIPE);
    if (socket->peer && !is_deaf(socket->peer))
        return send_to_peer(sim, socket, pieces, (size_t)total);
    /* The kernel takes it, and the answer says that nobody is there. */
    if (total > 0 && socket->peer)
        aw_sim_signal(sim, socket->peer, AW_SIM_RST);
    if (total > 0)
        aw_sim_signal(sim, socket, AW_SIM_RST);
    return total;
}
