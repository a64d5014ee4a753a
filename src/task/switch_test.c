/* SPDX-License-Identifier: MIT */
/* Design notes: built three times: with this machine's assembly, with -DAW_SWITCH_UCONTEXT, and for aarch64
 * (test/aarch64/run.sh, where a main() of its own stands in for the harness). */
#include "task/switch.h"

#include <await/testing.h>
#include <execinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#if defined __has_include
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND 0
#endif

#if AW_TSAN
#define MANY 500 /* TSan has room for about 8,000 */
#define SMALL_STACK (64 * 1024)
#elif AW_ASAN
#define MANY 10000
#define SMALL_STACK (16 * 1024)
#elif defined AW_SWITCH_UCONTEXT
#define MANY 20000
#define SMALL_STACK (16 * 1024)
#else
#define MANY 100000
#define SMALL_STACK (2 * 1024)
#endif
#define STACK (256 * 1024)

/* The C++ library's place for exceptions, as far as the switch knows it. */
void *__cxa_get_globals(void);
static void *exceptions_of_thread[2];

void *__cxa_get_globals(void)
{
    return exceptions_of_thread;
}

static struct aw_context thread_context;

static char *map_stack(size_t size)
{
    char *low = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    ASYNC_CHECK(low != MAP_FAILED);
    return low;
}

struct fiber {
    struct aw_context context;
    char *low;
    void (*body)(struct fiber *fiber);
    struct aw_context *back; /* where its last switch goes */
    long value;
    int steps;
};

static void fiber_main(void *arg)
{
    struct fiber *fiber = arg;

    aw_context_entered(&fiber->context);
    fiber->body(fiber);
    aw_context_exit(&fiber->context, fiber->back);
}

static void fiber_open(struct fiber *fiber, void (*body)(struct fiber *fiber))
{
    memset(fiber, 0, sizeof *fiber);
    fiber->low = map_stack(STACK);
    fiber->body = body;
    fiber->back = &thread_context;
    ASYNC_CHECK_EQ(aw_context_init(&fiber->context, fiber->low, fiber->low + STACK, fiber_main, fiber), 0);
}

static void fiber_close(struct fiber *fiber)
{
    aw_context_fini(&fiber->context);
    munmap(fiber->low, STACK);
}

static void resume(struct fiber *fiber)
{
    aw_context_switch(&thread_context, &fiber->context);
}

static void park(struct fiber *fiber)
{
    aw_context_switch(&fiber->context, fiber->back);
}

/* ---- beginning and end ---- */

static void note_frame(struct fiber *fiber)
{
    char *frame = __builtin_frame_address(0);

    fiber->value = frame >= fiber->low && frame < fiber->low + STACK;
    fiber->steps++;
}

ASYNC_TEST_PLAIN(entry_runs_on_its_own_stack_with_its_argument)
{
    struct fiber fiber;

    aw_context_init_thread(&thread_context);
    fiber_open(&fiber, note_frame);
    ASYNC_CHECK_EQ(fiber.steps, 0);
    resume(&fiber);
    ASYNC_CHECK_EQ(fiber.steps, 1);
    ASYNC_CHECK_EQ(fiber.value, 1);
    fiber_close(&fiber);
    aw_context_fini(&thread_context);
}

static void note_alignment(struct fiber *fiber)
{
    _Alignas(16) char block[64];
    volatile double number = 1.5;

    fiber->value = (long)((uintptr_t)block % 16);
    if (number * 2 != 3)
        fiber->value = -1;
    /* compilers may use aligned stores for this: they trap when the frame is not where the ABI says */
    memset(block, fiber->steps, sizeof block);
    __asm__ volatile("" : : "r"(block) : "memory");
    park(fiber);
    fiber->value += (long)((uintptr_t)__builtin_frame_address(0) % 16);
}

ASYNC_TEST_PLAIN(frames_are_aligned_as_the_abi_says_whatever_top_is)
{
    for (size_t shift = 0; shift < 64; shift += 8) {
        struct fiber fiber;

        aw_context_init_thread(&thread_context);
        fiber_open(&fiber, note_alignment);
        aw_context_fini(&fiber.context);
        aw_context_init(&fiber.context, fiber.low, fiber.low + STACK - shift, fiber_main, &fiber);
        resume(&fiber);
        resume(&fiber);
        ASYNC_CHECK_EQ(fiber.value, 0);
        fiber_close(&fiber);
    }
}

ASYNC_TEST_PLAIN(a_context_that_never_ran_can_be_given_back)
{
    struct fiber fiber;

    fiber_open(&fiber, note_frame);
    fiber_close(&fiber);
    ASYNC_CHECK_EQ(fiber.steps, 0);
}

ASYNC_TEST_PLAIN(a_stack_can_be_used_again_after_exit)
{
    struct fiber fiber;

    aw_context_init_thread(&thread_context);
    fiber_open(&fiber, note_frame);
    for (int i = 0; i < 100; i++) {
        resume(&fiber);
        ASYNC_CHECK_EQ(fiber.steps, i + 1);
        aw_context_fini(&fiber.context);
        aw_context_init(&fiber.context, fiber.low, fiber.low + STACK, fiber_main, &fiber);
    }
    fiber_close(&fiber);
}

static void exit_to_other(struct fiber *fiber)
{
    fiber->steps++;
}

ASYNC_TEST_PLAIN(exit_goes_to_the_context_that_is_named)
{
    struct fiber first, second;

    aw_context_init_thread(&thread_context);
    fiber_open(&first, exit_to_other);
    fiber_open(&second, exit_to_other);
    first.back = &second.context;
    resume(&first);
    ASYNC_CHECK_EQ(first.steps, 1);
    ASYNC_CHECK_EQ(second.steps, 1);
    fiber_close(&first);
    fiber_close(&second);
}

/* ---- what a switch keeps ---- */

#if defined __x86_64__ && !defined AW_SWITCH_UCONTEXT && !AW_ASAN && !AW_TSAN
#define REGISTERS 6

/* The switch is inline: as a function it must keep what functions keep. */
__attribute__((noinline, used)) static void switch_called(void **save, void *to)
{
    aw_switch_stack(save, to);
}

/* Loads the callee-saved registers with seed + i, switches, and stores what is in them afterwards. */
static void switch_with_registers(void **save, void *to, uint64_t seed, uint64_t *ret_values)
{
    uint64_t block[3] = { (uint64_t)save, (uint64_t)to, (uint64_t)ret_values };

    __asm__ volatile("subq $128, %%rsp\n\t" /* the red zone */
                     "pushq %%rbp\n\t"
                     "pushq %%rax\n\t" /* alignment is no matter: nothing here needs it */
                     "movq 0(%%rax), %%rdi\n\t"
                     "movq 8(%%rax), %%rsi\n\t"
                     "leaq 0(%%rdx), %%rbx\n\t"
                     "leaq 1(%%rdx), %%rbp\n\t"
                     "leaq 2(%%rdx), %%r12\n\t"
                     "leaq 3(%%rdx), %%r13\n\t"
                     "leaq 4(%%rdx), %%r14\n\t"
                     "leaq 5(%%rdx), %%r15\n\t"
                     "call %P[called]\n\t"
                     "popq %%rax\n\t"
                     "movq 16(%%rax), %%rdx\n\t"
                     "movq %%rbx, 0(%%rdx)\n\t"
                     "movq %%rbp, 8(%%rdx)\n\t"
                     "movq %%r12, 16(%%rdx)\n\t"
                     "movq %%r13, 24(%%rdx)\n\t"
                     "movq %%r14, 32(%%rdx)\n\t"
                     "movq %%r15, 40(%%rdx)\n\t"
                     "popq %%rbp\n\t"
                     "addq $128, %%rsp\n\t"
                     : "+d"(seed)
                     : "a"(block), [called] "i"(switch_called)
                     : "rbx", "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory",
                       "cc");
}

#elif defined __aarch64__ && !defined AW_SWITCH_UCONTEXT
#define REGISTERS 19

static void switch_with_registers(void **save, void *to, uint64_t seed, uint64_t *ret_values)
{
    register void *x0 __asm__("x0") = save;
    register void *x1 __asm__("x1") = to;
    register uint64_t x2 __asm__("x2") = seed;
    register uint64_t *x3 __asm__("x3") = ret_values;

    __asm__ volatile("stp x29, x3, [sp, #-16]!\n\t"
                     "add x19, x2, #0\n\tadd x20, x2, #1\n\tadd x21, x2, #2\n\tadd x22, x2, #3\n\t"
                     "add x23, x2, #4\n\tadd x24, x2, #5\n\tadd x25, x2, #6\n\tadd x26, x2, #7\n\t"
                     "add x27, x2, #8\n\tadd x28, x2, #9\n\tadd x29, x2, #10\n\t"
                     "add x9, x2, #11\n\tfmov d8, x9\n\tadd x9, x2, #12\n\tfmov d9, x9\n\t"
                     "add x9, x2, #13\n\tfmov d10, x9\n\tadd x9, x2, #14\n\tfmov d11, x9\n\t"
                     "add x9, x2, #15\n\tfmov d12, x9\n\tadd x9, x2, #16\n\tfmov d13, x9\n\t"
                     "add x9, x2, #17\n\tfmov d14, x9\n\tadd x9, x2, #18\n\tfmov d15, x9\n\t"
                     "bl aw_switch_stack\n\t"
                     "mov x9, x29\n\t"
                     "ldp x29, x3, [sp], #16\n\t"
                     "stp x19, x20, [x3]\n\tstp x21, x22, [x3, #16]\n\tstp x23, x24, [x3, #32]\n\t"
                     "stp x25, x26, [x3, #48]\n\tstp x27, x28, [x3, #64]\n\tstr x9, [x3, #80]\n\t"
                     "str d8, [x3, #88]\n\tstr d9, [x3, #96]\n\tstr d10, [x3, #104]\n\tstr d11, [x3, #112]\n\t"
                     "str d12, [x3, #120]\n\tstr d13, [x3, #128]\n\tstr d14, [x3, #136]\n\tstr d15, [x3, #144]\n\t"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                     :
                     : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17",
                       "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", "v8", "v9", "v10",
                       "v11", "v12", "v13", "v14", "v15", "memory", "cc");
}
#endif

#ifdef REGISTERS
static void check_registers(const uint64_t *values, uint64_t seed)
{
    for (uint64_t i = 0; i < REGISTERS; i++)
        ASYNC_CHECK_EQ(values[i], seed + i);
}

static void dirty_registers(struct fiber *fiber)
{
    uint64_t values[REGISTERS];

    switch_with_registers(&fiber->context.sp, thread_context.sp, 5000, values);
    check_registers(values, 5000);
    fiber->steps = 1;
}

ASYNC_TEST_PLAIN(callee_saved_registers_survive_in_both_directions)
{
    uint64_t values[REGISTERS];
    struct fiber fiber;

    aw_context_init_thread(&thread_context);
    fiber_open(&fiber, dirty_registers);
    switch_with_registers(&thread_context.sp, fiber.context.sp, 1000, values);
    check_registers(values, 1000);
    switch_with_registers(&thread_context.sp, fiber.context.sp, 2000, values);
    check_registers(values, 2000);
    ASYNC_CHECK_EQ(fiber.steps, 1);
    fiber_close(&fiber);
}
#endif

static void compute(struct fiber *fiber)
{
    double x = fiber->value, y = x / 3, z = y * 7;
    long a = fiber->value, b = a * 3, c = b ^ 5, d = c + a;

    for (int i = 0; i < 50; i++) {
        park(fiber);
        a += b, b ^= c, c += d, d -= a;
        x += y, y *= 0.5, z += x;
    }
    fiber->value = a + b + c + d + (long)(x * 1000) + (long)(z * 1000);
}

ASYNC_TEST_PLAIN(locals_survive_whatever_others_do)
{
    struct fiber alone, together[8];

    aw_context_init_thread(&thread_context);
    for (int i = 0; i < 8; i++) {
        fiber_open(&together[i], compute);
        together[i].value = i;
    }
    for (int step = 0; step < 51; step++)
        for (int i = 0; i < 8; i++)
            resume(&together[i]);
    for (int i = 0; i < 8; i++) {
        fiber_open(&alone, compute);
        alone.value = i;
        for (int step = 0; step < 51; step++)
            resume(&alone);
        ASYNC_CHECK_EQ(together[i].value, alone.value);
        fiber_close(&alone);
        fiber_close(&together[i]);
    }
}

static void use_exceptions(struct fiber *fiber)
{
    fiber->steps = exceptions_of_thread[0] == NULL && exceptions_of_thread[1] == NULL;
    exceptions_of_thread[0] = fiber;
    exceptions_of_thread[1] = &fiber->value;
    park(fiber);
    fiber->value = exceptions_of_thread[0] == fiber && exceptions_of_thread[1] == &fiber->value;
    exceptions_of_thread[0] = exceptions_of_thread[1] = NULL;
}

ASYNC_TEST_PLAIN(exceptions_being_handled_travel_with_their_context)
{
    struct fiber first, second;
    int mine;

    aw_context_init_thread(&thread_context);
    fiber_open(&first, use_exceptions);
    fiber_open(&second, use_exceptions);
    second.back = &first.context; /* from fiber to fiber, without the thread's context between */
    exceptions_of_thread[0] = &mine;
    resume(&first);
    ASYNC_CHECK(exceptions_of_thread[0] == &mine);
    resume(&second);
    ASYNC_CHECK(exceptions_of_thread[0] == &mine); /* second parked, first ended */
    second.back = &thread_context;
    resume(&second);
    ASYNC_CHECK(exceptions_of_thread[0] == &mine);
    ASYNC_CHECK_EQ(first.steps, 1);
    ASYNC_CHECK_EQ(second.steps, 1);
    ASYNC_CHECK_EQ(first.value, 1);
    ASYNC_CHECK_EQ(second.value, 1);
    fiber_close(&first);
    fiber_close(&second);
}

/* ---- depth and number ---- */

static __attribute__((noinline)) long descend(struct fiber *fiber, long depth)
{
    volatile char frame[64];

    frame[0] = (char)depth;
    if (depth == 0) {
        park(fiber);
        return 0;
    }
    return descend(fiber, depth - 1) + (frame[0] == (char)depth);
}

static void descend_deep(struct fiber *fiber)
{
    fiber->value = descend(fiber, 500);
}

ASYNC_TEST_PLAIN(a_deep_recursion_is_parked_and_resumed)
{
    struct fiber fiber;

    aw_context_init_thread(&thread_context);
    fiber_open(&fiber, descend_deep);
    resume(&fiber);
    ASYNC_CHECK_EQ(fiber.value, 0);
    resume(&fiber);
    ASYNC_CHECK_EQ(fiber.value, 500);
    fiber_close(&fiber);
}

struct small {
    struct aw_context context;
    struct small *next; /* NULL: back to the thread */
    int steps;
};

static void go_on(struct small *small)
{
    small->steps++;
    aw_context_switch(&small->context, small->next ? &small->next->context : &thread_context);
}

static void small_main(void *arg)
{
    struct small *small = arg;

    aw_context_entered(&small->context);
    go_on(small);
    go_on(small);
    small->steps++;
    aw_context_exit(&small->context, small->next ? &small->next->context : &thread_context);
}

ASYNC_TEST_PLAIN(very_many_contexts_hand_on_to_one_another)
{
    size_t count = RUNNING_ON_VALGRIND ? 500 : MANY; /* it goes through the list of all stacks at each switch */
    char *stacks = map_stack(count * SMALL_STACK);
    struct small *all = calloc(count, sizeof *all);

    ASYNC_CHECK(all != NULL);
    aw_context_init_thread(&thread_context);
    for (size_t i = 0; i < count; i++) {
        char *low = stacks + i * SMALL_STACK;

        aw_context_init(&all[i].context, low, low + SMALL_STACK, small_main, &all[i]);
        all[i].next = i + 1 < count ? &all[i + 1] : NULL;
    }
    for (int round = 0; round < 3; round++)
        aw_context_switch(&thread_context, &all[0].context);
    for (size_t i = 0; i < count; i++) {
        ASYNC_CHECK_EQ(all[i].steps, 3);
        aw_context_fini(&all[i].context);
    }
    free(all);
    munmap(stacks, count * SMALL_STACK);
}

/* ---- what others see ---- */

static void take_backtrace(struct fiber *fiber)
{
    void *frames[64];

    fiber->value = backtrace(frames, 64);
}

ASYNC_TEST_PLAIN(a_backtrace_ends_at_the_bottom_of_the_stack)
{
    struct fiber fiber;
    void *warm_up[4];

    (void)backtrace(warm_up, 4); /* it loads a library at its first use */
    aw_context_init_thread(&thread_context);
    fiber_open(&fiber, take_backtrace);
    resume(&fiber);
    ASYNC_CHECK(fiber.value >= 2);
    ASYNC_CHECK(fiber.value <= 8);
    fiber_close(&fiber);
}

ASYNC_TEST_PLAIN(the_kind_of_switch_has_a_name)
{
#if defined AW_SWITCH_UCONTEXT
    ASYNC_CHECK_STR(aw_switch_kind, "ucontext");
#elif defined __x86_64__
    ASYNC_CHECK_STR(aw_switch_kind, "x86_64");
#else
    ASYNC_CHECK_STR(aw_switch_kind, "aarch64");
#endif
}
