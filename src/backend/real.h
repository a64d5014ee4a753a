/* SPDX-License-Identifier: MIT */
/* What is real in every backend, the simulated one included: memory for stacks, threads. */
#ifndef AW_BACKEND_REAL_H
#define AW_BACKEND_REAL_H

#include "backend/backend.h"

void *aw_sys_map(struct aw_backend *b, size_t size);
void aw_sys_unmap(struct aw_backend *b, void *memory, size_t size);
int aw_sys_guard_install(struct aw_backend *b, void *memory, size_t size);
int aw_sys_guard_protect(struct aw_backend *b, void *memory, size_t size);
int aw_sys_discard(struct aw_backend *b, void *memory, size_t size);

/* How many threads the process has; -errno when the kernel does not tell. */
int aw_sys_count_threads(void);

#endif
