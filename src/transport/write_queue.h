/* SPDX-License-Identifier: MIT */
/* What the kernel did not take of a transport's writes, and a cursor over the pieces of one write. */
#ifndef AW_TRANSPORT_WRITE_QUEUE_H
#define AW_TRANSPORT_WRITE_QUEUE_H

#include "transport/transport.h"

/* What is left of a caller's pieces. */
struct aw_pieces {
    const struct iovec *piece;
    int count;
    size_t offset; /* into the first */
};

size_t aw_pieces_size(const struct aw_pieces *pieces);
void aw_pieces_skip(struct aw_pieces *pieces, size_t size);
/* Writes at most `capacity` iovecs, AW_ASK_MAX bytes; returns how many, *ret_size their bytes. */
int aw_pieces_gather(const struct aw_pieces *pieces, struct iovec *ret_iov, int capacity, size_t *ret_size);

/* The kernel cuts one call at 2 GiB; below that, a short count has the reason that we think it has. */
#define AW_ASK_MAX ((size_t)1 << 30)

/* Copies all of it to the end of the queue: 0, or -ENOMEM and the queue is as before. */
int aw_write_queue_append(struct aw_transport *transport, struct aw_pieces pieces);
int aw_write_queue_gather(const struct aw_transport *transport, struct iovec *ret_iov, int capacity, size_t *ret_size);
/* The kernel took `size` bytes of the beginning. */
void aw_write_queue_consume(struct aw_transport *transport, size_t size);
void aw_write_queue_drop(struct aw_transport *transport);

#endif
