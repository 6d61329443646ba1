// SPDX-License-Identifier: MIT
/*
 * The parts of exo-cp that need neither device nor file: command line, checksums.
 */
#include "crc.h"
#include "options.h"
#include "sums.h"
#include "tap.h"

static char why[512];

#define PARSE(o, ...)                                                                  \
	({                                                                             \
		char *argv[] = { "exo-cp", __VA_ARGS__, NULL };                        \
		options_parse((int)(sizeof(argv) / sizeof(argv[0])) - 1, argv, o, why, \
			      sizeof(why));                                            \
	})

static void defaults(void)
{
	struct options o;

	CHECK_EQUAL(PARSE(&o, "exo:", "-"), 0);
	CHECK_EQUAL(o.action, ACTION_COPY);
	CHECK_STRING(o.source, "exo:");
	CHECK_STRING(o.destination, "-");
	CHECK(!o.from.given && !o.to.given && !o.bytes.given);
	CHECK_EQUAL(o.offload, OFFLOAD_IF_POSSIBLE);
	CHECK_EQUAL(o.depth, DEPTH_DEFAULT);
	CHECK_EQUAL(o.size, 0);
	CHECK(!o.verify && !o.pad && !o.progress && !o.quiet);
}

static void all_options(void)
{
	struct options o;

	CHECK_EQUAL(PARSE(&o, "--from", "3b", "--to=2M", "--bytes", "1000", "--offload", "--pad",
			  "--verify", "--depth", "4", "--size", "128K", "--progress", "--quiet",
			  "exo:a", "uring:b"),
		    0);
	CHECK(o.from.blocks && o.from.given && o.from.n == 3);
	CHECK(!o.to.blocks && o.to.n == 2 << 20);
	CHECK_EQUAL(o.bytes.n, 1000);
	CHECK_EQUAL(o.offload, OFFLOAD_ALWAYS);
	CHECK(o.pad && o.verify && o.progress && o.quiet);
	CHECK_EQUAL(o.depth, 4);
	CHECK_EQUAL(o.size, 128 << 10);
	CHECK_EQUAL(PARSE(&o, "--no-offload", "exo:a", "uring:b"), 0);
	CHECK_EQUAL(o.offload, OFFLOAD_NEVER);
	CHECK_EQUAL(PARSE(&o, "--help"), 0);
	CHECK_EQUAL(o.action, ACTION_HELP);
}

static void numbers(void)
{
	static const char *const wrong[] = { "",     "-1",
					     " 1",   "+1",
					     "1x",   "1KK",
					     "1bb",  "0x10",
					     "1Kb",  "99999999999999999999",
					     "b",    "1 K",
					     "1.5M", "18446744073709551615K" };
	struct number n;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CHECK_EQUAL(options_number(wrong[i], &n), -1);
	CHECK(!options_number("18446744073709551615", &n) && n.n == UINT64_MAX);
	CHECK(!options_number("7g", &n) && n.n == 7ull << 30 && !n.blocks);
	CHECK(!options_number("0b", &n) && n.blocks && n.given);
}

static void names(void)
{
	struct options o;

	CHECK(options_is_extent("exo:") && options_is_extent("nvme:0000:01:00.0/1") &&
	      options_is_extent("token:a,b,c") && options_is_extent("uring:x"));
	CHECK(!options_is_extent("./exo:") && !options_is_extent("exo") && !options_is_extent("-"));
	CHECK_EQUAL(PARSE(&o, "a", "b"), -1);
	CHECK(strstr(why, "neither a nor b is an extent") && strstr(why, "cp copies files"));
}

static void nonsense(void)
{
	struct options o;

	CHECK_EQUAL(PARSE(&o, "exo:"), -1);
	CHECK(strstr(why, "1 name is given"));
	CHECK_EQUAL(PARSE(&o, "exo:", "a", "b"), -1);
	CHECK_EQUAL(PARSE(&o, "--bytes", "0", "exo:", "a"), -1);
	CHECK_STRING(why, "--bytes cannot be 0");
	CHECK_EQUAL(PARSE(&o, "--depth", "0", "exo:", "a"), -1);
	CHECK_EQUAL(PARSE(&o, "--depth", "2b", "exo:", "a"), -1);
	CHECK_EQUAL(PARSE(&o, "--depth", "1025", "exo:", "a"), -1);
	CHECK_EQUAL(PARSE(&o, "--size", "0", "exo:", "a"), -1);
	CHECK_EQUAL(PARSE(&o, "--size", "8G", "exo:", "a"), -1);
	CHECK_EQUAL(PARSE(&o, "--from", "-1", "exo:", "a"), -1);
	CHECK_EQUAL(PARSE(&o, "--from"), -1);
	CHECK_STRING(why, "--from wants an argument");
	CHECK_EQUAL(PARSE(&o, "--sparse", "exo:", "a"), -1);
	CHECK_STRING(why, "there is no option --sparse");
	CHECK_EQUAL(PARSE(&o, "--offload", "--no-offload", "exo:", "a"), -1);
	CHECK_STRING(why, "--offload and --no-offload exclude each other");
}

/* RFC 3720, appendix B.4, and the check value of the catalogues. */
static void known_checksums(void)
{
	unsigned char bytes[32];

	CHECK_EQUAL(crc32c("123456789", 9), 0xe3069283);
	CHECK_EQUAL(crc32c("", 0), 0);
	memset(bytes, 0, sizeof(bytes));
	CHECK_EQUAL(crc32c(bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	CHECK_EQUAL(crc32c(bytes, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		bytes[i] = i;
	CHECK_EQUAL(crc32c(bytes, 32), 0x46dd794e);
}

static void every_bit_counts(void)
{
	unsigned char bytes[67] = { 5, 4, 3 };
	uint32_t sum = crc32c(bytes, sizeof(bytes));

	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		bytes[bit / 8] ^= 1 << bit % 8;
		CHECK(crc32c(bytes, sizeof(bytes)) != sum);
		bytes[bit / 8] ^= 1 << bit % 8;
	}
}

static void pieces_in_order(void)
{
	struct sums sums = { 0 };

	for (int i = 0; i < 1000; i++)
		CHECK_EQUAL(sums_note(&sums, &i, sizeof(i)), 0);
	for (int i = 0; i < 1000; i++) {
		int other = i == 700 ? 701 : i;

		CHECK_EQUAL(sums_match(&sums, &other, sizeof(other)), i != 700);
	}
	CHECK_EQUAL(sums.wrong, 1);
	/* More than was noted cannot be right. */
	CHECK_EQUAL(sums_match(&sums, "", 0), 0);
	sums_free(&sums);
}

static const struct tap_test tests[] = {
	TEST(defaults, "two names are enough"),
	TEST(all_options, "all options arrive"),
	TEST(numbers, "a number has no sign, and one unit at most"),
	TEST(names, "what has no prefix of an extent is a file"),
	TEST(nonsense, "options that make no sense are refused by name"),
	TEST(known_checksums, "checksums are those of the standard"),
	TEST(every_bit_counts, "every flipped bit changes the checksum"),
	TEST(pieces_in_order, "a piece that differs is found, and no other"),
};

TAP_MAIN(tests)
