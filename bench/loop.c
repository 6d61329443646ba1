// SPDX-License-Identifier: MIT
/*
 * peers: 4 KiB random reads by one thread through one engine, at a given depth
 * and batch; one line of figures.
 *
 * By default a rate: after a warm-up that also calibrates, as many reads as fit
 * the time asked for. With -c a fixed number of reads between marks, for the
 * insncount plugin: the whole loop of an engine that waits for interrupts, and
 * of a polled engine the submissions and the looks that found something. There,
 * the batch is left to finish before it is looked for, so that the empty looks
 * of a slow machine do not count against polling.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "mark.h"

#define WARM_UP_READS 2000u
#define FILL 0xa5 /* what no buffer may still hold after the warm-up */
#define NS_PER_S 1000000000ull

static const struct bench_engine *const engines[] = {
	&bench_pread,	      &bench_aio, &bench_uring,	     &bench_uring_poll, &bench_passthru,
	&bench_passthru_poll, &bench_exo, &bench_exo_thread, &bench_exo_direct,
};

int bench_buf_alloc(struct bench *b)
{
	return -posix_memalign((void **)&b->buf, BENCH_BYTES, (size_t)b->depth * BENCH_BYTES);
}

int bench_open(struct bench *b, int flags)
{
	int fd = open(b->device, flags | O_CLOEXEC);
	struct stat st;
	uint64_t bytes;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISBLK(st.st_mode) && !ioctl(fd, BLKGETSIZE64, &bytes))
		b->blocks = bytes / BENCH_BYTES;
	return fd;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

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
	if (ret < 0)
		errx(1, "%s: %s: %s", e->name, what, strerror(-ret));
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

/* Keeps the depth filled in steps of a batch; reads is rounded up to batches. */
static void run(struct bench *b, const struct bench_engine *e, uint64_t reads)
{
	uint64_t started = 0;

	while (started < reads) {
		while (b->done_nr >= b->batch && started < reads) {
			submit_batch(b, e);
			started += b->batch;
		}
		if (b->done_nr < b->batch)
			check(e, "reap", e->reap(b, b->batch - b->done_nr));
	}
	while (b->done_nr < b->depth)
		check(e, "reap", e->reap(b, b->depth - b->done_nr));
}

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

static void run_counted(struct bench *b, const struct bench_engine *e, uint64_t reads)
{
	MARK_RESET();
	if (e->polled) {
		for (uint64_t started = 0; started < reads; started += b->batch) {
			MARK_START();
			submit_batch(b, e);
			MARK_COMMIT();
			let_finish(b->batch);
			reap_counted(b, e);
		}
	} else {
		MARK_START();
		run(b, e, reads);
		MARK_COMMIT();
	}
	MARK_REPORT();
}

/* Returns the reads a second. Fails if the device did not fill every buffer. */
static double warm_up(struct bench *b, const struct bench_engine *e)
{
	uint64_t begin;

	memset(b->buf, FILL, (size_t)b->depth * BENCH_BYTES);
	begin = now_ns();
	run(b, e, WARM_UP_READS);
	begin = now_ns() - begin;
	for (unsigned int slot = 0; slot < b->depth; slot++) {
		const unsigned char *buf = (unsigned char *)b->buf + slot * BENCH_BYTES;

		if (buf[0] == FILL && !memcmp(buf, buf + 1, BENCH_BYTES - 1))
			errx(1, "%s: buffer %u was never written by the device", e->name, slot);
	}
	return WARM_UP_READS * (double)NS_PER_S / begin;
}

static void pin_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "pinning to CPU %d", cpu);
}

static const struct bench_engine *find_engine(const char *name)
{
	for (size_t i = 0; i < sizeof(engines) / sizeof(*engines); i++)
		if (!strcmp(engines[i]->name, name))
			return engines[i];
	errx(2, "no engine %s; -l lists them", name);
}

static void list_engines(void)
{
	for (size_t i = 0; i < sizeof(engines) / sizeof(*engines); i++)
		printf("%-20s %s\n", engines[i]->name, engines[i]->what);
}

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr,
		"usage: peers -l\n"
		"       peers -e ENGINE [-d DEPTH] [-b BATCH] [-t MS | -n READS -c] DEVICE\n"
		"  -l  list the engines\n"
		"  -d  reads in flight (1)      -b  reads submitted together (1)\n"
		"  -t  measure for MS milliseconds (1000)\n"
		"  -n  measure READS reads      -c  count instructions: between marks\n"
		"DEVICE: /dev/nvmeXnY; /dev/ngXnY for passthrough; for exo what exo_open() "
		"takes\n");
	exit(2);
}

static unsigned int number(const char *text, unsigned int max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || end == text || !value || value > max)
		errx(2, "%s: a number from 1 to %u is needed", text, max);
	return value;
}

int main(int argc, char **argv)
{
	struct bench b = { .depth = 1, .batch = 1, .spin = true };
	const struct bench_engine *e = NULL;
	uint64_t reads = 0, ns;
	unsigned int ms = 1000;
	bool count = false;
	double rate;
	int opt;

	while ((opt = getopt(argc, argv, "le:d:b:t:n:c")) != -1) {
		switch (opt) {
		case 'l':
			list_engines();
			return 0;
		case 'e':
			e = find_engine(optarg);
			break;
		case 'd':
			b.depth = number(optarg, BENCH_DEPTH_MAX);
			break;
		case 'b':
			b.batch = number(optarg, BENCH_DEPTH_MAX);
			break;
		case 't':
			ms = number(optarg, 3600000);
			break;
		case 'n':
			reads = number(optarg, 1000000000);
			break;
		case 'c':
			count = true;
			break;
		default:
			usage();
		}
	}
	if (!e || optind != argc - 1 || b.batch > b.depth || (count && !reads))
		usage();
	if (b.depth > e->depth_max)
		errx(2, "%s: depth is at most %u", e->name, e->depth_max);
	b.device = argv[optind];

	pin_to_cpu(0);
	check(e, b.device, e->open(&b));
	if (!b.blocks)
		errx(1, "%s: its size is not known, or less than %u bytes", b.device, BENCH_BYTES);
	for (unsigned int slot = b.depth; slot-- > 0;)
		bench_done(&b, slot);

	rate = warm_up(&b, e);
	if (!reads)
		reads = rate * ms / 1000 + 1;
	if (count)
		b.spin = false;
	ns = now_ns();
	if (count)
		run_counted(&b, e, reads);
	else
		run(&b, e, reads);
	ns = now_ns() - ns;

	reads = (reads + b.batch - 1) / b.batch * b.batch;
	printf("%s engine=%s depth=%u batch=%u reads=%llu ns=%llu iops=%.0f\n",
	       count ? "INSNS" : "RATE", e->name, b.depth, b.batch, (unsigned long long)reads,
	       (unsigned long long)ns, reads * (double)NS_PER_S / ns);
	e->close(&b);
	return 0;
}
