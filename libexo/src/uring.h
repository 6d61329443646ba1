/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The emulation: "uring:PATH". A handle is a file or a block device, a queue an io_uring on
 * it and two rings in ordinary memory, a buffer ordinary memory. What a device and the module
 * would do is done by whoever calls:
 *
 *	uring-open.c	what the file is, from exo_open()
 *	uring.c		queues, buffers, sleeping
 *	uring-check.c	exo_submit(): may the command do this? As module/check.c would say
 *	uring-run.c	what a command is for io_uring, step by step, and its completion
 *
 * There is no isolation: the check keeps mistakes in, not attacks.
 *
 * A queue belongs to one thread, as any; io_uring has no locks of ours. Buffers belong to the
 * handle: looked up under its lock, counted while commands use them, so that the memory of
 * one that is freed too early stays until the last command has ended.
 */
#ifndef LIBEXO_URING_H
#define LIBEXO_URING_H

#include <liburing.h>

#include "backend.h"

#define EXO_URING_NSID 1
#define EXO_URING_DEPTH_MAX 1024u
#define EXO_URING_TRANSFER_MAX (1u << 20)

/**
 * struct exo_uring - the handle's
 * @fd: the file
 * @memory_align: what the addresses of memory must be multiples of
 * @zeroes: EXO_URING_TRANSFER_MAX bytes of them
 * @stuck: a command of a queue that is gone did not end: it may read @zeroes yet
 * @queues: queues ever made; guarded by the handle's lock
 */
struct exo_uring {
	int fd;
	uint32_t memory_align;
	char *zeroes;
	bool stuck;
	uint32_t queues;
};

/* What io_uring is asked for. */
enum exo_uring_do {
	EXO_URING_READ,
	EXO_URING_WRITE,
	EXO_URING_SYNC,
	EXO_URING_PUNCH,
};

/**
 * struct exo_uring_op - a command, in the slot of its identifier
 * @command: copied once from the ring
 * @buf: where its data are, counted; NULL: it has none
 * @data: they, in @buf
 * @bytes: of them
 * @scratch: @bytes of memory of our own, or NULL: where @data cannot go directly
 * @list: copied ranges of Dataset Management or Copy, or NULL
 * @count: of them
 * @busy: in flight
 * @unpunched: Write Zeroes may make a hole, and could not: zeroes are written
 * @step: steps done
 * @what: of the step that io_uring has
 * @memory: likewise, what is left of it
 * @at: byte in the file, likewise
 * @left: bytes, likewise
 */
struct exo_uring_op {
	struct exo_nvme_command command;
	struct exo_buf *buf;
	char *data;
	uint32_t bytes;
	char *scratch;
	union {
		void *list;
		struct exo_nvme_dsm_range *trims;
		struct exo_nvme_copy_range *copies;
	};
	uint32_t count;
	bool busy;
	bool unpunched;
	uint32_t step;
	enum exo_uring_do what;
	char *memory;
	uint64_t at;
	uint64_t left;
};

/**
 * struct exo_uring_queue - the queue's
 * @ring: of io_uring
 * @ops: one a command identifier
 * @cq: the completion queue, as who writes it sees it
 * @status: likewise
 * @taken: commands ever taken from the submission ring
 * @consumed: completions that the program consumed, as far as that can be true
 * @posted: completions ever posted
 * @in_flight: commands
 */
struct exo_uring_queue {
	struct io_uring ring;
	struct exo_uring_op *ops;
	struct exo_nvme_completion *cq;
	struct exo_queue_status *status;
	uint32_t taken;
	uint32_t consumed;
	uint32_t posted;
	uint32_t in_flight;
};

/* uring.c */
struct exo_buf *exo_uring_buf_get(struct exo *x, uint64_t offset);
void exo_uring_buf_put(struct exo *x, struct exo_buf *buf);

/* uring-check.c */
int exo_uring_check(struct exo_queue_private *p, const struct exo_nvme_command *command,
		    struct exo_detail *detail);

/* uring-run.c */
int exo_uring_submit(struct exo_queue *q);
unsigned int exo_uring_post(struct exo_queue *q);
void exo_uring_forget(struct exo *x, struct exo_uring_op *op);
uint16_t exo_uring_status(int result, bool writes);

#endif /* LIBEXO_URING_H */
