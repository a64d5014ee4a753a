/* SPDX-License-Identifier: MIT */
/* Design notes: a list of chunks. The last one has room, so that many small writes share one allocation; a new chunk
 * is as large as what does not fit, at least twice its predecessor, and never above 32 KiB. That keeps the memory near
 * to what is queued (a slow reader with a few bytes costs 2 KiB, a writer that obeys the water marks less than
 * twice the high one), lets a long write give its memory back while it goes out, and stays below the size at which
 * malloc asks the kernel. An empty queue has no chunk: an idle connection holds no buffer. */
#include "transport/write_queue.h"

#include <string.h>

struct aw_write_chunk {
    struct aw_write_chunk *next;
    size_t begin, end, capacity; /* data[begin..end) is waiting */
    char data[];
};

enum {
    CHUNK_MIN = 2048 - sizeof(struct aw_write_chunk), /* with its header a round number */
    CHUNK_MAX = 32768 - sizeof(struct aw_write_chunk)
};

/* ---- a caller's pieces ---- */

size_t aw_pieces_size(const struct aw_pieces *pieces)
{
    size_t size = 0;

    for (int i = 0; i < pieces->count; i++)
        size += pieces->piece[i].iov_len;
    return size - pieces->offset;
}

void aw_pieces_skip(struct aw_pieces *pieces, size_t size)
{
    size += pieces->offset;
    while (pieces->count > 0 && size >= pieces->piece->iov_len) {
        size -= pieces->piece->iov_len;
        pieces->piece++;
        pieces->count--;
    }
    pieces->offset = size;
}

int aw_pieces_gather(const struct aw_pieces *pieces, struct iovec *ret_iov, int capacity, size_t *ret_size)
{
    size_t room = AW_ASK_MAX, offset = pieces->offset;
    int n = 0;

    for (int i = 0; i < pieces->count && n < capacity && room > 0; i++, offset = 0) {
        size_t size = pieces->piece[i].iov_len - offset;

        if (size == 0)
            continue;
        ret_iov[n].iov_base = (char *)pieces->piece[i].iov_base + offset;
        ret_iov[n].iov_len = size < room ? size : room;
        room -= ret_iov[n++].iov_len;
    }
    *ret_size = AW_ASK_MAX - room;
    return n;
}

static void copy_out(struct aw_pieces *pieces, char *to, size_t size)
{
    while (size > 0) {
        size_t part = pieces->piece->iov_len - pieces->offset;

        if (part > size)
            part = size;
        if (part > 0)
            memcpy(to, (const char *)pieces->piece->iov_base + pieces->offset, part);
        aw_pieces_skip(pieces, part);
        to += part;
        size -= part;
    }
}

/* ---- the queue ---- */

static size_t room_of(const struct aw_write_chunk *chunk)
{
    return chunk ? chunk->capacity - chunk->end : 0;
}

static struct aw_write_chunk *new_chunk(const async_allocator *allocator, size_t needed, size_t previous)
{
    size_t capacity = needed > 2 * previous ? needed : 2 * previous;
    struct aw_write_chunk *chunk;

    if (capacity < CHUNK_MIN)
        capacity = CHUNK_MIN;
    if (capacity > CHUNK_MAX)
        capacity = CHUNK_MAX;
    chunk = aw_alloc(allocator, sizeof *chunk + capacity);
    if (chunk)
        *chunk = (struct aw_write_chunk){ .capacity = capacity };
    return chunk;
}

static void free_chunks(const async_allocator *allocator, struct aw_write_chunk *chunk)
{
    while (chunk) {
        struct aw_write_chunk *next = chunk->next;
        aw_free(allocator, chunk);
        chunk = next;
    }
}

/* A chain of empty chunks that hold `needed` bytes; NULL without memory. */
static struct aw_write_chunk *new_chain(const async_allocator *allocator, size_t needed, size_t previous)
{
    struct aw_write_chunk *first = NULL, **end = &first;

    while (needed > 0) {
        struct aw_write_chunk *chunk = new_chunk(allocator, needed, previous);

        if (!chunk) {
            free_chunks(allocator, first);
            return NULL;
        }
        *end = chunk;
        end = &chunk->next;
        previous = chunk->capacity;
        needed -= needed < previous ? needed : previous;
    }
    return first;
}

static void fill(struct aw_write_chunk *chunk, struct aw_pieces *pieces, size_t *size)
{
    size_t part = room_of(chunk) < *size ? room_of(chunk) : *size;

    copy_out(pieces, chunk->data + chunk->end, part);
    chunk->end += part;
    *size -= part;
}

int aw_write_queue_append(struct aw_transport *transport, struct aw_pieces pieces)
{
    struct aw_write_chunk *tail = transport->queue_tail, *chain = NULL;
    size_t size = aw_pieces_size(&pieces), room = room_of(tail);

    if (size > room) { /* all memory first: either everything is taken or nothing */
        chain = new_chain(&transport->loop->allocator, size - room, tail ? tail->capacity : 0);
        if (!chain)
            return -ENOMEM;
    }
    transport->queued += size;
    if (tail)
        fill(tail, &pieces, &size);
    if (chain) {
        *(tail ? &tail->next : &transport->queue_head) = chain;
        for (; chain; chain = chain->next) {
            fill(chain, &pieces, &size);
            transport->queue_tail = chain;
        }
    }
    return 0;
}

int aw_write_queue_gather(const struct aw_transport *transport, struct iovec *ret_iov, int capacity, size_t *ret_size)
{
    int n = 0;

    *ret_size = 0;
    for (struct aw_write_chunk *chunk = transport->queue_head; chunk && n < capacity; chunk = chunk->next) {
        ret_iov[n].iov_base = chunk->data + chunk->begin;
        ret_iov[n].iov_len = chunk->end - chunk->begin;
        *ret_size += ret_iov[n++].iov_len;
    }
    return n;
}

void aw_write_queue_consume(struct aw_transport *transport, size_t size)
{
    struct aw_write_chunk *chunk;

    transport->queued -= size;
    while ((chunk = transport->queue_head) != NULL) {
        if (size < chunk->end - chunk->begin) {
            chunk->begin += size;
            return;
        }
        size -= chunk->end - chunk->begin;
        transport->queue_head = chunk->next;
        aw_free(&transport->loop->allocator, chunk);
    }
    transport->queue_tail = NULL;
}

void aw_write_queue_drop(struct aw_transport *transport)
{
    free_chunks(&transport->loop->allocator, transport->queue_head);
    transport->queue_head = transport->queue_tail = NULL;
    transport->queued = 0;
}
