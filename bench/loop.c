// SPDX-License-Identifier: MIT
/*
 * 4 KiB random I/O by one thread through one engine, at a given depth and batch.
 *
 * After a warm-up that also calibrates: as many I/Os as fit the time asked for, for the
 * rate and the processor's counters, with no clock read between; then, for half as long,
 * with the time taken of each, for the latencies.
 *
 * With a count a fixed number of I/Os between marks, for the insncount plugin: the whole
 * loop of an engine that waits for interrupts, and of a polled engine the submissions and
 * the looks that found something. There, the batch is left to finish before it is looked
 * for, so that the empty looks of a slow machine do not count against polling.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../apps/common/clock.h"
#include "loop.h"
#include "mark.h"

#define WARM_UP_IOS 2000u
#define WARM_UP_STEP 500u
#define WARM_UP_NS 300000000ull /* is enough on a slow machine */
#define FILL 0xa5		/* what no buffer may still hold after the warm-up */
#define NS_PER_S 1000000000ull

static uint32_t random32(void)
{
	static uint32_t x = 2463534242u;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

static void check(const struct bench_engine *e, const char *what, int ret)
{
	/* A polled queue that the driver does not have is found only when it is used. */
	if (ret < 0)
		errx(ret == -EOPNOTSUPP ? LOOP_CANNOT : LOOP_BROKE, "%s: %s: %s", e->name, what,
		     strerror(-ret));
}

static void submit_batch(struct bench *b, const struct bench_engine *e)
{
	struct bench_io io[BENCH_DEPTH_MAX];

	for (unsigned int i = 0; i < b->batch; i++) {
		io[i].slot = b->done[--b->done_nr];
		io[i].block = ((uint64_t)random32() * b->blocks) >> 32;
	}
	check(e, "submit", e->submit(b, io, b->batch));
}

/* Keeps the depth filled in steps of a batch; ios is rounded up to batches. */
static void run(struct bench *b, const struct bench_engine *e, uint64_t ios)
{
	uint64_t started = 0;

	while (started < ios) {
		while (b->done_nr >= b->batch && started < ios) {
			submit_batch(b, e);
			started += b->batch;
		}
		if (b->done_nr < b->batch)
			check(e, "reap", e->reap(b, b->batch - b->done_nr));
	}
	while (b->done_nr < b->depth)
		check(e, "reap", e->reap(b, b->depth - b->done_nr));
}

/* ---- latencies: the same loop with the clock ---- */

struct timed {
	struct bench *b;
	const struct bench_engine *e;
	uint64_t started[BENCH_DEPTH_MAX];
	struct histogram *h;
};

/* What came back since the slots that are free were @before. */
static void record(struct timed *t, unsigned int before)
{
	uint64_t now = clock_ticks();

	for (unsigned int i = before; i < t->b->done_nr; i++) {
		uint64_t then = t->started[t->b->done[i]];

		histogram_record(t->h, now > then ? now - then : 0);
	}
}

static void submit_timed(struct timed *t)
{
	struct bench *b = t->b;
	uint64_t now = clock_ticks();

	/* The batch is taken from the top of the stack. */
	for (unsigned int i = b->done_nr - b->batch; i < b->done_nr; i++)
		t->started[b->done[i]] = now;
	submit_batch(b, t->e);
}

static void reap_timed(struct timed *t, unsigned int min)
{
	unsigned int before = t->b->done_nr;

	check(t->e, "reap", t->e->reap(t->b, min));
	record(t, before);
}

static void run_timed(struct timed *t, uint64_t ios)
{
	struct bench *b = t->b;
	uint64_t started = 0;

	while (started < ios) {
		while (b->done_nr >= b->batch && started < ios) {
			unsigned int before = b->done_nr - b->batch;

			submit_timed(t);
			record(t, before); /* an engine that knows no other way waits there */
			started += b->batch;
		}
		if (b->done_nr < b->batch)
			reap_timed(t, b->batch - b->done_nr);
	}
	while (b->done_nr < b->depth)
		reap_timed(t, b->depth - b->done_nr);
}

static const double percentiles[LOOP_PERCENTILES] = { 50, 90, 99, 99.9, 99.99 };

static void latencies(struct bench *b, const struct bench_engine *e, uint64_t ios,
		      struct loop_figures *figures)
{
	struct timed t = { .b = b, .e = e, .h = malloc(sizeof(*t.h)) };
	uint64_t ticks, ns;
	double us_per_tick;

	if (!t.h)
		err(LOOP_BROKE, "no memory");
	histogram_init(t.h);
	ticks = clock_ticks();
	ns = clock_ns();
	run_timed(&t, ios);
	ticks = clock_ticks() - ticks;
	ns = clock_ns() - ns;
	us_per_tick = ns / 1e3 / ticks;
	for (unsigned int i = 0; i < LOOP_PERCENTILES; i++) {
		bool enough = t.h->count * (100 - percentiles[i]) / 100 >= 0.999;

		figures->us[i] = enough ? histogram_percentile(t.h, percentiles[i]) * us_per_tick
					: -1;
	}
	figures->us_max = t.h->max * us_per_tick;
	free(t.h);
}

/* ---- counted by the plugin ---- */

/* Gives the device time; nothing here is counted or measured. */
static void let_finish(unsigned int nr)
{
	struct timespec ts = { .tv_nsec = 100000 + 40000l * nr };

	nanosleep(&ts, NULL);
}

/* Looks until nothing is in flight, counting only looks that found something. */
static void reap_counted(struct bench *b, const struct bench_engine *e)
{
	int ret;

	while (b->done_nr < b->depth) {
		MARK_START();
		ret = e->reap(b, b->depth - b->done_nr);
		if (ret > 0)
			MARK_COMMIT();
		else
			MARK_DISCARD();
		check(e, "reap", ret);
	}
}

static void run_counted(struct bench *b, const struct bench_engine *e, uint64_t ios)
{
	MARK_RESET();
	if (e->polled) {
		for (uint64_t started = 0; started < ios; started += b->batch) {
			MARK_START();
			submit_batch(b, e);
			MARK_COMMIT();
			let_finish(b->batch);
			reap_counted(b, e);
		}
	} else {
		MARK_START();
		run(b, e, ios);
		MARK_COMMIT();
	}
	MARK_REPORT();
}

/* ---- all of it ---- */

/* What is written can neither be compressed nor left out; it leaves no buffer as it was. */
static void fill_buffers(struct bench *b)
{
	uint32_t *words = (uint32_t *)b->buf;

	if (!b->write)
		memset(b->buf, FILL, (size_t)b->depth * BENCH_BYTES);
	for (size_t i = 0; b->write && i < (size_t)b->depth * BENCH_BYTES / 4; i++)
		words[i] = random32();
}

/* Returns the I/Os a second. Fails if the device did not fill every buffer. */
static double warm_up(struct bench *b, const struct bench_engine *e)
{
	uint64_t begin, ns, ios = 0;

	fill_buffers(b);
	begin = clock_ns();
	do {
		run(b, e, WARM_UP_STEP);
		ios += WARM_UP_STEP;
		ns = clock_ns() - begin;
	} while (ios < WARM_UP_IOS && ns < WARM_UP_NS);
	for (unsigned int slot = 0; !b->write && slot < b->depth; slot++) {
		const unsigned char *buf = (unsigned char *)b->buf + slot * BENCH_BYTES;

		if (buf[0] == FILL && !memcmp(buf, buf + 1, BENCH_BYTES - 1))
			errx(LOOP_BROKE, "%s: buffer %u was never written by the device", e->name,
			     slot);
	}
	return ios * (double)NS_PER_S / ns;
}

void loop_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(LOOP_BROKE, "pinning to CPU %d", cpu);
}

static void open_engine(struct bench *b, const struct bench_engine *e)
{
	int ret = e->open(b);

	if (ret)
		errx(LOOP_CANNOT, "%s: %s", b->device, strerror(-ret));
	if (!b->blocks)
		errx(LOOP_CANNOT, "%s: its size is not known, or less than %u bytes", b->device,
		     BENCH_BYTES);
	for (unsigned int slot = b->depth; slot-- > 0;)
		bench_done(b, slot);
}

static void measure(struct bench *b, const struct bench_engine *e, double seconds,
		    struct loop_figures *figures)
{
	double rate = warm_up(b, e);
	uint64_t ios = rate * seconds + 1;

	ios = (ios + b->batch - 1) / b->batch * b->batch;
	counters_start(&figures->counters);
	figures->ns = clock_ns();
	run(b, e, ios);
	figures->ns = clock_ns() - figures->ns;
	counters_stop(&figures->counters);
	figures->ios = ios;
	latencies(b, e, ios / 2 + 1, figures);
}

void loop_run(const struct loop_order *order, struct loop_figures *figures)
{
	const struct bench_engine *e = order->engine;
	struct bench b = {
		.device = order->device,
		.depth = order->depth,
		.batch = order->batch,
		.write = order->write,
		.spin = true,
	};

	*figures = (struct loop_figures){};
	loop_pin(order->cpu);
	open_engine(&b, e);
	if (order->count) {
		warm_up(&b, e);
		b.spin = false;
		figures->ios = (order->count + b.batch - 1) / b.batch * b.batch;
		run_counted(&b, e, order->count);
	} else {
		measure(&b, e, order->seconds, figures);
	}
	e->close(&b);
}
