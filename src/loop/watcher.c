/* SPDX-License-Identifier: MIT */
/* Design notes: add_reader and add_writer. One registration a descriptor carries both; it is level-triggered, because a
 * user's callback need not read everything. Errors and hang-ups wake both. */
#include "loop/loop.h"

struct watcher {
    struct aw_io io; /* first */
    async_loop *loop;
    struct side {
        async_callback callback; /* NULL: not watched */
        void *arg;
    } sides[2];
};

enum { READER, WRITER };

static void watcher_ready(struct aw_io *io, unsigned events);

static struct watcher *as_watcher(struct aw_io *io)
{
    return io && io->ready == watcher_ready ? (struct watcher *)io : NULL;
}

static unsigned mask_of(const struct watcher *watcher)
{
    return (watcher->sides[READER].callback ? AW_READABLE : 0) | (watcher->sides[WRITER].callback ? AW_WRITABLE : 0);
}

static int call(struct watcher *watcher, int side)
{
    async_loop *loop = watcher->loop;
    int r = watcher->sides[side].callback(watcher->sides[side].arg);

    if (r < 0 && loop->abort_code == 0)
        loop->abort_code = r;
    return r;
}

static void watcher_ready(struct aw_io *io, unsigned events)
{
    static const unsigned causes[2] = { AW_READABLE | AW_READ_END | AW_HANGUP | AW_ERROR,
                                        AW_WRITABLE | AW_HANGUP | AW_ERROR };
    struct watcher *watcher = (struct watcher *)io;
    async_loop *loop = watcher->loop;
    uint32_t generation = io->generation;
    int fd = io->fd;

    for (int side = READER; side <= WRITER; side++) {
        /* The reader's callback may have removed either side, and with both gone the watcher itself. */
        if (loop->slots[fd].io != io || loop->slots[fd].generation != generation)
            return;
        if (!(events & causes[side]) || !watcher->sides[side].callback)
            continue;
        if (call(watcher, side) < 0)
            return; /* the turn stops here; what is still true is reported again */
    }
}

static struct watcher *watcher_new(async_loop *loop)
{
    struct watcher *watcher = aw_alloc_zeroed(&loop->allocator, sizeof *watcher);

    if (watcher) {
        watcher->io.ready = watcher_ready;
        watcher->loop = loop;
    }
    return watcher;
}

static int watch_first(async_loop *loop, int fd, int side, struct side new_side)
{
    struct watcher *watcher = watcher_new(loop);
    int r;

    if (!watcher)
        return -ENOMEM;
    watcher->sides[side] = new_side;
    r = aw_io_add(loop, &watcher->io, fd, mask_of(watcher));
    if (r < 0)
        aw_free(&loop->allocator, watcher);
    return r;
}

static int watch_more(async_loop *loop, struct watcher *watcher, int side, struct side new_side)
{
    struct side old = watcher->sides[side];
    int r;

    watcher->sides[side] = new_side;
    if (old.callback)
        return 0;
    r = aw_io_modify(loop, &watcher->io, mask_of(watcher));
    if (r < 0)
        watcher->sides[side] = old;
    return r;
}

static int watch(async_loop *loop, int fd, int side, async_callback callback, void *arg, const char *what)
{
    struct watcher *watcher;
    struct aw_io *io;
    int r;

    if (!loop || !callback)
        return aw_fail(loop, -EINVAL, "%s: loop or callback is NULL", what);
    if ((r = aw_loop_check_thread(loop, what)) < 0)
        return r;
    io = aw_io_find(loop, fd);
    watcher = as_watcher(io);
    if (io && !watcher)
        return aw_fail(loop, -EBUSY, "%s: descriptor %d is used by a stream or server", what, fd);
    r = watcher ? watch_more(loop, watcher, side, (struct side){ callback, arg })
                : watch_first(loop, fd, side, (struct side){ callback, arg });
    return r < 0 ? aw_fail(loop, r, "%s: descriptor %d: %s", what, fd,
                           r == -EPERM ? "this kind of file cannot be waited for" : async_strerror(r))
                 : 0;
}

static int unwatch(async_loop *loop, int fd, int side, const char *what)
{
    struct watcher *watcher;
    struct aw_io *io;
    int r;

    if (!loop)
        return aw_fail(loop, -EINVAL, "%s: loop is NULL", what);
    if ((r = aw_loop_check_thread(loop, what)) < 0)
        return r;
    io = aw_io_find(loop, fd);
    watcher = as_watcher(io);
    if (io && !watcher)
        return aw_fail(loop, -EBUSY, "%s: descriptor %d is used by a stream or server", what, fd);
    if (!watcher || !watcher->sides[side].callback)
        return 0;
    watcher->sides[side].callback = NULL;
    if (mask_of(watcher)) {
        (void)aw_io_modify(loop, io, mask_of(watcher)); /* fails only when the fd was closed under us: no event then */
        return 1;
    }
    aw_io_remove(loop, io);
    aw_free(&loop->allocator, watcher);
    return 1;
}

int async_loop_add_reader(async_loop *loop, int fd, async_callback callback, void *arg)
{
    return watch(loop, fd, READER, callback, arg, "async_add_reader");
}

int async_loop_add_writer(async_loop *loop, int fd, async_callback callback, void *arg)
{
    return watch(loop, fd, WRITER, callback, arg, "async_add_writer");
}

int async_loop_remove_reader(async_loop *loop, int fd)
{
    return unwatch(loop, fd, READER, "async_remove_reader");
}

int async_loop_remove_writer(async_loop *loop, int fd)
{
    return unwatch(loop, fd, WRITER, "async_remove_writer");
}

void aw_watchers_fini(async_loop *loop)
{
    for (uint32_t fd = 0; fd < loop->slot_count; fd++) {
        struct watcher *watcher = as_watcher(loop->slots[fd].io);

        if (!watcher)
            continue;
        aw_io_remove(loop, &watcher->io);
        aw_free(&loop->allocator, watcher);
    }
}
