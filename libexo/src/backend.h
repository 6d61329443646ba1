/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What stands behind a handle: the module, or an emulation. A handle has one for good, from
 * exo_open(). What is the same for all (options, errors, waiting, the rings' arithmetic) is
 * in the files of the functions; what differs is called through this table.
 *
 * The hot path does not go through it: a queue of the module is submitted to by a system
 * call, and reaped by looking at memory.
 */
#ifndef LIBEXO_BACKEND_H
#define LIBEXO_BACKEND_H

#include "private.h"

/**
 * struct exo_backend - what differs
 * @queue_open: make a queue; the options are complete. Records its failures
 * @queue_close: its end, and that of its memory; it is in no list any more
 * @buf_alloc: as exo_buf_alloc_with(), of 1 byte or more, and options that are complete. Records its failures
 * @buf_release: the end of a buffer that nobody can name any more. @frames: those it had
 * @mem_register: let commands use memory of the program's, which is in no list yet; sets
 *	@offset. Records its failures
 * @mem_unregister: takes it out of the lists, when no command uses it any more
 * @sleep: until one of the queues has something to reap, or, with @events, the handle has
 *	events, or @deadline (CLOCK_MONOTONIC, ns); or for no reason. Returns 0 or, not recorded,
 *	a negative errno
 * @close: what the handle has, but its queues and buffers
 * @submit: of an emulated queue: take commands from its ring as EXO_QUEUE_SUBMIT does.
 *	Returns how many, or a negative errno; either way the queue's detail says why not more
 * @post: of an emulated queue: write the completions of what has ended. Returns how many
 */
struct exo_backend {
	int (*queue_open)(struct exo *x, const struct exo_queue_options *options,
			  struct exo_queue **q);
	void (*queue_close)(struct exo_queue_private *p);
	int (*buf_alloc)(struct exo *x, size_t bytes, const struct exo_buf_options *options,
			 void **buf);
	void (*buf_release)(struct exo *x, struct exo_buf *buf, uint32_t frames);
	int (*mem_register)(struct exo *x, struct exo_buf *mem);
	int (*mem_unregister)(struct exo *x, struct exo_buf *mem);
	int (*sleep)(struct exo *x, struct exo_queue *const *queues, unsigned int count,
		     bool events, uint64_t deadline, struct exo_detail *detail);
	void (*close)(struct exo *x);
	int (*submit)(struct exo_queue *q);
	unsigned int (*post)(struct exo_queue *q);
};

extern const struct exo_backend exo_backend_module; /* session.c */
extern const struct exo_backend exo_backend_uring;  /* uring.c */

/* Of the module: queue.c, buf.c, mem.c, wait.c */
int exo_module_queue_open(struct exo *x, const struct exo_queue_options *options,
			  struct exo_queue **q);
void exo_module_queue_close(struct exo_queue_private *p);
int exo_module_buf_alloc(struct exo *x, size_t bytes, const struct exo_buf_options *options,
			 void **buf);
void exo_module_buf_release(struct exo *x, struct exo_buf *buf, uint32_t frames);
int exo_module_mem_register(struct exo *x, struct exo_buf *mem);
int exo_module_mem_unregister(struct exo *x, struct exo_buf *mem);
int exo_module_sleep(struct exo *x, struct exo_queue *const *queues, unsigned int count,
		     bool events, uint64_t deadline, struct exo_detail *detail);

/* uring-open.c */
int exo_uring_open(struct exo *x, const char *path, unsigned int rights);

/* 0 if the handle has the module behind it, which @what needs */
int exo_check_module(struct exo *x, const char *what);

#endif /* LIBEXO_BACKEND_H */
