/* SPDX-License-Identifier: MIT */
/*
 * Zones of a namespace in words, and the quotas of an extent of it.
 */
#ifndef EXO_DAEMON_ZONES_H
#define EXO_DAEMON_ZONES_H

#include <stdio.h>

#include <linux/exo.h>

/* " in zones of 256 blocks"; nothing if it is not zoned. */
void zones_tell_size(FILE *out, const struct exo_namespace_query *ns);

/* A line; nothing if it is not zoned. */
void zones_tell(FILE *out, const struct exo_namespace_query *ns);

/*
 * What --zones asks for, as far as the namespace has limits; 0: not given. NULL, or why
 * not.
 */
const char *zones_set_quota(struct exo_extent_create *extent, const struct exo_namespace_query *ns,
			    unsigned int zones);

#endif
