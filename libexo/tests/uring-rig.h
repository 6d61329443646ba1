/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the tests of the emulation share: a file to work on, of their own or, if one is named
 * on the command line, that one, or that block device. WHAT IT HOLDS IS LOST.
 */
#ifndef LIBEXO_TESTS_URING_RIG_H
#define LIBEXO_TESTS_URING_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"
#include "uring.h"

#define RIG_BYTES (8u << 20)
#define RIG_ALL (EXO_READ | EXO_WRITE | EXO_TRIM)

static char rig_path[512];
static char rig_name[520]; /* for exo_open() */
static int rig_is_device;

/**
 * struct rig - a handle with a queue and a buffer
 * @size: bytes of a block
 */
struct rig {
	struct exo *x;
	struct exo_queue *q;
	char *buf;
	uint32_t size;
};

#define RIG_BUF (2u << 20)

static inline void rig_open(struct rig *rig, unsigned int rights, uint32_t depth)
{
	struct exo_queue_options options = { .size = sizeof(options), .depth = depth };
	void *buf = NULL;
	int r = exo_open(rig_name, rights, &rig->x);

	if (!r)
		r = exo_queue_create(rig->x, &options, &rig->q);
	if (!r)
		r = exo_buf_alloc(rig->q, RIG_BUF, &buf);
	if (r) {
		printf("Bail out! cannot open %s: %s\n", rig_name, exo_strerror(rig->x, r));
		exit(1);
	}
	rig->buf = buf;
	rig->size = exo_block_size(rig->x);
}

static inline void rig_close(struct rig *rig)
{
	exo_close(rig->x);
}

/* The submit() of a device that takes commands and never answers. */
static inline int rig_swallow(struct exo_queue *q)
{
	struct exo_uring_queue *u = exo_queue_private(q)->uring;

	u->taken = q->sq_tail;
	__atomic_store_n(&u->status->sq_head, u->taken, __ATOMIC_RELEASE);
	return (int)(q->sq_tail - q->sq_head);
}

/* Bytes that tell where they belong. */
static inline void fill(char *to, size_t bytes, uint64_t seed)
{
	for (size_t i = 0; i < bytes; i++)
		to[i] = (char)((i ^ i >> 8 ^ seed * 41) + seed);
}

static inline int filled(const char *at, size_t bytes, uint64_t seed)
{
	for (size_t i = 0; i < bytes; i++)
		if (at[i] != (char)((i ^ i >> 8 ^ seed * 41) + seed))
			return 0;
	return 1;
}

static inline int all_zero(const char *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (at[i])
			return 0;
	return 1;
}

/* CLOCK_MONOTONIC, ns, so many ms from now */
static inline uint64_t soon(uint64_t ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec + ms * 1000000;
}

static inline void rig_remove(void)
{
	unlink(rig_path);
}

static inline void rig_make_file(void)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	snprintf(rig_path, sizeof(rig_path), "%s/exo-uring-XXXXXX", dir ? dir : "/tmp");
	fd = mkstemp(rig_path);
	if (fd < 0 || ftruncate(fd, RIG_BYTES)) {
		printf("Bail out! cannot make %s: %s\n", rig_path, strerror(errno));
		exit(1);
	}
	close(fd);
	atexit(rig_remove);
}

/* A kernel that gives no io_uring is a reason to skip; any other failure is not. */
static inline void rig_probe(void)
{
	struct io_uring ring;
	int r = io_uring_queue_init(1, &ring, 0);

	if (!r)
		io_uring_queue_exit(&ring);
	if (r != -ENOSYS && r != -EPERM)
		return;
	printf("TAP version 13\n1..0 # SKIP this machine gives no io_uring: %s\n", strerror(-r));
	exit(0);
}

static inline void rig_main(int argc, char **argv)
{
	struct stat about;

	rig_probe();
	if (argc > 1)
		snprintf(rig_path, sizeof(rig_path), "%s", argv[1]);
	else
		rig_make_file();
	rig_is_device = !stat(rig_path, &about) && S_ISBLK(about.st_mode);
	snprintf(rig_name, sizeof(rig_name), "uring:%s", rig_path);
}

#define RIG_MAIN(tests)                                                         \
	int main(int argc, char **argv)                                         \
	{                                                                       \
		rig_main(argc, argv);                                           \
		return tap_run(tests, (int)(sizeof(tests) / sizeof(tests[0]))); \
	}

#endif
