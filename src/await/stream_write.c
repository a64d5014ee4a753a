/* SPDX-License-Identifier: MIT */
/* Design notes: how tasks write. The transport tries the kernel first and queues the rest; a stream only adds the
 * waits:
 *
 *   drainers  have written and wait until the queue is at low water again;
 *   writers   found the queue above high water when they came, and wait for room *before* they write. So a peer that
 *             never reads costs one message for each writing task, however often its writes are cut off.
 *             First come, first served: the one at the head is woken and stays there until it has written.
 *
 * A write may be given memory that a peek has lent in the hot buffer. A turn of others would overwrite it, so
 * writes come first and are charged afterwards, and lent bytes never wait for room. */
#include "await/stream_core.h"

#include <limits.h>

/* ---- waits ---- */

static void leave_list(struct aw_wait *wait, int reason)
{
    ((struct aw_stream_wait *)wait)->cut = true;
    aw_list_remove(&wait->link);
    aw_wait_wake(wait, reason);
}

static struct aw_wait *first_writer(const async_stream *stream)
{
    return AW_LIST_ENTRY(stream->writers.next, struct aw_wait, link);
}

/* Waits until the queue is at low water. *ret_cut: by the scope. */
ASYNC_SUSPENDS static int wait_drained(async_stream *stream, const char *what, bool *ret_cut)
{
    struct aw_stream_wait wait = {
        .wait = { .what = what, .subject = stream, .cancel = leave_list },
        .stream = stream,
    };
    int r;

    aw_list_append(&stream->drainers, &wait.wait.link);
    r = aw_stream_park(&wait);
    *ret_cut = wait.cut;
    return r;
}

/* Waits for room, behind those who came before. The caller owns a pin: the list must still be there. */
ASYNC_SUSPENDS static int wait_for_room(async_stream *stream, const char *what)
{
    struct aw_stream_wait wait = {
        .wait = { .what = what, .subject = stream, .cancel = leave_list },
        .stream = stream,
    };
    int r;

    aw_list_append(&stream->writers, &wait.wait.link);
    r = aw_stream_park(&wait);
    aw_list_remove(&wait.wait.link);
    return r;
}

static void wake_first_writer(async_stream *stream)
{
    if (!aw_list_is_empty(&stream->writers))
        aw_wait_wake(first_writer(stream), 0);
}

void aw_stream_writable(struct aw_transport *transport)
{
    async_stream *stream = (async_stream *)transport;

    aw_stream_stop_drainers(stream, transport->write_error);
    wake_first_writer(stream);
}

void aw_stream_stop_drainers(async_stream *stream, int result)
{
    struct aw_list *link;

    while ((link = aw_list_pop(&stream->drainers)) != NULL)
        aw_wait_wake(AW_LIST_ENTRY(link, struct aw_wait, link), result);
}

void aw_stream_stop_writers(async_stream *stream, int error)
{
    struct aw_list *link;

    while ((link = aw_list_pop(&stream->writers)) != NULL)
        aw_wait_wake(AW_LIST_ENTRY(link, struct aw_wait, link), error);
}

/* ---- writing ---- */

static int write_now(async_stream *stream, const struct iovec *pieces, int count, const char *what)
{
    int r = aw_transport_write(&stream->transport, pieces, count);

    return AW_LIKELY(r >= 0) ? 0 : aw_stream_fail(stream, what, stream->closing ? ASYNC_ECLOSED : r);
}

static int check_pieces(const struct iovec *pieces, size_t count)
{
    size_t sum = 0;

    if (AW_UNLIKELY((!pieces && count > 0) || count > INT_MAX))
        return -EINVAL;
    for (size_t i = 0; i < count; i++)
        if (AW_UNLIKELY((!pieces[i].iov_base && pieces[i].iov_len > 0) ||
                        __builtin_add_overflow(sum, pieces[i].iov_len, &sum) || sum > SSIZE_MAX))
            return -EINVAL;
    return 0;
}

static AW_COLD int refuse_pieces(async_stream *stream, const char *what)
{
    return aw_fail(stream ? stream->transport.loop : NULL, -EINVAL, "%s: %s", what,
                   stream ? "the data is NULL, or its size is huge" : "stream is NULL");
}

static bool is_lent(const async_stream *stream, const struct iovec *pieces, int count)
{
    const async_loop *loop = stream->transport.loop;

    for (int i = 0; i < count; i++)
        if ((uintptr_t)pieces[i].iov_base - (uintptr_t)loop->hot_buffer < AW_HOT_BUFFER_SIZE)
            return true;
    return false;
}

/* Lent bytes cannot: others would read over them. */
static bool must_wait(const async_stream *stream, const struct iovec *pieces, int count)
{
    return (stream->transport.paused_writing || !aw_list_is_empty(&stream->writers)) && !stream->closing &&
           !is_lent(stream, pieces, count);
}

/* The way of a write that finds the queue full. */
ASYNC_SUSPENDS static AW_COLD int write_in_turn(async_stream *stream, const struct iovec *pieces, int count,
                                                const char *what)
{
    int r;

    stream->pins++; /* wait_for_room takes itself off a list of the stream */
    r = wait_for_room(stream, what);
    if (r >= 0)
        r = write_now(stream, pieces, count, what);
    if (!stream->transport.paused_writing)
        wake_first_writer(stream);
    /* The last owner may be gone, also after a failure. */
    return aw_stream_unpin(stream) < 0 && r >= 0 ? ASYNC_ECLOSED : r;
}

/* What comes after the bytes were taken: never a refusal. */
ASYNC_SUSPENDS static int drain_written(async_stream *stream, const char *what)
{
    bool cut;
    int r;

    if (AW_LIKELY(!stream->transport.paused_writing)) {
        (void)aw_await_enter_join(what); /* the charge; after it the stream may be gone */
        return 0;
    }
    r = wait_drained(stream, what, &cut);
    return cut ? 0 : r;
}

/* A task that ignores failures must not have the thread for itself. */
ASYNC_SUSPENDS static AW_COLD int charge_failure(int error, const char *what)
{
    (void)aw_await_enter_join(what);
    return error;
}

ASYNC_SUSPENDS static AW_COLD int refused(const char *what)
{
    int reason = aw_await_reason();
    int r = aw_await_enter(what);

    return r < 0 ? r : reason;
}

ASYNC_SUSPENDS static int write_and_drain(async_stream *stream, const struct iovec *pieces, size_t count,
                                          const char *what)
{
    int r;

    if (AW_UNLIKELY(!stream || check_pieces(pieces, count) < 0))
        return charge_failure(refuse_pieces(stream, what), what);
    if (AW_UNLIKELY(!async_current_task() || aw_await_reason() < 0))
        return refused(what);
    /* Writers who wait hold pins: without any there is no need to look at the list. */
    if (AW_UNLIKELY(stream->transport.paused_writing || stream->pins > 0) && must_wait(stream, pieces, (int)count))
        r = write_in_turn(stream, pieces, (int)count, what);
    else
        r = write_now(stream, pieces, (int)count, what);
    return AW_LIKELY(r >= 0) ? drain_written(stream, what) : charge_failure(r, what);
}

int await_stream_write(async_stream *stream, const void *data, size_t size)
{
    struct iovec piece = { (void *)(uintptr_t)data, size };

    return write_and_drain(stream, &piece, 1, "await_stream_write");
}

int await_stream_writelines(async_stream *stream, const struct iovec *pieces, size_t count)
{
    return write_and_drain(stream, pieces, count, "await_stream_writelines");
}

int async_stream_write(async_stream *stream, const void *data, size_t size)
{
    static const char what[] = "async_stream_write";
    struct iovec piece = { (void *)(uintptr_t)data, size };

    if (AW_UNLIKELY(!stream || check_pieces(&piece, 1) < 0))
        return refuse_pieces(stream, what);
    return write_now(stream, &piece, 1, what);
}

int await_stream_drain(async_stream *stream)
{
    static const char what[] = "await_stream_drain";
    int r = aw_stream_enter(stream, what);
    bool cut;

    if (r < 0)
        return r;
    if (stream->transport.write_error < 0)
        return aw_stream_fail(stream, what, stream->transport.write_error);
    if (stream->transport.error < 0)
        return aw_stream_fail(stream, what, stream->transport.error);
    return stream->transport.paused_writing ? wait_drained(stream, what, &cut) : 0;
}

int async_stream_write_eof(async_stream *stream)
{
    static const char what[] = "async_stream_write_eof";
    int r;

    if (!stream)
        return aw_fail(NULL, -EINVAL, "%s: stream is NULL", what);
    r = stream->closing ? ASYNC_ECLOSED : aw_transport_write_eof(&stream->transport);
    return r < 0 ? aw_stream_fail(stream, what, r) : 0;
}

int async_stream_set_write_buffer_limits(async_stream *stream, size_t high, size_t low)
{
    static const char what[] = "async_stream_set_write_buffer_limits";

    if (!stream)
        return aw_fail(NULL, -EINVAL, "%s: stream is NULL", what);
    if (aw_transport_set_limits(&stream->transport, high, low) < 0)
        return aw_fail(stream->transport.loop, -EINVAL, "%s: low (%zu) is above high (%zu)", what, low, high);
    return 0;
}
