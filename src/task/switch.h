/* SPDX-License-Identifier: MIT */
/* Switching between stacks, and telling ASan, TSan and Valgrind of it. */
#ifndef AW_TASK_SWITCH_H
#define AW_TASK_SWITCH_H

#include "base/base.h"

#if AW_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* The fallback on other machines; a build may ask for it anywhere with -DAW_SWITCH_UCONTEXT. */
#if !defined AW_SWITCH_UCONTEXT && !(defined __LP64__ && (defined __x86_64__ || defined __aarch64__))
#define AW_SWITCH_UCONTEXT 1
#endif

struct aw_context {
    void *sp;               /* while it is parked */
    void **exceptions_here; /* the thread's C++ exception state; NULL without a C++ library, or not known yet */
    void *exceptions[2];    /* this context's own, while it is parked: caught ones, number of uncaught ones */
#if AW_ASAN
    void *fake_stack;
    const void *low; /* bounds: known for tasks, learned at the first switch for a thread */
    size_t size;
    struct aw_context *previous; /* who switched to this one */
#endif
#if AW_TSAN
    void *fiber;
#endif
    unsigned valgrind_id;
    bool has_stack; /* was given one; false for a thread's own context */
};

/* How this build switches: "x86_64", "aarch64", "ucontext". */
extern const char *const aw_switch_kind;

/* A context for the calling thread itself, to switch away from and back to. */
void aw_context_init_thread(struct aw_context *context);
/* A context that runs entry(arg) on [low, top) at its first switch. entry must not return: it ends with
 * aw_context_exit(). The first switch to it must come from a context of the thread that is to run it. 0. */
int aw_context_init(struct aw_context *context, void *low, void *top, void (*entry)(void *arg), void *arg);
/* After the stack's last use, from another stack; also for a context that has never run, and for a thread's. */
void aw_context_fini(struct aw_context *context);
/* The last switch of a context. */
void aw_context_exit(struct aw_context *from, struct aw_context *to) __attribute__((noreturn));

/* ---- the switch ---- */

/* Parks the caller on its stack, stores where in *save_sp, and goes on at to_sp. Keeps what the ABI says a call
 * keeps; not mxcsr and the x87 control word: tasks share the rounding mode. */
#if defined __x86_64__ && !defined AW_SWITCH_UCONTEXT
/* In the caller's own code: a call would leave an entry on the processor's stack of return addresses that no ret takes,
 * and each ret after the switch would be predicted wrongly. Two tasks that switch in the same place have the same
 * returns ahead, and all are right (yield among 1,000 tasks: 15 ns; with a call and a jump 35, with a call and ret 20:
 * bench/yield).
 *
 * All registers are clobbered, so the compiler saves those that live; rbp it cannot be told of. A parked stack,
 * upwards from its sp: rbp, where to go on. The 128 bytes are the red zone. The jump is notrack because the place that
 * it goes to carries no endbr64. */
static inline __attribute__((always_inline)) void aw_switch_stack(void **save_sp, void *to_sp)
{
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "pushq %%rbp\n\t"
                     "movq %%rsp, (%%rdi)\n\t"
                     "movq %%rsi, %%rsp\n\t"
                     "popq %%rbp\n\t"
                     "popq %%rax\n\t"
                     "notrack jmpq *%%rax\n"
                     "1:\n\t"
                     "leaq 128(%%rsp), %%rsp\n\t"
                     : "+D"(save_sp), "+S"(to_sp)
                     :
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc",
                       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                       "xmm12", "xmm13", "xmm14", "xmm15");
}
#else
__attribute__((visibility("hidden"))) void aw_switch_stack(void **save_sp, void *to_sp);
#endif
/* The sp of a new stack that begins with entry(arg). */
__attribute__((visibility("hidden"))) void *aw_switch_prepare(void *low, void *top, void (*entry)(void *arg),
                                                              void *arg);
__attribute__((visibility("hidden"))) void aw_context_swap_exceptions(struct aw_context *from, struct aw_context *to);

/* What tools must hear before and after. In TSan's case inlined always: a call between would be entered on one stack
 * and left on another, and TSan counts. */
#if AW_ASAN
void aw_context_leaving(struct aw_context *from, struct aw_context *to, bool for_ever);
void aw_context_arrived(struct aw_context *self);
#else
static inline __attribute__((always_inline)) void aw_context_leaving(struct aw_context *from, struct aw_context *to,
                                                                     bool for_ever)
{
    (void)from;
    (void)to;
    (void)for_ever;
#if AW_TSAN
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
}

static inline __attribute__((always_inline)) void aw_context_arrived(struct aw_context *self)
{
    (void)self;
}
#endif

/* Must be the first call in entry(). */
static inline void aw_context_entered(struct aw_context *self)
{
    aw_context_arrived(self);
}

/* Returns when somebody switches back to `from`. */
static inline __attribute__((always_inline)) void aw_context_switch(struct aw_context *from, struct aw_context *to)
{
    if (AW_UNLIKELY(from->exceptions_here != NULL))
        aw_context_swap_exceptions(from, to);
    aw_context_leaving(from, to, /* for_ever= */ false);
    aw_switch_stack(&from->sp, to->sp);
    aw_context_arrived(from);
}

#endif
