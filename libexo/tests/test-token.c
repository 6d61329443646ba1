// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Tokens as text.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "private.h"
#include "tap.h"

#define ROUNDS 2000

static void random_token(uint8_t token[16])
{
	for (int i = 0; i < 16; i++)
		token[i] = rand() >> 7;
}

static int parse(const char *text, uint8_t token[16])
{
	const char *problem = "unset";
	int r = exo_token_parse(text, token, &problem);

	if (r)
		CHECK(problem && strlen(problem) > 10);
	else
		CHECK(!problem);
	return r;
}

static bool same(const uint8_t a[16], const uint8_t b[16])
{
	return !memcmp(a, b, 16);
}

static void round_trip(void)
{
	uint8_t token[16], back[16];
	char text[EXO_TOKEN_TEXT];

	for (int round = 0; round < ROUNDS; round++) {
		random_token(token);
		CHECK(exo_token_print(token, text) == text);
		CHECK_EQUAL(strlen(text), EXO_TOKEN_TEXT - 1);
		memset(back, 0x55, 16);
		CHECK_EQUAL(parse(text, back), 0);
		CHECK(same(token, back));
	}
}

static void known(void)
{
	uint8_t token[16] = { 0 }, back[16];
	char text[EXO_TOKEN_TEXT];

	CHECK_STRING(exo_token_print(token, text), "exo10000000000000000000000000000");
	token[15] = 1;
	CHECK_STRING(exo_token_print(token, text), "exo10000000000000000000000000101");
	memset(token, 0xff, 16);
	exo_token_print(token, text);
	CHECK(!strncmp(text, "exo17zzzzzzzzzzzzzzzzzzzzzzzzz", 30));
	CHECK_EQUAL(parse(text, back), 0);
	CHECK(same(token, back));
}

static void case_is_nothing(void)
{
	uint8_t token[16], back[16];
	char text[EXO_TOKEN_TEXT];

	for (int round = 0; round < ROUNDS; round++) {
		random_token(token);
		exo_token_print(token, text);
		for (char *c = text; *c; c++)
			*c = rand() & 64 ? toupper(*c) : *c;
		CHECK_EQUAL(parse(text, back), 0);
		CHECK(same(token, back));
	}
}

/* Every other byte in every place, but for the other case of the same letter. */
static void one_wrong_character(void)
{
	uint8_t token[16], back[16];
	char text[EXO_TOKEN_TEXT];

	for (int round = 0; round < 20; round++) {
		random_token(token);
		exo_token_print(token, text);
		for (size_t at = 0; at < EXO_TOKEN_TEXT - 1; at++) {
			char right = text[at];

			for (int byte = 0; byte < 256; byte++) {
				if (isascii(byte) && tolower(byte) == right)
					continue;
				text[at] = byte;
				CHECK_EQUAL(parse(text, back), -EINVAL);
			}
			text[at] = right;
		}
	}
}

static void two_that_changed_places(void)
{
	uint8_t token[16], back[16];
	char text[EXO_TOKEN_TEXT];

	for (int round = 0; round < ROUNDS; round++) {
		random_token(token);
		exo_token_print(token, text);
		for (size_t at = 4; at < EXO_TOKEN_TEXT - 2; at++) {
			char c = text[at];

			if (c == text[at + 1])
				continue;
			text[at] = text[at + 1];
			text[at + 1] = c;
			CHECK_EQUAL(parse(text, back), -EINVAL);
			text[at + 1] = text[at];
			text[at] = c;
		}
	}
}

static void wrong_length(void)
{
	uint8_t token[16], back[16] = { 7 };
	char text[EXO_TOKEN_TEXT + 1];

	random_token(token);
	exo_token_print(token, text);
	for (size_t len = 0; len < EXO_TOKEN_TEXT - 1; len++) {
		char c = text[len];

		text[len] = 0;
		CHECK_EQUAL(parse(text, back), -EINVAL);
		text[len] = c;
	}
	text[EXO_TOKEN_TEXT] = 0;
	for (int byte = 1; byte < 256; byte++) {
		text[EXO_TOKEN_TEXT - 1] = byte;
		CHECK_EQUAL(parse(text, back), -EINVAL);
	}
	CHECK_EQUAL(back[0], 7);
}

static void says_what(void)
{
	static const struct {
		const char *text, *word;
	} wrong[] = {
		{ "", "begins with exo1" },
		{ "exo2", "begins with exo1" },
		{ " exo10000000000000000000000000000", "begins with exo1" },
		{ "exo1", "too short" },
		{ "exo1000000000000000000000000000", "too short" },
		{ "exo100000000000000000000000000000", "too long" },
		{ "exo1000000o000000000000000000000", "without i, l, o" },
		{ "exo1000000 000000000000000000000", "only digits" },
		{ "exo18000000000000000000000000000", "at most 7" },
		{ "exo10000000000000000000000000001", "check digits" },
	};
	const char *problem;
	uint8_t token[16];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CHECK_EQUAL(exo_token_parse(wrong[i].text, token, &problem), -EINVAL);
		CHECK(problem && strstr(problem, wrong[i].word));
	}
	CHECK_EQUAL(exo_token_parse("exo1", token, NULL), -EINVAL);
}

static const struct tap_test tests[] = {
	TEST(round_trip, "a printed token is parsed to the same token"),
	TEST(known, "known tokens have their known text"),
	TEST(case_is_nothing, "upper and lower case are the same"),
	TEST(one_wrong_character, "every single wrong character is noticed"),
	TEST(two_that_changed_places, "two neighbours that changed places are noticed"),
	TEST(wrong_length, "a token that is too long or too short is refused"),
	TEST(says_what, "what is wrong with a token is told"),
};

TAP_MAIN(tests)
