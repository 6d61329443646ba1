/* SPDX-License-Identifier: MIT */
/*
 * Code that touches a window with a known value in every register, and what it found in them
 * afterwards.
 */
#ifndef EXO_SELFTESTS_UPCALL_H
#define EXO_SELFTESTS_UPCALL_H

#include <linux/types.h>

#define RED_ZONE 128u
#define VECTORS 16u

/* Loaded before the touch, and stored after it. Its layout is known to the assembly. */
struct registers {
	__u64 general[14]; /* rax rbx rcx rdx rsi rdi rbp r8 to r14 */
	__u64 flags;
	__u64 sp;
	__u64 red_zone[RED_ZONE / 8];
	__u64 vector[VECTORS][4]; /* ymm */
};

/*
 * Loads @in, writes to @at, stores @out. On the stack that ends at @stack, unless that is NULL. The
 * vector registers only if @vectors.
 */
void touch_with_registers(const struct registers *in, struct registers *out, void *at, void *stack,
			  __u64 vectors);

/* The instruction of it that touches. */
extern const char touch_with_registers_here[];

#define IN(offset) #offset "(%r15)"
#define ZONE(i) "movq (15 + 1 + " #i ")*8(%r15), %r13\n movq %r13, -(" #i " + 1)*8(%rsp)\n"
#define ZONE_OUT(i) "movq -(" #i " + 1)*8(%rsp), %r13\n movq %r13, (15 + 1 + " #i ")*8(%r15)\n"
#define ALL_16(x) \
	x(0) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8) x(9) x(10) x(11) x(12) x(13) x(14) x(15)
#define VECTOR(i) "vmovdqu (256 + 32 * " #i ")(%r15), %ymm" #i "\n"
#define VECTOR_OUT(i) "vmovdqu %ymm" #i ", (256 + 32 * " #i ")(%r15)\n"

/* rdi in, rsi out, rdx at, rcx stack, r8 vectors. r15 is the struct; r14, at, is not compared. */
__asm__(".text\n"
	".globl touch_with_registers\n"
	".globl touch_with_registers_here\n"
	"touch_with_registers:\n"
	"push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
	"mov %rsp, %rax\n"
	"test %rcx, %rcx\n"
	"cmovnz %rcx, %rsp\n"
	"push %rax\n push %rsi\n push %r8\n"
	"mov %rdi, %r15\n"
	"mov %rdx, %r14\n"
	"test %r8, %r8\n"
	"jz 1f\n" ALL_16(
		VECTOR) "1:\n"
			"pushq 112(%r15)\n"
			"popf\n" ALL_16(
				ZONE) "movq 0(%r15), %rax\n movq 8(%r15), %rbx\n movq 16(%r15), "
				      "%rcx\n movq 24(%r15), %rdx\n"
				      "movq 32(%r15), %rsi\n movq 40(%r15), %rdi\n movq 48(%r15), "
				      "%rbp\n movq 56(%r15), %r8\n"
				      "movq 64(%r15), %r9\n movq 72(%r15), %r10\n movq 80(%r15), "
				      "%r11\n movq 88(%r15), %r12\n"
				      "movq 96(%r15), %r13\n"
				      "touch_with_registers_here:\n"
				      "movb %al, (%r14)\n"
				      "movq 8(%rsp), %r15\n" /* out; moves change no flags */
				      "movq %rax, 0(%r15)\n movq %rbx, 8(%r15)\n movq %rcx, "
				      "16(%r15)\n movq %rdx, 24(%r15)\n"
				      "movq %rsi, 32(%r15)\n movq %rdi, 40(%r15)\n movq %rbp, "
				      "48(%r15)\n movq %r8, 56(%r15)\n"
				      "movq %r9, 64(%r15)\n movq %r10, 72(%r15)\n movq %r11, "
				      "80(%r15)\n movq %r12, 88(%r15)\n"
				      "movq %r13, 96(%r15)\n"
				      "movq %rsp, 120(%r15)\n" ALL_16(
					      ZONE_OUT) "pushf\n"
							"popq 112(%r15)\n"
							"cld\n"
							"cmpq $0, 0(%rsp)\n"
							"jz 1f\n" ALL_16(
								VECTOR_OUT) "vzeroupper\n 1:\n"
									    "movq 16(%rsp), %rsp\n"
									    "pop %r15\n pop %r14\n "
									    "pop %r13\n pop %r12\n "
									    "pop %rbx\n pop %rbp\n"
									    "ret\n");

#endif
