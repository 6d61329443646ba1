// SPDX-License-Identifier: GPL-2.0-only
/*
 * A job: what fio was asked for is compared with what the extent has, before anything runs;
 * then the job gets a queue and buffers.
 */
#include "engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static int refuse(struct thread_data *td, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* -1, after saying why. */
static int refuse(struct thread_data *td, int error, const char *format, ...)
{
	char why[512];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	log_err("fio: exo: job %s: %s\n", td->o.name, why);
	td_verror(td, error, "exo");
	return -1;
}

/* The same for a failure on the handle. */
static int refuse_for(struct thread_data *td, struct exo *x, int error, const char *what)
{
	char why[512];

	exo_fio_handle_explain(x, error, why, sizeof(why));
	return refuse(td, -error, "%s%s", what, why);
}

/* Sizes that the job will use. What fio makes of them is looked at again, for each I/O. */
static int check_sizes(struct thread_data *td, struct exo *x)
{
	static const char *const names[] = { "reads", "writes", "trims" };
	const unsigned int needs[] = { EXO_READ, EXO_WRITE, EXO_TRIM };
	const unsigned long long limits[] = { exo_transfer_max(x), exo_transfer_max(x),
					      EXO_TRIM_BYTES };

	for (int d = DDIR_READ; d <= DDIR_TRIM; d++) {
		unsigned long long min = td->o.min_bs[d], max = td->o.max_bs[d];

		if (!(exo_fio_rights(td) & needs[d]))
			continue;
		if (min % exo_block_size(x) || max % exo_block_size(x))
			return refuse(
				td, EINVAL,
				"%s of %llu to %llu bytes: %s has blocks of %u bytes, of which "
				"each must be a multiple (bs=)",
				names[d], min, max, exo_address(x), exo_block_size(x));
		if (max > limits[d])
			return refuse(td, EMSGSIZE,
				      "%s of %llu bytes are above the %llu that %s takes at once "
				      "(bs=)",
				      names[d], max, limits[d], exo_address(x));
	}
	return 0;
}

static int check_extent(struct thread_data *td, struct exo *x)
{
	unsigned int rights = exo_fio_rights(td);

	if (rights & EXO_TRIM && !(exo_controller_flags(x) & EXO_CONTROLLER_TRIM))
		return refuse(td, EOPNOTSUPP,
			      "%s cannot trim: it has no Dataset Management command",
			      exo_address(x));
	if (rights & EXO_WRITE && exo_zone_limits(x).blocks)
		return refuse(
			td, EOPNOTSUPP,
			"the extent is zoned, and this engine writes without regard to zones");
	if (td->o.iodepth > exo_depth_max(x))
		return refuse(td, EINVAL, "iodepth=%u is above the %u commands of a queue of %s",
			      td->o.iodepth, exo_depth_max(x), exo_address(x));
	return check_sizes(td, x);
}

/* The first time that fio calls: is it the fio whose structures these are? */
static int check_fio(struct thread_data *td)
{
	const struct options *o = td->eo;

	if (strcmp(fio_version_string, FIO_VERSION)) {
		log_err("fio: exo: this is %s, and the engine was built for %s: 'make fio' builds "
			"it for the installed fio, FIO_SRC= for another\n",
			fio_version_string, FIO_VERSION);
		return -1;
	}
	if (td->io_ops != &ioengine || !o) {
		log_err("fio: exo: this %s was built with other options than the source of the "
			"engine: 'make fio FIO_SRC=' with its own\n",
			fio_version_string);
		return -1;
	}
	return 0;
}

/* A job's file is the extent; so are all that a log names which is replayed. */
static int set_size(struct thread_data *td, struct exo *x)
{
	if (td->files_index > 1 && !td->o.read_iolog_file)
		return refuse(td, EINVAL, "%u files: a job has one extent (exo=), nrfiles=1",
			      td->files_index);
	for (unsigned int i = 0; i < td->files_index; i++) {
		struct fio_file *f = td->files[i];

		f->filetype = FIO_TYPE_BLOCK;
		f->real_file_size = exo_blocks(x) * exo_block_size(x);
		fio_file_set_size_known(f);
	}
	return 0;
}

static struct job *job_of(struct thread_data *td)
{
	struct job *job = td->io_ops_data;

	if (job)
		return job;
	job = calloc(1, sizeof(*job));
	if (!job) {
		refuse(td, ENOMEM, "no memory");
		return NULL;
	}
	job->x = exo_fio_handle_get(td);
	if (!job->x) {
		free(job);
		return NULL;
	}
	td->io_ops_data = job;
	return job;
}

/* fio calls this or exo_fio_job_open() first, as create_serialize= says. */
int exo_fio_setup(struct thread_data *td)
{
	struct job *job;

	if (check_fio(td))
		return -1;
	job = job_of(td);
	if (!job || set_size(td, job->x))
		return -1;
	return check_extent(td, job->x);
}

static int alloc_tables(struct job *job)
{
	unsigned int n = job->depth;

	job->slots = calloc(n, sizeof(*job->slots));
	job->again = calloc(n, sizeof(*job->again));
	job->done = calloc(n, sizeof(*job->done));
	job->events = calloc(n, sizeof(*job->events));
	job->refused = calloc(n, sizeof(*job->refused));
	job->unstamped = calloc(n, sizeof(*job->unstamped));
	return job->slots && job->again && job->done && job->events && job->refused &&
			       job->unstamped
		       ? 0
		       : -ENOMEM;
}

static int create_queue(struct thread_data *td, struct job *job)
{
	const struct options *o = td->eo;
	struct exo_queue_options options = {
		.size = sizeof(options),
		.depth = job->depth,
		.mode = o->mode == MODE_DIRECT ? EXO_QUEUE_DIRECT : EXO_QUEUE_CHECKED,
		.flags = o->mode == MODE_THREAD ? EXO_QUEUE_THREAD : 0,
		.spin_ns = o->spin_us ? o->spin_us * 1000 : EXO_SPIN_NONE,
	};

	return exo_queue_create(job->x, &options, &job->q);
}

/* Of trims, one for each I/O: a device reads it while the trim is in flight. */
static int alloc_ranges(struct thread_data *td, struct job *job)
{
	void *ranges;
	int r;

	if (!(exo_fio_rights(td) & EXO_TRIM))
		return 0;
	r = exo_buf_alloc(job->q, job->depth * sizeof(*job->ranges), &ranges);
	if (r)
		return r;
	job->ranges = ranges;
	for (unsigned int i = 0; i < job->depth; i++)
		job->slots[i].range = &job->ranges[i];
	return 0;
}

/* In the thread or process of the job. On failure fio calls exo_fio_job_close(). */
int exo_fio_job_open(struct thread_data *td)
{
	struct job *job;
	struct exo *x;
	int r;

	if (check_fio(td))
		return -1;
	job = job_of(td);
	if (!job)
		return -1;
	x = exo_fio_handle_use(td, job->x);
	if (!x)
		return -1;
	job->x = x;
	if (set_size(td, x))
		return -1;
	job->depth = td->o.iodepth;
	r = alloc_tables(job);
	if (r)
		return refuse(td, ENOMEM, "no memory for iodepth=%u", td->o.iodepth);
	r = create_queue(td, job);
	if (!r)
		r = alloc_ranges(td, job);
	return r ? refuse_for(td, job->x, r, "") : 0;
}

void exo_fio_job_close(struct thread_data *td)
{
	struct job *job = td->io_ops_data;

	if (!job)
		return;
	if (job->ranges)
		exo_buf_free(job->q, job->ranges);
	exo_queue_destroy(job->q);
	exo_fio_handle_put(job->x);
	for (unsigned int i = 0; job->slots && i < job->depth; i++)
		free(job->slots[i].why);
	free(job->slots);
	free(job->again);
	free(job->done);
	free(job->events);
	free(job->refused);
	free(job->unstamped);
	free(job);
	td->io_ops_data = NULL;
}

/* fio's buffers, all in one. */
int exo_fio_buffer_alloc(struct thread_data *td, size_t bytes)
{
	struct job *job = td->io_ops_data;
	void *buf;
	int r = exo_buf_alloc(job->q, bytes, &buf);

	if (r)
		return refuse_for(td, job->x, r, "no memory for iodepth= buffers: ");
	td->orig_buffer = buf;
	return 0;
}

void exo_fio_buffer_free(struct thread_data *td)
{
	struct job *job = td->io_ops_data;

	if (job && job->q && td->orig_buffer)
		exo_buf_free(job->q, td->orig_buffer);
}
