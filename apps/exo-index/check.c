// SPDX-License-Identifier: MIT
/*
 * Looking at all of an index, and putting in order what a crash or somebody else has left.
 *
 * Pages that are broken become empty first. Then each entry is searched for as anybody would: if
 * the search comes to another place it is taken out where it is, and put anew unless there is one
 * of that key already. So entries whose marks were lost come back, and of two of one key the first
 * stays.
 */
#include <string.h>

#include "inside.h"

/**
 * struct check - under way
 * @ix: the index
 * @repair: put it in order
 * @found: so far
 * @copy: of the page that is looked at
 */
struct check {
	struct index *ix;
	bool repair;
	struct index_report *found;
	union {
		struct bucket bucket;
		char bytes[PAGE_BYTES];
	} copy;
};

/* A copy of it; -EILSEQ: it is not valid, or its entries are not. */
static int copy_bucket(struct check *c, uint64_t page)
{
	const struct bucket *b;
	int r = index_look(c->ix, page, &b);

	if (r)
		return r;
	memcpy(&c->copy, b, PAGE_BYTES);
	/* That of a page that was never written: count and lowest byte are 0. */
	return !bucket_count(b) || bucket_whole(&c->copy.bucket) ? 0 : -EILSEQ;
}

static int empty_bucket(struct check *c, uint64_t page)
{
	void *b = pages_get(c->ix->pages, page);

	if (!b)
		return c->ix->pages->error;
	bucket_format(b, c->ix->id + page);
	pages_changed(c->ix->pages, page);
	return 0;
}

static int check_bucket(struct check *c, uint64_t page)
{
	int r = copy_bucket(c, page);

	if (r != -EILSEQ)
		return r;
	c->found->broken++;
	return c->repair ? empty_bucket(c, page) : 0;
}

static int move_entry(struct check *c, uint64_t page, unsigned int slot, const struct entry *e,
		      bool another)
{
	int r = index_remove(c->ix, page, slot);

	if (r || another)
		return r;
	r = index_put(c->ix, e->key, e->key_bytes, e->value, e->value_bytes);
	return r == -ENOSPC ? 0 : r;
}

static int check_entry(struct check *c, uint64_t page, unsigned int slot)
{
	struct entry e, key;
	struct place at;
	int r;

	if (!bucket_entry(&c->copy.bucket, slot, &e))
		return 0;
	r = index_prepare(c->ix, &key, &at, e.key, e.key_bytes, NULL, 0);
	if (!r)
		r = index_search(c->ix, &key, &at);
	/* Not repaired, the way to it may be broken. */
	if (r && (r != -EILSEQ || c->repair))
		return r;
	if (!r && at.slot == (int)slot && page_of(c->ix, &at) == page) {
		c->found->keys++;
		return 0;
	}
	c->found->lost++;
	return c->repair ? move_entry(c, page, slot, &e, at.slot >= 0) : 0;
}

/* From the last slot on: what goes, and what is put, changes none before it. */
static int check_entries(struct check *c, uint64_t page)
{
	int r = copy_bucket(c, page);

	if (r)
		return r == -EILSEQ && !c->repair ? 0 : r;
	c->found->pages += bucket_count(&c->copy.bucket) > 0;
	c->found->passed += bucket_passed(&c->copy.bucket);
	for (unsigned int i = bucket_count(&c->copy.bucket); i-- && !r;)
		r = check_entry(c, page, i);
	return r;
}

static int each_page(struct check *c, int (*fn)(struct check *c, uint64_t page))
{
	int r = 0;

	for (uint64_t page = 1; page <= c->ix->mask + 1 && !r; page++) {
		if (page % INDEX_AHEAD == 1)
			pages_want(c->ix->pages, page, INDEX_AHEAD);
		r = fn(c, page);
	}
	return r;
}

static int count(void *arg, const struct entry *e)
{
	(void)e;
	++*(uint64_t *)arg;
	return 0;
}

/* What was put went to pages that had been counted, and to others. */
static int finish_repair(struct index *ix, struct index_report *report)
{
	int r;

	report->keys = 0;
	r = index_each(ix, count, &report->keys);
	ix->keys = report->keys;
	return r ? r : index_close(ix);
}

int index_check(struct pages *pages, bool repair, struct index_report *report)
{
	struct index ix;
	struct check c = { .ix = &ix, .repair = repair, .found = report };
	uint32_t state;
	int r = index_load(&ix, pages, &state);

	memset(report, 0, sizeof(*report));
	if (r)
		return r;
	ix.write = repair;
	if (repair)
		r = index_save(&ix, STATE_OPEN);
	if (!r)
		r = each_page(&c, check_bucket);
	if (!r)
		r = each_page(&c, check_entries);
	if (r)
		return r;
	if (repair)
		return finish_repair(&ix, report);
	return state != STATE_CLOSED || report->broken || report->lost || report->keys != ix.keys
		       ? -EUCLEAN
		       : 0;
}
