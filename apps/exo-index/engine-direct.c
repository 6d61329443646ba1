// SPDX-License-Identifier: MIT
/*
 * Pages through pread() and pwrite() with O_DIRECT, and a pool of buffers of one's own: what a
 * program does that wants to say what stays in memory, and has nothing but system calls for it.
 *
 * Frames are found by a hash table of chains, and go by CLOCK: the hand passes who was used since
 * it came by last. Who is dirty is written when it goes, or by a flush, in the order of the disk.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "file.h"

#define NONE UINT32_MAX
#define RUN_MAX 32 /* pages that one system call moves at most */

/**
 * struct frame - a buffer
 * @number: of the page in it, UINT64_MAX: none
 * @next: in its chain
 * @used: since the hand came by
 * @dirty: the disk has another content
 */
struct frame {
	uint64_t number;
	uint32_t next;
	bool used;
	bool dirty;
};

/**
 * struct direct - the pool
 * @fd: the file
 * @frames_nr: frames
 * @hand: the one that CLOCK looks at next
 * @latest: the one that was got last
 * @mask: chains - 1
 * @memory: the frames' bytes
 * @frames: all
 * @chains: the first frame of each
 * @order: room to sort them for a flush
 * @stats: what was done
 */
struct direct {
	struct pages pages;
	int fd;
	uint32_t frames_nr;
	uint32_t hand;
	uint32_t latest;
	uint32_t mask;
	char *memory;
	struct frame *frames;
	uint32_t *chains;
	uint32_t *order;
	struct pages_stats stats;
};

static char *bytes_of(const struct direct *d, uint32_t frame)
{
	return d->memory + (size_t)frame * PAGE_BYTES;
}

static uint32_t *chain_of(struct direct *d, uint64_t number)
{
	return &d->chains[number * 0x9e3779b97f4a7c15 >> 32 & d->mask];
}

static uint32_t find(struct direct *d, uint64_t number)
{
	uint32_t at = *chain_of(d, number);

	while (at != NONE && d->frames[at].number != number)
		at = d->frames[at].next;
	return at;
}

static void link_frame(struct direct *d, uint32_t frame, uint64_t number)
{
	uint32_t *chain = chain_of(d, number);

	d->frames[frame] = (struct frame){ .number = number, .next = *chain, .used = true };
	*chain = frame;
}

static void unlink_frame(struct direct *d, uint32_t frame)
{
	uint32_t *at = chain_of(d, d->frames[frame].number);

	while (*at != frame)
		at = &d->frames[*at].next;
	*at = d->frames[frame].next;
	d->frames[frame].number = UINT64_MAX;
}

/* All of @n frames, which hold pages one after the other from @number on; 0 or a negative errno. */
static int move(struct direct *d, bool write, const uint32_t *frames, int n, uint64_t number)
{
	struct iovec iov[RUN_MAX];
	ssize_t moved;

	for (int i = 0; i < n; i++)
		iov[i] = (struct iovec){ bytes_of(d, frames[i]), PAGE_BYTES };
	do {
		moved = write ? pwritev(d->fd, iov, n, number * PAGE_BYTES)
			      : preadv(d->fd, iov, n, number * PAGE_BYTES);
	} while (moved < 0 && errno == EINTR);
	if (moved != (ssize_t)n * PAGE_BYTES)
		return moved < 0 ? -errno : -EIO;
	*(write ? &d->stats.written_bytes : &d->stats.read_bytes) += moved;
	for (int i = 0; i < n; i++)
		d->frames[frames[i]].dirty = false;
	return 0;
}

/* A frame that holds nothing; NULL number and clean. 0 or a negative errno. */
static int evict(struct direct *d, uint32_t *frame)
{
	struct frame *f;

	for (;; f->used = false) {
		*frame = d->hand;
		f = &d->frames[d->hand];
		d->hand = d->hand + 1 < d->frames_nr ? d->hand + 1 : 0;
		if (!f->used)
			break;
	}
	if (f->number == UINT64_MAX)
		return 0;
	if (f->dirty) {
		int r = move(d, true, frame, 1, f->number);

		if (r)
			return r;
	}
	unlink_frame(d, *frame);
	return 0;
}

static int read_page(struct direct *d, uint64_t number, uint32_t *frame)
{
	int r = evict(d, frame);

	if (!r)
		r = move(d, false, frame, 1, number);
	if (!r)
		link_frame(d, *frame, number);
	d->stats.misses++;
	return r;
}

static void *direct_get(struct pages *p, uint64_t number)
{
	struct direct *d = (struct direct *)p;
	uint32_t frame = d->latest;

	if (d->frames[frame].number != number)
		frame = find(d, number);
	if (frame == NONE) {
		p->error = read_page(d, number, &frame);
		if (p->error)
			return NULL;
	}
	d->frames[frame].used = true;
	d->latest = frame;
	return bytes_of(d, frame);
}

static void direct_changed(struct pages *p, uint64_t number)
{
	struct direct *d = (struct direct *)p;

	(void)number;
	d->frames[d->latest].dirty = true;
}

/* Frames for up to @max pages from @first on that are not there; how many. */
static int prepare_run(struct direct *d, uint64_t first, int max, uint32_t *frames)
{
	int n = 0;

	while (n < max && find(d, first + n) == NONE && !evict(d, &frames[n])) {
		/* So that the hand does not come back for it. */
		d->frames[frames[n]].used = true;
		n++;
	}
	return n;
}

/* One call reads neighbours. A page alone is read when it is got: pread() waits, then or now. */
static void direct_want(struct pages *p, uint64_t first, uint64_t count)
{
	struct direct *d = (struct direct *)p;
	uint32_t frames[RUN_MAX];

	if (count < 2 || d->frames_nr < 2 * RUN_MAX)
		return;
	for (uint64_t end = first + count; first < end;) {
		int max = end - first < RUN_MAX ? (int)(end - first) : RUN_MAX;
		int n = prepare_run(d, first, max, frames);
		bool there = n && !move(d, false, frames, n, first);

		for (int i = 0; i < n; i++) {
			if (there)
				link_frame(d, frames[i], first + i);
			else
				d->frames[frames[i]].used = false;
		}
		first += n ? n : 1;
	}
}

static int by_number(const void *a, const void *b, void *arg)
{
	const struct direct *d = arg;
	uint64_t x = d->frames[*(const uint32_t *)a].number;
	uint64_t y = d->frames[*(const uint32_t *)b].number;

	return x < y ? -1 : x > y;
}

static int direct_flush(struct pages *p)
{
	struct direct *d = (struct direct *)p;
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->frames_nr; i++)
		if (d->frames[i].dirty)
			d->order[n++] = i;
	qsort_r(d->order, n, sizeof(d->order[0]), by_number, d);
	for (uint32_t i = 0, run; i < n; i += run) {
		uint64_t first = d->frames[d->order[i]].number;
		int r;

		for (run = 1; i + run < n && run < RUN_MAX; run++)
			if (d->frames[d->order[i + run]].number != first + run)
				break;
		r = move(d, true, &d->order[i], run, first);
		if (r)
			return r;
	}
	return fdatasync(d->fd) ? -errno : 0;
}

static void direct_stats(struct pages *p, struct pages_stats *stats)
{
	*stats = ((struct direct *)p)->stats;
}

static void direct_close(struct pages *p)
{
	struct direct *d = (struct direct *)p;

	if (d->memory)
		munmap(d->memory, (size_t)d->frames_nr * PAGE_BYTES);
	free(d->frames);
	free(d->chains);
	free(d->order);
	if (d->fd >= 0)
		close(d->fd);
	free(d);
}

static const struct pages_ops direct_ops = {
	.get = direct_get,
	.changed = direct_changed,
	.want = direct_want,
	.flush = direct_flush,
	.stats = direct_stats,
	.close = direct_close,
};

static int make_pool(struct direct *d, uint64_t memory)
{
	uint64_t chains = 1;

	if (memory / PAGE_BYTES >= NONE)
		return -EINVAL;
	d->frames_nr = memory / PAGE_BYTES;
	while (chains < d->frames_nr)
		chains *= 2;
	d->mask = chains - 1;
	d->memory = mmap(NULL, (size_t)d->frames_nr * PAGE_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (d->memory == MAP_FAILED) {
		d->memory = NULL;
		return -ENOMEM;
	}
	d->frames = malloc(d->frames_nr * sizeof(*d->frames));
	d->chains = malloc(chains * sizeof(*d->chains));
	d->order = malloc(d->frames_nr * sizeof(*d->order));
	if (!d->frames || !d->chains || !d->order)
		return -ENOMEM;
	memset(d->chains, 0xff, chains * sizeof(*d->chains));
	for (uint32_t i = 0; i < d->frames_nr; i++)
		d->frames[i] = (struct frame){ .number = UINT64_MAX, .next = NONE };
	return 0;
}

int pages_open_direct(const struct pages_options *o, const char *rest, struct pages **out,
		      char *why, size_t size)
{
	struct direct *d = calloc(1, sizeof(*d));
	int r;

	if (!d) {
		snprintf(why, size, "no memory");
		return -ENOMEM;
	}
	d->pages.ops = &direct_ops;
	r = d->fd = file_open(rest, o, O_DIRECT, &d->pages.count, why, size);
	if (r >= 0) {
		r = make_pool(d, o->memory);
		if (r)
			snprintf(why, size, "no memory for a pool of %llu bytes",
				 (unsigned long long)o->memory);
	}
	if (r) {
		direct_close(&d->pages);
		return r;
	}
	*out = &d->pages;
	return 0;
}
