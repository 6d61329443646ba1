// SPDX-License-Identifier: MIT
/*
 * The slow half of the histogram: adding up and asking for percentiles.
 */
#include <string.h>

#include "histogram.h"

void histogram_init(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
	h->min = UINT64_MAX;
}

void histogram_add(struct histogram *to, const struct histogram *from)
{
	to->count += from->count;
	to->sum += from->sum;
	if (from->min < to->min)
		to->min = from->min;
	if (from->max > to->max)
		to->max = from->max;
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
}

/* The largest value that falls into @bucket. */
uint64_t histogram_bucket_max(unsigned int bucket)
{
	unsigned int shift = 0;

	if (bucket >= 2 * HISTOGRAM_HALF)
		shift = bucket / HISTOGRAM_HALF - 1;
	return ((bucket - shift * HISTOGRAM_HALF + 1ull) << shift) - 1;
}

/*
 * The value that @percent of all recorded ones do not exceed: the upper end of
 * its bucket, but never more than the largest one. 0 if there are none.
 */
uint64_t histogram_percentile(const struct histogram *h, double percent)
{
	double exact = percent / 100 * h->count;
	uint64_t wanted = exact, seen = 0;

	if (wanted < exact || !wanted)
		wanted++;
	if (wanted > h->count)
		wanted = h->count;
	for (unsigned int i = 0; h->count && i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen >= wanted)
			return histogram_bucket_max(i) < h->max ? histogram_bucket_max(i) : h->max;
	}
	return h->max;
}
