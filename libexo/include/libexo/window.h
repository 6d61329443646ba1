/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Windows: a range of addresses whose page table entries the program sets itself.
 *
 * A window begins empty. Its entries are pages of 4 KiB, counted from 0, or whole 2 MiB of
 * them; each shows a page of some frames capability, of this program's or given to it, with
 * an access of its own: EXO_RIGHT_READ, EXO_RIGHT_READ | EXO_RIGHT_WRITE, or 0. A touch that an
 * entry does not allow is a call of the program's exo_window_on_fault() function, or SIGBUS, in a
 * system call EFAULT. <linux/exo.h> has all there is to
 * know, at struct exo_window_op and the two commands. There is no window without the module.
 *
 *	exo_window_create(x, 1ull << 40, &w);            a terabyte of addresses
 *	exo_window_map(w, 7, 1, frames, 0, EXO_RIGHT_READ | EXO_RIGHT_WRITE);
 *	*(char *)exo_window_entry(w, 7) = 1;
 *	exo_window_protect(w, 7, 1, EXO_RIGHT_READ);
 *	exo_window_dirty(w, 0, 64, &bits);               1: bits is 1 << 7
 */
#ifndef LIBEXO_WINDOW_H
#define LIBEXO_WINDOW_H

#include <stddef.h>
#include <stdint.h>
#include <linux/exo.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo;
struct exo_window;

/**
 * exo_window_create - a new window
 * @x: the handle; it must outlive the window
 * @bytes: size, a multiple of 4096, EXO_WINDOW_BYTES_MAX at most
 * @out: the window, for exo_window_destroy(); NULL on failure
 *
 * Begins at a multiple of 2 MiB. It belongs to this process: a child of fork() has none of it.
 *
 * Returns 0, or -EINVAL @bytes, -ENOMEM also no such range of addresses is free, -EOPNOTSUPP the
 * handle is emulated, or the module's kernel has not what windows need. Threads: safe.
 */
int exo_window_create(struct exo *x, uint64_t bytes, struct exo_window **out);

/**
 * exo_window_destroy - a window ends
 * @w: the window, or NULL
 *
 * Its frames stay with their capabilities. Nobody may use it any more.
 */
void exo_window_destroy(struct exo_window *w);

/**
 * exo_window_entry - the address of an entry
 * @w: the window
 * @entry: pages of 4 KiB from its beginning; not checked
 */
void *exo_window_entry(const struct exo_window *w, uint64_t entry);

/**
 * exo_window_change - map, unmap and re-protect any entries in one call
 * @w: the window
 * @ops: operations, as struct exo_window_op documents them; done in this order
 * @count: of them, EXO_WINDOW_OPS_MAX at most
 * @done: how many were done; may be NULL
 *
 * At the first that is refused it ends: those before it are done, it and those after it are
 * not. Operations on entries that lie side by side, in ascending order, are cheapest.
 *
 * Returns 0, or what EXO_WINDOW_SET returns: -EINVAL, -ENOENT, -EACCES, -ESTALE, -ERANGE,
 * -EOVERFLOW, -EOPNOTSUPP, -EFAULT, -ENOMEM; exo_strerror() says which and why. Threads: safe.
 */
int exo_window_change(struct exo_window *w, const struct exo_window_op *ops, unsigned int count,
		      unsigned int *done);

/**
 * exo_window_map - entries become frames
 * @w: the window
 * @entry: the first, in pages of 4 KiB
 * @count: entries, EXO_WINDOW_PAGES_MAX at most
 * @frames: frames capability of the handle's session: of exo_buf_capability(), EXO_FRAMES_ALLOC,
 *	EXO_CAP_DERIVE or EXO_TOKEN_REDEEM
 * @page: the first frame, in pages of 4 KiB
 * @access: EXO_RIGHT_READ, EXO_RIGHT_READ | EXO_RIGHT_WRITE, or 0
 *
 * Returns as exo_window_change() does. Threads: safe.
 */
int exo_window_map(struct exo_window *w, uint64_t entry, uint32_t count, uint32_t frames,
		   uint64_t page, uint32_t access);

/**
 * exo_window_map_large - the same with entries of 2 MiB
 *
 * @entry, @count and @page, in pages of 4 KiB, are multiples of 512; @frames are of EXO_ORDER_2M.
 */
int exo_window_map_large(struct exo_window *w, uint64_t entry, uint32_t count, uint32_t frames,
			 uint64_t page, uint32_t access);

/**
 * exo_window_unmap - entries become empty
 *
 * Their dirty bits are lost. Returns as exo_window_change() does. Threads: safe.
 */
int exo_window_unmap(struct exo_window *w, uint64_t entry, uint32_t count);

/**
 * exo_window_protect - entries keep their frames, and get another access
 *
 * When it returns, no thread uses the old access. Returns as exo_window_change() does; -ENOENT
 * if one of them is empty, and then none of them has changed. Threads: safe.
 */
int exo_window_protect(struct exo_window *w, uint64_t entry, uint32_t count, uint32_t access);

/**
 * exo_window_dirty - read and clear dirty bits
 * @w: the window
 * @entry: the first, in pages of 4 KiB
 * @count: entries, 1 to EXO_WINDOW_PAGES_MAX
 * @bitmap: (@count + 63) / 64 words: bit i % 64 of word i / 64 is that of entry @entry + i
 *
 * Returns how many are set, or what EXO_WINDOW_DIRTY returns: -EINVAL, -ERANGE, -EOVERFLOW,
 * -EFAULT, -ENOMEM. Threads: safe.
 */
int exo_window_dirty(struct exo_window *w, uint64_t entry, uint32_t count, uint64_t *bitmap);

/**
 * exo_fault_fn - what is called for a touch that an entry does not allow
 * @arg: as exo_window_on_fault() was told
 * @touch: what was touched, how, and why that is not allowed; <linux/exo.h>
 *
 * It runs on the thread that touched, on its stack, as if the code had called it there. When it
 * returns, the code goes on at @touch->ip, which it may change: as it is, the touch is tried again.
 * It may do what a function may that is called at any instruction: it must not wait for what the
 * code that touched may hold (malloc() has locks, and so has stdio), but it may touch windows
 * itself, or leave by longjmp().
 */
typedef void (*exo_fault_fn)(void *arg, struct exo_upcall *touch);

/*
 * The function, and all that it calls, is compiled with -mgeneral-regs-only. Functions of libexo and
 * of the C library are not: one that calls these needs the other registers kept.
 */
#define EXO_FAULT_GENERAL_REGS 1u

/**
 * exo_window_on_fault - have a function called for touches that entries do not allow
 * @w: the window
 * @function: it; NULL: none, such a touch is SIGBUS
 * @arg: handed to it
 * @flags: EXO_FAULT_GENERAL_REGS: it leaves x87, vector and mask registers alone, so they need not be
 *	kept for the code; else 0
 *
 * For all threads, those that begin later included. No signal is sent: the kernel makes the
 * thread continue in the function, and from there it continues where it was without the kernel.
 * A touch by the kernel, in a system call, is EFAULT as before. struct exo_window_handler in
 * <linux/exo.h> says when it is SIGBUS all the same: a stack that cannot be written, 32-bit code, a
 * shadow stack. The stack needs room for all registers, 3 KiB with AVX-512, 11 KiB with AMX, and for
 * the function.
 *
 * Returns 0, -EINVAL @flags, -ENOMEM, or -EOPNOTSUPP: not x86-64, the thread has a shadow stack, or the
 * processor cannot save its registers (XSAVE) and @flags do not say that it need not.
 * Threads: one at a time for a window; the others may touch it meanwhile. While some thread may be in
 * the function, the window must not be destroyed.
 */
int exo_window_on_fault(struct exo_window *w, exo_fault_fn function, void *arg, unsigned int flags);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_WINDOW_H */
