/* SPDX-License-Identifier: MIT */
/* Design notes: what surrounds the switch. In a normal build aw_context_switch() is one test and the call of the
 * assembly, in the caller; everything here is for the ends of a context's life and for tools.
 *
 * ASan keeps the bounds of the current stack and a "fake stack" for use-after-return: both are told of each switch.
 * LSan hears of the thread's stack here, and of tasks' in stack.c, where the whole stack is known; it does not look
 * into fake stacks that are not in use, so a leak report of a process that ends beside parked tasks needs
 * detect_stack_use_after_return=0. TSan sees a fiber for each context; switches order memory, as tasks of one thread do
 * not run beside each other. Valgrind is told of the stack once, so that a moved sp is not an enormous frame; outside
 * of it the request is a few rotations.
 *
 * C++ keeps the exceptions being handled in 16 bytes a thread. A task that awaits inside a catch block would mix them
 * with those of others, so they travel with the context. The C++ library is found by a weak symbol when a
 * thread's context is made; the pointer is handed on from context to context, and is NULL in C programs: one test of a
 * line that the switch writes anyway.
 */
#include "task/switch.h"

#if defined __has_include
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef VALGRIND_STACK_REGISTER
#define VALGRIND_STACK_REGISTER(low, top) ((void)(low), (void)(top), 0U)
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#endif

#if AW_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif

#if defined AW_SWITCH_UCONTEXT
const char *const aw_switch_kind = "ucontext";
#elif defined __x86_64__
const char *const aw_switch_kind = "x86_64";
#else
const char *const aw_switch_kind = "aarch64";
#endif

/* ---- the first frame ---- */

#ifndef AW_SWITCH_UCONTEXT

extern char aw_switch_start[] __attribute__((visibility("hidden")));

#ifdef __x86_64__
enum { WORDS = 4, ENTRY = 2, ARG = 3, RETURN = 1 }; /* rbp, where to go on, and what aw_switch_start takes */
#else
enum { WORDS = 20, ENTRY = 0, ARG = 1, RETURN = 11 }; /* x19 ... x30, d8 ... d15 */
#endif

void *aw_switch_prepare(void *low, void *top, void (*entry)(void *arg), void *arg)
{
    uintptr_t *bottom = (uintptr_t *)((uintptr_t)top & ~(uintptr_t)15) - 2;
    uintptr_t *frame = bottom - WORDS;

    (void)low;
    /* zeros where a walker of frame pointers looks for the caller */
    bottom[0] = bottom[1] = 0;
    for (int i = 0; i < WORDS; i++)
        frame[i] = 0;
    frame[ENTRY] = (uintptr_t)entry;
    frame[ARG] = (uintptr_t)arg;
    frame[RETURN] = (uintptr_t)aw_switch_start;
    return frame;
}

#endif

/* ---- C++ exceptions ---- */

extern void *__cxa_get_globals(void) __attribute__((weak));

void aw_context_swap_exceptions(struct aw_context *from, struct aw_context *to)
{
    void **here = from->exceptions_here;

    from->exceptions[0] = here[0];
    from->exceptions[1] = here[1];
    here[0] = to->exceptions[0];
    here[1] = to->exceptions[1];
    to->exceptions_here = here;
}

/* ---- tools ---- */

#if AW_ASAN

static void tool_init(struct aw_context *context, void *low, void *top)
{
    context->low = low;
    context->size = (size_t)((char *)top - (char *)low);
    __asan_unpoison_memory_region(low, context->size); /* what abandoned frames of an earlier task left */
}

static void tool_fini(struct aw_context *context)
{
    if (!context->has_stack && context->low)
        __lsan_unregister_root_region(context->low, context->size);
}

void aw_context_leaving(struct aw_context *from, struct aw_context *to, bool for_ever)
{
    to->previous = from;
    /* without a place for the fake stack it is freed */
    __sanitizer_start_switch_fiber(for_ever ? NULL : &from->fake_stack, to->low, to->size);
}

void aw_context_arrived(struct aw_context *self)
{
    const void *low;
    size_t size;

    __sanitizer_finish_switch_fiber(self->fake_stack, &low, &size);
    if (self->previous->low == NULL) {
        self->previous->low = low;
        self->previous->size = size;
        __lsan_register_root_region(low, size); /* a thread's own stack, which is not the running one now */
    }
}

#elif AW_TSAN

static void tool_init(struct aw_context *context, void *low, void *top)
{
    (void)low;
    (void)top;
    context->fiber = __tsan_create_fiber(0);
}

static void tool_fini(struct aw_context *context)
{
    if (context->has_stack) /* the thread's own fiber is TSan's */
        __tsan_destroy_fiber(context->fiber);
}

#else

static void tool_init(struct aw_context *context, void *low, void *top)
{
    (void)context;
    (void)low;
    (void)top;
}

static void tool_fini(struct aw_context *context)
{
    (void)context;
}

#endif

/* ---- a context's life ---- */

void aw_context_init_thread(struct aw_context *context)
{
    *context = (struct aw_context){ 0 };
    if (__cxa_get_globals)
        context->exceptions_here = __cxa_get_globals();
#if AW_TSAN
    context->fiber = __tsan_get_current_fiber();
#endif
}

int aw_context_init(struct aw_context *context, void *low, void *top, void (*entry)(void *arg), void *arg)
{
    *context = (struct aw_context){ 0 };
    tool_init(context, low, top); /* first: it makes the memory writable for ASan */
    context->sp = aw_switch_prepare(low, top, entry, arg);
    context->has_stack = true;
    context->valgrind_id = VALGRIND_STACK_REGISTER(low, top);
    return 0;
}

void aw_context_fini(struct aw_context *context)
{
    if (context->has_stack)
        VALGRIND_STACK_DEREGISTER(context->valgrind_id);
    tool_fini(context);
}

void aw_context_exit(struct aw_context *from, struct aw_context *to)
{
    if (from->exceptions_here)
        aw_context_swap_exceptions(from, to);
    aw_context_leaving(from, to, /* for_ever= */ true);
    aw_switch_stack(&from->sp, to->sp);
    __builtin_trap();
}
