// SPDX-License-Identifier: MIT
/*
 * Numbers of a command line.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"

int number_digits(const char **text, uint64_t *n)
{
	char *end;

	/* strtoull() would take a sign, and space before it. */
	if (!isdigit((unsigned char)**text))
		return -1;
	errno = 0;
	*n = strtoull(*text, &end, 10);
	*text = end;
	return errno ? -1 : 0;
}

int number_whole(const char *text, uint64_t least, uint64_t most, uint64_t *n)
{
	return number_digits(&text, n) || *text || *n < least || *n > most ? -1 : 0;
}

/* The power of two that a suffix stands for; -1: it is none. */
static int shift_of(const char *suffix)
{
	static const char suffixes[] = "KMGT";
	const char *at;

	if (!*suffix)
		return 0;
	at = strchr(suffixes, toupper((unsigned char)*suffix));
	return at && !suffix[1] ? 10 * (int)(at - suffixes + 1) : -1;
}

int number_bytes(const char *text, uint64_t least, uint64_t most, uint64_t *n)
{
	int shift;

	if (number_digits(&text, n))
		return -1;
	shift = shift_of(text);
	if (shift < 0 || *n > most >> shift)
		return -1;
	*n <<= shift;
	return *n < least ? -1 : 0;
}
