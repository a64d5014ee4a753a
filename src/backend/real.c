/* SPDX-License-Identifier: MIT */
/* Design notes: a simulated world simulates the outside; stacks and threads are real in every backend. So
 * these calls have a file of their own, and both tables point here. */
#include "backend/real.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Linux 6.13; older headers do not have it, older kernels answer EINVAL. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

void *aw_sys_map(struct aw_backend *b, size_t size)
{
    /* NORESERVE: most of a stack is never touched. STACK: no huge pages, which would make each touch 2 MiB. */
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);

    (void)b;
    return memory == MAP_FAILED ? NULL : memory;
}

void aw_sys_unmap(struct aw_backend *b, void *memory, size_t size)
{
    (void)b;
    munmap(memory, size);
}

int aw_sys_guard_install(struct aw_backend *b, void *memory, size_t size)
{
    (void)b;
    return madvise(memory, size, MADV_GUARD_INSTALL) < 0 ? -errno : 0;
}

int aw_sys_guard_protect(struct aw_backend *b, void *memory, size_t size)
{
    (void)b;
    return mprotect(memory, size, PROT_NONE) < 0 ? -errno : 0;
}

int aw_sys_discard(struct aw_backend *b, void *memory, size_t size)
{
    (void)b;
    return madvise(memory, size, MADV_DONTNEED) < 0 ? -errno : 0;
}

/* The 20th field of /proc/self/stat; the second one, a name in parentheses, may hold anything. */
static int parse_thread_count(const char *stat)
{
    const char *field = strrchr(stat, ')');
    long count;

    for (int i = 2; field && i < 20; i++) {
        field = strchr(field, ' ');
        field = field ? field + 1 : NULL;
    }
    count = field ? strtol(field, NULL, 10) : 0;
    return count > 0 ? (int)count : -EINVAL;
}

int aw_sys_count_threads(void)
{
    char stat[1024];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, stat, sizeof stat - 1);
    if (n < 0)
        n = -errno;
    close(fd);
    if (n < 0)
        return (int)n;
    stat[n] = '\0';
    /* TSan has a thread of its own, which posts nothing. */
    return parse_thread_count(stat) - AW_TSAN;
}
