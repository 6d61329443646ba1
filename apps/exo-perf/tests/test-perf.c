// SPDX-License-Identifier: MIT
/*
 * The parts of exo-perf that need no device: histogram, pattern, command line.
 */
#include <stdlib.h>

#include <linux/exo.h>

#include "histogram.h"
#include "options.h"
#include "pattern.h"
#include "tap.h"

static void buckets_cover(void)
{
	uint64_t before = 0;

	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t max = histogram_bucket_max(i);

		CHECK_EQUAL(histogram_bucket(max), i);
		if (i)
			CHECK_EQUAL(histogram_bucket(before + 1), i);
		CHECK(!i || max > before);
		before = max;
	}
	CHECK(before == UINT64_MAX);
}

static void buckets_are_narrow(void)
{
	for (int shift = 0; shift < 64; shift++) {
		uint64_t value = 1ull << shift, max = histogram_bucket_max(histogram_bucket(value));

		CHECK(max - value <= value / 128);
	}
}

static void percentiles(void)
{
	static struct histogram h;

	histogram_init(&h);
	CHECK_EQUAL(histogram_percentile(&h, 50), 0);
	for (uint64_t i = 1; i <= 100; i++)
		histogram_record(&h, i);
	CHECK_EQUAL(histogram_percentile(&h, 0), 1);
	CHECK_EQUAL(histogram_percentile(&h, 50), 50);
	CHECK_EQUAL(histogram_percentile(&h, 99), 99);
	CHECK_EQUAL(histogram_percentile(&h, 99.9), 100);
	CHECK_EQUAL(histogram_percentile(&h, 100), 100);
	CHECK_EQUAL(h.min, 1);
	CHECK_EQUAL(h.max, 100);
	CHECK_EQUAL(h.sum, 5050);
}

static void never_above_the_largest(void)
{
	static struct histogram h;

	histogram_init(&h);
	histogram_record(&h, 1000001);
	CHECK_EQUAL(histogram_percentile(&h, 50), 1000001);
	histogram_record(&h, UINT64_MAX);
	CHECK(histogram_percentile(&h, 100) == UINT64_MAX);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void close_to_exact(void)
{
	static uint64_t values[20000];
	static struct histogram h;
	static const double wanted[] = { 1, 50, 90, 99, 99.9, 99.99 };
	uint64_t state = 3;

	histogram_init(&h);
	for (int i = 0; i < 20000; i++) {
		values[i] = splitmix64(&state) >> (20 + splitmix64(&state) % 40);
		histogram_record(&h, values[i]);
	}
	qsort(values, 20000, sizeof(values[0]), by_value);
	for (int i = 0; i < 6; i++) {
		double rank = wanted[i] / 100 * 20000;
		uint64_t at = rank > (uint64_t)rank ? (uint64_t)rank : (uint64_t)rank - 1;
		uint64_t p = histogram_percentile(&h, wanted[i]);

		CHECK(p >= values[at]);
		CHECK(p - values[at] <= values[at] / 128);
	}
}

static void adding(void)
{
	static struct histogram a, b;

	histogram_init(&a);
	histogram_init(&b);
	histogram_record(&a, 5);
	histogram_record(&b, 3);
	histogram_record(&b, 700);
	histogram_add(&a, &b);
	CHECK_EQUAL(a.count, 3);
	CHECK_EQUAL(a.min, 3);
	CHECK_EQUAL(a.max, 700);
	CHECK_EQUAL(a.sum, 708);
	CHECK_EQUAL(histogram_percentile(&a, 50), 5);
}

static void pattern_holds(void)
{
	uint64_t block[512];
	char why[128];

	for (size_t bytes = 512; bytes <= sizeof(block); bytes *= 2) {
		pattern_fill(block, bytes, 77, 5);
		CHECK_EQUAL(pattern_check(block, bytes, 77, 5, why, sizeof(why)), 0);
	}
}

static void every_bit_counts(void)
{
	uint64_t block[64], sum;
	char why[128];

	pattern_fill(block, sizeof(block), 9, 1);
	sum = pattern_checksum(block, sizeof(block), 9);
	for (int bit = 0; bit < 64 * 64; bit++) {
		block[bit / 64] ^= 1ull << bit % 64;
		CHECK_EQUAL(pattern_check(block, sizeof(block), 9, 1, why, sizeof(why)), -1);
		CHECK(pattern_checksum(block, sizeof(block), 9) != sum);
		block[bit / 64] ^= 1ull << bit % 64;
	}
	CHECK(pattern_checksum(block, sizeof(block), 9) == sum);
	CHECK(pattern_checksum(block, sizeof(block), 10) != sum);
}

static void says_what_is_wrong(void)
{
	uint64_t block[64];
	char why[128];

	pattern_fill(block, sizeof(block), 9, 1);
	pattern_check(block, sizeof(block), 8, 1, why, sizeof(why));
	CHECK_STRING(why, "it holds what was written to block 9");
	pattern_check(block, sizeof(block), 9, 2, why, sizeof(why));
	CHECK_STRING(why, "it was written with --seed 1");
	block[10]++;
	pattern_check(block, sizeof(block), 9, 1, why, sizeof(why));
	CHECK_STRING(why, "it differs from byte 80 on");
	memset(block, 0, sizeof(block));
	pattern_check(block, sizeof(block), 9, 1, why, sizeof(why));
	CHECK_STRING(why, "it is all zeros");
	memset(block, 0x5a, sizeof(block));
	pattern_check(block, sizeof(block), 9, 1, why, sizeof(why));
	CHECK(strstr(why, "not written by exo-perf"));
}

#define PARSE(o, ...)                                                                  \
	({                                                                             \
		char *argv[] = { "exo-perf", __VA_ARGS__, NULL };                      \
		options_parse((int)(sizeof(argv) / sizeof(argv[0])) - 1, argv, o, why, \
			      sizeof(why));                                            \
	})

static char why[256];

static void defaults(void)
{
	struct options o;

	CHECK_EQUAL(PARSE(&o, "exo:"), 0);
	CHECK_EQUAL(o.action, ACTION_MEASURE);
	CHECK_STRING(o.name, "exo:");
	CHECK(o.random && o.reads == 100);
	CHECK_EQUAL(o.bs, 4096);
	CHECK_EQUAL(o.depth, 32);
	CHECK_EQUAL(o.batch, 32);
	CHECK_EQUAL(o.queues, 1);
	CHECK(!options_write(&o));
	CHECK(!o.irq_cpu && !o.node);
	CHECK_EQUAL(options_mode(&o), EXO_QUEUE_CHECKED);
	CHECK_EQUAL(PARSE(&o, "--direct", "exo:"), 0);
	CHECK_EQUAL(options_mode(&o), EXO_QUEUE_DIRECT);
	CHECK_EQUAL(PARSE(&o, "--unsafe", "exo:"), 0);
	CHECK_EQUAL(options_mode(&o), EXO_QUEUE_UNSAFE);
}

static void all_options(void)
{
	struct options o;

	CHECK_EQUAL(PARSE(&o, "--rw", "randrw", "--mix=70", "--bs", "128k", "--depth", "64",
			  "--batch", "16", "--threads", "4", "--runtime", "1.5", "--seed", "9",
			  "--size", "1M", "--write", "S1", "--pin", "--json", "--progress",
			  "--priority", "high", "--irq-cpu", "3", "--node", "0", "exo:data"),
		    0);
	CHECK_EQUAL(o.reads, 70);
	CHECK_EQUAL(o.bs, 131072);
	CHECK_EQUAL(o.batch, 16);
	CHECK_EQUAL(o.queues, 4);
	CHECK(o.runtime == 1.5 && o.pin && o.json && o.progress);
	CHECK_EQUAL(o.irq_cpu, 4);
	CHECK_EQUAL(o.node, 1);
	CHECK_EQUAL(o.priority, 3);
	CHECK_STRING(options_priority(o.priority), "high");
	CHECK_EQUAL(o.size, 1 << 20);
	CHECK_STRING(o.serial, "S1");
	CHECK(options_write(&o));
}

static void writing_needs_a_serial(void)
{
	struct options o;

	CHECK_EQUAL(PARSE(&o, "--rw", "randwrite", "exo:"), -1);
	CHECK(strstr(why, "--write SERIAL"));
	CHECK_EQUAL(PARSE(&o, "--rw", "rw", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--verify", "write", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--verify", "read", "exo:"), 0);
	CHECK_EQUAL(PARSE(&o, "--show-refusal", "exo:"), 0);
}

static void nonsense(void)
{
	struct options o;

	CHECK_EQUAL(PARSE(&o, "--rw", "sideways", "exo:"), -1);
	CHECK_STRING(why, "--rw cannot be sideways");
	CHECK_EQUAL(PARSE(&o, "--depth", "0", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--depth", "-1", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--depth", "1x", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--bs", "0", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--bs", "99999999999T", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--runtime", "nan", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--runtime", "-1", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--mix", "101", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--mix", "50", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--batch", "33", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--irq-cpu", "-1", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--node", "65536", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--priority", "none", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--marks", "--queues", "2", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--verify", "maybe", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--nothing", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--depth"), -1);
	CHECK_EQUAL(PARSE(&o, "exo:", "exo:"), -1);
	CHECK_EQUAL(PARSE(&o, "--json"), -1);
}

static const struct tap_test tests[] = {
	TEST(buckets_cover, "the buckets cover 64 bits without gap or overlap"),
	TEST(buckets_are_narrow, "no bucket is wider than a 128th of its value"),
	TEST(percentiles, "percentiles of small numbers are exact"),
	TEST(never_above_the_largest, "no percentile is above the largest value"),
	TEST(close_to_exact, "percentiles of any numbers are at most a 128th too large"),
	TEST(adding, "histograms add up"),
	TEST(pattern_holds, "a block holds the pattern that was put there"),
	TEST(every_bit_counts, "every flipped bit is found and changes the checksum"),
	TEST(says_what_is_wrong, "a wrong block is described by what it holds"),
	TEST(defaults, "without options it reads at random"),
	TEST(all_options, "all options arrive"),
	TEST(writing_needs_a_serial, "nothing that writes goes without a serial number"),
	TEST(nonsense, "options that make no sense are refused by name"),
};

TAP_MAIN(tests)
