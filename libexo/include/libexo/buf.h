/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Buffers: page frames that the program and the device both reach.
 *
 * A buffer is allocated from the session's pool, mapped into the program and
 * attached to the controller in one call. All buffers of a handle lie in one
 * reserved range of addresses, so that the way from an address to the offset in
 * buffer space, which is what a command carries, is one look-up.
 *
 * A buffer belongs to the handle, not to the queue it was asked for with: every
 * queue of the handle can use it. It is never inherited by a child process.
 *
 * System calls that copy take it as any memory: read(2), write(2), send(2), recv(2). Those
 * that keep references to pages do not, with EFAULT: files opened with O_DIRECT, vmsplice(2), MSG_ZEROCOPY,
 * io_uring's registered buffers. Frames that others could still reach would have to be kept from their next
 * owner.
 *
 * Of a "uring:" handle it is ordinary memory, with the same rules.
 */
#ifndef LIBEXO_BUF_H
#define LIBEXO_BUF_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo;
struct exo_queue;

/**
 * exo_buf_alloc - allocate a buffer
 * @q: a queue of the handle that will own it
 * @bytes: size, 1 or more; rounded up to whole frames. From 2 MiB up, 2 MiB
 *	frames are used where that wastes little and such frames can be had
 * @buf: its address, aligned to 4096 bytes, or to 2 MiB for large buffers; the
 *	memory is zero
 *
 * Returns 0, or -EINVAL @bytes is 0, -ENOMEM no memory or the cgroup's limit,
 * -EDQUOT the pool's budget is used up, -ENOSPC no room left in the handle's
 * address range or the kernel's table, -EACCES, -ESTALE, -ENODEV.
 * Threads: safe, if @q is not being destroyed.
 */
int exo_buf_alloc(struct exo_queue *q, size_t bytes, void **buf);

/**
 * struct exo_buf_options - what frames exo_buf_alloc_with() is to take
 * @size: sizeof(struct exo_buf_options); it grows at the end
 * @order: EXO_BUF_ORDER(EXO_ORDER_4K) or EXO_BUF_ORDER(EXO_ORDER_2M): of this order alone;
 *	0: as exo_buf_alloc() chooses
 * @node: NUMA node that they come from: EXO_NODE_ON(number) of <libexo/queue.h>, or 0: any
 */
struct exo_buf_options {
	uint32_t size;
	uint32_t order;
	uint32_t node;
};

#define EXO_BUF_ORDER(order) ((order) + 1u)

/**
 * exo_buf_alloc_with - allocate a buffer of frames of one's choice
 * @q: as of exo_buf_alloc()
 * @bytes: likewise
 * @options: what frames; or NULL
 * @buf: as of exo_buf_alloc()
 *
 * Emulated, the choice changes nothing. Returns as exo_buf_alloc() does, -EINVAL also for an
 * order or a node that there is not. Threads: safe, if @q is not being destroyed.
 */
int exo_buf_alloc_with(struct exo_queue *q, size_t bytes, const struct exo_buf_options *options,
		       void **buf);

/**
 * exo_buf_free - give a buffer back
 * @q: any queue of the handle that owns it
 * @buf: what exo_buf_alloc() gave, or NULL
 *
 * Waits for commands in flight that use it, at most the kernel's I/O timeout; emulated, does
 * not wait, and the memory goes when they have ended.
 * Returns 0, or -EINVAL if @buf is no buffer of the handle. Threads: safe.
 */
int exo_buf_free(struct exo_queue *q, void *buf);

/**
 * exo_buf_capability - the frames behind a buffer, for use with sys.h
 * @q: any queue of the handle that owns it
 * @buf: what exo_buf_alloc() gave
 *
 * exo_sys_frames_export(), for instance, makes a dma-buf of them.
 *
 * Returns the number of the frames capability, or 0 if @buf is no buffer, or one whose
 * frames were given up or taken back, or emulated.
 */
uint32_t exo_buf_capability(struct exo_queue *q, const void *buf);

/**
 * exo_buf_spare - say whether a buffer can be done without
 * @q: any queue of the handle that owns it
 * @buf: what exo_buf_alloc() gave
 * @spare: not 0: when memory is asked back, it is the first to go, and nothing in it
 *	is needed; 0: it is needed (again)
 *
 * Costs no system call. What exo_give_up() makes of it: <libexo/revoke.h>.
 *
 * Returns 0, or -ESTALE it is gone: given up, or taken back; exo_buf_free() what is
 * left of it. Or -EINVAL @buf is no buffer of the handle. Threads: safe.
 */
int exo_buf_spare(struct exo_queue *q, void *buf, int spare);

/* exo_buf_offset(), inline, is in <libexo/queue.h>. */

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_BUF_H */
