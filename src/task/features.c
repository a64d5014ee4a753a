/* SPDX-License-Identifier: MIT */
/* Design notes: what was chosen at run time, as text for people and bug reports. Outside of a running loop one is
 * opened to look: the guard strategy is a matter of the kernel. */
#include "task/task.h"

#include <stdio.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *async_version(void)
{
    return TEXT(ASYNC_VERSION_MAJOR) "." TEXT(ASYNC_VERSION_MINOR) "." TEXT(ASYNC_VERSION_PATCH);
}

static const char *sanitizer(void)
{
    return AW_ASAN ? "address" : AW_TSAN ? "thread" : "none";
}

static size_t describe(async_loop *loop, char *buf, size_t size)
{
    struct aw_tasks *tasks = loop ? aw_loop_tasks(loop) : NULL;
    int length = snprintf(buf, size, "version=%s\nbackend=%s\nswitch=%s\nguard=%s\nsanitizer=%s\n", async_version(),
                          loop ? async_loop_backend(loop) : "none", aw_switch_kind,
                          tasks ? aw_stack_pool_guard(tasks->pool) : "unknown", sanitizer());

    return length > 0 ? (size_t)length : 0;
}

size_t async_features(char *buf, size_t size)
{
    async_loop *loop = aw_current_loop();
    size_t length;

    if (loop)
        return describe(loop, buf, size);
    loop = async_loop_new(NULL);
    length = describe(loop, buf, size);
    async_loop_close(loop);
    return length;
}
