/* SPDX-License-Identifier: MIT */
/* Design notes: thin on purpose. The hook is a plain table, so failure injection is just another
 * table (src/testing/fault.c) and costs nothing when it is not there. */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

static void *default_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void *default_resize(void *ctx, void *memory, size_t size)
{
    (void)ctx;
    return realloc(memory, size);
}

static void default_free(void *ctx, void *memory)
{
    (void)ctx;
    free(memory);
}

const async_allocator aw_allocator_default = { default_alloc, default_resize, default_free, NULL };

void *aw_alloc(const async_allocator *allocator, size_t size)
{
    return allocator->alloc(allocator->ctx, size);
}

void *aw_alloc_zeroed(const async_allocator *allocator, size_t size)
{
    void *memory = aw_alloc(allocator, size);

    return memory ? memset(memory, 0, size) : NULL;
}

void *aw_resize(const async_allocator *allocator, void *memory, size_t size)
{
    return allocator->resize(allocator->ctx, memory, size);
}

void aw_free(const async_allocator *allocator, void *memory)
{
    if (memory)
        allocator->free(allocator->ctx, memory);
}

char *aw_strdup(const async_allocator *allocator, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = aw_alloc(allocator, size);

    return copy ? memcpy(copy, text, size) : NULL;
}
