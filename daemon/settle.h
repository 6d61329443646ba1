/* SPDX-License-Identifier: MIT */
/*
 * What blocks hold when they change hands: zeroes, unless they go back to the user who
 * was the last to hold them (history.h) or were asked to be kept.
 */
#ifndef EXO_DAEMON_SETTLE_H
#define EXO_DAEMON_SETTLE_H

#include "history.h"

enum zeroing { ZERO_FOREIGN, ZERO_ALWAYS, ZERO_NEVER };

/* Blocks of a function that somebody is about to hold for writing. */
struct parcel {
	uint32_t nsid;
	unsigned int block_shift;
	uint64_t object; /* out_object of an extent there */
	struct range range;
};

#define SETTLE_ANYBODY ((uid_t)-1) /* a user who is not known yet */

/* Zeroes what must be, and remembers the new holder: this process, for user. All parcels
 * under one lock. 0, or a negative errno after telling why on stderr. */
int settle(const struct machine *m, const char *address, const struct parcel *parcels, size_t count,
	   uid_t user, enum zeroing zeroing);

/* Remembers who has it now. Likewise. */
int settle_holder(const struct machine *m, const char *address, const struct parcel *parcel,
		  uid_t user, pid_t process);

#endif
