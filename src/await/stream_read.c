/* SPDX-License-Identifier: MIT */
/* Design notes: how tasks read.
 *
 * The task itself reads, in its own turn; `readable` only wakes it. So await_stream_read() copies nothing: the
 * kernel writes into the caller's buffer. Everything else (peek, lines, exact sizes) reads into the loop's one hot
 * buffer, which stays in the cache whatever the number of connections. Bytes that are not taken at once lie there,
 * and the stream is the buffer's *lender*: whoever wants to read into the buffer next makes the lender move them
 * into a buffer of its own (claim_hot). So a message that is read and taken within one turn costs no allocation, and
 * a stream that waits holds memory only while it has unread bytes.
 *
 * Without memory for that move nothing is lost: the bytes stay, and the one who wanted the buffer gets -ENOMEM with
 * its own bytes still in the kernel. */
#include "await/stream_core.h"

#include <limits.h>
#include <string.h>

#define FILL_MAX (64 * 1024) /* bytes that readline and its like take at once: what a stream may hoard */
#define ROOM_MIN 2048        /* do not call the kernel for less */

/* ---- unread bytes ---- */

static bool is_in_hot_buffer(const async_stream *stream)
{
    return stream->transport.loop->hot_lender == &stream->lender;
}

void aw_stream_drop_data(async_stream *stream)
{
    async_loop *loop = stream->transport.loop;

    stream->data = NULL;
    stream->size = 0;
    if (AW_LIKELY(is_in_hot_buffer(stream))) {
        loop->hot_lender = NULL;
        return;
    }
    aw_free(&loop->allocator, stream->buffer);
    stream->buffer = NULL;
    stream->capacity = 0;
}

static void drop(async_stream *stream, size_t size)
{
    stream->data += size;
    stream->size -= size;
    if (stream->size == 0)
        aw_stream_drop_data(stream);
}

static ssize_t take(async_stream *stream, void *buf, size_t size)
{
    if (size > stream->size)
        size = stream->size;
    memcpy(buf, stream->data, size);
    drop(stream, size);
    return (ssize_t)size;
}

static size_t round_up(size_t size)
{
    size_t rounded = 1024;

    while (rounded < size)
        rounded *= 2;
    return rounded;
}

/* Moves the unread bytes to the begin of a private buffer of at least `capacity` bytes. */
static int move_to_private(async_stream *stream, size_t capacity)
{
    async_loop *loop = stream->transport.loop;
    char *buffer = stream->buffer;

    if (capacity > stream->capacity) {
        capacity = round_up(capacity);
        buffer = aw_alloc(&loop->allocator, capacity);
        if (!buffer)
            return -ENOMEM;
    } else {
        capacity = stream->capacity;
    }
    memmove(buffer, stream->data, stream->size);
    if (buffer != stream->buffer)
        aw_free(&loop->allocator, stream->buffer);
    if (is_in_hot_buffer(stream))
        loop->hot_lender = NULL;
    stream->data = stream->buffer = buffer;
    stream->capacity = capacity;
    return 0;
}

int aw_stream_save_data(struct aw_hot_lender *lender)
{
    async_stream *stream = AW_CONTAINER_OF(lender, async_stream, lender);

    return move_to_private(stream, stream->size);
}

/* ---- from the kernel ---- */

/* Makes the hot buffer ours to read into. */
static int claim_hot(async_stream *stream)
{
    struct aw_hot_lender *lender = stream->transport.loop->hot_lender;
    const struct aw_transport *transport = &stream->transport;

    if (AW_LIKELY(!lender))
        return 0;
    /* Nobody has to move when the read is going to find nothing. */
    if (!transport->readable && transport->state == AW_TRANSPORT_OPEN && !transport->eof_seen)
        return -EAGAIN;
    return lender->save(lender);
}

/* Nothing is unread: reads into the hot buffer. */
static ssize_t receive_hot(async_stream *stream, size_t limit)
{
    async_loop *loop = stream->transport.loop;
    ssize_t n = claim_hot(stream);

    if (AW_UNLIKELY(n < 0))
        return n;
    n = aw_transport_read(&stream->transport, loop->hot_buffer, limit);
    if (n > 0) {
        stream->data = loop->hot_buffer;
        stream->size = (size_t)n;
        loop->hot_lender = &stream->lender;
    }
    return n;
}

/* Something is unread: reads behind it. */
static ssize_t receive_more(async_stream *stream)
{
    size_t used, room;
    ssize_t n;
    int r;

    if (is_in_hot_buffer(stream) || stream->capacity - stream->size < ROOM_MIN) {
        r = move_to_private(stream, stream->size + (stream->size > ROOM_MIN ? stream->size : ROOM_MIN));
        if (r < 0)
            return r;
    }
    used = (size_t)(stream->data - stream->buffer) + stream->size;
    if (stream->capacity - used < ROOM_MIN) {
        move_to_private(stream, 0); /* to the begin of the same buffer: cannot fail */
        used = stream->size;
    }
    room = stream->capacity - used;
    n = aw_transport_read(&stream->transport, stream->buffer + used, room);
    if (n > 0)
        stream->size += (size_t)n;
    return n;
}

/* ---- waiting ---- */

static void stop_waiting(struct aw_wait *wait, int reason)
{
    struct aw_stream_wait *self = (struct aw_stream_wait *)wait;

    self->cut = true;
    aw_transport_want_read(&self->stream->transport, false);
    aw_wait_wake(wait, reason);
}

ASYNC_SUSPENDS static int wait_readable(async_stream *stream, const char *what)
{
    struct aw_stream_wait wait = {
        .wait = { .what = what, .subject = stream, .cancel = stop_waiting },
        .stream = stream,
    };

    stream->reader = &wait.wait;
    aw_transport_want_read(&stream->transport, true);
    return aw_stream_park(&wait);
}

void aw_stream_stop_reader(async_stream *stream, int error)
{
    if (stream->reader)
        aw_wait_wake(stream->reader, error);
}

static AW_COLD int refuse_second_reader(async_stream *stream, const char *what)
{
    return aw_fail(stream->transport.loop, -EBUSY, "%s: another task is reading from %s (%s)", what,
                   async_stream_peername(stream), stream->reader->what);
}

/* A closed stream is not looked for: it has no unread bytes, and its transport refuses. */
ASYNC_SUSPENDS static inline int enter_read(async_stream *stream, const char *what)
{
    int r = aw_stream_enter(stream, what);

    if (AW_UNLIKELY(r < 0))
        return r;
    return AW_LIKELY(!stream->reader) ? 0 : refuse_second_reader(stream, what);
}

/* The slow end of a failed receive: 0 to try again, or the failure. */
ASYNC_SUSPENDS static int wait_or_fail(async_stream *stream, const char *what, ssize_t n)
{
    if (AW_LIKELY(n == -EAGAIN))
        return wait_readable(stream, what);
    return aw_stream_fail(stream, what, stream->closing ? ASYNC_ECLOSED : (int)n);
}

/* Waits until there is something unread, at most `limit` bytes: 1; 0 at the end. */
ASYNC_SUSPENDS static ssize_t need_some(async_stream *stream, size_t limit, const char *what)
{
    while (stream->size == 0) {
        ssize_t n = receive_hot(stream, limit);
        int r;

        if (n >= 0)
            return n > 0;
        if ((r = wait_or_fail(stream, what, n)) < 0)
            return r;
    }
    return 1;
}

/* Waits until there is more than there was: 1; 0 at the end. */
ASYNC_SUSPENDS static ssize_t need_more(async_stream *stream, size_t wanted, const char *what)
{
    size_t limit = wanted > FILL_MAX ? wanted : FILL_MAX;

    if (limit > AW_HOT_BUFFER_SIZE)
        limit = AW_HOT_BUFFER_SIZE;
    while (stream->size > 0) {
        ssize_t n = receive_more(stream);
        int r;

        if (n >= 0)
            return n > 0;
        if ((r = wait_or_fail(stream, what, n)) < 0)
            return r;
    }
    return need_some(stream, limit, what);
}

/* ---- reads ---- */

ssize_t await_stream_read(async_stream *stream, void *buf, size_t size)
{
    static const char what[] = "await_stream_read";
    ssize_t n = enter_read(stream, what);

    if (AW_UNLIKELY(n < 0))
        return n;
    if (AW_UNLIKELY(size == 0))
        return 0;
    if (AW_UNLIKELY(!buf))
        return aw_fail(stream->transport.loop, -EINVAL, "%s: buf is NULL", what);
    for (;;) {
        if (AW_UNLIKELY(stream->size > 0))
            return take(stream, buf, size);
        n = aw_transport_read(&stream->transport, buf, size);
        if (n >= 0)
            return n;
        if ((n = wait_or_fail(stream, what, n)) < 0)
            return n;
    }
}

ssize_t await_stream_peek(async_stream *stream, const void **ret_data)
{
    static const char what[] = "await_stream_peek";
    ssize_t n = enter_read(stream, what);

    if (AW_UNLIKELY(n < 0))
        return n;
    if (AW_UNLIKELY(!ret_data))
        return aw_fail(stream->transport.loop, -EINVAL, "%s: ret_data is NULL", what);
    n = need_some(stream, AW_HOT_BUFFER_SIZE, what);
    if (n <= 0)
        return n;
    *ret_data = stream->data;
    return (ssize_t)stream->size;
}

int async_stream_consume(async_stream *stream, size_t size)
{
    if (AW_UNLIKELY(!stream || size > stream->size))
        return aw_fail(NULL, -EINVAL, "async_stream_consume: %zu bytes, but %zu are there", size,
                       stream ? stream->size : 0);
    if (AW_LIKELY(size > 0))
        drop(stream, size);
    return 0;
}

ssize_t await_stream_readexactly(async_stream *stream, void *buf, size_t size)
{
    static const char what[] = "await_stream_readexactly";
    ssize_t n = enter_read(stream, what);

    if (AW_UNLIKELY(n < 0))
        return n;
    if (AW_UNLIKELY((!buf && size > 0) || size > SSIZE_MAX))
        return aw_fail(stream->transport.loop, -EINVAL, "%s: buf is NULL, or the size is huge", what);
    while (stream->size < size) {
        n = need_more(stream, size, what);
        if (n < 0)
            return n;
        if (n == 0)
            return aw_fail(stream->transport.loop, ASYNC_EEOF, "%s: %s ended after %zu of %zu bytes", what,
                           async_stream_peername(stream), stream->size, size);
    }
    return size > 0 ? take(stream, buf, size) : 0;
}

/* The length up to and with the separator, 0 if it is not there. `*seen` bytes were searched before. */
static size_t find_separator(const async_stream *stream, const void *separator, size_t size, size_t *seen)
{
    size_t from = *seen >= size ? *seen - size + 1 : 0;
    const char *found = NULL;

    if (stream->size >= from + size && size == 1)
        found = memchr(stream->data + from, *(const char *)separator, stream->size - from);
    else if (stream->size >= from + size)
        found = memmem(stream->data + from, stream->size - from, separator, size);
    *seen = stream->size;
    return found ? (size_t)(found - stream->data) + size : 0;
}

static AW_COLD int fail_until(async_stream *stream, const char *what, int code, size_t size)
{
    if (code == ASYNC_EEOF)
        return aw_fail(stream->transport.loop, code, "%s: %s ended %zu bytes behind the last separator", what,
                       async_stream_peername(stream), stream->size);
    return aw_fail(stream->transport.loop, code, "%s: %s sent no separator within %zu bytes", what,
                   async_stream_peername(stream), size - 1);
}

ASYNC_SUSPENDS static ssize_t read_until(async_stream *stream, const void *separator, size_t separator_size, char *buf,
                                         size_t size, const char *what)
{
    size_t seen = 0;

    for (;;) {
        size_t length = find_separator(stream, separator, separator_size, &seen);
        ssize_t n;

        if (length > size - 1 || (length == 0 && stream->size >= size - 1))
            return fail_until(stream, what, ASYNC_ELIMIT, size);
        if (length > 0) {
            buf[length] = '\0';
            return take(stream, buf, length);
        }
        n = need_more(stream, 0, what);
        if (n < 0)
            return n;
        if (n == 0)
            return stream->size > 0 ? fail_until(stream, what, ASYNC_EEOF, size) : 0;
    }
}

ssize_t await_stream_readline(async_stream *stream, char *buf, size_t size)
{
    static const char what[] = "await_stream_readline";
    int r = enter_read(stream, what);

    if (AW_UNLIKELY(r < 0))
        return r;
    if (AW_UNLIKELY(!buf || size == 0))
        return aw_fail(stream->transport.loop, -EINVAL, "%s: buf is NULL, or has no room for a NUL", what);
    return read_until(stream, "\n", 1, buf, size, what);
}

ssize_t await_stream_readuntil(async_stream *stream, const void *separator, size_t separator_size, char *buf,
                               size_t size)
{
    static const char what[] = "await_stream_readuntil";
    int r = enter_read(stream, what);

    if (AW_UNLIKELY(r < 0))
        return r;
    if (AW_UNLIKELY(!buf || size == 0 || !separator || separator_size == 0))
        return aw_fail(stream->transport.loop, -EINVAL,
                       "%s: the separator is empty, buf is NULL, or has no room for a NUL", what);
    return read_until(stream, separator, separator_size, buf, size, what);
}
