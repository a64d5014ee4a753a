/* SPDX-License-Identifier: MIT */
/* Design notes: the begin of a new stack; the switch itself is inline, in switch.h, which says why. It saves what
 * the System V ABI says a callee keeps, and nothing else: mxcsr and the x87 control word would make 2 ns 5, and 38
 * when the sticky exception flags differ on the two sides.
 *
 * The object may say that it can do IBT; it must not say that it can do shadow stacks.
 */
#if defined __x86_64__ && defined __LP64__ && !defined AW_SWITCH_UCONTEXT

    .text

/* Where a new stack begins: on it are entry and its argument, rbp and the word that a walker takes for the return
 * address are zero. Undefined rip: here every unwinder ends. The nop keeps the return address of the call inside. */
    .globl aw_switch_start
    .hidden aw_switch_start
    .type aw_switch_start, @function
    .p2align 4
    .cfi_startproc
    .cfi_undefined rip
    .cfi_undefined rbp
    nop /* an unwinder that looks one byte before the start finds these notes, too */
aw_switch_start:
    endbr64
    popq %rax
    popq %rdi
    callq *%rax
    ud2
    .cfi_endproc
    .size aw_switch_start, . - aw_switch_start

#if defined __CET__ && (__CET__ & 1)
    .section .note.gnu.property, "a", @note
    .p2align 3
    .long 4          /* size of the name */
    .long 16         /* size of what follows it */
    .long 5          /* NT_GNU_PROPERTY_TYPE_0 */
    .asciz "GNU"
    .long 0xc0000002 /* GNU_PROPERTY_X86_FEATURE_1_AND */
    .long 4
    .long 1          /* IBT, without SHSTK */
    .long 0
#endif
#endif

    .section .note.GNU-stack, "", @progbits
