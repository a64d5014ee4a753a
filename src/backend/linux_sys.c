/* SPDX-License-Identifier: MIT */
/* Design notes: one line a system call. Nothing here waits: descriptors are non-blocking, and MSG_DONTWAIT
 * holds even when somebody who shares an inherited socket takes its O_NONBLOCK away. So EINTR is no news and
 * is retried. The exception is getaddrinfo, which blocks; it is called from jobs only.
 *
 * SIGPIPE. Sockets have MSG_NOSIGNAL. Pipes and ttys have nothing like it before Linux 6.18, and the disposition
 * belongs to the user, so writev holds the signal back in this thread and takes away what it caused. */
#include "backend/backend.h"
#include "backend/real.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The call's result, or -errno; again after EINTR. */
#define CHECKED(call)                                                                                                  \
    __extension__({                                                                                                    \
        __typeof__(call) result_;                                                                                      \
        do                                                                                                             \
            result_ = (call);                                                                                          \
        while (result_ < 0 && errno == EINTR);                                                                         \
        result_ < 0 ? -errno : result_;                                                                                \
    })

/* Every call but the blocking one has the backend as its first parameter, and no real one needs it. */
#define B struct aw_backend *b __attribute__((unused))

static int64_t sys_now(B)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * AW_NS_PER_SEC + now.tv_nsec;
}

static int64_t sys_tick(B)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * AW_NS_PER_SEC + now.tv_nsec;
}

static int sys_socket(B, int family, int type, int protocol)
{
    return CHECKED(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
}

static int sys_bind(B, int fd, const struct sockaddr *address, socklen_t size)
{
    return CHECKED(bind(fd, address, size));
}

static int sys_listen(B, int fd, int backlog)
{
    return CHECKED(listen(fd, backlog));
}

static int sys_accept(B, int fd, struct sockaddr *address, socklen_t *size)
{
    return CHECKED(accept4(fd, address, size, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

static int sys_connect(B, int fd, const struct sockaddr *address, socklen_t size)
{
    int r = connect(fd, address, size) < 0 ? -errno : 0;

    /* An interrupted connect goes on by itself; asking again would say EALREADY. */
    return r == -EINTR ? -EINPROGRESS : r;
}

static int sys_shutdown(B, int fd, int how)
{
    return CHECKED(shutdown(fd, how));
}

static int sys_close(B, int fd)
{
    int r = close(fd) < 0 ? -errno : 0;

    /* Linux has closed it by then; again would close somebody else's. */
    return r == -EINTR ? 0 : r;
}

static int sys_getsockname(B, int fd, struct sockaddr *address, socklen_t *size)
{
    return CHECKED(getsockname(fd, address, size));
}

static int sys_getpeername(B, int fd, struct sockaddr *address, socklen_t *size)
{
    return CHECKED(getpeername(fd, address, size));
}

static int sys_getsockopt(B, int fd, int level, int name, void *value, socklen_t *size)
{
    return CHECKED(getsockopt(fd, level, name, value, size));
}

static int sys_setsockopt(B, int fd, int level, int name, const void *value, socklen_t size)
{
    return CHECKED(setsockopt(fd, level, name, value, size));
}

static ssize_t sys_recv(B, int fd, void *buf, size_t size)
{
    return CHECKED(recv(fd, buf, size, MSG_DONTWAIT));
}

static ssize_t sys_send(B, int fd, const void *data, size_t size)
{
    return CHECKED(send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static ssize_t sys_sendv(B, int fd, const struct iovec *pieces, int count)
{
    struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)count };

    return CHECKED(sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static ssize_t sys_read(B, int fd, void *buf, size_t size)
{
    return CHECKED(read(fd, buf, size));
}

/* Takes the SIGPIPE that our write has caused from this thread's pending signals. */
static void swallow_sigpipe(const sigset_t *sigpipe)
{
    static const struct timespec at_once = { 0, 0 };

    while (sigtimedwait(sigpipe, NULL, &at_once) < 0 && errno == EINTR)
        ;
}

static ssize_t sys_writev(B, int fd, const struct iovec *pieces, int count)
{
    sigset_t sigpipe, before, pending;
    ssize_t n;

    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
    sigemptyset(&pending);
    sigpending(&pending);
    n = CHECKED(writev(fd, pieces, count));
    /* One that was pending before is the user's: they blocked it and wait for it. */
    if (n == -EPIPE && !sigismember(&pending, SIGPIPE))
        swallow_sigpipe(&sigpipe);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return n;
}

static int sys_get_flags(B, int fd)
{
    return CHECKED(fcntl(fd, F_GETFL));
}

static int sys_set_flags(B, int fd, int flags)
{
    return CHECKED(fcntl(fd, F_SETFL, flags));
}

static int sys_file_type(B, int fd)
{
    struct stat status;

    return fstat(fd, &status) < 0 ? -errno : (int)(status.st_mode & S_IFMT);
}

static int sys_getaddrinfo(B, const char *host, const char *service, const struct addrinfo *hints,
                           struct addrinfo **ret)
{
    return getaddrinfo(host, service, hints, ret);
}

static void sys_freeaddrinfo(B, struct addrinfo *list)
{
    if (list)
        freeaddrinfo(list);
}

const struct aw_sys aw_sys_linux = {
    .now = sys_now,
    .tick = sys_tick,
    .socket = sys_socket,
    .bind = sys_bind,
    .listen = sys_listen,
    .accept = sys_accept,
    .connect = sys_connect,
    .shutdown = sys_shutdown,
    .close = sys_close,
    .getsockname = sys_getsockname,
    .getpeername = sys_getpeername,
    .getsockopt = sys_getsockopt,
    .setsockopt = sys_setsockopt,
    .recv = sys_recv,
    .send = sys_send,
    .sendv = sys_sendv,
    .read = sys_read,
    .writev = sys_writev,
    .get_flags = sys_get_flags,
    .set_flags = sys_set_flags,
    .file_type = sys_file_type,
    .getaddrinfo = sys_getaddrinfo,
    .freeaddrinfo = sys_freeaddrinfo,
    .map = aw_sys_map,
    .unmap = aw_sys_unmap,
    .guard_install = aw_sys_guard_install,
    .guard_protect = aw_sys_guard_protect,
    .discard = aw_sys_discard,
};
