// SPDX-License-Identifier: MIT
/*
 * Command lines of long options.
 */
#include "cmdline.h"
#include "tap.h"

enum { OPT_BYTES = 256, OPT_JSON };

static const struct option options[] = {
	{ "bytes", required_argument, NULL, OPT_BYTES },
	{ "json", no_argument, NULL, OPT_JSON },
	{ 0 },
};

static int at;
static char why[64];

#define ARGV(...)                         \
	{                                 \
		"tool", __VA_ARGS__, NULL \
	}

static int next(char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return cmdline_next(argc, argv, options, &at, why, sizeof(why));
}

/* What is said of a command line whose first option is wrong. */
static const char *said_of(char **argv)
{
	cmdline_begin();
	CHECK_EQUAL(next(argv), CMDLINE_WRONG);
	return why;
}

static void in_turn(void)
{
	char *argv[] = ARGV("name", "--bytes", "5", "--json", "--bytes=6", "--", "--json");

	for (int round = 0; round < 2; round++) {
		cmdline_begin();
		CHECK_EQUAL(next(argv), OPT_BYTES);
		CHECK_STRING(optarg, "5");
		CHECK_STRING(options[at].name, "bytes");
		CHECK_EQUAL(next(argv), OPT_JSON);
		CHECK(!optarg);
		CHECK_EQUAL(next(argv), OPT_BYTES);
		CHECK_STRING(optarg, "6");
		CHECK_EQUAL(next(argv), CMDLINE_END);
		CHECK_STRING(argv[optind], "name");
		CHECK_STRING(argv[optind + 1], "--json");
	}
}

static void nonsense(void)
{
	char *unknown[] = ARGV("--sparse", "name"), *missing[] = ARGV("name", "--bytes"),
	     *argument[] = ARGV("--json=1"), *letter[] = ARGV("-r"),
	     *letters[] = ARGV("-rf", "name");

	CHECK_STRING(said_of(unknown), "there is no option --sparse");
	CHECK_STRING(said_of(missing), "--bytes wants an argument");
	CHECK_STRING(said_of(argument), "there is no option --json=1");
	CHECK_STRING(said_of(letter), "there is no option -r");
	CHECK_STRING(said_of(letters), "there is no option -r");
}

static void refused(void)
{
	CHECK_EQUAL(cmdline_refuse(&options[0], "much", why, sizeof(why)), -1);
	CHECK_STRING(why, "--bytes cannot be much");
	CHECK_EQUAL(cmdline_refuse(&options[0], "much", why, 10), -1);
	CHECK_STRING(why, "--bytes c");
}

static const struct tap_test tests[] = {
	TEST(in_turn, "options come in turn, names behind them, and that again"),
	TEST(nonsense, "what is no option, or has no argument, is named"),
	TEST(refused, "an argument that makes no sense is named with its option"),
};

TAP_MAIN(tests)
