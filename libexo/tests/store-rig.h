/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the tests of stores share: a small store on a file, and what its pages should hold.
 */
#ifndef LIBEXO_TESTS_STORE_RIG_H
#define LIBEXO_TESTS_STORE_RIG_H

#include "uring-rig.h"

#define PAGE 4096u
#define PAGES 40u

/* The version of each page; 0: a hole. */
struct model {
	uint32_t versions[PAGES];
};

static inline void store_make(struct rig *rig, uint64_t first, uint32_t page, uint64_t pages)
{
	struct exo_store_options options = {
		.size = sizeof(options), .page = page, .pages = pages, .first = first
	};

	CHECK_EQUAL(exo_store_format(rig->q, &options), 0);
}

static inline struct exo_store *store_open(struct rig *rig)
{
	struct exo_store *s;
	int r = exo_store_open(rig->q, 0, &s);

	CHECK_EQUAL(r, 0);
	if (r)
		printf("# %s\n", exo_queue_strerror(rig->q, r));
	return s;
}

/* A new store on a rig that is opened for it, as of store_make(). */
static inline struct exo_store *store_begin(struct rig *rig, uint64_t pages)
{
	rig_open(rig, RIG_ALL, 8);
	store_make(rig, 0, PAGE, pages);
	return store_open(rig);
}

/* What was not committed is gone. */
static inline struct exo_store *store_anew(struct rig *rig, struct exo_store *s)
{
	exo_store_close(s);
	return store_open(rig);
}

static inline void store_end(struct rig *rig, struct exo_store *s)
{
	exo_store_close(s);
	rig_close(rig);
}

static inline uint64_t seed_of(uint64_t page, uint32_t version)
{
	return page * 1000 + version;
}

static inline void store_put(struct rig *rig, struct exo_store *s, uint64_t page, uint32_t version)
{
	uint64_t place = exo_store_place(s, page);

	fill(rig->buf, PAGE, seed_of(page, version));
	CHECK_EQUAL(exo_write(rig->q, rig->buf, place, PAGE / rig->size), 0);
	exo_store_wrote(s, page);
	CHECK_EQUAL(exo_store_find(s, page), place);
}

/* What the store says of a page is what the model says. */
static inline int store_holds(struct rig *rig, const struct exo_store *s, uint64_t page,
			      uint32_t version)
{
	uint64_t at = exo_store_find(s, page);

	if (at == EXO_STORE_HOLE || !version)
		return at == EXO_STORE_HOLE && !version;
	CHECK(at + PAGE / rig->size <= exo_blocks(rig->x));
	CHECK_EQUAL(exo_read(rig->q, rig->buf, at, PAGE / rig->size), 0);
	return filled(rig->buf, PAGE, seed_of(page, version));
}

static inline int store_is(struct rig *rig, const struct exo_store *s, const struct model *m)
{
	for (unsigned int i = 0; i < PAGES; i++)
		if (!store_holds(rig, s, i, m->versions[i]))
			return 0;
	return 1;
}

#endif
