// SPDX-License-Identifier: MIT
/*
 * Numbers of a command line.
 */
#include "number.h"
#include "tap.h"

static uint64_t n;

static void digits(void)
{
	const char *text = "120K";

	CHECK_EQUAL(number_digits(&text, &n), 0);
	CHECK_EQUAL(n, 120);
	CHECK_STRING(text, "K");
	CHECK_EQUAL(number_digits(&text, &n), -1);
}

static void nothing_else(void)
{
	static const char *const wrong[] = {
		"",
		"-1",
		" 1",
		"+1",
		"1 ",
		"1x",
		"1KK",
		"K",
		"0x10",
		"1 K",
		"1.5M",
		"1Kb",
		"1b",
		"\xb1",
		"1\xb1",
		"1e3",
		"99999999999999999999",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CHECK_EQUAL(number_whole(wrong[i], 0, UINT64_MAX, &n), -1);
		CHECK_EQUAL(number_bytes(wrong[i], 0, UINT64_MAX, &n), -1);
	}
	CHECK_EQUAL(number_whole("1K", 0, UINT64_MAX, &n), -1);
}

static void limits(void)
{
	CHECK(!number_whole("18446744073709551615", 0, UINT64_MAX, &n) && n == UINT64_MAX);
	CHECK_EQUAL(number_whole("18446744073709551616", 0, UINT64_MAX, &n), -1);
	CHECK(!number_whole("007", 7, 7, &n) && n == 7);
	CHECK_EQUAL(number_whole("6", 7, 9, &n), -1);
	CHECK_EQUAL(number_whole("10", 7, 9, &n), -1);
	CHECK(!number_bytes("4K", 4096, 4096, &n) && n == 4096);
	CHECK_EQUAL(number_bytes("4K", 4097, UINT64_MAX, &n), -1);
	CHECK_EQUAL(number_bytes("4K", 0, 4095, &n), -1);
	CHECK_EQUAL(number_bytes("0", 1, 4095, &n), -1);
}

static void powers(void)
{
	static const char suffixes[][3] = { "Kk", "Mm", "Gg", "Tt" };
	char text[] = "3?";

	for (int i = 0; i < 4; i++) {
		for (int k = 0; k < 2; k++) {
			text[1] = suffixes[i][k];
			CHECK_EQUAL(number_bytes(text, 0, UINT64_MAX, &n), 0);
			CHECK_EQUAL(n, 3ull << 10 * (i + 1));
		}
	}
	CHECK(!number_bytes("16777215T", 0, UINT64_MAX, &n) && n == 0xffffffull << 40);
	CHECK_EQUAL(number_bytes("16777216T", 0, UINT64_MAX, &n), -1);
	CHECK_EQUAL(number_bytes("18446744073709551615K", 0, UINT64_MAX, &n), -1);
}

static const struct tap_test tests[] = {
	TEST(digits, "what is behind the digits is left to the caller"),
	TEST(nothing_else, "a number has no sign, no space and one suffix at most"),
	TEST(limits, "a number is within its limits, or refused"),
	TEST(powers, "K, M, G and T are powers of 1024, and what overflows is refused"),
};

TAP_MAIN(tests)
