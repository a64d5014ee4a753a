/* SPDX-License-Identifier: MIT */
/* Design notes: descriptors are compared by number, before the case and after it, so that a leak can be named. */
#include "testing/harness.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_set(const struct aw_test_descriptors *set, int fd)
{
    return set->open[fd / 8] >> fd % 8 & 1;
}

void aw_test_descriptors_note(struct aw_test_descriptors *ret_descriptors)
{
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry;

    memset(ret_descriptors, 0, sizeof *ret_descriptors);
    if (!dir)
        return;
    while ((entry = readdir(dir))) {
        int fd = atoi(entry->d_name);

        if (entry->d_name[0] != '.' && fd != dirfd(dir) && fd >= 0 && fd < (int)sizeof ret_descriptors->open * 8)
            ret_descriptors->open[fd / 8] |= (unsigned char)(1 << fd % 8);
    }
    closedir(dir);
}

static void describe(int fd, char *buf, size_t size)
{
    char path[64];
    ssize_t n;

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    n = readlink(path, buf, size - 1);
    buf[n < 0 ? 0 : n] = '\0';
}

void aw_test_descriptors_check(const struct aw_test_descriptors *before)
{
    struct aw_test_descriptors after;
    char target[256];

    aw_test_descriptors_note(&after);
    for (int fd = 0; fd < (int)sizeof after.open * 8; fd++) {
        if (is_set(&after, fd) == is_set(before, fd))
            continue;
        describe(fd, target, sizeof target);
        if (is_set(before, fd))
            aw_test_fail("descriptors", "descriptor %d, which was not the case's, was closed", fd);
        aw_test_fail("descriptors", "descriptor %d (%s) was not closed", fd, target);
    }
}
