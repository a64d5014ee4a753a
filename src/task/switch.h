/* SPDX-License-Identifier: MIT */
/* Switching between stacks, and telling ASan, TSan and Valgrind of it. */
#ifndef AW_TASK_SWITCH_H
#define AW_TASK_SWITCH_H

#include "base/base.h"

struct aw_context {
    void *sp; /* first: the assembly reads and writes it */
#if AW_ASAN
    void *fake_stack;
    const void *low; /* bounds: known for tasks, learned at the first switch for a thread */
    size_t size;
#endif
#if AW_TSAN
    void *fiber;
#endif
    unsigned valgrind_id;
};

/* How this build switches: "x86_64", "aarch64", "ucontext". */
extern const char *const aw_switch_kind;

/* A context for the calling thread itself, to switch away from and back to. */
void aw_context_init_thread(struct aw_context *context);
/* A context that runs entry(arg) on [low, top) at its first switch. entry must not return: it ends with
 * aw_context_exit(). -ENOMEM is possible with ucontext only. */
int aw_context_init(struct aw_context *context, void *low, void *top, void (*entry)(void *arg), void *arg);
/* After the stack's last use, from another stack. */
void aw_context_fini(struct aw_context *context);
/* Must be the first call in entry(). */
void aw_context_entered(struct aw_context *self);
void aw_context_switch(struct aw_context *from, struct aw_context *to);
/* The last switch of a context. */
void aw_context_exit(struct aw_context *from, struct aw_context *to) __attribute__((noreturn));

#endif
