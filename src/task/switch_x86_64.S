/* SPDX-License-Identifier: MIT */
/* Design notes: saves what the System V ABI says a callee keeps, and nothing else: mxcsr and the x87 control
 * word would make 2 ns 5, and 38 when the sticky exception flags differ on the two sides.
 *
 * The end is pop + jmp, not ret: the processor predicts ret by its stack of calls, which knows nothing of our
 * switch, and would be wrong each time. The jump is notrack because the place after a call carries no
 * endbr64. So the object may say that it can do IBT; it must not say that it can do shadow stacks.
 *
 * A parked stack, upwards from its sp: r15 r14 r13 r12 rbx rbp, return address. switch.c builds the first one.
 */
#if defined __x86_64__ && defined __LP64__ && !defined AW_SWITCH_UCONTEXT

    .text

/* void aw_switch_stack(void **save_sp, void *to_sp) */
    .globl aw_switch_stack
    .hidden aw_switch_stack
    .type aw_switch_stack, @function
    .p2align 4
aw_switch_stack:
    .cfi_startproc
    endbr64
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r15, 0
    movq %rsp, (%rdi)
    movq %rsi, %rsp /* the other stack looks the same from here, so what was said of this one holds */
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbp
    popq %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register rip, rcx
    notrack jmpq *%rcx
    .cfi_endproc
    .size aw_switch_stack, . - aw_switch_stack

/* Where a new stack begins: r12 is entry, r13 its argument, rbp and the word that a walker takes for the return address
 * are zero. Undefined rip: here every unwinder ends. The nop keeps the return address of the call inside. */
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
    movq %r13, %rdi
    callq *%r12
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
