// SPDX-License-Identifier: MIT
/*
 * Pages through mmap() of a file: the kernel reads them when they are touched, and writes them back
 * when it likes, at the latest when it is told to.
 */
#define _GNU_SOURCE 1
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "file.h"

struct mapped {
	struct pages pages;
	int fd;
	struct pages_stats begin;
};

static void mmap_want(struct pages *p, uint64_t first, uint64_t count)
{
	madvise(p->base + first * PAGE_BYTES, count * PAGE_BYTES, MADV_WILLNEED);
}

static int mmap_flush(struct pages *p)
{
	return msync(p->base, p->count * PAGE_BYTES, MS_SYNC) ? -errno : 0;
}

static void total(struct mapped *m, struct pages_stats *stats)
{
	struct rusage usage = { 0 };

	file_traffic(m->fd, stats);
	getrusage(RUSAGE_SELF, &usage);
	stats->misses = usage.ru_majflt;
}

static void mmap_stats(struct pages *p, struct pages_stats *stats)
{
	struct mapped *m = (struct mapped *)p;

	total(m, stats);
	stats->misses -= m->begin.misses;
	stats->read_bytes -= m->begin.read_bytes;
	stats->written_bytes -= m->begin.written_bytes;
}

static void mmap_close(struct pages *p)
{
	struct mapped *m = (struct mapped *)p;

	munmap(p->base, p->count * PAGE_BYTES);
	close(m->fd);
	free(m);
}

static const struct pages_ops mmap_ops = {
	.want = mmap_want,
	.flush = mmap_flush,
	.stats = mmap_stats,
	.close = mmap_close,
};

/* That is how an error of the disk shows, a full one, and a file that became shorter. */
static void on_bus_error(int signal)
{
	static const char text[] = "exo-index: a page cannot be read, or there is no room to "
				   "write it\n";

	(void)signal;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(1);
}

static int map(struct mapped *m, const struct pages_options *o)
{
	size_t bytes = m->pages.count * PAGE_BYTES;

	m->pages.base =
		mmap(NULL, bytes, PROT_READ | (o->write ? PROT_WRITE : 0), MAP_SHARED, m->fd, 0);
	if (m->pages.base == MAP_FAILED)
		return -errno;
	/* Neighbours of a page are of no use: keys are hashed. */
	madvise(m->pages.base, bytes, MADV_RANDOM);
	signal(SIGBUS, on_bus_error);
	total(m, &m->begin);
	return 0;
}

int pages_open_mmap(const struct pages_options *o, const char *rest, struct pages **out, char *why,
		    size_t size)
{
	struct mapped *m = calloc(1, sizeof(*m));
	int r;

	if (!m) {
		snprintf(why, size, "no memory");
		return -ENOMEM;
	}
	m->pages.ops = &mmap_ops;
	r = m->fd = file_open(rest, o, 0, &m->pages.count, why, size);
	if (r < 0)
		goto out_free;
	r = m->pages.count ? map(m, o) : -ENOSPC;
	if (r) {
		snprintf(why, size, "%s: %s", rest,
			 r == -ENOSPC ? "it has not one page of 4096 bytes" : strerror(-r));
		goto out_close;
	}
	*out = &m->pages;
	return 0;

out_close:
	close(m->fd);
out_free:
	free(m);
	return r;
}
