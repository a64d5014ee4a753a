/* SPDX-License-Identifier: MIT */
/* THE contract: what a backend must offer. Nothing above this floor calls the kernel, reads a clock or
 * draws randomness by itself (a test lists the symbols of each object).
 *
 * A backend has two tables. `ops` is what the loop asks of it: tell me of events, wait, wake up, run a
 * blocking job. `sys` is one entry for each system call that the floors above make; the simulated world
 * answers them itself, and a test may wrap the table to make any call fail.
 *
 * Rules. Every call returns >= 0 or -errno, never errno. Descriptors are non-blocking and close-on-exec.
 * Only wake() and a job's own thread may run beside the loop's thread. A backend never calls back but from
 * wait(): job->done. After remove() no event of that descriptor is reported, but events that wait() has already
 * written may carry it: the loop compares the token.
 */
#ifndef AW_BACKEND_BACKEND_H
#define AW_BACKEND_BACKEND_H

#include "base/alloc.h"
#include "base/base.h"
#include "base/list.h"
#include <netdb.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct aw_backend;

/* Events, and the mask to ask for them. The numbers are epoll's, so that one backend translates nothing. */
enum {
    AW_READABLE = 1,
    AW_PRIORITY = 2, /* urgent data */
    AW_WRITABLE = 4,
    AW_ERROR = 8,        /* always reported */
    AW_HANGUP = 16,      /* both halves; always reported */
    AW_EDGE = 64,        /* mask only: report changes, not states */
    AW_READ_END = 0x2000 /* the peer has shut down its writing half */
};

struct aw_event {
    uint64_t token; /* what add() was given: anything but UINT64_MAX */
    unsigned events;
};

/* A blocking job. work() runs on another thread (in sim: at a seeded moment on this one), then done() on
 * the loop's thread from within wait(). */
struct aw_job {
    struct aw_list link;
    void (*work)(struct aw_job *job);
    void (*done)(struct aw_job *job);
    int state; /* the backend's */
};

struct aw_backend_options {
    const async_allocator *allocator;
    uint64_t seed;
};

struct aw_backend_ops {
    const char *name;
    int (*open)(const struct aw_backend_options *options, struct aw_backend **ret_backend);
    /* Drops the jobs that have not begun, waits for those that have, then calls done() of them all: an owner
     * that must know sets a flag in work(). No job can be submitted by then. */
    void (*close)(struct aw_backend *backend);

    /* One registration a descriptor; -EEXIST, -EPERM not pollable, -EBADF. */
    int (*add)(struct aw_backend *backend, int fd, unsigned mask, uint64_t token);
    int (*modify)(struct aw_backend *backend, int fd, unsigned mask, uint64_t token);
    int (*remove)(struct aw_backend *backend, int fd);

    /* Waits until an event, wake(), a finished job, or `timeout` ns (AW_NEVER: no limit; 0: look only).
     * Returns the number of events written, 0 for none; -EINTR for a signal. */
    int (*wait)(struct aw_backend *backend, int64_t timeout, struct aw_event *events, int capacity);
    /* Any thread, async-signal-safe: the current or next wait() returns at once. */
    void (*wake)(struct aw_backend *backend);

    /* -EAGAIN: no thread to be had. At most 64 run at a time, the rest waits in its order. */
    int (*job_submit)(struct aw_backend *backend, struct aw_job *job);
    /* 1: the job had not begun and never will, done() is not called; 0: too late. */
    int (*job_cancel)(struct aw_backend *backend, struct aw_job *job);
    /* From now on no job begins; waits for those that have begun. done() of all comes later, from close(). */
    void (*jobs_stop)(struct aw_backend *backend);
    /* Can another thread still post to this loop? 0 only when the process has none but this one and idle
     * ones of ours. Slow, and late by a moment when a thread has just ended: ask after a wait in vain. */
    int (*has_foreign_threads)(struct aw_backend *backend);
};

/* One entry for each system call. `b` is ignored by the real ones. */
struct aw_sys {
    int64_t (*now)(struct aw_backend *b);  /* monotonic nanoseconds */
    int64_t (*tick)(struct aw_backend *b); /* the same, coarse (milliseconds) and cheaper; only compared for equality */

    int (*socket)(struct aw_backend *b, int family, int type, int protocol);
    int (*bind)(struct aw_backend *b, int fd, const struct sockaddr *address, socklen_t size);
    int (*listen)(struct aw_backend *b, int fd, int backlog);
    int (*accept)(struct aw_backend *b, int fd, struct sockaddr *address, socklen_t *size);
    int (*connect)(struct aw_backend *b, int fd, const struct sockaddr *address, socklen_t size);
    int (*shutdown)(struct aw_backend *b, int fd, int how);
    int (*close)(struct aw_backend *b, int fd);
    int (*getsockname)(struct aw_backend *b, int fd, struct sockaddr *address, socklen_t *size);
    int (*getpeername)(struct aw_backend *b, int fd, struct sockaddr *address, socklen_t *size);
    int (*getsockopt)(struct aw_backend *b, int fd, int level, int name, void *value, socklen_t *size);
    int (*setsockopt)(struct aw_backend *b, int fd, int level, int name, const void *value, socklen_t size);

    /* On sockets recv/sendmsg with MSG_NOSIGNAL; on pipes and ttys read/writev. */
    ssize_t (*recv)(struct aw_backend *b, int fd, void *buf, size_t size);
    ssize_t (*send)(struct aw_backend *b, int fd, const void *data, size_t size);
    ssize_t (*sendv)(struct aw_backend *b, int fd, const struct iovec *pieces, int count);
    ssize_t (*read)(struct aw_backend *b, int fd, void *buf, size_t size);
    ssize_t (*writev)(struct aw_backend *b, int fd, const struct iovec *pieces, int count);

    /* fcntl(F_GETFL / F_SETFL), and what kind of file it is (S_IFMT of fstat). */
    int (*get_flags)(struct aw_backend *b, int fd);
    int (*set_flags)(struct aw_backend *b, int fd, int flags);
    int (*file_type)(struct aw_backend *b, int fd);

    /* Blocking: called from a job only. Returns 0 or an EAI_ code; *ret is freed with freeaddrinfo below. */
    int (*getaddrinfo)(struct aw_backend *b, const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **ret);
    void (*freeaddrinfo)(struct aw_backend *b, struct addrinfo *list);

    /* Memory for stacks. */
    void *(*map)(struct aw_backend *b, size_t size); /* NULL: no memory */
    void (*unmap)(struct aw_backend *b, void *memory, size_t size);
    int (*guard_install)(struct aw_backend *b, void *memory, size_t size); /* MADV_GUARD_INSTALL; -EINVAL before 6.13 */
    int (*guard_protect)(struct aw_backend *b, void *memory, size_t size); /* mprotect PROT_NONE */
    int (*discard)(struct aw_backend *b, void *memory, size_t size);       /* MADV_DONTNEED */
};

/* What every backend's own struct begins with. */
struct aw_backend {
    const struct aw_backend_ops *ops;
    const struct aw_sys *sys;
};

extern const struct aw_backend_ops aw_backend_linux;
extern const struct aw_backend_ops aw_backend_sim;
extern const struct aw_sys aw_sys_linux;

/* By name; NULL when there is none of that name. */
const struct aw_backend_ops *aw_backend_find(const char *name);
/* The names, separated by ", ", for error sentences. */
const char *aw_backend_names(void);

/* sim only: lets virtual time pass; from how many open descriptors on there is EMFILE (4096). */
void aw_sim_advance(struct aw_backend *backend, int64_t ns);
void aw_sim_limit_descriptors(struct aw_backend *backend, int limit);

#endif
