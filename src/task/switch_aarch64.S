/* SPDX-License-Identifier: MIT */
/* Design notes: x19-x30 and the lower halves of v8-v15, which is what AAPCS64 says a callee keeps. Not fpcr (tasks
 * share the rounding mode) and not x18, which belongs to the platform.
 *
 * The end is ret, unlike on x86-64: a br to the place after a call would be refused where branch targets are
 * guarded, and there is no notrack here.
 *
 * A parked stack, upwards from its sp: x19 ... x28, x29 (frame), x30 (return address), d8 ... d15: 160 bytes.
 * switch.c builds the first one.
 */
#if defined __aarch64__ && defined __LP64__ && !defined AW_SWITCH_UCONTEXT

#if defined __ARM_FEATURE_BTI_DEFAULT
#define TARGET hint #34 /* bti c */
#else
#define TARGET
#endif

    .text

/* void aw_switch_stack(void **save_sp, void *to_sp) */
    .globl aw_switch_stack
    .hidden aw_switch_stack
    .type aw_switch_stack, %function
    .p2align 4
aw_switch_stack:
    .cfi_startproc
    TARGET
    stp x19, x20, [sp, #-160]!
    .cfi_adjust_cfa_offset 160
    .cfi_rel_offset x19, 0
    .cfi_rel_offset x20, 8
    stp x21, x22, [sp, #16]
    .cfi_rel_offset x21, 16
    .cfi_rel_offset x22, 24
    stp x23, x24, [sp, #32]
    .cfi_rel_offset x23, 32
    .cfi_rel_offset x24, 40
    stp x25, x26, [sp, #48]
    .cfi_rel_offset x25, 48
    .cfi_rel_offset x26, 56
    stp x27, x28, [sp, #64]
    .cfi_rel_offset x27, 64
    .cfi_rel_offset x28, 72
    stp x29, x30, [sp, #80]
    .cfi_rel_offset x29, 80
    .cfi_rel_offset x30, 88
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1 /* the other stack looks the same from here, so what was said of this one holds */
    ldp d14, d15, [sp, #144]
    ldp d12, d13, [sp, #128]
    ldp d10, d11, [sp, #112]
    ldp d8, d9, [sp, #96]
    ldp x29, x30, [sp, #80]
    ldp x27, x28, [sp, #64]
    ldp x25, x26, [sp, #48]
    ldp x23, x24, [sp, #32]
    ldp x21, x22, [sp, #16]
    ldp x19, x20, [sp], #160
    .cfi_adjust_cfa_offset -160
    .cfi_restore x19
    .cfi_restore x20
    .cfi_restore x21
    .cfi_restore x22
    .cfi_restore x23
    .cfi_restore x24
    .cfi_restore x25
    .cfi_restore x26
    .cfi_restore x27
    .cfi_restore x28
    .cfi_restore x29
    .cfi_restore x30
    ret
    .cfi_endproc
    .size aw_switch_stack, . - aw_switch_stack

/* Where a new stack begins: x19 is entry, x20 its argument, x29 is zero. Undefined x30: here every unwinder ends. */
    .globl aw_switch_start
    .hidden aw_switch_start
    .type aw_switch_start, %function
    .p2align 4
    .cfi_startproc
    .cfi_undefined x30
    .cfi_undefined x29
    nop /* an unwinder that looks one instruction before the start finds these notes, too */
aw_switch_start:
    mov x30, xzr
    mov x0, x20
    blr x19
    brk #1
    .cfi_endproc
    .size aw_switch_start, . - aw_switch_start

#if defined __ARM_FEATURE_BTI_DEFAULT
    .section .note.gnu.property, "a", %note
    .p2align 3
    .long 4          /* size of the name */
    .long 16         /* size of what follows it */
    .long 5          /* NT_GNU_PROPERTY_TYPE_0 */
    .asciz "GNU"
    .long 0xc0000000 /* GNU_PROPERTY_AARCH64_FEATURE_1_AND */
    .long 4
    .long 1          /* BTI, without PAC and GCS */
    .long 0
#endif
#endif

    .section .note.GNU-stack, "", %progbits
