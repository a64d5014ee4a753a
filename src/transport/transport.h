/* SPDX-License-Identifier: MIT */
/* Stream transports: a descriptor, its write queue with water marks, and what is believed of its
 * readiness. Callback half: knows nothing of tasks. A stream of the task half, and later a protocol of
 * asyncio's kind or a TLS filter, is a sink of a transport.
 *
 * Order of callbacks:   open -> readable* -> [pause_writing -> resume_writing]* -> lost
 * `lost` comes exactly once, through the loop's queue, after aw_transport_close/abort or a failure; after
 * it the transport does not touch its memory. Only pause_writing comes from inside a call (write, set_limits).
 * Every callback may call everything, also aw_transport_destroy().
 *
 * A failed write ends the writing half alone: what the peer sent before it went away can still be read, and often
 * says why it went. write_error is set, the queue is dropped, a paused writer gets resume_writing, and each
 * later write fails with the same code. The transport is lost, with that code, once the reading half has ended
 * as well or the owner closes it.
 */
#ifndef AW_TRANSPORT_TRANSPORT_H
#define AW_TRANSPORT_TRANSPORT_H

#include "loop/loop.h"

struct aw_transport;

struct aw_sink {
    /* Reading was asked for (aw_transport_want_read) and bytes, the end or a failure can now be taken with
     * aw_transport_read(). Asked for once: ask again to hear again. */
    void (*readable)(struct aw_transport *transport);
    void (*pause_writing)(struct aw_transport *transport); /* above high water; may be NULL */
    /* At or below low water again, or writing has failed (write_error); may be NULL. */
    void (*resume_writing)(struct aw_transport *transport);
    void (*lost)(struct aw_transport *transport, int error); /* 0, or why */
};

enum aw_transport_state { AW_TRANSPORT_OPEN, AW_TRANSPORT_CLOSING, AW_TRANSPORT_LOST };

struct aw_transport {
    struct aw_io io; /* first */
    async_loop *loop;
    const struct aw_sink *sink;
    ssize_t (*receive)(struct aw_backend *b, int fd, void *buf, size_t size); /* sys->recv or sys->read */
    uint8_t state;
    bool direct;      /* a socket, open for writing, nothing queued: a write goes straight to the kernel */
    bool is_socket;   /* recv/send, else read/writev */
    bool short_reads; /* TCP: a short read means drained, unless `sticky`; a short write means full */
    bool readable;    /* believed: an edge was seen, or the last read filled its buffer */
    bool sticky;      /* an edge bore END, HANGUP, ERROR or PRIORITY: read until the end or EAGAIN */
    bool wants_read;  /* the sink waits for `readable` */
    bool paused_writing, resume_due, flush_due;
    bool eof_sent, eof_queued; /* our end */
    bool eof_seen;             /* the peer's */
    bool no_read, no_write;    /* the other direction of a pipe */
    bool own_fd;
    int error;       /* why it was lost, negative or 0 */
    int write_error; /* why writing ended, negative; 0: it did not */
    int saved_flags; /* of an inherited descriptor, to be restored; -1 none */

    struct aw_write_chunk *queue_head, *queue_tail; /* what the kernel did not take */
    size_t queued, high, low;
    struct async_handle notice; /* what is to be told or done in the next turn */
};

/* Takes the non-blocking fd over. `inherited`: set O_NONBLOCK here, restore the flags at the end, do not
 * close. 0, or -errno (-EINVAL: not a byte stream, -EPERM: not pollable, -EBUSY) and the fd is still the caller's. */
int aw_transport_open(struct aw_transport *transport, async_loop *loop, int fd, bool inherited,
                      const struct aw_sink *sink);

/* Reads now: > 0 bytes, 0 the end, -EAGAIN nothing there (without a system call when readiness is not
 * believed), ASYNC_ECLOSED, -EBADF not for reading, another failure (which loses the transport). */
ssize_t aw_transport_read(struct aw_transport *transport, void *buf, size_t size);
/* One `readable` callback, please, as soon as readiness is believed. Never from inside this call: if it is
 * believed now, in the next turn (a caller that is not out of budget reads instead). */
void aw_transport_want_read(struct aw_transport *transport, bool wanted);

/* Tries the kernel first; the rest is copied into the queue. 0; -EPIPE (also after write_eof), -ECONNRESET and other
 * write_errors; ASYNC_ECLOSED; -EBADF not for writing; -ENOMEM: nothing was taken, but when the kernel had taken
 * a part and the rest could not be stored, the stream is broken there: write_error tells. */
int aw_transport_write(struct aw_transport *transport, const struct iovec *pieces, int count);
/* 0, also the second time; ASYNC_ECLOSED; -EPIPE or another write_error; -ENOTSUP not a socket. */
int aw_transport_write_eof(struct aw_transport *transport);
/* 0; -EINVAL low > high. */
int aw_transport_set_limits(struct aw_transport *transport, size_t high, size_t low);

/* No more reads; what is queued goes out, then the fd is closed and `lost(0)` queued. A peer that never reads
 * keeps it closing until aw_transport_abort(). */
void aw_transport_close(struct aw_transport *transport);
/* Drops what is queued, closes the fd now, queues `lost(error)`. */
void aw_transport_abort(struct aw_transport *transport, int error);
/* Closes the fd now, no callback at all: the owner's memory is about to go. */
void aw_transport_destroy(struct aw_transport *transport);

/* ---- listening (listener.c) ---- */

struct aw_listener {
    struct aw_io io; /* first */
    async_loop *loop;
    /* A new connection, non-blocking and close-on-exec; the callee owns fd. */
    void (*accepted)(struct aw_listener *listener, int fd, const struct sockaddr *address, socklen_t size);
    async_timer_handle retry; /* EMFILE and its like pause accepting for a second */
    bool *gone;               /* set by close, for whoever is in `accepted` */
    bool paused;              /* by the owner */
    bool starved;             /* by the kernel: waiting for `retry` */
    bool told;                /* this shortage was reported */
    bool broken;              /* the fd was closed or shut down behind our back */
    uint64_t accepted_count, starved_count;
};

struct aw_listen_options {
    int backlog; /* 0: 100 */
    bool reuse_port;
};

/* A listening socket on one address: fd or -errno. */
int aw_listen_socket(async_loop *loop, const struct sockaddr *address, socklen_t size,
                     const struct aw_listen_options *options);
/* Takes a listening socket over and makes it non-blocking. 0, or -errno and the fd is still the caller's. */
int aw_listener_open(struct aw_listener *listener, async_loop *loop, int fd,
                     void (*accepted)(struct aw_listener *, int, const struct sockaddr *, socklen_t));
void aw_listener_pause(struct aw_listener *listener, bool paused);
/* Closes the fd, too. */
void aw_listener_close(struct aw_listener *listener);

/* ---- connecting (connector.c) ---- */

struct aw_connector {
    struct aw_io io; /* first */
    async_loop *loop;
    /* fd >= 0: connected, the callee owns it; else -errno. */
    void (*done)(struct aw_connector *connector, int fd);
    struct async_handle at_once; /* a connect that completed at once is reported through the loop */
    int result;
};

/* Starts connecting to one address: 0, and done() comes later through the loop; or -errno. */
int aw_connector_start(struct aw_connector *connector, async_loop *loop, const struct sockaddr *address, socklen_t size,
                       void (*done)(struct aw_connector *, int));
/* done() will not come. */
void aw_connector_cancel(struct aw_connector *connector);

/* ---- addresses (address.c) ---- */

/* "127.0.0.1:80", "[::1]:80", "[fe80::1%2]:80", a Unix socket's path ("@name" for an abstract one), "" when it has
 * none. Returns buf, always ended by NUL; AW_ADDRESS_TEXT bytes hold every text. */
#define AW_ADDRESS_TEXT 128
const char *aw_address_format(char *buf, size_t buf_size, const struct sockaddr *address, socklen_t size);

#endif
