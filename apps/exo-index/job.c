// SPDX-License-Identifier: MIT
/*
 * The out-of-core job.
 *
 * Keys and values follow from their numbers, so that nothing needs to be remembered; the orders in
 * which phases take them are permutations of the numbers.
 */
#include <string.h>

#include "clock.h"
#include "job.h"

uint64_t job_number(uint64_t seed, uint64_t n)
{
	/* Steele, Lea and Flood, "Fast splittable pseudorandom number generators". */
	uint64_t z = seed * 0xda942042e4dd58b5 + (n + 1) * 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* The @nth key of an order: an odd factor permutes the numbers below a power of two. */
static uint64_t nth(const struct job *j, unsigned int order, uint64_t n)
{
	uint64_t factor = job_number(j->seed, order) | 1;

	return (n * factor + order) & (j->keys - 1);
}

static uint64_t value_of(const struct job *j, uint64_t key, unsigned int round)
{
	return job_number(j->seed + 1 + round, key);
}

static int put(struct job *j, uint64_t n, unsigned int round)
{
	uint64_t key = job_number(j->seed, n), value = value_of(j, n, round);

	return index_put(j->ix, &key, sizeof(key), &value, sizeof(value));
}

static int get(struct job *j, uint64_t n)
{
	uint64_t key = job_number(j->seed, n), want = value_of(j, n, 0);
	char value[VALUE_MAX_BYTES];
	size_t bytes;
	int r = index_get(j->ix, &key, sizeof(key), value, &bytes);

	if (!r && (bytes != sizeof(want) || memcmp(value, &want, sizeof(want))))
		return -EBADMSG;
	return r == -ENOENT ? -EBADMSG : r;
}

static int insert_all(struct job *j, struct job_phase *p)
{
	int r = 0;

	for (uint64_t n = 0; n < j->keys && !r; n++)
		r = put(j, nth(j, 1, n), 0);
	p->operations = j->keys;
	return r ? r : pages_flush(j->ix->pages);
}

static int look_up(struct job *j, struct job_phase *p)
{
	int r = 0;

	for (uint64_t n = 0; n < j->keys && !r; n++)
		r = get(j, nth(j, 2, n));
	p->operations = j->keys;
	return r;
}

static int look_up_batches(struct job *j, struct job_phase *p)
{
	int r = 0;

	for (uint64_t n = 0, end; n < j->keys && !r; n = end) {
		end = n + j->batch < j->keys ? n + j->batch : j->keys;
		for (uint64_t i = n; i < end; i++) {
			uint64_t key = job_number(j->seed, nth(j, 3, i));

			index_want(j->ix, &key, sizeof(key));
		}
		for (uint64_t i = n; i < end && !r; i++)
			r = get(j, nth(j, 3, i));
	}
	p->operations = j->keys;
	return r;
}

static bool is_updated(uint64_t n)
{
	return n & 1;
}

static int update_half(struct job *j, struct job_phase *p)
{
	int r = 0;

	for (uint64_t i = 0; i < j->keys && !r; i++) {
		uint64_t n = nth(j, 4, i);

		if (!is_updated(n))
			continue;
		r = put(j, n, 1);
		p->operations++;
	}
	return r ? r : pages_flush(j->ix->pages);
}

static int add(void *arg, const struct entry *e)
{
	uint64_t *sum = arg, value;

	if (e->value_bytes != sizeof(value))
		return -EBADMSG;
	memcpy(&value, e->value, sizeof(value));
	*sum += value;
	return 0;
}

static int add_up(struct job *j, struct job_phase *p)
{
	uint64_t want = 0;
	int r;

	for (uint64_t n = 0; n < j->keys; n++)
		want += value_of(j, n, is_updated(n));
	r = index_each(j->ix, add, &j->sum);
	p->operations = j->keys;
	if (r)
		return r;
	return j->sum == want && j->ix->keys == j->keys ? 0 : -EBADMSG;
}

static int run_phase(struct job *j, struct job_phase *p,
		     int (*fn)(struct job *j, struct job_phase *p))
{
	struct pages *pages = j->ix->pages;
	struct pages_stats before, after;
	uint64_t begin;
	int r;

	pages->ops->stats(pages, &before);
	begin = clock_ns();
	r = fn(j, p);
	p->ns = clock_ns() - begin;
	pages->ops->stats(pages, &after);
	p->did.misses = after.misses - before.misses;
	p->did.read_bytes = after.read_bytes - before.read_bytes;
	p->did.written_bytes = after.written_bytes - before.written_bytes;
	return r;
}

int job_run(struct job *j)
{
	static const struct {
		const char *name;
		int (*fn)(struct job *j, struct job_phase *p);
	} phases[JOB_PHASES] = {
		{ "insert", insert_all },  { "lookup", look_up }, { "batch", look_up_batches },
		{ "update", update_half }, { "scan", add_up },
	};
	int r = 0;

	j->sum = 0;
	for (int i = 0; i < JOB_PHASES && !r; i++) {
		j->phases[i] = (struct job_phase){ .name = phases[i].name };
		r = run_phase(j, &j->phases[i], phases[i].fn);
	}
	return r;
}
