/* SPDX-License-Identifier: MIT */
/*
 * Numbered pages of 4 KiB, more than fit into memory: all that the index knows of what is below it.
 *
 * Three engines provide them (engine-*.c). Two have an address for every page, so that getting one
 * is arithmetic and what else it takes happens in a fault; the third has a pool of buffers, and is
 * asked. The pointer to a page is good until the next call here.
 */
#ifndef EXO_INDEX_PAGES_H
#define EXO_INDEX_PAGES_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_BYTES 4096
#define PAGES_MEMORY_MIN (16 * PAGE_BYTES)

struct pages;

/**
 * struct pages_options - how a store is opened
 * @name: "ENGINE:REST"
 * @memory: bytes that pages may take, at least PAGES_MEMORY_MIN; with mmap the kernel decides
 * @write: pages are changed; else only read
 * @grow: bytes that a file is made, or made to have at least; 0: it is as it is
 * @force: also one whose first page is not zeroes; else -EEXIST, and it stays as it is
 */
struct pages_options {
	const char *name;
	uint64_t memory;
	uint64_t grow;
	bool force;
	bool write;
};

/**
 * struct pages_stats - what an engine did
 * @misses: pages that were asked for and not there; mmap: major faults
 * @read_bytes: from the disk
 * @written_bytes: to it. mmap: what the whole disk saw, 0 if the kernel does not say
 */
struct pages_stats {
	uint64_t misses;
	uint64_t read_bytes;
	uint64_t written_bytes;
};

/**
 * struct pages_ops - an engine
 * @get: page @number; NULL, and pages->error: it cannot be read. Absent if there is a base
 * @changed: page @number, the latest that was got, was written to. Absent likewise
 * @want: @count pages from @first on will be got soon. Does not fail, and need not do anything
 * @flush: what was changed is durable when it returns; 0 or a negative errno
 * @stats: since it was opened
 * @close: without a flush; frees @p
 */
struct pages_ops {
	void *(*get)(struct pages *p, uint64_t number);
	void (*changed)(struct pages *p, uint64_t number);
	void (*want)(struct pages *p, uint64_t first, uint64_t count);
	int (*flush)(struct pages *p);
	void (*stats)(struct pages *p, struct pages_stats *stats);
	void (*close)(struct pages *p);
};

/**
 * struct pages - an open store, the first member of the engine's own
 * @ops: the engine's functions
 * @base: page 0, the others behind it; NULL: they have no addresses
 * @count: pages
 * @error: why the latest pages_get() returned NULL, a negative errno
 */
struct pages {
	const struct pages_ops *ops;
	char *base;
	uint64_t count;
	int error;
};

/**
 * pages_open - open a store
 * @o: which, and how
 * @out: the store, for pages_close(); NULL on failure
 * @why: on failure, a sentence
 * @size: bytes there
 *
 * Returns 0 or a negative errno.
 */
int pages_open(const struct pages_options *o, struct pages **out, char *why, size_t size);

/* The engines, likewise; @rest is the name behind the colon. */
int pages_open_exo(const struct pages_options *o, struct pages **out, char *why, size_t size);
int pages_open_mmap(const struct pages_options *o, const char *rest, struct pages **out, char *why,
		    size_t size);
int pages_open_direct(const struct pages_options *o, const char *rest, struct pages **out,
		      char *why, size_t size);

/* Page @number, which is below the count; NULL: see error. */
static inline void *pages_get(struct pages *p, uint64_t number)
{
	return p->base ? p->base + number * PAGE_BYTES : p->ops->get(p, number);
}

/* The page that was got last was written to; @number is its own. */
static inline void pages_changed(struct pages *p, uint64_t number)
{
	if (!p->base)
		p->ops->changed(p, number);
}

/* Pages that will be got soon; those beyond the end are none. */
static inline void pages_want(struct pages *p, uint64_t first, uint64_t count)
{
	if (first >= p->count)
		return;
	p->ops->want(p, first, count < p->count - first ? count : p->count - first);
}

static inline int pages_flush(struct pages *p)
{
	return p->ops->flush(p);
}

static inline void pages_close(struct pages *p)
{
	if (p)
		p->ops->close(p);
}

#endif
