/* SPDX-License-Identifier: MIT */
/*
 * A histogram of durations with buckets of constant relative width: exact below
 * 2^HISTOGRAM_BITS, and from there on HISTOGRAM_BITS significant bits, so that a
 * percentile is at most 1/128 too large, over the whole range of 64 bits.
 */
#ifndef EXO_PERF_HISTOGRAM_H
#define EXO_PERF_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS 8 /* significant bits: 128 buckets for each power of two */
#define HISTOGRAM_HALF (1u << (HISTOGRAM_BITS - 1))
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_BITS + 2) * HISTOGRAM_HALF)

/**
 * struct histogram - durations in whatever unit the user counts in
 * @count: values recorded
 * @sum: of them
 * @min: smallest, UINT64_MAX if none
 * @max: largest, 0 if none
 * @buckets: values recorded in each
 */
struct histogram {
	uint64_t count;
	uint64_t sum;
	uint64_t min;
	uint64_t max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline unsigned int histogram_bucket(uint64_t value)
{
	unsigned int shift;

	if (value < 2 * HISTOGRAM_HALF)
		return value;
	shift = 64 - HISTOGRAM_BITS - __builtin_clzll(value);
	return shift * HISTOGRAM_HALF + (value >> shift);
}

static inline void histogram_record(struct histogram *h, uint64_t value)
{
	h->count++;
	h->sum += value;
	if (value < h->min)
		h->min = value;
	if (value > h->max)
		h->max = value;
	h->buckets[histogram_bucket(value)]++;
}

void histogram_init(struct histogram *h);
void histogram_add(struct histogram *to, const struct histogram *from);
uint64_t histogram_percentile(const struct histogram *h, double percent);
uint64_t histogram_bucket_max(unsigned int bucket);

#endif
