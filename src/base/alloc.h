/* SPDX-License-Identifier: MIT */
/* Memory comes from here and from nowhere else: one table a loop, with a hook for users and, for tests,
 * a switch that makes the n-th request fail. */
#ifndef AW_BASE_ALLOC_H
#define AW_BASE_ALLOC_H

#include "base/base.h"

/* malloc, realloc, free. */
extern const async_allocator aw_allocator_default;

void *aw_alloc(const async_allocator *allocator, size_t size);
void *aw_alloc_zeroed(const async_allocator *allocator, size_t size);
void *aw_resize(const async_allocator *allocator, void *memory, size_t size);
void aw_free(const async_allocator *allocator, void *memory);
char *aw_strdup(const async_allocator *allocator, const char *text);

#endif
