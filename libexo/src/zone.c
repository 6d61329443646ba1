// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Zones of an extent: what they are like, and their state changed by one call.
 */
#include <errno.h>

#include <libexo/zone.h>

#include "private.h"

struct exo_zone_limits exo_zone_limits(const struct exo *x)
{
	return x->zones;
}

/* Of a direct queue, where nobody else does. A reset is a trim, too. */
static int check_within(struct exo_queue *q, uint32_t action, uint64_t zone, uint64_t blocks)
{
	int r = exo_direct_within(q, "change of a zone", EXO_WRITE, zone, blocks);

	if (!r && action == EXO_NVME_ZONE_RESET)
		r = exo_direct_within(q, "change of a zone", EXO_TRIM, zone, blocks);
	return r;
}

int exo_zone_send(struct exo_queue *q, uint32_t action, uint64_t zone, uint64_t count)
{
	const uint64_t blocks = exo_zone_limits(exo_queue_handle(q)).blocks;
	int r = exo_check_idle(q, "change of a zone");

	if (!r && !blocks)
		r = exo_queue_fail(q, -EOPNOTSUPP, NULL, "the extent is not zoned");
	while (!r && count--) {
		r = check_within(q, action, zone, blocks);
		if (r)
			break;
		exo_prep_zone_send(q, action, zone, zone);
		r = exo_run_prepared(q, "change of a zone");
		zone += blocks;
	}
	return r;
}
