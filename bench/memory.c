// SPDX-License-Identifier: MIT
/*
 * Memory that the program manages: what Appel and Li (1991) asked of a virtual memory system, and
 * the mapping of pages, with windows of exo and with what Linux already has. Prints one line for each
 * figure; `make bench BENCH_ARGS=--memory` makes a table of them.
 *
 *	memory [-c]     -c: instructions between marks, for the insncount plugin, instead of times
 *
 * Every system has the same pages, written before, and the same loop. A touch is one store; its
 * handler unprotects the page, protects another too (appel1), or steps over the store (trap).
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "../libexo/src/upcall.h"
#include "../selftests/lib.h"
#include "mark.h"
#include "memory.h"

#define PAGES 100u /* of an area: what Appel and Li took */
#define DIRTY_PAGES 512u
#define COUNTED 50u	     /* repetitions of what is counted */
#define SAMPLES 5u	     /* of a time: the median is shown */
#define TIMED_NS 30000000ull /* of a sample, at least */

static bool counting;
static const struct memory_system *current_system;

/* ---- the touch ---- */

#define TOUCH_BYTES 2 /* of the instruction */

static void touch(char *at)
{
	__asm__ volatile("movb %%al, (%%rdx)" ::"d"(at), "a"(1) : "memory");
}

static enum { SKIP, UNPROTECT, SWAP } mode;
static __u64 next_page; /* SWAP: that is protected for it */

/* True: the store is stepped over. */
bool memory_touched(const char *address)
{
	const __u64 page = (address - current_system->area()) / PAGE;

	switch (mode) {
	case SWAP:
		current_system->unprotect(page, 1);
		current_system->protect(next_page, 1);
		next_page = page;
		return false;
	case UNPROTECT:
		current_system->unprotect(page, 1);
		return false;
	default:
		return true;
	}
}

unsigned int memory_skip(void)
{
	return TOUCH_BYTES;
}

/* ---- figures ---- */

static __u64 now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* One repetition: prepares, then does what is measured, with start() and stop() around it. */
typedef void (*step_fn)(unsigned int pages);

static __u64 started, spent;

static void start(void)
{
	if (counting)
		MARK_START();
	else
		started = now();
}

static void stop(void)
{
	if (counting)
		MARK_COMMIT();
	else
		spent += now() - started;
}

static double sample(step_fn step, unsigned int pages, unsigned int units)
{
	unsigned int n = 0;

	for (spent = 0; spent < TIMED_NS && n < 100000; n++)
		step(pages);
	return (double)spent / n / units;
}

/* @units: what a figure is of: pages, traps. */
static void measure(const char *op, const char *system, step_fn step, unsigned int pages,
		    unsigned int units)
{
	double ns[SAMPLES];
	unsigned int i;

	step(pages);
	if (counting) {
		MARK_RESET();
		for (i = 0; i < COUNTED; i++)
			step(pages);
		MARK_REPORT();
		printf("MEMORY-INSNS op=%s system=%s pages=%u units=%u\n", op, system, pages,
		       COUNTED * units);
	} else {
		for (i = 0; i < SAMPLES; i++)
			ns[i] = sample(step, pages, units);
		qsort(ns, SAMPLES, sizeof(ns[0]), compare);
		printf("MEMORY op=%s system=%s pages=%u threads=1 ns=%.1f min=%.1f max=%.1f\n", op,
		       system, pages, ns[SAMPLES / 2], ns[0], ns[SAMPLES - 1]);
	}
	fflush(stdout);
}

/* ---- Appel and Li ---- */

static unsigned int order[PAGES];

static void shuffle(void)
{
	for (unsigned int i = 0; i < PAGES; i++)
		order[i] = i;
	for (unsigned int i = PAGES - 1; i; i--) {
		const unsigned int k = random_u32() % (i + 1), other = order[k];

		order[k] = order[i];
		order[i] = other;
	}
}

static void prot1(unsigned int pages)
{
	(void)pages;
	start();
	current_system->protect(7, 1);
	stop();
	current_system->unprotect(7, 1);
}

static void prot100(unsigned int pages)
{
	start();
	current_system->protect(0, pages);
	stop();
	current_system->unprotect(0, pages);
}

static void unprot100(unsigned int pages)
{
	current_system->protect(0, pages);
	start();
	current_system->unprotect(0, pages);
	stop();
}

/* A system that cannot step over the store unprotects its page. */
static void trap(unsigned int pages)
{
	char *at = current_system->area() + 7 * PAGE;

	(void)pages;
	mode = current_system->cannot_skip ? UNPROTECT : SKIP;
	current_system->protect(7, 1);
	start();
	touch(at);
	stop();
	current_system->unprotect(7, 1);
}

static void appel1(unsigned int pages)
{
	mode = SWAP;
	current_system->protect(0, pages);
	next_page = order[pages - 1];
	current_system->unprotect(next_page, 1);
	start();
	for (unsigned int i = 0; i < pages - 1; i++)
		touch(current_system->area() + order[i] * PAGE);
	stop();
	current_system->unprotect(0, pages);
}

static void appel2(unsigned int pages)
{
	mode = UNPROTECT;
	start();
	current_system->protect(0, pages);
	for (unsigned int i = 0; i < pages; i++)
		touch(current_system->area() + order[i] * PAGE);
	stop();
}

static void write_pages(unsigned int pages)
{
	for (unsigned int i = 0; i < pages; i++)
		touch(current_system->area() + i * PAGE);
}

static void dirty(unsigned int pages)
{
	write_pages(pages);
	start();
	if (current_system->dirty(pages) != pages)
		errx(1, "%s: not all pages are dirty", current_system->name);
	stop();
}

/* With what it costs to write pages that are watched. */
static void dirty_cycle(unsigned int pages)
{
	start();
	write_pages(pages);
	if (current_system->dirty(pages) != pages)
		errx(1, "%s: not all pages are dirty", current_system->name);
	stop();
}

static void appel_and_li(const struct memory_system *s)
{
	current_system = s;
	if (s->protect) {
		if (!s->begin(PAGES))
			return;
		measure("prot1", s->name, prot1, 1, 1);
		measure("prot100", s->name, prot100, PAGES, 1);
		measure("unprot100", s->name, unprot100, PAGES, 1);
		if (s->traps) {
			measure("trap", s->name, trap, 1, 1);
			measure("appel1", s->name, appel1, PAGES, PAGES - 1);
			measure("appel2", s->name, appel2, PAGES, PAGES);
		}
		s->end();
	}
	if (s->dirty && s->begin(DIRTY_PAGES)) {
		measure("dirty", s->name, dirty, DIRTY_PAGES, DIRTY_PAGES);
		measure("dirty-cycle", s->name, dirty_cycle, DIRTY_PAGES, DIRTY_PAGES);
		s->end();
	}
}

/* ---- mapping ---- */

static const struct memory_mapper *current_mapper;

static void map_and_unmap(unsigned int pages)
{
	start();
	current_mapper->map_unmap(0, pages);
	stop();
}

#define THREADS 2u

struct mapping_thread {
	pthread_barrier_t *barrier;
	unsigned int number, pages;
	__u64 ns;
	unsigned int rounds;
};

static void *map_in_thread(void *arg)
{
	struct mapping_thread *t = arg;
	const unsigned int rounds = 20000 / t->pages + 20;
	__u64 began;

	pthread_barrier_wait(t->barrier);
	began = now();
	for (t->rounds = 0; t->rounds < rounds; t->rounds++)
		current_mapper->map_unmap(t->number, t->pages);
	t->ns = now() - began;
	return NULL;
}

/* Both at once, each in an area of its own: time of a page, in either. */
static double sample_threads(unsigned int pages)
{
	struct mapping_thread threads[THREADS];
	pthread_t ids[THREADS];
	pthread_barrier_t barrier;
	double ns = 0;

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (unsigned int i = 0; i < THREADS; i++) {
		threads[i] = (struct mapping_thread){ &barrier, i, pages, 0, 0 };
		if (pthread_create(&ids[i], NULL, map_in_thread, &threads[i]))
			errx(1, "no thread");
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(ids[i], NULL);
		ns += (double)threads[i].ns / threads[i].rounds / pages / THREADS;
	}
	pthread_barrier_destroy(&barrier);
	return ns;
}

static void measure_threads(const char *op, unsigned int pages)
{
	double ns[SAMPLES];

	for (unsigned int i = 0; i < SAMPLES; i++)
		ns[i] = sample_threads(pages);
	qsort(ns, SAMPLES, sizeof(ns[0]), compare);
	printf("MEMORY op=%s system=%s pages=%u threads=%u ns=%.1f min=%.1f max=%.1f\n", op,
	       current_mapper->name, pages, THREADS, ns[SAMPLES / 2], ns[0], ns[SAMPLES - 1]);
	fflush(stdout);
}

static void mapping(const struct memory_mapper *m)
{
	static const unsigned int batches[] = { 1, 16, 512 };
	const char *op = m->large ? "map-2M" : "map-4K";

	current_mapper = m;
	for (unsigned int i = 0; i < sizeof(batches) / sizeof(batches[0]); i++) {
		/* 2 MiB: as many as there are frames. */
		const unsigned int pages = m->large && batches[i] > 16 ? 32 : batches[i];

		if (!m->begin(pages, counting ? 1 : THREADS))
			return;
		measure(op, m->name, map_and_unmap, pages, pages);
		if (!counting)
			measure_threads(op, pages);
		m->end();
	}
}

/* ---- all ---- */

/* In a process of its own, so that no system finds what another left. */
static void in_child(void (*run)(const void *), const void *arg)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		run(arg);
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status)
		errx(1, "a measurement ended with status %#x", status);
}

static void run_system(const void *arg)
{
	appel_and_li(arg);
}

static void run_mapper(const void *arg)
{
	mapping(arg);
}

/* Instructions are those of one processor. */
static void stay_here(void)
{
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	if (sched_setaffinity(0, sizeof(here), &here))
		err(1, "sched_setaffinity");
}

int main(int argc, char **argv)
{
	counting = argc > 1 && !strcmp(argv[1], "-c");
	if (argc > 2 || (argc == 2 && !counting)) {
		fprintf(stderr, "usage: memory [-c]\n");
		return 2;
	}
	if (counting)
		stay_here();
	shuffle();
	for (unsigned int i = 0; memory_systems[i]; i++)
		in_child(run_system, memory_systems[i]);
	for (unsigned int i = 0; memory_mappers[i]; i++)
		in_child(run_mapper, memory_mappers[i]);
	return 0;
}
