// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O: fio queues, commits and reaps, which is prepare, submit, reap.
 *
 * A command that is refused fails its own I/O, not those behind it: they are taken back and
 * prepared again. Where nobody else sees to it, on a direct queue, the extent's bounds are
 * kept here.
 */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Why the I/O, which has reached no device, cannot be; NULL if it can. */
static const char *impossible(const struct exo *x, const struct io_u *io_u)
{
	unsigned long long bytes = exo_blocks(x) * exo_block_size(x), mask = exo_block_size(x) - 1;

	if (io_u->offset & mask || io_u->xfer_buflen & mask || !io_u->xfer_buflen)
		return "is no whole number of blocks";
	if (io_u->offset > bytes || io_u->xfer_buflen > bytes - io_u->offset)
		return "ends behind the extent";
	if (io_u->xfer_buflen > (io_u->ddir == DDIR_TRIM ? EXO_TRIM_BYTES : exo_transfer_max(x)))
		return "is more than the device takes at once";
	return NULL;
}

static enum fio_q_status fail(struct io_u *io_u, int error, const char *why)
{
	log_err("fio: exo: a %s of %llu bytes at %llu %s\n", io_ddir_name(io_u->ddir),
		(unsigned long long)io_u->xfer_buflen, (unsigned long long)io_u->offset, why);
	io_u->error = error;
	return FIO_Q_COMPLETED;
}

/* There is a place in the ring: it has as many as fio has I/Os. */
static void prepare(struct job *job, struct slot *slot)
{
	const struct io_u *io_u = slot->io_u;
	uint64_t number = slot - job->slots;
	uint32_t size = exo_block_size(job->x);
	uint64_t block = io_u->offset / size;
	uint32_t blocks = io_u->xfer_buflen / size;

	switch (io_u->ddir) {
	case DDIR_READ:
		exo_prep_read(job->q, io_u->xfer_buf, block, blocks, number);
		break;
	case DDIR_WRITE:
		exo_prep_write(job->q, io_u->xfer_buf, block, blocks, number);
		break;
	case DDIR_TRIM:
		*slot->range = exo_trim_range(job->q, block, blocks);
		exo_prep_trim(job->q, slot->range, 1, number);
		break;
	default:
		exo_prep_flush(job->q, number);
	}
}

static enum fio_q_status add(struct job *job, struct io_u *io_u)
{
	struct slot *slot = io_u->engine_data;

	if (!exo_queue_free(job->q) || job->prepared == job->depth)
		return FIO_Q_BUSY;
	slot->io_u = io_u;
	slot->status = 0;
	slot->busy = true;
	free(slot->why);
	slot->why = NULL;
	prepare(job, slot);
	job->unstamped[job->prepared++] = io_u;
	return FIO_Q_QUEUED;
}

enum fio_q_status exo_fio_queue(struct thread_data *td, struct io_u *io_u)
{
	struct job *job = td->io_ops_data;
	const struct slot *slot = io_u->engine_data;
	const char *why;

	fio_ro_check(td, io_u);
	/* Nothing to make durable, where nothing may be written. */
	if (ddir_sync(io_u->ddir))
		return exo_rights(job->x) & EXO_WRITE ? add(job, io_u) : FIO_Q_COMPLETED;
	if (!ddir_rw(io_u->ddir))
		return fail(io_u, EINVAL, "is nothing that this engine knows");
	if (io_u->ddir == DDIR_TRIM && !slot->range)
		return fail(io_u, EACCES, "is no part of this job (rw=)");
	why = impossible(job->x, io_u);
	return why ? fail(io_u, EINVAL, why) : add(job, io_u);
}

/* The oldest that is prepared was refused: it ends so, the others are prepared again. */
static void refuse(struct job *job, int error)
{
	char why[512];
	unsigned int n = 0;
	uint64_t number;

	snprintf(why, sizeof(why), "exo: %s", exo_queue_strerror(job->q, error));
	while (n < job->depth && exo_prepared(job->q, n, &number))
		job->again[n++] = &job->slots[number];
	exo_withdraw(job->q, 0);
	for (unsigned int i = 1; i < n; i++)
		prepare(job, job->again[i]);
	job->again[0]->why = strdup(why);
	job->again[0]->busy = false;
	job->again[0]->io_u->error = -error;
	job->refused[job->refusals++] = job->again[0]->io_u;
}

/* The end of the job: its queue is dead, or does not answer. */
static int end(struct thread_data *td, struct job *job, int error)
{
	if (!td->error)
		log_err("fio: exo: %s\n", exo_queue_strerror(job->q, error));
	td_verror(td, -error, "exo");
	return error;
}

/* All that are prepared, whatever becomes of each; or an error that ends the job. */
static int submit(struct thread_data *td, struct job *job)
{
	int r;

	while (exo_queue_prepared(job->q)) {
		r = exo_submit(job->q);
		if (r < 0 && !exo_queue_alive(job->q))
			return end(td, job, r);
		if (r < 0)
			refuse(job, r);
	}
	return 0;
}

/* For fio's latencies: of submission, which ends here, and of completion, which begins. */
static void stamp(struct thread_data *td, struct job *job)
{
	struct timespec now;

	if (fio_fill_issue_time(td)) {
		fio_gettime(&now, NULL);
		for (unsigned int i = 0; i < job->prepared; i++) {
			job->unstamped[i]->issue_time = now;
			io_u_queued(td, job->unstamped[i]);
		}
		if (td->o.read_iolog_file)
			td->last_issue = now;
	}
	if (job->prepared)
		io_u_mark_submit(td, job->prepared);
	job->prepared = 0;
}

int exo_fio_commit(struct thread_data *td)
{
	struct job *job = td->io_ops_data;
	int r = submit(td, job);

	stamp(td, job);
	return r;
}

/* A completion as an event. The device may say what it likes: -EIO for what is not in flight. */
static int note(struct job *job, const struct exo_completion *completion)
{
	struct slot *slot;

	if (completion->user_data >= job->depth || !job->slots[completion->user_data].busy)
		return -EIO;
	slot = &job->slots[completion->user_data];
	slot->busy = false;
	slot->status = exo_nvme_status(&completion->raw);
	slot->io_u->error = -exo_nvme_status_errno(slot->status);
	job->events[job->count++] = slot->io_u;
	return 0;
}

/* What is complete, as events; waits for one. 0: there is nothing, and nothing to wait for. */
static int look(struct thread_data *td, struct job *job, unsigned int room, int timeout_ms)
{
	int n = exo_reap(job->q, job->done, room);

	if (!n && timeout_ms)
		n = exo_wait(job->q, job->done, room, timeout_ms);
	/* A polling thread refused what was submitted before. */
	if (n < 0 && exo_queue_alive(job->q) && exo_queue_prepared(job->q)) {
		refuse(job, n);
		n = submit(td, job);
		stamp(td, job);
		return n ? n : 1;
	}
	for (int i = 0; i < n; i++)
		if (note(job, &job->done[i])) {
			log_err("fio: exo: %s completed a command that was not in flight\n",
				exo_address(job->x));
			td_verror(td, EIO, "exo");
			return -EIO;
		}
	return n;
}

static void take_refused(struct job *job, unsigned int max)
{
	while (job->refusals && job->count < max)
		job->events[job->count++] = job->refused[--job->refusals];
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

/* Milliseconds from now to the deadline; none is the kernel's own I/O timeout. */
static int left(uint64_t deadline)
{
	uint64_t now = now_ms();

	if (deadline == UINT64_MAX)
		return -1;
	return deadline > now ? (int)(deadline - now) : 0;
}

int exo_fio_getevents(struct thread_data *td, unsigned int min, unsigned int max,
		      const struct timespec *t)
{
	struct job *job = td->io_ops_data;
	uint64_t deadline = UINT64_MAX;
	int r = 1;

	if (t)
		deadline = now_ms() + t->tv_sec * 1000ull + (t->tv_nsec + 999999) / 1000000;
	if (max > job->depth)
		max = job->depth;
	for (job->count = 0; job->count < max && r > 0;) {
		int wait = 0;

		take_refused(job, max);
		if (job->count == max)
			break;
		if (job->count < min)
			wait = left(deadline);
		r = look(td, job, max - job->count, wait);
	}
	if (r < 0 && !(r == -ETIMEDOUT && t) && !job->count)
		return end(td, job, r);
	return job->count;
}
