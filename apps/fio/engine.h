/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the engine share: fio's options for it, a job, and the handle of an
 * extent, which all jobs on it share.
 */
#ifndef EXO_FIO_ENGINE_H
#define EXO_FIO_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include <libexo.h>

#include "abi.h"

enum mode {
	MODE_CHECKED,
	MODE_THREAD,
	MODE_DIRECT,
};

/**
 * struct options - of the job file
 * @unused: fio takes the offset 0 for none
 * @name: for exo_open()
 * @mode: of the job's queue
 * @spin_us: that a wait looks before it sleeps
 */
struct options {
	void *unused;
	char *name;
	enum mode mode;
	unsigned int spin_us;
};

/* fio finds it by this name. */
extern struct ioengine_ops ioengine;

/**
 * struct slot - one of a job's I/Os in flight, for as long as the job lasts
 * @io_u: fio's
 * @range: of a trim, where the device reads it
 * @busy: the device has it
 * @status: what the device said of it
 * @why: a sentence, if it was refused before it reached the device
 */
struct slot {
	struct io_u *io_u;
	struct exo_nvme_dsm_range *range;
	bool busy;
	uint16_t status;
	char *why;
};

/**
 * struct job - a job of fio's, a thread or a process of its own: a queue
 * @x: the handle
 * @q: the queue
 * @depth: I/Os in flight at most; so many of what follows
 * @ranges: of trims, a buffer, or NULL
 * @slots: I/Os, the queue's user_data is the number
 * @again: room for those behind one that was refused
 * @done: room for completions
 * @events: what getevents() found
 * @count: of them
 * @refused: I/Os for getevents() to find
 * @refusals: of them
 * @unstamped: I/Os that are prepared and have not got the time of their submission
 * @prepared: of them
 */
struct job {
	struct exo *x;
	struct exo_queue *q;
	unsigned int depth;
	struct exo_nvme_dsm_range *ranges;
	struct slot *slots;
	struct slot **again;
	struct exo_completion *done;
	struct io_u **events;
	unsigned int count;
	struct io_u **refused;
	unsigned int refusals;
	struct io_u **unstamped;
	unsigned int prepared;
};

/* handle.c */
unsigned int exo_fio_rights(const struct thread_data *td);
struct exo *exo_fio_handle_get(struct thread_data *td);
struct exo *exo_fio_handle_use(struct thread_data *td, struct exo *x);
void exo_fio_handle_explain(struct exo *x, int result, char *why, size_t size);
void exo_fio_handle_put(struct exo *x);

/* job.c */
int exo_fio_setup(struct thread_data *td);
int exo_fio_job_open(struct thread_data *td);
void exo_fio_job_close(struct thread_data *td);
int exo_fio_buffer_alloc(struct thread_data *td, size_t bytes);
void exo_fio_buffer_free(struct thread_data *td);

/* io.c */
enum fio_q_status exo_fio_queue(struct thread_data *td, struct io_u *io_u);
int exo_fio_commit(struct thread_data *td);
int exo_fio_getevents(struct thread_data *td, unsigned int min, unsigned int max,
		      const struct timespec *t);

#endif
