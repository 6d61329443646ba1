/* SPDX-License-Identifier: MIT */
/*
 * A persistent hash index: keys of 1 to KEY_MAX_BYTES bytes, each with a value of up to
 * VALUE_MAX_BYTES.
 *
 * Page 0 is the header, pages 1 to N are buckets (N a power of two). A key belongs into the bucket
 * that its hash names; if that is full into the next, and so on, INDEX_PROBES buckets at most. A
 * bucket that was passed by says so, which is where a search ends that finds no such mark. Buckets
 * are sealed with the store's random id, so that a new store is made by writing its header alone.
 *
 * While an index is open for writing its header says so. One that was left like that, by a crash,
 * is not opened again (-EUCLEAN) before index_check() has put it in order.
 *
 * Functions return 0 or a negative errno: -EILSEQ what is on the disk is no such page, and
 * -EIO and others of the engine. One thread at a time.
 */
#ifndef EXO_INDEX_INDEX_H
#define EXO_INDEX_INDEX_H

#include "bucket.h"

#define INDEX_PROBES 64
#define INDEX_VERSION 1

/**
 * struct index - an open index
 * @pages: where it lies
 * @id: of the store
 * @mask: buckets - 1
 * @keys: in it
 * @write: it may be changed
 */
struct index {
	struct pages *pages;
	uint64_t id;
	uint64_t mask;
	uint64_t keys;
	bool write;
};

/* The most buckets, a power of two, that so many pages have room for beside the header; 0: none. */
uint64_t index_buckets_in(uint64_t pages);

/**
 * index_create - make an empty index
 * @pages: where; open for writing
 * @buckets: a power of two, at most index_buckets_in() of the pages
 * @force: also where something else is: -EEXIST page 0 is not zeroes
 */
int index_create(struct pages *pages, uint64_t buckets, bool force);

/**
 * index_open - use an index
 * @ix: filled in
 * @pages: where; must outlive it
 * @write: it will be changed. Durable before this returns: it is being written to
 *
 * Also -EPROTO it is of another version, -EUCLEAN it was not closed, -ENOSPC there are fewer pages
 * than it has.
 */
int index_open(struct index *ix, struct pages *pages, bool write);

/* What was put becomes durable, then the index is closed. One that is only read: nothing to do. */
int index_close(struct index *ix);

/* Insert, or give another value. Also -EMSGSIZE the lengths, -ENOSPC no room: all is as before. */
int index_put(struct index *ix, const void *key, size_t key_bytes, const void *value,
	      size_t value_bytes);

/* @value has room for VALUE_MAX_BYTES. Also -ENOENT. */
int index_get(struct index *ix, const void *key, size_t key_bytes, void *value,
	      size_t *value_bytes);

/* Also -ENOENT. */
int index_delete(struct index *ix, const void *key, size_t key_bytes);

/* Begin to read the bucket that the key belongs into. */
void index_want(struct index *ix, const void *key, size_t key_bytes);

/**
 * index_each - all entries, in the order of the pages
 * @ix: the index, which must not be changed meanwhile
 * @fn: is called with each; the entry is gone when it returns. Not 0 ends it
 * @arg: for it
 *
 * Returns what @fn did, or a negative errno.
 */
int index_each(struct index *ix, int (*fn)(void *arg, const struct entry *e), void *arg);

/**
 * struct index_report - what index_check() found
 * @keys: good ones
 * @pages: with entries
 * @passed: with the mark that keys lie behind them
 * @broken: pages that are not as they should be; repaired: they are empty
 * @lost: entries that no search could find; repaired: most can be found, the others are gone
 */
struct index_report {
	uint64_t keys;
	uint64_t pages;
	uint64_t passed;
	uint64_t broken;
	uint64_t lost;
};

/**
 * index_check - look at every page, of an index that was not closed, too
 * @pages: where it lies
 * @repair: put in order what is not, and close it; open for writing
 * @report: filled in
 *
 * Returns 0: it is in order now; -EUCLEAN: it is not, or was not closed; or as index_open().
 */
int index_check(struct pages *pages, bool repair, struct index_report *report);

#endif
