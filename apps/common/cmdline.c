// SPDX-License-Identifier: MIT
/*
 * Command lines of long options.
 */
#include <ctype.h>
#include <stdio.h>

#include "cmdline.h"

void cmdline_begin(void)
{
	opterr = 0;
	/* glibc: begin anew, for the unit tests. */
	optind = 0;
}

/* A letter may stand among others behind one dash, which optind is not behind yet. */
static int unknown(const char *word, char *why, size_t size)
{
	if (optopt > 0 && optopt < 0x80 && isgraph(optopt))
		snprintf(why, size, "there is no option -%c", optopt);
	else
		snprintf(why, size, "there is no option %s", word);
	return CMDLINE_WRONG;
}

int cmdline_next(int argc, char **argv, const struct option *options, int *index, char *why,
		 size_t size)
{
	int option = getopt_long(argc, argv, ":", options, index);

	if (option == '?')
		return unknown(argv[optind - 1], why, size);
	if (option != ':')
		return option;
	snprintf(why, size, "%s wants an argument", argv[optind - 1]);
	return CMDLINE_WRONG;
}

int cmdline_refuse(const struct option *option, const char *arg, char *why, size_t size)
{
	snprintf(why, size, "--%s cannot be %s", option->name, arg);
	return -1;
}
