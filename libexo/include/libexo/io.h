/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Synchronous helpers: one call, done when it returns.
 *
 * They prepare, submit and reap on the queue they are given, so it must be idle:
 * nothing prepared, nothing in flight. Requests larger than one command can
 * carry are split. All return 0 or a negative errno: -EBUSY the queue is not
 * idle, -ETIMEDOUT the device did not answer within the kernel's I/O timeout
 * (the queue is then not idle either), what exo_submit() returns for a refused
 * command, or what exo_nvme_status_errno() makes of the device's answer.
 * After an error, part of the blocks may have been moved.
 *
 * Threads: whoever uses the queue.
 */
#ifndef LIBEXO_IO_H
#define LIBEXO_IO_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo_queue;

/**
 * exo_read - read logical blocks
 * @q: an idle queue
 * @buf: where to, in a buffer of exo_buf_alloc(); a multiple of 4
 * @block: first block, counted from the start of the extent
 * @nblocks: logical blocks; 0 does nothing
 */
int exo_read(struct exo_queue *q, void *buf, uint64_t block, uint64_t nblocks);

/**
 * exo_write - write logical blocks; durable after exo_flush()
 * @q: an idle queue
 * @buf: where from, in a buffer of exo_buf_alloc(); a multiple of 4
 * @block: first block, counted from the start of the extent
 * @nblocks: logical blocks; 0 does nothing
 */
int exo_write(struct exo_queue *q, const void *buf, uint64_t block, uint64_t nblocks);

/**
 * exo_write_zeroes - make logical blocks read as zero, without moving data
 * @q: an idle queue
 * @block: first block, counted from the start of the extent
 * @nblocks: logical blocks; 0 does nothing
 *
 * -EOPNOTSUPP if the controller has no Write Zeroes command.
 */
int exo_write_zeroes(struct exo_queue *q, uint64_t block, uint64_t nblocks);

/**
 * exo_compare - do logical blocks hold what a buffer holds?
 * @q: an idle queue
 * @buf: what they should hold, in a buffer of exo_buf_alloc(); a multiple of 4
 * @block: first block, counted from the start of the extent
 * @nblocks: logical blocks; 0 does nothing
 *
 * The device compares; no data come back. 0 if they do, -EILSEQ if not, -EOPNOTSUPP if
 * the controller has no Compare command.
 */
int exo_compare(struct exo_queue *q, const void *buf, uint64_t block, uint64_t nblocks);

/**
 * exo_trim - deallocate logical blocks
 * @q: an idle queue
 * @block: first block, counted from the start of the extent
 * @nblocks: logical blocks; 0 does nothing
 *
 * What they read as afterwards is the device's choice: use exo_write_zeroes() where that
 * matters. Needs EXO_TRIM. -EOPNOTSUPP if the controller has no Dataset Management
 * command, -ENOMEM if there is no frame for the list.
 */
int exo_trim(struct exo_queue *q, uint64_t block, uint64_t nblocks);

/**
 * exo_copy - copy logical blocks within the extent, in the device
 * @q: an idle queue
 * @from: first block to read, counted from the start of the extent
 * @to: first block to write, likewise
 * @nblocks: logical blocks; 0 does nothing
 *
 * -EINVAL if the two ranges overlap, -EOPNOTSUPP if the controller has no Copy command,
 * -ENOMEM if there is no frame for the list.
 */
int exo_copy(struct exo_queue *q, uint64_t from, uint64_t to, uint64_t nblocks);

/**
 * exo_flush - make durable what completed writes left in the device's cache
 * @q: an idle queue
 *
 * Concerns the whole namespace. Needs EXO_WRITE.
 */
int exo_flush(struct exo_queue *q);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_IO_H */
