/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Memory that the program already has, as buffers: of malloc(), a huge page, a memfd, a
 * file that is mapped.
 *
 * Once registered, an address in it can be given to whatever takes an address in a buffer
 * of exo_buf_alloc(), on every checked and every direct queue of the handle. An unsafe queue,
 * whose commands name physical addresses, refuses it: the kernel tells those of frames alone.
 * It stays the program's: the library neither frees nor unmaps it. Those of exo_buf_alloc() cost a prepared command less: the
 * look-up of an address of registered memory takes a lock and a search (or once and for all,
 * with exo_buf_offset() and exo_prep_blocks()).
 */
#ifndef LIBEXO_MEM_H
#define LIBEXO_MEM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo;

#define EXO_MEM_READ_ONLY (1u << 0) /* for writes and compares alone: the device reads it */

/**
 * exo_mem_register - let the device reach memory of the program's
 * @x: the handle
 * @address: of its first byte; a multiple of 4 for data to begin there
 * @bytes: of it, at least 1
 * @flags: 0, or EXO_MEM_READ_ONLY: enough for memory that the program may only read, such as a
 *	mapped file
 *
 * Its pages are pinned, and counted against RLIMIT_MEMLOCK (ulimit -l) of the user,
 * unless the program has CAP_IPC_LOCK. Whole pages, that is: commands may reach up to 4095 bytes
 * around it, on its first and its last page. The pages stay the ones that they are now: unregister
 * the memory before it is unmapped, or given back to the kernel in any way, and register
 * again what is there then. After fork() the parent's is what the device reaches; the child has a copy.
 *
 * A command of an unsafe queue with it is -EFAULT. While the function has unsafe queues, or had
 * some since it was reset, what is unregistered stays pinned: nobody knows what they name.
 *
 * Files on a disk that are mapped shared and to be written to cannot be registered
 * without EXO_MEM_READ_ONLY.
 *
 * Emulated, nothing is pinned and nothing counted.
 *
 * Returns 0, or -EINVAL @bytes or @flags, -EFAULT memory that is not there, or cannot be pinned
 * so, -EDQUOT RLIMIT_MEMLOCK, -EEXIST part of it is registered, -EOPNOTSUPP the
 * device does not reach it, -ENOSPC no room in the kernel's table, -ENOMEM, -EACCES, -ESTALE,
 * -ENODEV. Threads: safe.
 */
int exo_mem_register(struct exo *x, void *address, size_t bytes, unsigned int flags);

/**
 * exo_mem_unregister - the device reaches it no more
 * @x: the handle
 * @address: what exo_mem_register() was given, or NULL
 *
 * Waits for commands in flight that use it, at most the kernel's I/O timeout. Emulated, it
 * does not wait: -EBUSY, and nothing has changed, while there are some. What is registered
 * when the handle is closed is unregistered by that.
 *
 * Returns 0, or -EINVAL if nothing that begins there is registered, -EBUSY. Threads: safe.
 */
int exo_mem_unregister(struct exo *x, void *address);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_MEM_H */
