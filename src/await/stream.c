/* SPDX-License-Identifier: MIT */
/* Design notes: the life of a stream. A stream is the sink of a transport: the transport owns the descriptor and the
 * write queue, the stream adds tasks that wait (stream_read.c, stream_write.c) and the bytes that were received and
 * not taken.
 *
 * Three ends, in any order: async_stream_close() (ours, graceful), `lost` (the transport's, once, through the loop),
 * and the last reference (the owners'). Waits are woken by whichever comes first; pins keep the memory for those that
 * are still inside. Nothing here allocates after the stream was made, so every end always works. */
#include "await/stream_core.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>

/* ---- the transport's callbacks ---- */

static void on_readable(struct aw_transport *transport)
{
    async_stream *stream = (async_stream *)transport;

    if (stream->reader)
        aw_wait_wake(stream->reader, 0);
}

static void wake_all(struct aw_list *waits, int result)
{
    struct aw_list *link;

    while ((link = aw_list_pop(waits)) != NULL)
        aw_wait_wake(AW_LIST_ENTRY(link, struct aw_wait, link), result);
}

static void end_waits(async_stream *stream, int error)
{
    int or_closed = error < 0 ? error : ASYNC_ECLOSED;

    aw_stream_stop_reader(stream, or_closed);
    aw_stream_stop_writers(stream, or_closed);
    aw_stream_stop_drainers(stream, error);
    wake_all(&stream->closers, error);
}

static void on_lost(struct aw_transport *transport, int error)
{
    async_stream *stream = (async_stream *)transport;

    stream->lost = true;
    stream->error = error;
    end_waits(stream, error);
    if (stream->owner)
        stream->owner->lost(stream->owner); /* may free the stream */
}

static const struct aw_sink stream_sink = {
    .readable = on_readable,
    .resume_writing = aw_stream_writable,
    .lost = on_lost,
};

/* ---- begin ---- */

/* As in asyncio: a small write must not wait for the acknowledgement of the one before. */
static void set_nodelay(async_loop *loop, int fd, int family)
{
    int on = 1;

    if (family == AF_INET || family == AF_INET6)
        (void)loop->sys->setsockopt(loop->backend, fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void remember_peer(async_stream *stream, const struct sockaddr *address, socklen_t size)
{
    if (!address || size == 0 || size > sizeof stream->peer)
        return;
    memcpy(&stream->peer, address, size);
    stream->peer_size = size;
}

int aw_stream_new(async_loop *loop, int fd, bool inherited, const struct sockaddr *address, socklen_t size,
                  async_stream **ret_stream)
{
    async_stream *stream = aw_alloc_zeroed(&loop->allocator, sizeof *stream);
    int r;

    if (!stream)
        return -ENOMEM;
    r = aw_transport_open(&stream->transport, loop, fd, inherited, &stream_sink);
    if (r < 0) {
        aw_free(&loop->allocator, stream);
        return r;
    }
    stream->refs = 1;
    stream->lender.save = aw_stream_save_data;
    aw_list_init(&stream->drainers);
    aw_list_init(&stream->writers);
    aw_list_init(&stream->closers);
    remember_peer(stream, address, size);
    *ret_stream = stream;
    return 0;
}

static int set_non_blocking(async_loop *loop, int fd, int *ret_old_flags)
{
    int flags = loop->sys->get_flags(loop->backend, fd);

    if (flags < 0)
        return flags;
    *ret_old_flags = flags;
    return flags & O_NONBLOCK ? 0 : loop->sys->set_flags(loop->backend, fd, flags | O_NONBLOCK);
}

static int adopt(async_loop *loop, int fd, async_stream **ret_stream)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    bool inherited = fd <= 2;
    int flags = 0;
    int r = inherited ? 0 : set_non_blocking(loop, fd, &flags);

    if (r < 0)
        return r;
    r = loop->sys->getpeername(loop->backend, fd, (struct sockaddr *)&address, &size);
    if (r == -ENOTCONN)
        return r; /* a socket, but not a connected one */
    if (r == 0)
        set_nodelay(loop, fd, address.ss_family);
    r = aw_stream_new(loop, fd, inherited, r < 0 ? NULL : (struct sockaddr *)&address, size, ret_stream);
    if (r < 0 && !inherited && !(flags & O_NONBLOCK))
        loop->sys->set_flags(loop->backend, fd, flags); /* the caller keeps the fd as it was */
    return r;
}

int async_stream_from_fd(int fd, async_stream **ret_stream)
{
    async_loop *loop = async_get_running_loop();
    int r;

    if (!ret_stream)
        return aw_fail(loop, -EINVAL, "async_stream_from_fd: ret_stream is NULL");
    if (!loop)
        return aw_fail(loop, ASYNC_ENOTASK, "async_stream_from_fd: no loop is running on this thread");
    r = fd < 0 ? -EBADF : adopt(loop, fd, ret_stream);
    if (r < 0)
        return aw_fail(loop, r, "async_stream_from_fd: fd %d: %s", fd, async_strerror(r));
    return 0;
}

/* ---- references ---- */

async_stream *async_stream_ref(async_stream *stream)
{
    if (stream)
        stream->refs++;
    return stream;
}

static void free_memory(async_stream *stream)
{
    const async_allocator *allocator = &stream->transport.loop->allocator;

    aw_free(allocator, stream->peername);
    aw_free(allocator, stream->sockname);
    aw_free(allocator, stream);
}

void async_stream_free(async_stream *stream)
{
    if (!stream || --stream->refs > 0)
        return;
    if (stream->owner)
        stream->owner->freed(stream->owner);
    stream->owner = NULL;
    stream->closing = true;
    aw_transport_destroy(&stream->transport);
    end_waits(stream, ASYNC_ECLOSED);
    aw_stream_drop_data(stream);
    /* No task of a loop that closes will ever run again. */
    if (stream->pins == 0 || stream->transport.loop->closed)
        free_memory(stream);
}

int aw_stream_unpin(async_stream *stream)
{
    stream->pins--;
    if (AW_LIKELY(stream->refs > 0))
        return 0;
    if (stream->pins == 0)
        free_memory(stream);
    return ASYNC_ECLOSED;
}

int aw_stream_enter_null(const char *what)
{
    int r = aw_await_enter(what);

    return r < 0 ? r : aw_fail(NULL, -EINVAL, "%s: stream is NULL", what);
}

int aw_stream_park(struct aw_stream_wait *wait)
{
    async_stream *stream = wait->stream;
    int r;

    stream->pins++;
    r = aw_wait_park(&wait->wait);
    /* after suspend: the last owner may have freed the stream, also when the wait was completed before that */
    if (stream->reader == &wait->wait)
        stream->reader = NULL;
    if (AW_UNLIKELY(stream->refs == 0) && r >= 0)
        r = ASYNC_ECLOSED;
    if (AW_UNLIKELY(r < 0) && !wait->cut)
        aw_stream_fail(stream, wait->wait.what, r);
    aw_stream_unpin(stream);
    return r;
}

/* ---- failures ---- */

int aw_stream_ended(const async_stream *stream)
{
    if (stream->closing)
        return ASYNC_ECLOSED;
    if (stream->transport.state != AW_TRANSPORT_OPEN)
        return stream->transport.error < 0 ? stream->transport.error : ASYNC_ECLOSED;
    return 0;
}

AW_COLD int aw_stream_fail(async_stream *stream, const char *what, int code)
{
    const char *peer = async_stream_peername(stream);

    if (*peer)
        return aw_fail(stream->transport.loop, code, "%s: %s: %s", what, peer, async_strerror(code));
    return aw_fail(stream->transport.loop, code, "%s: fd %d: %s", what, stream->transport.io.fd, async_strerror(code));
}

/* ---- close ---- */

int async_stream_close(async_stream *stream)
{
    if (!stream)
        return aw_fail(NULL, -EINVAL, "async_stream_close: stream is NULL");
    if (stream->closing)
        return 0;
    stream->closing = true;
    aw_stream_stop_reader(stream, ASYNC_ECLOSED);
    aw_stream_stop_writers(stream, ASYNC_ECLOSED);
    aw_stream_drop_data(stream);
    if (!stream->lost)
        aw_transport_close(&stream->transport);
    return 0;
}

static void leave_list(struct aw_wait *wait, int reason)
{
    ((struct aw_stream_wait *)wait)->cut = true;
    aw_list_remove(&wait->link);
    aw_wait_wake(wait, reason);
}

ASYNC_SUSPENDS static int wait_lost(async_stream *stream, const char *what)
{
    struct aw_stream_wait wait = {
        .wait = { .what = what, .subject = stream, .cancel = leave_list },
        .stream = stream,
    };

    aw_list_append(&stream->closers, &wait.wait.link);
    return aw_stream_park(&wait);
}

int await_stream_wait_closed(async_stream *stream)
{
    static const char what[] = "await_stream_wait_closed";
    int r = aw_stream_enter(stream, what);

    if (r < 0)
        return r;
    if (!stream->closing && stream->transport.state == AW_TRANSPORT_OPEN)
        return aw_stream_fail(stream, what, ASYNC_ESTATE);
    if (stream->lost)
        return stream->error < 0 ? aw_stream_fail(stream, what, stream->error) : 0;
    return wait_lost(stream, what);
}

void await_stream_close(async_stream *stream)
{
    int r;

    if (!stream)
        return;
    r = aw_await_enter_join("await_stream_close");
    async_stream_close(stream);
    /* Nothing to wait for when all is sent: the descriptor is closed already. */
    if (r >= 0 && !stream->lost && stream->transport.queued > 0)
        (void)wait_lost(stream, "await_stream_close");
    async_stream_free(stream);
}
