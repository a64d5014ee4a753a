/* SPDX-License-Identifier: MIT */
/* Design notes: who listens to which descriptor. Slots are indexed by descriptor (the kernel hands out the lowest free
 * number, so the table is dense) and carry a generation, which travels through the backend in the event's token: an
 * event that was collected before its registration went, or that a forgotten duplicate of a closed descriptor still
 * produces, does not match and is dropped and counted. */
#include "loop/loop.h"

static int grow(async_loop *loop, uint32_t count)
{
    uint32_t new_count = loop->slot_count ? loop->slot_count : 64;
    struct aw_io_slot *slots;

    while (new_count < count)
        new_count *= 2;
    slots = aw_resize(&loop->allocator, loop->slots, new_count * sizeof *slots);
    if (!slots)
        return -ENOMEM;
    for (uint32_t i = loop->slot_count; i < new_count; i++)
        slots[i] = (struct aw_io_slot){ NULL, 0 };
    loop->slots = slots;
    loop->slot_count = new_count;
    return 0;
}

static uint64_t token_of(const struct aw_io *io)
{
    return (uint64_t)io->generation << 32 | (uint32_t)io->fd;
}

int aw_io_add(async_loop *loop, struct aw_io *io, int fd, unsigned mask)
{
    int r;

    if (fd < 0)
        return -EBADF;
    if (aw_io_find(loop, fd))
        return -EBUSY;
    io->fd = fd;
    io->generation = ((uint32_t)fd < loop->slot_count ? loop->slots[fd].generation : 0) + 1;
    /* Before the table grows: the backend knows whether there is such a descriptor, and a wrong number may be huge. */
    r = loop->backend->ops->add(loop->backend, fd, mask, token_of(io));
    if (r < 0)
        return r == -EEXIST ? -EBUSY : r;
    if ((uint32_t)fd >= loop->slot_count && (r = grow(loop, (uint32_t)fd + 1)) < 0) {
        (void)loop->backend->ops->remove(loop->backend, fd);
        return r;
    }
    loop->slots[fd] = (struct aw_io_slot){ io, io->generation };
    loop->io_count++;
    return 0;
}

int aw_io_modify(async_loop *loop, struct aw_io *io, unsigned mask)
{
    return loop->backend->ops->modify(loop->backend, io->fd, mask, token_of(io));
}

void aw_io_remove(async_loop *loop, struct aw_io *io)
{
    loop->slots[io->fd].io = NULL;
    loop->slots[io->fd].generation++;
    loop->io_count--;
    /* It may be closed already, by mistake: the generation protects us then. */
    (void)loop->backend->ops->remove(loop->backend, io->fd);
}

struct aw_io *aw_io_find(async_loop *loop, int fd)
{
    return fd >= 0 && (uint32_t)fd < loop->slot_count ? loop->slots[fd].io : NULL;
}

void aw_io_fini(async_loop *loop)
{
    aw_free(&loop->allocator, loop->slots);
    loop->slots = NULL;
    loop->slot_count = 0;
}
