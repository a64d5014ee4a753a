/* SPDX-License-Identifier: MIT */
/* Design notes: epoll. The buffer of epoll's events is part of the backend and small enough to stay in
 * the cache; wait() copies from it what the loop needs, without a branch for each event.
 *
 * wake() is an eventfd, registered edge-triggered and never read: every write is a new edge, so a wake-up costs one
 * system call on each side. The counter would be full after 2^64 - 2 writes; see wake().
 *
 * Timeouts are in nanoseconds with epoll_pwait2 (Linux 5.11), else in milliseconds, rounded up. */
#include "backend/linux.h"
#include "backend/real.h"

#include <limits.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __has_include
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND 0
#endif

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441 /* the same number everywhere; older headers do not have it */
#endif

#define EVENTS_MAX 256
#define WAKE_TOKEN UINT64_MAX
#define NS_PER_MS 1000000

#define SAME(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), "events are passed on untranslated")
SAME(AW_READABLE, EPOLLIN);
SAME(AW_WRITABLE, EPOLLOUT);
SAME(AW_PRIORITY, EPOLLPRI);
SAME(AW_READ_END, EPOLLRDHUP);
SAME(AW_HANGUP, EPOLLHUP);
SAME(AW_ERROR, EPOLLERR);

struct linux_backend {
    struct aw_backend base; /* first */
    async_allocator allocator;
    int epoll_fd, wake_fd;
    bool coarse; /* no epoll_pwait2: milliseconds */
    struct aw_job_pool jobs;
    struct epoll_event buffer[EVENTS_MAX];
};

static struct linux_backend *from_base(struct aw_backend *backend)
{
    return AW_CONTAINER_OF(backend, struct linux_backend, base);
}

/* ---- registrations ---- */

static int control(struct aw_backend *backend, int operation, int fd, unsigned mask, uint64_t token)
{
    struct epoll_event event = { .events = mask & ~(unsigned)AW_EDGE, .data.u64 = token };

    if (mask & AW_EDGE)
        event.events |= EPOLLET;
    return epoll_ctl(from_base(backend)->epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

static int linux_add(struct aw_backend *backend, int fd, unsigned mask, uint64_t token)
{
    return control(backend, EPOLL_CTL_ADD, fd, mask, token);
}

static int linux_modify(struct aw_backend *backend, int fd, unsigned mask, uint64_t token)
{
    return control(backend, EPOLL_CTL_MOD, fd, mask, token);
}

static int linux_remove(struct aw_backend *backend, int fd)
{
    return control(backend, EPOLL_CTL_DEL, fd, /* mask= */ 0, /* token= */ 0);
}

/* ---- waiting ---- */

static int milliseconds(int64_t ns)
{
    int64_t ms = ns / NS_PER_MS + (ns % NS_PER_MS != 0);

    return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* What struct __kernel_timespec is, also where time_t is 32 bits. */
struct kernel_timespec {
    int64_t seconds, nanoseconds;
};

static int wait_precisely(struct linux_backend *b, int64_t timeout, int capacity)
{
    struct kernel_timespec limit = { timeout / AW_NS_PER_SEC, timeout % AW_NS_PER_SEC };
    int n = (int)syscall(SYS_epoll_pwait2, b->epoll_fd, b->buffer, capacity, &limit, /* mask= */ NULL, (size_t)0);

    /* ENOSYS before 5.11; EPERM from filters of system calls that are older than that. */
    if (AW_UNLIKELY(n < 0 && (errno == ENOSYS || errno == EPERM))) {
        b->coarse = true;
        return epoll_wait(b->epoll_fd, b->buffer, capacity, milliseconds(timeout));
    }
    return n;
}

static int wait_for_kernel(struct linux_backend *b, int64_t timeout, int capacity)
{
    if (timeout <= 0)
        return epoll_wait(b->epoll_fd, b->buffer, capacity, /* timeout= */ 0);
    if (timeout == AW_NEVER)
        return epoll_wait(b->epoll_fd, b->buffer, capacity, /* timeout= */ -1);
    if (b->coarse)
        return epoll_wait(b->epoll_fd, b->buffer, capacity, milliseconds(timeout));
    return wait_precisely(b, timeout, capacity);
}

static int linux_wait(struct aw_backend *backend, int64_t timeout, struct aw_event *events, int capacity)
{
    struct linux_backend *b = from_base(backend);
    int n = wait_for_kernel(b, timeout, capacity < EVENTS_MAX ? capacity : EVENTS_MAX);
    int r = n < 0 ? -errno : 0;

    for (int i = 0; i < n; i++) {
        uint64_t token = b->buffer[i].data.u64;

        events[r].token = token;
        events[r].events = b->buffer[i].events;
        r += token != WAKE_TOKEN; /* the wake-up's own event is overwritten by the next one */
    }
    if (AW_UNLIKELY(aw_job_pool_has_finished(&b->jobs)))
        aw_job_pool_collect(&b->jobs);
    return r;
}

static void linux_wake(struct aw_backend *backend)
{
    struct linux_backend *b = from_base(backend);
    uint64_t one = 1, count;
    int saved = errno; /* a signal handler may call this */

    /* EAGAIN: the counter is full, and a write that adds nothing makes no edge. Emptying it makes none
     * either, but the write after it does; should another thread fill it in between, try again. */
    while (write(b->wake_fd, &one, sizeof one) < 0 && (errno == EAGAIN || errno == EINTR))
        if (errno == EAGAIN && read(b->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN && errno != EINTR)
            break;
    errno = saved;
}

/* ---- jobs ---- */

static int linux_job_submit(struct aw_backend *backend, struct aw_job *job)
{
    return aw_job_pool_submit(&from_base(backend)->jobs, job);
}

static int linux_job_cancel(struct aw_backend *backend, struct aw_job *job)
{
    return aw_job_pool_cancel(&from_base(backend)->jobs, job);
}

static void linux_jobs_stop(struct aw_backend *backend)
{
    aw_job_pool_stop(&from_base(backend)->jobs);
}

static int linux_has_foreign_threads(struct aw_backend *backend)
{
    unsigned idle = aw_job_pool_idle(&from_base(backend)->jobs);
    int threads = aw_sys_count_threads();

    /* A kernel that does not tell: there may be some. */
    return threads < 0 || (unsigned)threads > idle + 1;
}

/* ---- open and close ---- */

static int open_descriptors(struct linux_backend *b)
{
    b->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (b->epoll_fd < 0)
        return -errno;
    b->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (b->wake_fd < 0)
        return -errno;
    return linux_add(&b->base, b->wake_fd, AW_READABLE | AW_EDGE, WAKE_TOKEN);
}

static void close_descriptors(struct linux_backend *b)
{
    if (b->wake_fd >= 0)
        close(b->wake_fd);
    if (b->epoll_fd >= 0)
        close(b->epoll_fd);
}

static int linux_open(const struct aw_backend_options *options, struct aw_backend **ret_backend)
{
    struct linux_backend *b = aw_alloc(options->allocator, sizeof *b);
    int r;

    if (!b)
        return -ENOMEM;
    b->base.ops = &aw_backend_linux;
    b->base.sys = &aw_sys_linux;
    b->allocator = *options->allocator;
    b->epoll_fd = b->wake_fd = -1;
    /* TSan runs signal handlers late unless the thread waits in a call that it knows; Valgrind prints a
     * complaint about calls that it does not know. */
    b->coarse = AW_TSAN || RUNNING_ON_VALGRIND;
    r = open_descriptors(b);
    if (r == 0)
        r = aw_job_pool_init(&b->jobs, &b->base);
    if (r < 0) {
        close_descriptors(b);
        aw_free(options->allocator, b);
        return r;
    }
    *ret_backend = &b->base;
    return 0;
}

static void linux_close(struct aw_backend *backend)
{
    struct linux_backend *b = from_base(backend);
    async_allocator allocator = b->allocator;

    aw_job_pool_fini(&b->jobs);
    close_descriptors(b);
    aw_free(&allocator, b);
}

const struct aw_backend_ops aw_backend_linux = {
    .name = "linux",
    .open = linux_open,
    .close = linux_close,
    .add = linux_add,
    .modify = linux_modify,
    .remove = linux_remove,
    .wait = linux_wait,
    .wake = linux_wake,
    .job_submit = linux_job_submit,
    .job_cancel = linux_job_cancel,
    .jobs_stop = linux_jobs_stop,
    .has_foreign_threads = linux_has_foreign_threads,
};
