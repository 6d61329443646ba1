// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Two ways to read what may vanish. One is to be called for the touch (<libexo/window.h>): the
 * function finds the instruction that touched in a short list, and has the code go on at its error
 * exit. It costs nothing while nothing vanishes. The other, where there are no such calls, is to have the
 * kernel read: write() from there to a file of our own is EFAULT and no signal.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <unistd.h>

#include "private.h"
#include "touch.h"

#ifdef __x86_64__

extern const char exo_touch_copying[], exo_touch_loading[], exo_touch_failed[];

/* The fences: what is read here is read before what is read afterwards. */
__asm__(".text\n"
	".hidden exo_touch_copy_raw\n"
	".globl exo_touch_copy_raw\n"
	".type exo_touch_copy_raw, @function\n"
	"exo_touch_copy_raw:\n"
	".cfi_startproc\n"
	"mov %rdx, %rcx\n"
	"xor %eax, %eax\n"
	".hidden exo_touch_copying\n"
	".globl exo_touch_copying\n"
	"exo_touch_copying: rep movsb\n"
	"lfence\n"
	"ret\n"
	".cfi_endproc\n"
	".size exo_touch_copy_raw, . - exo_touch_copy_raw\n"

	".hidden exo_touch_load_raw\n"
	".globl exo_touch_load_raw\n"
	".type exo_touch_load_raw, @function\n"
	"exo_touch_load_raw:\n"
	".cfi_startproc\n"
	"xor %eax, %eax\n"
	".hidden exo_touch_loading\n"
	".globl exo_touch_loading\n"
	"exo_touch_loading: mov (%rsi), %rdx\n"
	"mov %rdx, (%rdi)\n"
	"lfence\n"
	"ret\n"
	/* Both come here with the stack as it was on entry. */
	".hidden exo_touch_failed\n"
	".globl exo_touch_failed\n"
	"exo_touch_failed: mov $1, %eax\n"
	"ret\n"
	".cfi_endproc\n"
	".size exo_touch_load_raw, . - exo_touch_load_raw\n");

int exo_touch_copy_raw(void *to, const void *from, size_t bytes);
int exo_touch_load_raw(uint64_t *to, const uint64_t *from);

static void fail(void *arg, struct exo_upcall *touch)
{
	(void)arg;
	if (touch->ip != (uintptr_t)exo_touch_copying && touch->ip != (uintptr_t)exo_touch_loading)
		__builtin_trap();
	touch->ip = (uintptr_t)exo_touch_failed;
}

int exo_touch_arm(struct exo_window *w)
{
	return exo_window_on_fault(w, fail, NULL, 0);
}

int exo_touch_copy(void *to, const void *from, size_t bytes)
{
	return exo_touch_copy_raw(to, from, bytes) ? -EFAULT : 0;
}

int exo_touch_load(uint64_t *to, const uint64_t *from)
{
	return exo_touch_load_raw(to, from) ? -EFAULT : 0;
}

#else

int exo_touch_arm(struct exo_window *w)
{
	(void)w;
	return -EOPNOTSUPP;
}

int exo_touch_copy(void *to, const void *from, size_t bytes)
{
	(void)to;
	(void)from;
	(void)bytes;
	return -EFAULT;
}

int exo_touch_load(uint64_t *to, const uint64_t *from)
{
	(void)to;
	(void)from;
	return -EFAULT;
}

#endif

int exo_touch_copy_by(int file, void *to, const void *from, size_t bytes)
{
	ssize_t n = pwrite(file, from, bytes, 0);

	if (n >= 0 && (size_t)n < bytes)
		return -EFAULT;
	if (n >= 0)
		n = pread(file, to, bytes, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (n < 0)
		return -errno;
	return (size_t)n < bytes ? -EFAULT : 0;
}
