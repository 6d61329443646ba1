/* SPDX-License-Identifier: MIT */
/*
 * Zeroes over a range of blocks, through a checked queue of our own.
 */
#ifndef EXO_DAEMON_ZERO_H
#define EXO_DAEMON_ZERO_H

#include "request.h"

/* Tells its progress on stderr. 0, or a negative errno after having told why. */
int zero_blocks(const char *address, uint32_t nsid, struct range range);

#endif
