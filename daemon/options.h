/* SPDX-License-Identifier: MIT */
/*
 * The command line of exoctl, taken apart: an option has a letter, under which
 * its value is found.
 */
#ifndef EXO_DAEMON_OPTIONS_H
#define EXO_DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "machine.h"

#define EXIT_USAGE 2

struct options {
	const char *value[128]; /* by letter; NULL: not given. "" if it takes none */
};

enum {
	OPT_ANYONE = 'a',
	OPT_DEADLINE = 'd',
	OPT_EXTENT = 'e',
	OPT_FUNCTION = 'f',
	OPT_FRAMES = 'F',
	OPT_INTERVAL = 'i',
	OPT_JSON = 'j',
	OPT_KEEP = 'k',
	OPT_LIFETIME = 'l',
	OPT_MEM = 'm',
	OPT_NODE = 'n',
	OPT_OVERWRITE = 'o',
	OPT_PID = 'p',
	OPT_PLACEMENT = 'P',
	OPT_PRIORITY = 'r',
	OPT_QUEUES = 'q',
	OPT_SESSION = 's',
	OPT_THREADS = 't',
	OPT_UID = 'u',
	OPT_USES = 'c',
	OPT_ZERO = 'z',
	OPT_ZONES = 'Z',
};

/*
 * The number that an option has, or @otherwise if it was not given. False, after telling
 * why: it is none from @least to @most.
 */
bool option_number(const struct options *options, char letter, uint64_t least, uint64_t most,
		   uint64_t otherwise, uint64_t *number);

/* One command each; an exit code. */
int list_command(const struct machine *m, const char *device, bool json);
int grant_command(const struct machine *m, const struct options *options);
int revoke_command(const struct machine *m, const struct options *options);
int watch_command(const struct machine *m, const struct options *options);

#endif
