// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Structures of options across versions of program and library.
 */
#include <errno.h>

#include "private.h"
#include "tap.h"

struct future {
	struct exo_queue_options now;
	uint32_t later;
};

static void same_version(void)
{
	struct exo_queue_options from = { .size = sizeof(from), .depth = 9, .mode = 1, .flags = 2 };
	struct exo_queue_options to;

	CHECK_EQUAL(exo_options_copy(&to, sizeof(to), &from), 0);
	CHECK(!memcmp(&from, &to, sizeof(to)));
}

static void older_program(void)
{
	struct exo_queue_options from = { .size = 8, .depth = 9, .mode = 1, .flags = 2 };
	struct exo_queue_options to;

	memset(&to, 0xff, sizeof(to));
	CHECK_EQUAL(exo_options_copy(&to, sizeof(to), &from), 0);
	CHECK_EQUAL(to.depth, 9);
	CHECK_EQUAL(to.mode, 0);
	CHECK_EQUAL(to.flags, 0);
}

static void newer_program(void)
{
	struct future from = { .now = { .size = sizeof(from), .depth = 9 } };
	struct exo_queue_options to;

	CHECK_EQUAL(exo_options_copy(&to, sizeof(to), &from), 0);
	CHECK_EQUAL(to.depth, 9);
	from.later = 1;
	CHECK_EQUAL(exo_options_copy(&to, sizeof(to), &from), -E2BIG);
}

static void absurd_sizes(void)
{
	struct exo_queue_options from = { 0 }, to;
	static const uint32_t sizes[] = { 0, 1, 3, 4097, 0x80000000, UINT32_MAX };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		from.size = sizes[i];
		CHECK_EQUAL(exo_options_copy(&to, sizeof(to), &from), -EINVAL);
	}
}

static const struct tap_test tests[] = {
	TEST(same_version, "options of the same version are taken as they are"),
	TEST(older_program, "what an older program does not know of is zero"),
	TEST(newer_program, "a newer program is served unless it uses what is unknown"),
	TEST(absurd_sizes, "sizes that cannot be are refused"),
};

TAP_MAIN(tests)
