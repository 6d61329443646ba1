// SPDX-License-Identifier: MIT
/*
 * Zones of a namespace; see zones.h.
 */
#include "label.h"
#include "zones.h"

void zones_tell_size(FILE *out, const struct exo_namespace_query *ns)
{
	if (ns->out_zone_blocks)
		fprintf(out, ", in zones of %llu blocks", ns->out_zone_blocks);
}

static void tell_limit(FILE *out, const char *what, unsigned int limit, unsigned int left)
{
	if (limit)
		fprintf(out, ", %u of %u %s zones left", left, limit, what);
}

void zones_tell(FILE *out, const struct exo_namespace_query *ns)
{
	char size[LABEL_SIZE];

	if (!ns->out_zone_blocks)
		return;
	fprintf(out, "namespace %u: %llu zones of %llu blocks (%s)", ns->out_nsid,
		ns->out_blocks / ns->out_zone_blocks, ns->out_zone_blocks,
		label_bytes(size, ns->out_zone_blocks << ns->out_block_shift));
	tell_limit(out, "open", ns->out_open_zones, ns->out_open_zones_left);
	tell_limit(out, "active", ns->out_active_zones, ns->out_active_zones_left);
	fprintf(out, "\n");
}

const char *zones_set_quota(struct exo_extent_create *extent, const struct exo_namespace_query *ns,
			    unsigned int zones)
{
	if (!zones)
		return NULL;
	if (!ns->out_zone_blocks)
		return "--zones is for zoned namespaces";
	if (!ns->out_open_zones && !ns->out_active_zones)
		return "--zones: as many of its zones may be open and active as there are";
	extent->open_zones = ns->out_open_zones ? zones : 0;
	extent->active_zones = ns->out_active_zones ? zones : 0;
	return NULL;
}
