// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Tokens: their text, and making and ending them.
 *
 * The text is the token as one number, most significant digit first, then the
 * number modulo 1021 as two digits more. 1021 is a prime above 31, so neither one
 * wrong digit nor two neighbours that changed places leave the remainder alone; and
 * below 1024, so it is two digits.
 */
#include <errno.h>
#include <string.h>

#include "backend.h"

#define PREFIX "exo1"
#define PREFIX_LEN 4
#define BODY 26 /* digits of 5 bits for 128 bits; the first is below 8 */
#define MODULUS 1021u

_Static_assert(PREFIX_LEN + BODY + 2 + 1 == EXO_TOKEN_TEXT, "a token fits its text exactly");

static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

/* The value of a digit in either case; 32 for what is none. */
static unsigned int value_of(char c)
{
	unsigned int value = 32;

	for (unsigned int i = 0; i < 32; i++)
		value = digits[i] == c || (i > 9 && digits[i] == c + 32) ? i : value;
	return value;
}

/* 5 bits of the token, the @n-th digit; 2 zeroes stand before the 128 bits. */
static unsigned int digit_at(const uint8_t token[16], unsigned int n)
{
	unsigned int value = 0;

	for (unsigned int bit = 5 * n; bit < 5 * n + 5; bit++) {
		unsigned int at = bit - 2;

		value <<= 1;
		if (bit >= 2)
			value |= token[at / 8] >> (7 - at % 8) & 1;
	}
	return value;
}

static void put_digit(uint8_t token[16], unsigned int n, unsigned int value)
{
	for (unsigned int i = 0; i < 5; i++) {
		unsigned int bit = 5 * n + i, at = bit - 2;

		if (bit >= 2)
			token[at / 8] |= (value >> (4 - i) & 1) << (7 - at % 8);
	}
}

static unsigned int check_of(const uint8_t token[16])
{
	unsigned int check = 0;

	for (unsigned int n = 0; n < BODY; n++)
		check = (check * 32 + digit_at(token, n)) % MODULUS;
	return check;
}

const char *exo_token_print(const uint8_t token[16], char text[EXO_TOKEN_TEXT])
{
	unsigned int check = check_of(token);
	char *at = text + PREFIX_LEN;

	memcpy(text, PREFIX, PREFIX_LEN);
	for (unsigned int n = 0; n < BODY; n++)
		*at++ = digits[digit_at(token, n)];
	*at++ = digits[check / 32];
	*at++ = digits[check % 32];
	*at = 0;
	return text;
}

static bool has_prefix(const char *text)
{
	return (text[0] | 32) == 'e' && (text[1] | 32) == 'x' && (text[2] | 32) == 'o' &&
	       text[3] == '1';
}

static const char *parse(const char *text, uint8_t token[16])
{
	unsigned int check = 0;

	if (!has_prefix(text))
		return "a token begins with exo1";
	text += PREFIX_LEN;
	for (unsigned int n = 0; n < BODY + 2; n++) {
		unsigned int value = value_of(text[n]);

		if (!text[n])
			return "the token is too short: it has 32 characters";
		if (value > 31)
			return "a token has only digits and letters, without i, l, o and u";
		if (!n && value > 7)
			return "the first digit behind exo1 is at most 7";
		if (n < BODY)
			put_digit(token, n, value);
		else
			check = check * 32 + value;
	}
	if (text[BODY + 2])
		return "the token is too long: it has 32 characters";
	if (check != check_of(token))
		return "the check digits do not fit: a character is wrong";
	return NULL;
}

int exo_token_parse(const char *text, uint8_t token[16], const char **problem)
{
	uint8_t parsed[16] = { 0 };
	const char *what = parse(text, parsed);

	if (problem)
		*problem = what;
	if (what)
		return -EINVAL;
	memcpy(token, parsed, 16);
	return 0;
}

/* ---- making and ending ---- */

static uint32_t cap_of(const struct exo *x, uint32_t type)
{
	switch (type) {
	case EXO_TYPE_EXTENT:
		return x->extent;
	case EXO_TYPE_CONTROLLER:
		return x->controller;
	case EXO_TYPE_POOL:
		return x->pool;
	}
	return 0;
}

/* All the rights that the handle has to something. */
static int held(struct exo *x, uint32_t cap, uint32_t *rights)
{
	struct exo_detail detail = { 0 };
	struct exo_cap_query arg = { .detail = exo_sys_address(&detail), .cap = cap };
	int r = exo_sys_cap_query(x->fd, &arg);

	if (r)
		return exo_fail(x, r, &detail, "cannot make a token");
	*rights = arg.out_rights;
	return 0;
}

int exo_token_create(struct exo *x, uint32_t what, uint32_t rights, uint32_t uses,
		     uint32_t lifetime_ms, uint32_t uid, uint8_t token[16])
{
	struct exo_detail detail = { 0 };
	struct exo_token_create arg = {
		.detail = exo_sys_address(&detail),
		.flags = uid == EXO_TOKEN_ANYBODY ? 0 : EXO_TOKEN_UID,
		.cap = cap_of(x, what),
		.rights = rights,
		.uses = uses,
		.lifetime_ms = lifetime_ms,
		.uid = uid == EXO_TOKEN_ANYBODY ? 0 : uid,
	};
	int r;

	if (what != EXO_TYPE_EXTENT && what != EXO_TYPE_CONTROLLER && what != EXO_TYPE_POOL)
		return exo_fail(x, -EINVAL, NULL,
				"a token is made of the extent, the controller or the pool of a "
				"handle");
	r = exo_check_module(x, "tokens");
	if (!r)
		r = exo_check_held(x, what);
	if (!r && !rights)
		r = held(x, arg.cap, &arg.rights);
	if (r)
		return r;
	r = exo_sys_token_create(x->fd, &arg);
	if (r)
		return exo_fail(x, r, &detail, "cannot make a token");
	memcpy(token, arg.out_token, 16);
	return 0;
}

int exo_token_cancel(struct exo *x, const uint8_t token[16])
{
	struct exo_detail detail = { 0 };
	struct exo_token_cancel arg = { .detail = exo_sys_address(&detail) };
	int r = exo_check_module(x, "tokens");

	if (r)
		return r;
	memcpy(arg.token, token, 16);
	r = exo_sys_token_cancel(x->fd, &arg);
	if (r)
		return exo_fail(x, r, &detail, "cannot cancel a token");
	return 0;
}
