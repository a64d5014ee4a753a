/* SPDX-License-Identifier: MIT */
/* Design notes: one registration for life, edge-triggered, so that waiting costs no system call.
 *
 * Reading. A read asks the kernel only when there is reason to believe that something is there: `readable`, set
 * by an edge, or left set by a read that filled its buffer. A fresh transport believes nothing: the kernel reports
 * what is there already as a first edge. The belief ends with EAGAIN, with the end, or with a short read where that is
 * sound: on TCP, unless an edge bore END, HANGUP, ERROR or PRIORITY. (Data and FIN come in one edge, and the short
 * read of the data would hide the end for ever; a read stops at an urgent byte. Unix sockets are not sound: a
 * read stops behind a message that carries descriptors, and no edge follows for what lies behind it.)
 *
 * Writing. The kernel is tried first; what it does not take is copied, and goes out on the next writable edge. A writer
 * that gets EPIPE or ECONNRESET has not lost what the peer said before: reading goes on (see transport.h). The
 * kernel tells of a reset only once, so when a write was told, the end of the data is reported as that reset and not as
 * a clean end. Not so after EPIPE (the peer had ended its half properly, or the read hears of it by itself) and not
 * after a failure of our own, as of memory.
 *
 * Callbacks may free the transport, so each is the last thing that happens; what else is due is told in the next turn
 * by `notice`. */
#include "transport/inside.h"
#include "transport/write_queue.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>

#define INTEREST (AW_EDGE | AW_READABLE | AW_WRITABLE | AW_READ_END | AW_PRIORITY)
#define STICKY_EVENTS (AW_READ_END | AW_HANGUP | AW_ERROR | AW_PRIORITY)
#define READ_EVENTS (AW_READABLE | AW_READ_END | AW_HANGUP | AW_ERROR)
#define WRITE_EVENTS (AW_WRITABLE | AW_HANGUP | AW_ERROR)

/* ---- state and its telling ---- */

void aw_transport_tell(struct aw_transport *transport)
{
    if (aw_handle_is_idle(&transport->notice))
        aw_loop_make_ready(transport->loop, &transport->notice);
}

static void release_fd(struct aw_transport *transport)
{
    async_loop *loop = transport->loop;
    int fd = transport->io.fd;

    if (fd < 0)
        return;
    aw_io_remove(loop, &transport->io);
    transport->io.fd = -1;
    /* Nothing can be done about a failure of either; Linux has closed the descriptor even then. */
    if (transport->saved_flags >= 0)
        (void)loop->sys->set_flags(loop->backend, fd, transport->saved_flags);
    if (transport->own_fd)
        (void)loop->sys->close(loop->backend, fd);
}

static void end_everything(struct aw_transport *transport, int error)
{
    transport->state = AW_TRANSPORT_LOST;
    transport->error = error;
    transport->readable = transport->direct = transport->wants_read = false;
    transport->resume_due = transport->flush_due = transport->paused_writing = false;
    aw_write_queue_drop(transport);
    release_fd(transport);
}

void aw_transport_lose(struct aw_transport *transport, int error)
{
    if (transport->state == AW_TRANSPORT_LOST)
        return;
    end_everything(transport, error);
    aw_transport_tell(transport);
}

static bool can_take(const struct aw_transport *transport)
{
    return transport->readable || transport->eof_seen || transport->no_read;
}

/* Tells one thing that is due; the callback may free the transport. */
static void tell_one(struct aw_transport *transport)
{
    bool take = transport->wants_read && can_take(transport);

    if (AW_UNLIKELY(transport->resume_due)) {
        transport->resume_due = false;
        if (take)
            aw_transport_tell(transport);
        if (transport->sink->resume_writing)
            transport->sink->resume_writing(transport);
    } else if (take) {
        transport->wants_read = false;
        transport->sink->readable(transport);
    }
}

/* ---- events ---- */

static void on_events(struct aw_io *io, unsigned events)
{
    struct aw_transport *transport = (struct aw_transport *)io;

    if (AW_UNLIKELY(events & STICKY_EVENTS))
        transport->sticky = true;
    if (events & READ_EVENTS && transport->state == AW_TRANSPORT_OPEN && !transport->eof_seen && !transport->no_read)
        transport->readable = true;
    if (AW_UNLIKELY(!transport->direct) && transport->queued > 0 && events & WRITE_EVENTS)
        aw_transport_flush(transport);
    if (AW_LIKELY(transport->state != AW_TRANSPORT_LOST)) /* `lost` comes through the queue */
        tell_one(transport);
}

static int run_notice(struct async_handle *handle)
{
    struct aw_transport *transport = AW_CONTAINER_OF(handle, struct aw_transport, notice);

    if (transport->state == AW_TRANSPORT_LOST) {
        transport->sink->lost(transport, transport->error);
        return 0;
    }
    if (transport->flush_due)
        aw_transport_flush(transport);
    if (transport->state != AW_TRANSPORT_LOST)
        tell_one(transport);
    return 0;
}

/* ---- opening ---- */

static int examine_socket(struct aw_transport *transport, int fd)
{
    async_loop *loop = transport->loop;
    int value = 0;
    socklen_t size = sizeof value;
    int r = loop->sys->getsockopt(loop->backend, fd, SOL_SOCKET, SO_PROTOCOL, &value, &size);

    if (r >= 0 && value == IPPROTO_TCP) {
        transport->short_reads = true;
        return 0;
    }
    if (r == -ENOTSOCK || r == -EBADF)
        return r;
    size = sizeof value;
    r = loop->sys->getsockopt(loop->backend, fd, SOL_SOCKET, SO_TYPE, &value, &size);
    if (r < 0)
        return r;
    return value == SOCK_STREAM ? 0 : aw_fail(loop, -EINVAL, "descriptor %d is a socket, but not a byte stream", fd);
}

static int examine_file(struct aw_transport *transport, int fd)
{
    int flags = transport->loop->sys->get_flags(transport->loop->backend, fd);

    if (flags < 0)
        return flags;
    transport->no_read = (flags & O_ACCMODE) == O_WRONLY;
    transport->no_write = (flags & O_ACCMODE) == O_RDONLY;
    return 0;
}

static int examine(struct aw_transport *transport, int fd)
{
    int r = examine_socket(transport, fd);

    transport->is_socket = transport->direct = r != -ENOTSOCK;
    transport->receive = transport->is_socket ? transport->loop->sys->recv : transport->loop->sys->read;
    return r == -ENOTSOCK ? examine_file(transport, fd) : r;
}

static int make_nonblocking(struct aw_transport *transport, int fd)
{
    async_loop *loop = transport->loop;
    int flags = loop->sys->get_flags(loop->backend, fd), r;

    if (flags < 0)
        return flags;
    if (flags & O_NONBLOCK)
        return 0;
    r = loop->sys->set_flags(loop->backend, fd, flags | O_NONBLOCK);
    if (r >= 0)
        transport->saved_flags = flags;
    return r < 0 ? r : 0;
}

static int register_fd(struct aw_transport *transport, int fd, bool inherited)
{
    async_loop *loop = transport->loop;
    int r = inherited ? make_nonblocking(transport, fd) : 0;

    if (r < 0)
        return r;
    r = aw_io_add(loop, &transport->io, fd, INTEREST);
    if (r < 0 && transport->saved_flags >= 0)
        (void)loop->sys->set_flags(loop->backend, fd, transport->saved_flags);
    return r;
}

int aw_transport_open(struct aw_transport *transport, async_loop *loop, int fd, bool inherited,
                      const struct aw_sink *sink)
{
    int r;

    *transport = (struct aw_transport){ .io.ready = on_events, .loop = loop, .sink = sink, .own_fd = !inherited };
    transport->saved_flags = -1;
    transport->high = 64 * 1024;
    transport->low = 16 * 1024;
    async_handle_init(&transport->notice, run_notice);
    r = examine(transport, fd);
    if (r >= 0)
        r = register_fd(transport, fd, inherited);
    if (r >= 0)
        return 0;
    transport->io.fd = -1; /* destroy() may be called */
    transport->state = AW_TRANSPORT_LOST;
    return r;
}

/* ---- reading ---- */

static ssize_t read_unbelieved(const struct aw_transport *transport)
{
    if (transport->state != AW_TRANSPORT_OPEN)
        return transport->error < 0 ? transport->error : ASYNC_ECLOSED;
    if (transport->no_read)
        return -EBADF;
    return transport->eof_seen ? 0 : -EAGAIN;
}

static ssize_t read_end(struct aw_transport *transport)
{
    int error = transport->write_error;

    transport->eof_seen = true;
    transport->readable = false;
    if (!error)
        return 0;
    aw_transport_lose(transport, error); /* both halves have ended */
    return error == -EPIPE || aw_is_of_the_call(error) ? 0 : error;
}

static AW_COLD ssize_t read_failed(struct aw_transport *transport, ssize_t error)
{
    /* A pty's master gets EIO when the other side has gone. */
    if (error == -EIO && !transport->is_socket && transport->sticky)
        return read_end(transport);
    aw_fail(transport->loop, (int)error, "reading from descriptor %d: %s", transport->io.fd,
            async_strerror((int)error));
    if (!aw_is_of_the_call(error))
        aw_transport_lose(transport, transport->write_error ? transport->write_error : (int)error);
    return error;
}

/* The rare outcomes of a read; n <= 0. */
static ssize_t read_other(struct aw_transport *transport, void *buf, size_t size, ssize_t n)
{
    if (size == 0)
        return 0;
    while (n == -EINTR)
        n = transport->receive(transport->loop->backend, transport->io.fd, buf, size);
    if (n > 0) /* it still believes */
        return n;
    if (n == 0)
        return read_end(transport);
    if (n != -EAGAIN)
        return read_failed(transport, n);
    transport->readable = transport->sticky = false;
    return -EAGAIN;
}

ssize_t aw_transport_read(struct aw_transport *transport, void *buf, size_t size)
{
    ssize_t n;

    if (!transport->readable)
        return read_unbelieved(transport);
    n = transport->receive(transport->loop->backend, transport->io.fd, buf, size);
    if (AW_UNLIKELY(n <= 0))
        return read_other(transport, buf, size, n);
    if ((size_t)n < size && transport->short_reads && !transport->sticky)
        transport->readable = false;
    return n;
}

void aw_transport_want_read(struct aw_transport *transport, bool wanted)
{
    if (transport->state != AW_TRANSPORT_OPEN)
        return;
    transport->wants_read = wanted;
    if (wanted && AW_UNLIKELY(can_take(transport)))
        aw_transport_tell(transport);
}

/* ---- ending ---- */

void aw_transport_close(struct aw_transport *transport)
{
    if (transport->state != AW_TRANSPORT_OPEN)
        return;
    transport->state = AW_TRANSPORT_CLOSING;
    transport->wants_read = transport->readable = transport->direct = false;
    if (transport->queued == 0)
        aw_transport_lose(transport, transport->write_error);
}

void aw_transport_abort(struct aw_transport *transport, int error)
{
    aw_transport_lose(transport, error);
}

void aw_transport_destroy(struct aw_transport *transport)
{
    if (!transport->loop)
        return;
    (void)async_loop_unschedule(transport->loop, &transport->notice);
    end_everything(transport, transport->error);
}
