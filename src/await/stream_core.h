/* SPDX-License-Identifier: MIT */
/* The inside of a stream, for the files of this folder.
 *
 * References and pins: `refs` are the owners' (the caller of await_open_connection, a server's handler slot, each
 * async_stream_ref). With the last one the connection ends and every waiter is woken with ASYNC_ECLOSED. `pins` are
 * tasks inside of an await_* on this stream: the memory stays until the last of them has left.
 */
#ifndef AW_AWAIT_STREAM_CORE_H
#define AW_AWAIT_STREAM_CORE_H

#include "task/wait.h"
#include "transport/transport.h"
#include <await/stream.h>
#include <netinet/in.h>

/* Whom a stream tells about its end; the server's view of a handler's stream. Each may free the owner. */
struct aw_stream_owner {
    void (*freed)(struct aw_stream_owner *owner); /* the last reference was given back: forget the stream */
    void (*lost)(struct aw_stream_owner *owner);  /* a closed stream has sent all, or has failed */
};

/* Small: there is one in each stream. Other families are asked of the kernel. */
union aw_stream_address {
    struct sockaddr base;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

struct async_stream {
    struct aw_transport transport; /* first */

    /* Touched by each read and write; the rest is not, so that an idle connection costs few cache lines. */
    char *data; /* received and not taken: in the loop's hot buffer while we are its lender, else in `buffer` */
    size_t size;
    struct aw_wait *reader; /* the one task inside of a read; it may be awake already */
    uint32_t refs, pins;

    bool closing; /* by async_stream_close */
    bool lost;    /* told by the transport */
    int error;    /* of `lost` */
    struct aw_hot_lender lender;
    char *buffer;
    size_t capacity;

    struct aw_list drainers; /* waits until the queue is below low water */
    struct aw_list writers;  /* waits for room before they write, first come first served */
    struct aw_list closers;  /* waits for `lost` */
    struct aw_stream_owner *owner;

    union aw_stream_address peer; /* known for TCP also when the connection is gone */
    socklen_t peer_size;
    char *peername, *sockname; /* made when asked for */
};

/* A task that is parked on a stream. */
struct aw_stream_wait {
    struct aw_wait wait; /* first */
    async_stream *stream;
    bool cut; /* by a cancelled scope, not by the stream */
};

/* Takes the fd over on success. address may be NULL. 0; as aw_transport_open. */
int aw_stream_new(async_loop *loop, int fd, bool inherited, const struct sockaddr *address, socklen_t size,
                  async_stream **ret_stream);

/* Parks on the stream and keeps its memory meanwhile. The caller has put the wait where it is found. After a
 * failure the stream may be gone: it must not be touched. */
ASYNC_SUSPENDS int aw_stream_park(struct aw_stream_wait *wait);
/* 0, or ASYNC_ECLOSED when the last owner has freed the stream meanwhile: then it is gone. */
int aw_stream_unpin(async_stream *stream);

/* Writes "what: 127.0.0.1:80: connection reset by peer" and returns the code. */
int aw_stream_fail(async_stream *stream, const char *what, int code);
/* Why nothing can be read or written any more; 0: it can. */
int aw_stream_ended(const async_stream *stream);

/* stream_read.c: hand the waiting reader a failure; forget what was not taken. */
void aw_stream_stop_reader(async_stream *stream, int error);
void aw_stream_drop_data(async_stream *stream);
int aw_stream_save_data(struct aw_hot_lender *lender);
/* stream_write.c */
void aw_stream_writable(struct aw_transport *transport);
void aw_stream_stop_writers(async_stream *stream, int error);
void aw_stream_stop_drainers(async_stream *stream, int result);

ASYNC_SUSPENDS int aw_stream_enter_null(const char *what);
/* A check of arguments at an await's entry, and the entry itself. */
ASYNC_SUSPENDS static inline int aw_stream_enter(async_stream *stream, const char *what)
{
    int r;

    if (AW_UNLIKELY(!stream))
        return aw_stream_enter_null(what);
    /* A spent budget lets others run here, and one of them may free the stream. */
    stream->pins++;
    r = aw_await_enter(what);
    stream->pins--;
    if (AW_UNLIKELY(stream->refs == 0)) {
        stream->pins++;
        r = aw_stream_unpin(stream);
    }
    return r;
}

#endif
