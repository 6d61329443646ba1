// SPDX-License-Identifier: MIT
/*
 * What the options of exoctl hold; see options.h.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "options.h"

bool option_number(const struct options *options, char letter, uint64_t least, uint64_t most,
		   uint64_t otherwise, uint64_t *number)
{
	const char *text = options->value[(int)letter];
	char *end;

	*number = otherwise;
	if (!text)
		return true;
	errno = 0;
	*number = strtoull(text, &end, 10);
	if (isdigit((unsigned char)text[0]) && !*end && !errno && *number >= least &&
	    *number <= most)
		return true;
	fprintf(stderr, "exoctl: %s: not a number from %" PRIu64 " to %" PRIu64 "\n", text, least,
		most);
	return false;
}
