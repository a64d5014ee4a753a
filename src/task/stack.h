/* SPDX-License-Identifier: MIT */
/* Stacks: slabs of 64 with a guard below each, reused last in, first out. */
#ifndef AW_TASK_STACK_H
#define AW_TASK_STACK_H

#include "backend/backend.h"
#include "base/alloc.h"

struct aw_stack {
    void *low;            /* lowest usable byte, just above the guard */
    void *top;            /* where to begin: shifted by a colour, up to 1,920 bytes, so that the tops of many stacks
                           * do not share cache sets */
    struct aw_slab *slab; /* private */
    uint32_t index;       /* private */
};

struct aw_stack_pool;

#define AW_STACK_SIZE_DEFAULT (64 * 1024)
#define AW_STACK_SIZE_MIN (16 * 1024)
#define AW_STACK_SIZE_MAX (1024 * 1024 * 1024)

int aw_stack_pool_open(struct aw_backend *backend, const async_allocator *allocator, struct aw_stack_pool **ret_pool);
/* Takes the memory of all stacks, also of those that were not put back. NULL does nothing. */
void aw_stack_pool_close(struct aw_stack_pool *pool);
/* size is rounded up to pages. 0; -ENOMEM; -EINVAL out of range. */
int aw_stack_get(struct aw_stack_pool *pool, size_t size, struct aw_stack *ret_stack);
/* The stack must not be in use. */
void aw_stack_put(struct aw_stack_pool *pool, const struct aw_stack *stack);
/* "madvise", "mprotect", "canary": what new slabs of this pool get. The first is proven by the first slab only. */
const char *aw_stack_pool_guard(const struct aw_stack_pool *pool);
/* Canary strategy only: false when something was written into the page below `low`. */
bool aw_stack_is_intact(const struct aw_stack_pool *pool, const struct aw_stack *stack);
/* Is this address in the guard below a stack of the pool? Then *ret_low is that stack's low. Called from a signal
 * handler. */
bool aw_stack_pool_find_guard(const struct aw_stack_pool *pool, const void *address, void **ret_low);
/* Fills a stack that nothing lies on yet with a pattern / how many bytes below top have lost it since. */
void aw_stack_paint(const struct aw_stack *stack);
size_t aw_stack_used(const struct aw_stack *stack);

#endif
