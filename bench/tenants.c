// SPDX-License-Identifier: MIT
/*
 * Tenants of a disk; see tenants.h. They sleep when there is nothing to do, as tenants that
 * share processors would, and begin together.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <libexo.h>

#include "../apps/common/clock.h"
#include "bench.h"
#include "loop.h"
#include "tenants.h"

struct tenant {
	const struct tenants_order *o;
	struct exo *x;
	struct exo_queue *q;
	char *buf;
	uint32_t blocks_per_io;
	uint64_t places;
	uint64_t random;
	uint32_t free[BENCH_DEPTH_MAX];
	unsigned int free_nr;
	struct exo_completion done[BENCH_DEPTH_MAX];
	uint64_t ios;
};

static void must(struct tenant *t, int r)
{
	if (r < 0)
		errx(LOOP_BROKE, "tenants: %s", exo_queue_strerror(t->q, r));
}

static void move_in(struct tenant *t, unsigned int number)
{
	const struct tenants_order *o = t->o;
	struct exo_queue_options options = { .size = sizeof(options), .depth = o->depth };
	void *buf;
	int r;

	if ((r = exo_open(o->device, EXO_READ | (o->write ? EXO_WRITE : 0), &t->x)) ||
	    (r = exo_queue_create(t->x, &options, &t->q)) ||
	    (r = exo_buf_alloc(t->q, (size_t)o->depth * BENCH_BYTES, &buf)))
		errx(LOOP_CANNOT, "tenant %u: %s", number + 1, exo_strerror(t->x, r));
	t->buf = buf;
	/* What is written can neither be compressed nor left out. */
	srandom(number + 1);
	for (size_t i = 0; o->write && i < (size_t)o->depth * BENCH_BYTES / sizeof(int); i++)
		((int *)buf)[i] = random();
	t->blocks_per_io = BENCH_BYTES / exo_block_size(t->x);
	t->places = exo_blocks(t->x) / t->blocks_per_io;
	t->random = 0x9e3779b97f4a7c15ull * (number + 1);
	for (unsigned int i = 0; i < o->depth; i++)
		t->free[t->free_nr++] = i;
}

static uint64_t next_place(struct tenant *t)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return (unsigned __int128)t->random * t->places >> 64;
}

static void start(struct tenant *t)
{
	while (t->free_nr >= t->o->batch) {
		for (unsigned int i = 0; i < t->o->batch; i++) {
			uint32_t slot = t->free[--t->free_nr];

			exo_prep_blocks(t->q, t->o->write ? EXO_NVME_WRITE : EXO_NVME_READ,
					exo_buf_offset(t->q, t->buf + slot * BENCH_BYTES),
					next_place(t) * t->blocks_per_io, t->blocks_per_io, slot);
		}
		must(t, exo_submit(t->q));
	}
}

static void finish_some(struct tenant *t)
{
	int n = exo_wait(t->q, t->done, t->o->depth, -1);

	must(t, n);
	for (int i = 0; i < n; i++) {
		if (exo_nvme_status(&t->done[i].raw))
			errx(LOOP_BROKE, "tenants: the device failed a command");
		t->free[t->free_nr++] = t->done[i].user_data;
	}
	t->ios += n;
}

static void live(struct tenant *t, struct tenant_figures *figures)
{
	uint64_t begin = clock_ns(), end = begin + t->o->seconds * 1e9;

	counters_start(&figures->counters);
	while (clock_ns() < end) {
		start(t);
		finish_some(t);
	}
	/* What is in flight now is nobody's. */
	figures->ios = t->ios;
	figures->ns = clock_ns() - begin;
	counters_stop(&figures->counters);
	while (t->free_nr < t->o->depth)
		finish_some(t);
	exo_close(t->x);
}

static void __attribute__((noreturn))
tenant_main(const struct tenants_order *o, unsigned int number, int ready, int go,
	    struct tenant_figures *figures)
{
	struct tenant t = { .o = o };
	char byte = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	move_in(&t, number);
	if (write(ready, &byte, 1) != 1)
		err(LOOP_BROKE, "pipe");
	close(ready);
	while (read(go, &byte, 1) < 0 && errno == EINTR) /* its end is the sign */
		;
	live(&t, figures);
	exit(0);
}

/* How the worst of them ended. */
static int await_all(const pid_t *pids, unsigned int count)
{
	int worst = 0;

	for (unsigned int i = 0; i < count; i++) {
		int status;

		if (waitpid(pids[i], &status, 0) < 0 || !WIFEXITED(status))
			worst = LOOP_BROKE;
		else if (WEXITSTATUS(status) && !worst)
			worst = WEXITSTATUS(status);
	}
	return worst;
}

void tenants_measure(const void *arg, void *answer)
{
	const struct tenants_order *o = arg;
	struct tenants_figures *figures = answer; /* shared: child_run() made it so */
	unsigned int here = 0;
	int ready[2], go[2], worst;
	pid_t pids[TENANTS_MAX];
	char byte;

	if (pipe2(ready, O_CLOEXEC) || pipe2(go, O_CLOEXEC))
		err(LOOP_BROKE, "pipe");
	for (unsigned int i = 0; i < o->count; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			err(LOOP_BROKE, "fork");
		if (!pids[i]) {
			close(go[1]);
			close(ready[0]);
			tenant_main(o, i, ready[1], go[0], &figures->at[i]);
		}
	}
	close(ready[1]);
	close(go[0]);
	while (here < o->count && read(ready[0], &byte, 1) == 1)
		here++;
	close(go[1]);
	worst = await_all(pids, o->count);
	if (worst)
		exit(worst);
}
