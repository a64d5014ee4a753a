/* SPDX-License-Identifier: MIT */
/* Design notes: how a transport writes; transport.c has the rest of it, and the reasons.
 *
 * The usual write is one piece that the kernel takes whole: one branch (`direct`) and one system call. Everything else
 * is slower by a function call: several pieces, a part that is taken, a queue, a pipe. The kernel is asked until it is
 * full, because only then an edge follows; on TCP a short count says as much as EAGAIN would. */
#include "transport/inside.h"
#include "transport/write_queue.h"

#define PIECES_PER_SEND 64
#define FLUSH_BUDGET ((size_t)1 << 20) /* bytes a turn, so that a fast peer of a long queue starves nobody */

/* ---- the end of writing ---- */

static AW_COLD void fail_writing(struct aw_transport *transport, int error)
{
    if (transport->state == AW_TRANSPORT_CLOSING || transport->eof_seen || transport->no_read) {
        aw_transport_lose(transport, error);
        return;
    }
    transport->write_error = error;
    transport->direct = transport->eof_queued = transport->flush_due = false;
    transport->resume_due |= transport->paused_writing;
    transport->paused_writing = false;
    aw_write_queue_drop(transport);
    /* Whatever the next edge will say: what is left can be read now, to its end. */
    transport->readable = transport->sticky = true;
    if (transport->resume_due || transport->wants_read)
        aw_transport_tell(transport);
}

static int send_eof(struct aw_transport *transport)
{
    async_loop *loop = transport->loop;
    int r;

    transport->eof_sent = true;
    transport->direct = false;
    r = loop->sys->shutdown(loop->backend, transport->io.fd, SHUT_WR);
    if (r >= 0)
        return 0;
    fail_writing(transport, -EPIPE); /* -ENOTCONN: the connection is gone, and a read will say how */
    return -EPIPE;
}

/* ---- flushing ---- */

static ssize_t send_pieces(struct aw_transport *transport, const struct iovec *pieces, int count)
{
    async_loop *loop = transport->loop;
    ssize_t n;

    do {
        if (transport->is_socket)
            n = loop->sys->sendv(loop->backend, transport->io.fd, pieces, count);
        else
            n = loop->sys->writev(loop->backend, transport->io.fd, pieces, count);
    } while (n == -EINTR);
    return n;
}

/* Goes on to the end of the queue or of the budget; 0 or the failure. */
static int flush_queue(struct aw_transport *transport)
{
    struct iovec pieces[PIECES_PER_SEND];
    size_t budget = FLUSH_BUDGET, asked;

    while (transport->queued > 0) {
        int count = aw_write_queue_gather(transport, pieces, PIECES_PER_SEND, &asked);
        ssize_t n = send_pieces(transport, pieces, count);

        if (n <= 0) /* a device that takes nothing is full */
            return n == -EAGAIN ? 0 : (int)n;
        aw_write_queue_consume(transport, (size_t)n);
        if ((size_t)n < asked && transport->short_reads)
            return 0;
        if ((size_t)n >= budget) {
            transport->flush_due = transport->queued > 0;
            return 0;
        }
        budget -= (size_t)n;
    }
    return 0;
}

static void after_flush(struct aw_transport *transport)
{
    if (transport->paused_writing && transport->queued <= transport->low) {
        transport->paused_writing = false;
        transport->resume_due = true;
    }
    if (transport->queued > 0)
        return;
    if (transport->state == AW_TRANSPORT_CLOSING)
        aw_transport_lose(transport, 0);
    else if (transport->eof_queued)
        (void)send_eof(transport);
    else
        transport->direct = transport->is_socket;
}

void aw_transport_flush(struct aw_transport *transport)
{
    int r;

    transport->flush_due = false;
    r = flush_queue(transport);
    if (r < 0)
        fail_writing(transport, r);
    else
        after_flush(transport);
    if (transport->flush_due)
        aw_transport_tell(transport);
}

/* ---- writing ---- */

static int why_not_writable(const struct aw_transport *transport)
{
    if (transport->write_error)
        return transport->write_error;
    if (transport->state != AW_TRANSPORT_OPEN)
        return transport->error < 0 ? transport->error : ASYNC_ECLOSED;
    if (transport->no_write)
        return -EBADF;
    return transport->eof_sent || transport->eof_queued ? -EPIPE : 0;
}

static AW_COLD int refuse(struct aw_transport *transport, int error)
{
    return aw_fail(transport->loop, error, "writing to descriptor %d: %s", transport->io.fd, async_strerror(error));
}

/* The kernel said no. `begun`: it has taken a part before. */
static AW_COLD int write_failed(struct aw_transport *transport, int error, bool begun)
{
    if (error == -ENOBUFS)
        error = -ENOMEM;
    (void)refuse(transport, error);
    if (begun || !aw_is_of_the_call(error))
        fail_writing(transport, error);
    return error;
}

/* Stores what the kernel did not take. pause_writing comes last: it may free the transport. */
static int queue_rest(struct aw_transport *transport, const struct aw_pieces *rest, bool begun)
{
    int r = aw_write_queue_append(transport, *rest);

    if (r < 0)
        return write_failed(transport, r, begun);
    transport->direct = transport->queued == 0 && transport->is_socket;
    if (transport->queued <= transport->high || transport->paused_writing)
        return 0;
    transport->paused_writing = true;
    if (transport->sink->pause_writing)
        transport->sink->pause_writing(transport);
    return 0;
}

/* Asks the kernel until it is full, then queues. */
static int send_rest(struct aw_transport *transport, struct aw_pieces *rest, bool begun)
{
    struct iovec pieces[PIECES_PER_SEND];
    size_t asked;
    int count;

    while ((count = aw_pieces_gather(rest, pieces, PIECES_PER_SEND, &asked)) > 0) {
        ssize_t n = send_pieces(transport, pieces, count);

        if (n == -EAGAIN || n == 0)
            return queue_rest(transport, rest, begun);
        if (n < 0)
            return write_failed(transport, (int)n, begun);
        aw_pieces_skip(rest, (size_t)n);
        begun = true;
        if ((size_t)n < asked && transport->short_reads)
            return queue_rest(transport, rest, begun);
    }
    return 0;
}

/* A lone piece was tried: the kernel took `n` bytes, less than all, or said no. */
static int send_tried(struct aw_transport *transport, const struct iovec *piece, ssize_t n)
{
    struct aw_pieces rest = { piece, 1, 0 };
    bool full = n == -EAGAIN || (n > 0 && transport->short_reads && piece->iov_len <= AW_ASK_MAX);

    if (n < 0 && n != -EAGAIN && n != -EINTR)
        return write_failed(transport, (int)n, false);
    if (n > 0)
        aw_pieces_skip(&rest, (size_t)n);
    return full ? queue_rest(transport, &rest, n > 0) : send_rest(transport, &rest, n > 0);
}

static int write_indirect(struct aw_transport *transport, const struct iovec *pieces, int count)
{
    struct aw_pieces rest = { pieces, count, 0 };
    int r = count < 0 ? -EINVAL : why_not_writable(transport);

    if (r < 0)
        return refuse(transport, r);
    /* Behind a queue nothing is tried: the edge that empties it is on its way. */
    return transport->queued > 0 ? queue_rest(transport, &rest, false) : send_rest(transport, &rest, false);
}

int aw_transport_write(struct aw_transport *transport, const struct iovec *pieces, int count)
{
    async_loop *loop = transport->loop;
    ssize_t n;

    if (AW_UNLIKELY(!transport->direct || count != 1))
        return write_indirect(transport, pieces, count);
    n = loop->sys->send(loop->backend, transport->io.fd, pieces->iov_base, pieces->iov_len);
    if (AW_UNLIKELY(n < 0 || (size_t)n < pieces->iov_len))
        return send_tried(transport, pieces, n);
    return 0;
}

int aw_transport_write_eof(struct aw_transport *transport)
{
    int r = transport->eof_sent || transport->eof_queued ? transport->write_error : why_not_writable(transport);

    if (r == 0 && !transport->is_socket)
        r = -ENOTSUP;
    if (r < 0)
        return aw_fail(transport->loop, r, "ending the writing half of descriptor %d: %s", transport->io.fd,
                       async_strerror(r));
    if (transport->eof_sent || transport->eof_queued)
        return 0;
    transport->eof_queued = transport->queued > 0;
    return transport->eof_queued ? 0 : send_eof(transport);
}

int aw_transport_set_limits(struct aw_transport *transport, size_t high, size_t low)
{
    if (low > high)
        return aw_fail(transport->loop, -EINVAL, "water marks: low (%zu) is above high (%zu)", low, high);
    transport->high = high;
    transport->low = low;
    if (transport->paused_writing && transport->queued <= low) {
        transport->paused_writing = false;
        transport->resume_due = true;
        aw_transport_tell(transport);
    } else if (!transport->paused_writing && transport->queued > high) {
        transport->paused_writing = true;
        if (transport->sink->pause_writing)
            transport->sink->pause_writing(transport);
    }
    return 0;
}
