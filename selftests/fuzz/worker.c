// SPDX-License-Identifier: MIT
/*
 * A worker: mutates inputs, runs them, keeps those that reached a new place of the module,
 * as short as they can be and still reach it.
 */
#include <sys/prctl.h>
#include <sys/stat.h>

#include "exec.h"
#include "fuzz.h"

#define FRESH_MAX 256u
#define TIDY 64u /* runs between two cleanings of the shared session */

static struct places scratch;
static int now_fd = -1; /* what runs, should the machine not survive it */

static void remember(struct worker *w, const struct input *in)
{
	char text[TEXT_MAX];
	size_t n = input_print(in, text, sizeof(text));

	if (ftruncate(now_fd, 0) || pwrite(now_fd, text, n, 0) < 0)
		_exit(4);
	w->recent[w->runs % RECENT] = *in;
	__atomic_store_n(&w->began_ms, now_ms(), __ATOMIC_RELAXED);
}

static void run(struct fuzz *fuzz, struct world *world, unsigned int number, const struct input *in)
{
	struct worker *w = &fuzz->worker[number];

	remember(w, in);
	cover_begin();
	executor_run(world, in);
	w->runs++;
	__atomic_store_n(&w->began_ms, 0, __ATOMIC_RELAXED);
	if (w->runs % TIDY == 0)
		world_tidy(world);
}

/* Whether @in reaches all of @fresh. */
static bool reaches(struct fuzz *fuzz, struct world *world, unsigned int number,
		    const struct input *in, const uint32_t *fresh, unsigned int n)
{
	unsigned int i;

	memset(&scratch, 0, sizeof(scratch));
	run(fuzz, world, number, in);
	cover_end(&scratch, NULL, 0);
	for (i = 0; i < n; i++)
		if (!scratch.seen[fresh[i]])
			return false;
	return true;
}

/* Without each operation that it does not need. */
static void shorten(struct fuzz *fuzz, struct world *world, unsigned int number, struct input *in,
		    const uint32_t *fresh, unsigned int n)
{
	struct input shorter;
	unsigned int i = in->n;

	if (!reaches(fuzz, world, number, in, fresh, n))
		return;
	while (i--) {
		shorter = *in;
		input_remove(&shorter, i);
		if (reaches(fuzz, world, number, &shorter, fresh, n))
			*in = shorter;
	}
}

static void save(const struct input *in, unsigned int index)
{
	char path[64], text[TEXT_MAX];
	FILE *file;

	snprintf(path, sizeof(path), RESULTS "corpus/%04u.fuzz", index);
	file = fopen(path, "w");
	if (!file)
		return;
	text[input_print(in, text, sizeof(text))] = 0;
	fputs(text, file);
	fclose(file);
}

static void keep(struct fuzz *fuzz, const struct input *in)
{
	unsigned int i = __atomic_fetch_add(&fuzz->corpus_n, 1, __ATOMIC_ACQ_REL);

	if (i >= CORPUS_MAX) {
		__atomic_fetch_sub(&fuzz->corpus_n, 1, __ATOMIC_ACQ_REL);
		return;
	}
	/* Others may pick it half written: it is an input whatever it is. */
	fuzz->corpus[i] = *in;
	save(in, i);
}

static void try(struct fuzz *fuzz, struct world *world, unsigned int number, const struct input *in,
		bool given)
{
	uint32_t fresh[FRESH_MAX];
	struct input kept = *in;
	unsigned int n;

	run(fuzz, world, number, in);
	n = cover_end(&fuzz->places, fresh, FRESH_MAX);
	if (!n)
		return;
	__atomic_fetch_add(&fuzz->fresh, n, __ATOMIC_RELAXED);
	if (given)
		return;
	shorten(fuzz, world, number, &kept, fresh, n < FRESH_MAX ? n : FRESH_MAX);
	keep(fuzz, &kept);
}

static const struct input *pick(const struct fuzz *fuzz)
{
	unsigned int n = __atomic_load_n(&fuzz->corpus_n, __ATOMIC_ACQUIRE);

	if (n > CORPUS_MAX)
		n = CORPUS_MAX;
	if (!n)
		return NULL;
	/* The latest more often: they are at the edge of what is known. */
	if (n > 32 && random_u32() % 3 == 0)
		return &fuzz->corpus[n - 1 - random_u32() % 32];
	return &fuzz->corpus[random_u32() % n];
}

static void worker_init(struct world *world, unsigned int number)
{
	char path[64];
	int ret;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(path, sizeof(path), RESULTS "now-%u.fuzz", number);
	now_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ret = cover_init();
	if (ret) {
		printf("# no coverage: %s\n", strerror(-ret));
		_exit(2);
	}
	ret = executor_init();
	if (!ret && number % 2 == 0) {
		world->root = false;
		ret = become_nobody();
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	if (ret)
		_exit(3);
}

void worker_main(struct fuzz *fuzz, struct world *world, unsigned int number)
{
	const struct input *from, *other;
	struct input in;
	unsigned int i;

	worker_init(world, number);
	for (i = 0; i < fuzz->given && !fuzz->stop; i++)
		try(fuzz, world, number, &fuzz->corpus[i], true);
	while (!__atomic_load_n(&fuzz->stop, __ATOMIC_RELAXED)) {
		from = pick(fuzz);
		other = pick(fuzz);
		in.n = 0;
		if (from && random_u32() % 32)
			in = *from;
		input_mutate(&in, other);
		try(fuzz, world, number, &in, false);
	}
	_exit(0);
}

/* ---- at the end ---- */

void distill_main(struct fuzz *fuzz, struct world *world, unsigned int number)
{
	unsigned int i, n = fuzz->corpus_n < CORPUS_MAX ? fuzz->corpus_n : CORPUS_MAX;

	worker_init(world, number);
	for (i = 0; i < n; i++) {
		run(fuzz, world, number, &fuzz->corpus[i]);
		if (cover_end(&fuzz->distilled, NULL, 0))
			fuzz->needed[i] = true;
	}
	_exit(0);
}
