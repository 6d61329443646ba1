/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the tests of the cache share: a cache of a file, and the file as it is on the disk.
 */
#ifndef LIBEXO_TESTS_CACHE_RIG_H
#define LIBEXO_TESTS_CACHE_RIG_H

#include "uring-rig.h"

#define PAGE 4096u
#define PAGES (RIG_BYTES / PAGE) /* of the file; a device may have more */

/**
 * struct cached - a handle with a cache
 * @file: what the cache is of, to look at directly
 */
struct cached {
	struct exo *x;
	struct exo_cache *c;
	int file;
};

static inline void cache_open(struct cached *d, unsigned int rights,
			      const struct exo_cache_options *options)
{
	int r = exo_open(rig_name, rights, &d->x);

	if (!r)
		r = exo_cache_create(d->x, options, &d->c);
	d->file = open(rig_path, O_RDWR | O_CLOEXEC);
	if (r || d->file < 0) {
		printf("Bail out! no cache of %s: %s\n", rig_name, exo_strerror(d->x, r));
		exit(1);
	}
}

/* With room for @pages. */
static inline void cache_of(struct cached *d, uint32_t pages)
{
	const struct exo_cache_options options = { .size = sizeof(options),
						   .limit = (uint64_t)pages * PAGE };

	cache_open(d, EXO_READ | EXO_WRITE, &options);
}

static inline void cache_close(struct cached *d)
{
	exo_cache_destroy(d->c);
	exo_close(d->x);
	close(d->file);
}

/* A page of the disk holds what fill() with @seed makes. */
static inline int on_disk(const struct cached *d, uint64_t page, uint64_t seed)
{
	char bytes[PAGE];

	return pread(d->file, bytes, PAGE, (off_t)(page * PAGE)) == PAGE &&
	       filled(bytes, PAGE, seed);
}

static inline void put_on_disk(const struct cached *d, uint64_t page, uint64_t seed)
{
	char bytes[PAGE];

	fill(bytes, PAGE, seed);
	CHECK_EQUAL(pwrite(d->file, bytes, PAGE, (off_t)(page * PAGE)), PAGE);
}

static inline int is_cached(const struct cached *d, uint64_t page)
{
	void *buf;
	int r = exo_cache_get(d->c, page, EXO_CACHE_CACHED, &buf);

	if (!r)
		exo_cache_put(d->c, page);
	return !r;
}

/* The page, through the cache, holds what fill() with @seed makes. */
static inline int holds(const struct cached *d, uint64_t page, uint64_t seed)
{
	void *buf;
	int r = exo_cache_get(d->c, page, 0, &buf), same;

	if (r) {
		printf("# page %llu: %s\n", (unsigned long long)page, exo_strerror(d->x, r));
		return 0;
	}
	same = filled(buf, PAGE, seed);
	exo_cache_put(d->c, page);
	return same;
}

/* Pin a page, change all of it, and put it; what exo_cache_get() returned. */
static inline int change(const struct cached *d, uint64_t page, uint64_t seed)
{
	void *buf;
	int r = exo_cache_get(d->c, page, EXO_CACHE_OVERWRITE, &buf);

	if (r)
		return r;
	fill(buf, PAGE, seed);
	return exo_cache_put(d->c, page);
}

/* Have a page and keep it pinned. */
static inline void *pinned(const struct cached *d, uint64_t page, unsigned int flags)
{
	void *buf;

	CHECK_EQUAL(exo_cache_get(d->c, page, flags, &buf), 0);
	return buf;
}

static inline struct exo_cache_stats stats_of(const struct cached *d)
{
	struct exo_cache_stats stats = { .size = sizeof(stats) };

	exo_cache_get_stats(d->c, &stats);
	return stats;
}

#endif
