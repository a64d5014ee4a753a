/* SPDX-License-Identifier: MIT */
/* Design notes: what can be asked of a stream. Addresses become text when somebody asks, and are kept: most streams
 * are never asked. A TCP peer's address is known from accept or connect, so it can be told after a reset too. */
#include "await/stream_core.h"

#include <string.h>

size_t async_stream_buffered(const async_stream *stream)
{
    return stream ? stream->size : 0;
}

size_t async_stream_write_buffer_size(const async_stream *stream)
{
    return stream ? stream->transport.queued : 0;
}

int async_stream_at_eof(const async_stream *stream)
{
    return stream && stream->size == 0 && stream->transport.eof_seen;
}

int async_stream_is_closing(const async_stream *stream)
{
    return stream && (aw_stream_ended(stream) < 0 || stream->transport.write_error < 0);
}

static bool is_open(const async_stream *stream)
{
    return stream && !stream->lost && stream->transport.io.fd >= 0;
}

int async_stream_fileno(const async_stream *stream)
{
    return is_open(stream) && !stream->closing ? stream->transport.io.fd : -EBADF;
}

static int ask(const async_stream *stream, bool peer, struct sockaddr_storage *ret_address, socklen_t *ret_size)
{
    async_loop *loop;
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    int r;

    if (!stream)
        return -EINVAL;
    if (!is_open(stream))
        return -EBADF;
    loop = stream->transport.loop;
    r = (peer ? loop->sys->getpeername : loop->sys->getsockname)(loop->backend, stream->transport.io.fd,
                                                                 (struct sockaddr *)&address, &size);
    if (r < 0)
        return r;
    memcpy(ret_address, &address, sizeof address);
    *ret_size = size;
    return 0;
}

int async_stream_getpeername(const async_stream *stream, struct sockaddr_storage *ret_address, socklen_t *ret_size)
{
    if (!ret_address || !ret_size)
        return -EINVAL;
    if (!stream || stream->peer_size == 0)
        return ask(stream, true, ret_address, ret_size);
    memset(ret_address, 0, sizeof *ret_address);
    memcpy(ret_address, &stream->peer, stream->peer_size);
    *ret_size = stream->peer_size;
    return 0;
}

int async_stream_getsockname(const async_stream *stream, struct sockaddr_storage *ret_address, socklen_t *ret_size)
{
    return ret_address && ret_size ? ask(stream, false, ret_address, ret_size) : -EINVAL;
}

static const char *cache_text(async_stream *stream, char **cache, int known, const struct sockaddr_storage *address,
                              socklen_t size)
{
    char text[AW_ADDRESS_TEXT];

    if (known < 0)
        return "";
    aw_address_format(text, sizeof text, (const struct sockaddr *)address, size);
    *cache = aw_strdup(&stream->transport.loop->allocator, text);
    return *cache ? *cache : "";
}

const char *async_stream_peername(async_stream *stream)
{
    struct sockaddr_storage address;
    socklen_t size = 0;
    int r;

    if (!stream)
        return "";
    if (stream->peername)
        return stream->peername;
    r = async_stream_getpeername(stream, &address, &size);
    return cache_text(stream, &stream->peername, r, &address, size);
}

const char *async_stream_sockname(async_stream *stream)
{
    struct sockaddr_storage address;
    socklen_t size = 0;
    int r;

    if (!stream)
        return "";
    if (stream->sockname)
        return stream->sockname;
    r = async_stream_getsockname(stream, &address, &size);
    return cache_text(stream, &stream->sockname, r, &address, size);
}
