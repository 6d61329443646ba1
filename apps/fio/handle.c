// SPDX-License-Identifier: GPL-2.0-only
/*
 * Handles: jobs that name the same extent share one, opened once for the rights that they
 * need together. A token may be redeemable once only, and a function be this handle's alone.
 *
 * fio looks for the size in its first process and then makes a thread or a process of each
 * job. A process inherits the handle, and makes its queue and buffers from it as long as no
 * thread of the first process has: those are mapped there only.
 */
#include "engine.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/**
 * struct handle - see above
 * @next: of the process
 * @name: the extent's
 * @x: the handle
 * @owner: the process that opened it
 * @jobs: that have it
 * @used: the owner has, or had, queues of it
 */
struct handle {
	struct handle *next;
	char *name;
	struct exo *x;
	pid_t owner;
	unsigned int jobs;
	bool used;
};

static struct handle *handles;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* A job that is a process is forked while others that are threads may be here. */
static void take(void)
{
	pthread_mutex_lock(&lock);
}

static void release(void)
{
	pthread_mutex_unlock(&lock);
}

static void survive_fork(void)
{
	pthread_atfork(take, release, release);
}

static const char *name_of(const struct thread_data *td)
{
	const struct options *o = td->eo;

	return o->name ? o->name : "exo:";
}

/* No more than the job does. */
unsigned int exo_fio_rights(const struct thread_data *td)
{
	const struct thread_options *o = &td->o;
	bool writes = td_write(td) && !o->verify_only;
	unsigned int rights = 0;

	if (td_read(td) || o->verify != VERIFY_NONE || o->read_iolog_file)
		rights |= EXO_READ;
	if (writes || o->read_iolog_file)
		rights |= EXO_WRITE;
	if (td_trim(td) && !o->verify_only)
		rights |= EXO_TRIM;
	return rights;
}

/* What all jobs on the same extent need. */
static unsigned int common_rights(const struct thread_data *td)
{
	unsigned int rights = 0;

	for (unsigned int i = 0; i < thread_number; i++) {
		const struct thread_data *other = tnumber_to_td(i);
		const struct options *o = other->eo;

		if (other->io_ops != td->io_ops || strcmp(name_of(other), name_of(td)))
			continue;
		rights |= exo_fio_rights(other);
		if (o->mode == MODE_DIRECT)
			rights |= EXO_DIRECT;
	}
	return rights;
}

static struct handle *find(const char *name)
{
	struct handle *h;

	for (h = handles; h; h = h->next)
		if (!strcmp(h->name, name) && (h->owner == getpid() || !h->used))
			return h;
	return NULL;
}

static struct handle *open_handle(struct thread_data *td)
{
	struct handle *h = calloc(1, sizeof(*h));
	int r = -ENOMEM;

	if (h)
		h->name = strdup(name_of(td));
	if (h && h->name)
		r = exo_open(h->name, common_rights(td), &h->x);
	if (!r) {
		h->owner = getpid();
		h->next = handles;
		handles = h;
		return h;
	}
	log_err("fio: exo: %s\n", h && h->x ? exo_strerror(h->x, r) : "no memory for a handle");
	td_verror(td, -r, "exo_open");
	if (h) {
		exo_close(h->x);
		free(h->name);
	}
	free(h);
	return NULL;
}

/* The handle for a job, or NULL, after saying why. Each has its exo_fio_handle_put(). */
struct exo *exo_fio_handle_get(struct thread_data *td)
{
	struct handle *h;

	pthread_once(&once, survive_fork);
	take();
	h = find(name_of(td));
	if (!h)
		h = open_handle(td);
	if (h)
		h->jobs++;
	release();
	return h ? h->x : NULL;
}

/*
 * The handle to make a queue of, in the job's thread or process: @x, or one of its own if @x was
 * inherited from a process whose threads use it. NULL after saying why.
 */
struct exo *exo_fio_handle_use(struct thread_data *td, struct exo *x)
{
	struct handle *h;

	take();
	h = handles;
	while (h && h->x != x)
		h = h->next;
	if (h && h->owner != getpid() && h->used) {
		h = open_handle(td);
		if (h)
			h->jobs++;
	}
	if (h && h->owner == getpid())
		h->used = true;
	release();
	return h ? h->x : NULL;
}

/* The sentence for a failure, of which a handle has but one at a time. */
void exo_fio_handle_explain(struct exo *x, int result, char *why, size_t size)
{
	take();
	snprintf(why, size, "%s", exo_strerror(x, result));
	release();
}

/* What was inherited is for its owner to close. */
void exo_fio_handle_put(struct exo *x)
{
	struct handle **at, *h;

	take();
	for (at = &handles; (h = *at) && h->x != x; at = &h->next)
		;
	if (h && !--h->jobs && h->owner == getpid()) {
		*at = h->next;
		exo_close(h->x);
		free(h->name);
		free(h);
	}
	release();
}
