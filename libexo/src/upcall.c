// SPDX-License-Identifier: LGPL-2.1-only
/*
 * The handler of upcalls (struct exo_window_handler in <linux/exo.h>), for x86-64.
 *
 * The kernel enters with rdi and rsp at a struct exo_upcall on the stack. All other registers are
 * the code's own. What a function may change is pushed below it; x87, vector and mask registers
 * are saved with XSAVE below that, unless the function has no use for them. Then the function is
 * called, all is restored in the opposite order, and the last instruction takes rip from the
 * struct and skips the red zone. Nothing is kept elsewhere, so this may be interrupted anywhere and
 * entered again.
 */
#include <stddef.h>
#include <stdint.h>
#include <linux/exo.h>

#include "upcall.h"

#ifdef __x86_64__

#include <cpuid.h>

/* What the assembly below knows. */
_Static_assert(offsetof(struct exo_upcall, context) == 0, "asm");
_Static_assert(offsetof(struct exo_upcall, di) == 24, "asm");
_Static_assert(offsetof(struct exo_upcall, flags) == 32, "asm");
_Static_assert(offsetof(struct exo_upcall, ip) == 40, "asm");
_Static_assert(sizeof(struct exo_upcall) == 48 && EXO_UPCALL_RED_ZONE == 128, "asm");
_Static_assert(offsetof(struct exo_upcall_target, function) == 0, "asm");
_Static_assert(offsetof(struct exo_upcall_target, arg) == 8, "asm");

/* Bytes that XSAVE may write here; 0: it is not there. Set before it is used. */
__attribute__((visibility("hidden"), used)) uint64_t exo_xsave_size;

/* All exceptions masked, to nearest: as in a new thread. */
__attribute__((visibility("hidden"), used)) const uint32_t exo_mxcsr = 0x1f80;

void exo_upcall_general(void);
void exo_upcall_all(void);

/* Debuggers are told where the code's registers are. */
#define PUSH(reg, cfa)               \
	"push %" #reg "\n"           \
	".cfi_adjust_cfa_offset 8\n" \
	".cfi_offset %" #reg ", " #cfa "\n"
#define POP(reg)                      \
	"pop %" #reg "\n"             \
	".cfi_adjust_cfa_offset -8\n" \
	".cfi_restore %" #reg "\n"

#define ENTER                                                                                      \
	".cfi_startproc\n"                                                                         \
	".cfi_signal_frame\n"                                                                      \
	".cfi_def_cfa %rsp, 176\n"                                                                 \
	".cfi_offset %rip, -136\n"                                                                 \
	".cfi_offset %rdi, -152\n" PUSH(rax, -184) PUSH(rcx, -192) PUSH(rdx, -200) PUSH(rsi, -208) \
		PUSH(r8, -216) PUSH(r9, -224) PUSH(r10, -232) PUSH(r11, -240)                      \
			PUSH(rbp, -248) "mov %rsp, %rbp\n"                                         \
					".cfi_def_cfa_register %rbp\n"

#define CALL                                \
	"mov %rdi, %rsi\n"                  \
	"mov 0(%rdi), %rax\n" /* target */  \
	"mov 8(%rax), %rdi\n" /* its arg */ \
	"call *0(%rax)\n"

#define LEAVE                                                                                      \
	"mov %rbp, %rsp\n"                                                                         \
	".cfi_def_cfa_register %rsp\n" POP(rbp) POP(r11) POP(r10) POP(r9) POP(r8) POP(rsi)         \
		POP(rdx) POP(rcx) POP(                                                             \
			rax) "lea 24(%rsp), %rsp\n" /* context, address, entry, access */          \
			     ".cfi_adjust_cfa_offset -24\n" POP(rdi) "popf\n"                      \
								     ".cfi_adjust_cfa_offset -8\n" \
								     "ret $128\n"                  \
								     ".cfi_endproc\n"

/* All that XCR0 has but the protection keys (9), which the function may have changed for good. */
#define EVERYTHING                \
	"mov $0xfffffdff, %eax\n" \
	"mov $0xffffffff, %edx\n"

__asm__(".text\n"
	".hidden exo_upcall_general\n"
	".globl exo_upcall_general\n"
	".type exo_upcall_general, @function\n"
	"exo_upcall_general:\n" ENTER "and $-16, %rsp\n" CALL LEAVE
	".size exo_upcall_general, . - exo_upcall_general\n"

	".hidden exo_upcall_all\n"
	".globl exo_upcall_all\n"
	".type exo_upcall_all, @function\n"
	"exo_upcall_all:\n" ENTER "sub exo_xsave_size(%rip), %rsp\n"
	"and $-64, %rsp\n"
	/* Its header has to be zero before. */
	"xor %eax, %eax\n"
	"mov %rax, 512(%rsp)\n"
	"mov %rax, 520(%rsp)\n"
	"mov %rax, 528(%rsp)\n"
	"mov %rax, 536(%rsp)\n"
	"mov %rax, 544(%rsp)\n"
	"mov %rax, 552(%rsp)\n"
	"mov %rax, 560(%rsp)\n"
	"mov %rax, 568(%rsp)\n" EVERYTHING "xsave64 (%rsp)\n" CALL EVERYTHING
	"xrstor64 (%rsp)\n" LEAVE ".size exo_upcall_all, . - exo_upcall_all\n");

static uint64_t find_xsave_size(void)
{
	unsigned int eax, ebx, ecx, edx;

	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE) ||
	    !__get_cpuid_count(0xd, 0, &eax, &ebx, &ecx, &edx))
		return 0;
	return ebx;
}

uint64_t exo_upcall_handler(unsigned int flags)
{
	if (flags & EXO_FAULT_GENERAL_REGS)
		return (uintptr_t)exo_upcall_general;
	if (!exo_xsave_size)
		__atomic_store_n(&exo_xsave_size, find_xsave_size(), __ATOMIC_RELEASE);
	return exo_xsave_size ? (uintptr_t)exo_upcall_all : 0;
}

#else

/* Some address: the kernel refuses it, and says why. */
uint64_t exo_upcall_handler(unsigned int flags)
{
	(void)flags;
	return 1;
}

#endif
