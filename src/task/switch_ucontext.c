/* SPDX-License-Identifier: MIT */
/* Design notes: the switch for machines without an assembly one. A parked stack holds its own ucontext_t, and its "sp"
 * is the address of that: so nothing is allocated and nothing above knows the difference, but for the time:
 * swapcontext asks the kernel twice for the signal mask, which thereby becomes a context's own. */
#include "task/switch.h"

#ifdef AW_SWITCH_UCONTEXT

#include <ucontext.h>

/* makecontext passes ints only. */
struct start {
    void (*entry)(void *arg);
    void *arg;
    ucontext_t context;
};

static void begin(unsigned high, unsigned low)
{
    struct start *start = (struct start *)(((uintptr_t)high << 16 << 16) | low);

    start->entry(start->arg);
    __builtin_trap();
}

void aw_switch_stack(void **save_sp, void *to_sp)
{
    ucontext_t self;

    *save_sp = &self;
    (void)swapcontext(&self, to_sp); /* fails only for lack of a stack on machines that have no assembly */
}

void *aw_switch_prepare(void *low, void *top, void (*entry)(void *arg), void *arg)
{
    uintptr_t place = ((uintptr_t)top - sizeof(struct start)) & ~(uintptr_t)63;
    struct start *start = (struct start *)place;

    start->entry = entry;
    start->arg = arg;
    (void)getcontext(&start->context);
    start->context.uc_stack.ss_sp = low;
    start->context.uc_stack.ss_size = place - (uintptr_t)low;
    start->context.uc_link = NULL;
    makecontext(&start->context, (void (*)(void))begin, 2, (unsigned)(place >> 16 >> 16), (unsigned)place);
    return &start->context;
}

#else
typedef int nothing_here; /* an empty unit is not C */
#endif
