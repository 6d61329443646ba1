/* SPDX-License-Identifier: MIT */
/*
 * Who last held which blocks of a bound function, so that exo-run zeroes what
 * goes to somebody else and keeps what goes back to the same user.
 *
 * A text file below /run, locked while exo-run is at it, one line a range:
 * namespace object, start, length, user, process, its start time. It ends with
 * the binding (exoctl removes it) or with a reboot; blocks that it does not
 * name are of unknown origin.
 */
#ifndef EXO_DAEMON_HISTORY_H
#define EXO_DAEMON_HISTORY_H

#include <sys/types.h>

#include "machine.h"
#include "request.h"

struct holding {
	uint64_t object; /* out_object of an extent: its namespace, never used twice */
	struct range blocks;
	uid_t user;
	pid_t process;
	uint64_t started; /* of the process, so that a reused number is seen */
};

struct history {
	int fd;
	struct holding *at;
	size_t count;
};

struct ranges {
	struct range *at;
	size_t count;
};

/* Waits for another exo-run to be done. 0 or a negative errno. */
int history_open(const struct machine *m, const char *address, struct history *history);
int history_save(const struct history *history);
void history_close(struct history *history);

/* now is the latest holder of its blocks. */
void history_put(struct history *history, const struct holding *now);

/* The parts of blocks that user was not the last to hold. */
struct ranges history_foreign(const struct history *history, uint64_t object, struct range blocks,
			      uid_t user);

/* Another process that still runs with some of blocks in its hands, or NULL. */
const struct holding *history_live(const struct machine *m, const struct history *history,
				   uint64_t object, struct range blocks);

/* When a process was started, in clock ticks; 0: there is none. */
uint64_t process_started(const struct machine *m, pid_t process);

#endif
