/* SPDX-License-Identifier: MIT */
/* Design notes: the allocator that a case's loop gets. Each block carries a header and is on a list, so that a leak
 * can be named by its size and number; freed memory is overwritten, so that a use after free shows without a
 * sanitizer too. The library may ask from several threads: one lock, because tests need no speed here. */
#include "testing/harness.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC UINT64_C(0x6177616974206f6b)
#define OVERWRITTEN_MAX 4096

struct block {
    struct block *next, *prev;
    size_t size;
    long number;
    uint64_t magic;
    uint64_t reserved; /* keeps what follows aligned to 16 bytes */
};
_Static_assert(sizeof(struct block) % 16 == 0, "alignment of what follows");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block blocks = { .next = &blocks, .prev = &blocks };
static long allocations, live;
static long fail_after; /* 0 off, n: the n-th from now fails */
static bool fail_persistently;

/* Holds the lock. */
static bool should_fail(void)
{
    allocations++;
    if (fail_after == 0 || --fail_after > 0)
        return false;
    fail_after = fail_persistently ? 1 : 0;
    return true;
}

static void *block_alloc(void *ctx, size_t size)
{
    struct block *block = NULL;

    (void)ctx;
    pthread_mutex_lock(&lock);
    if (!should_fail() && size < SIZE_MAX - sizeof *block)
        block = malloc(sizeof *block + size);
    if (block) {
        *block =
            (struct block){ .next = &blocks, .prev = blocks.prev, .size = size, .number = allocations, .magic = MAGIC };
        block->prev->next = block->next->prev = block;
        live++;
    }
    pthread_mutex_unlock(&lock);
    return block ? block + 1 : NULL;
}

static struct block *block_of(void *memory)
{
    struct block *block = (struct block *)memory - 1;

    if (block->magic != MAGIC)
        aw_test_fail("allocator", "memory at %p is freed twice, was not allocated here, or its header was overwritten",
                     memory);
    return block;
}

static void block_free(void *ctx, void *memory)
{
    struct block *block;

    (void)ctx;
    if (!memory)
        return;
    pthread_mutex_lock(&lock);
    block = block_of(memory);
    block->prev->next = block->next;
    block->next->prev = block->prev;
    live--;
    pthread_mutex_unlock(&lock);
    block->magic = 0;
    memset(memory, 0xdd, block->size < OVERWRITTEN_MAX ? block->size : OVERWRITTEN_MAX);
    free(block);
}

/* Always moves: pointers into the old memory are mistakes, and shall show. */
static void *block_resize(void *ctx, void *memory, size_t size)
{
    void *moved = block_alloc(ctx, size);
    size_t old_size = memory ? block_of(memory)->size : 0;

    if (!moved)
        return NULL;
    if (memory) {
        memcpy(moved, memory, old_size < size ? old_size : size);
        block_free(ctx, memory);
    }
    return moved;
}

const async_allocator aw_test_allocator = { block_alloc, block_resize, block_free, NULL };

void async_test_fail_allocation(long n, int persistent)
{
    pthread_mutex_lock(&lock);
    fail_after = n;
    fail_persistently = persistent != 0;
    pthread_mutex_unlock(&lock);
}

static long read_locked(const long *number)
{
    long value;

    pthread_mutex_lock(&lock);
    value = *number;
    pthread_mutex_unlock(&lock);
    return value;
}

long async_test_allocations(void)
{
    return read_locked(&allocations);
}

long async_test_allocations_live(void)
{
    return read_locked(&live);
}

void aw_test_check_memory(void)
{
    char text[512] = "";
    size_t used = 0;

    async_test_fail_allocation(0, 0);
    if (live == 0)
        return;
    for (const struct block *block = blocks.next; block != &blocks && used < sizeof text - 64; block = block->next)
        used += (size_t)snprintf(text + used, sizeof text - used, "\n  allocation %ld, %zu bytes", block->number,
                                 block->size);
    aw_test_fail("memory", "%ld blocks of the loop's allocator were not freed:%s", live, text);
}
