// SPDX-License-Identifier: MIT
/*
 * A run: set the workers up, start them together, watch the clock, add up.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "clock.h"
#include "measure.h"
#include "progress.h"
#include "worker.h"

/**
 * struct run - what the main thread and the workers share
 * @workers: the workers
 * @n: how many were set up
 * @stop: tells them to end
 * @lock: guards @running
 * @changed: a worker has ended
 * @running: workers that have not
 */
struct run {
	struct worker *workers;
	unsigned int n;
	atomic_bool stop;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int running;
};

static volatile sig_atomic_t interrupted;

/* The first Ctrl-C ends the run and what was measured is printed; the second kills. */
static void on_interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

static void catch_interrupt(void)
{
	struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = SA_RESETHAND };

	sigaction(SIGINT, &action, NULL);
}

static void worker_ended(void *arg)
{
	struct run *run = arg;

	pthread_mutex_lock(&run->lock);
	run->running--;
	pthread_cond_signal(&run->changed);
	pthread_mutex_unlock(&run->lock);
}

/* Each worker its share: all of the extent at random, or a part in sequence. */
static void assign(struct worker *w, uint64_t places)
{
	w->places = places;
	if (!w->o->random) {
		w->places = places / w->o->queues;
		w->first = w->places * w->index;
	}
}

static int set_up(struct run *run, struct exo *x, const struct options *o, uint64_t places)
{
	run->workers = calloc(o->queues, sizeof(*run->workers));
	if (!run->workers)
		return -ENOMEM;
	for (run->n = 0; run->n < o->queues; run->n++) {
		struct worker *w = &run->workers[run->n];
		int r;

		w->o = o;
		w->x = x;
		w->stop = &run->stop;
		w->ended = worker_ended;
		w->ended_arg = run;
		w->index = run->n;
		w->blocks = o->bs / exo_block_size(x);
		assign(w, places);
		r = worker_set_up(w);
		if (r) {
			fprintf(stderr, "exo-perf: queue %u of %u: %s\n", run->n + 1, o->queues,
				w->why);
			run->n++; /* tear down what it has */
			return r;
		}
	}
	return 0;
}

static void pin(struct worker *w)
{
	unsigned int wanted = w->index;
	cpu_set_t allowed, one;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return;
	wanted %= CPU_COUNT(&allowed);
	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && !wanted--)
			CPU_SET(cpu, &one);
	pthread_setaffinity_np(w->thread, sizeof(one), &one);
}

static int start(struct run *run, const struct options *o)
{
	for (unsigned int i = 0; i < run->n; i++) {
		int r = pthread_create(&run->workers[i].thread, NULL, worker_run, &run->workers[i]);

		if (r) {
			fprintf(stderr, "exo-perf: cannot start thread %u: %s\n", i + 1,
				strerror(r));
			atomic_store(&run->stop, true);
			while (i--)
				pthread_join(run->workers[i].thread, NULL);
			return -r;
		}
		pthread_mutex_lock(&run->lock);
		run->running++;
		pthread_mutex_unlock(&run->lock);
		if (o->pin)
			pin(&run->workers[i]);
	}
	return 0;
}

static uint64_t ios_done(const struct run *run)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < run->n; i++)
		n += atomic_load_explicit(&run->workers[i].reads, memory_order_relaxed) +
		     atomic_load_explicit(&run->workers[i].writes, memory_order_relaxed);
	return n;
}

/* Wait until the time is over or all workers have ended of themselves. */
static void watch(struct run *run, const struct options *o, uint64_t begin)
{
	uint64_t end = o->ios ? UINT64_MAX : begin + o->runtime * 1e9, now, tick, before = 0;
	struct timespec until;

	pthread_mutex_lock(&run->lock);
	while (run->running && !interrupted && (now = clock_ns()) < end) {
		tick = end - now < 1000000000 ? end : now + 1000000000;
		until.tv_sec = tick / 1000000000;
		until.tv_nsec = tick % 1000000000;
		pthread_cond_timedwait(&run->changed, &run->lock, &until);
		if (o->ios)
			progress(o, "%llu of %llu I/Os", (unsigned long long)ios_done(run),
				 (unsigned long long)o->ios * run->n);
		else
			progress(o, "%.0f of %.0f s, %llu I/Os in the last",
				 (clock_ns() - begin) / 1e9, o->runtime,
				 (unsigned long long)(ios_done(run) - before));
		before = ios_done(run);
	}
	pthread_mutex_unlock(&run->lock);
	progress_end(o);
	atomic_store(&run->stop, true);
}

static uint64_t timeval_ns(struct timeval t)
{
	return t.tv_sec * 1000000000ull + t.tv_usec * 1000ull;
}

static void cpu_time(uint64_t *user, uint64_t *system)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	*user = timeval_ns(usage.ru_utime);
	*system = timeval_ns(usage.ru_stime);
}

/* Join the workers and add up; the first failure counts. */
static int collect(struct run *run, struct result *result)
{
	int r = 0;

	for (unsigned int i = 0; i < run->n; i++) {
		struct worker *w = &run->workers[i];

		pthread_join(w->thread, NULL);
		result->reads += w->reads;
		result->writes += w->writes;
		result->submits += w->submits;
		histogram_add(&result->latency, &w->latency);
		if (!w->result || r)
			continue;
		r = w->result;
		fprintf(stderr, "exo-perf: queue %u: %s\n", i + 1, w->why);
	}
	return r;
}

static int run_all(struct run *run, const struct options *o, struct result *result)
{
	uint64_t user, system, begin, ticks;
	int r;

	catch_interrupt();
	cpu_time(&user, &system);
	begin = clock_ns();
	ticks = clock_ticks();
	r = start(run, o);
	if (r)
		return r;
	watch(run, o, begin);
	r = collect(run, result);
	result->ns = clock_ns() - begin;
	ticks = clock_ticks() - ticks;
	result->ns_per_tick = ticks ? (double)result->ns / ticks : 1;
	cpu_time(&result->user_ns, &result->system_ns);
	result->user_ns -= user;
	result->system_ns -= system;
	return r;
}

/* How many I/Os of the size asked for fit; 0 and a sentence if that is none. */
static uint64_t count_places(struct exo *x, const struct options *o)
{
	uint64_t blocks = exo_blocks(x), size = o->size / exo_block_size(x);

	if (o->bs % exo_block_size(x))
		fprintf(stderr,
			"exo-perf: --bs %llu is not a multiple of the %u bytes of a block\n",
			(unsigned long long)o->bs, exo_block_size(x));
	else if (o->bs > exo_transfer_max(x))
		fprintf(stderr, "exo-perf: --bs %llu is above the %u bytes that %s moves at once\n",
			(unsigned long long)o->bs, exo_transfer_max(x), exo_address(x));
	else if (o->size && size > blocks)
		fprintf(stderr, "exo-perf: --size is above the extent's %llu blocks of %u bytes\n",
			(unsigned long long)blocks, exo_block_size(x));
	else {
		blocks = (o->size ? size : blocks) / (o->bs / exo_block_size(x));
		if (blocks >= o->queues)
			return blocks;
		fprintf(stderr, "exo-perf: the extent has no room for %u I/Os of %llu bytes\n",
			o->queues, (unsigned long long)o->bs);
	}
	return 0;
}

/* 0, or a negative errno after saying why. */
int measure(struct exo *x, const struct options *o, struct result *result)
{
	uint64_t places = count_places(x, o);
	struct run run = { 0 };
	pthread_condattr_t monotonic;
	int r;

	memset(result, 0, sizeof(*result));
	histogram_init(&result->latency);
	if (!places)
		return -EINVAL;
	pthread_mutex_init(&run.lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&run.changed, &monotonic);
	r = set_up(&run, x, o, places);
	if (!r) {
		result->mode = exo_queue_mode(run.workers[0].q);
		result->irq_cpu = exo_queue_irq_cpu(run.workers[0].q);
		result->node = exo_queue_node(run.workers[0].q);
		result->priority = exo_queue_priority(run.workers[0].q);
		r = run_all(&run, o, result);
	}
	for (unsigned int i = 0; i < run.n; i++)
		worker_tear_down(&run.workers[i]);
	free(run.workers);
	return r;
}
