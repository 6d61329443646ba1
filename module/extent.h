/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Extents: ranges of logical blocks. Their object is the namespace; the range and
 * the rights are the capability's.
 */
#ifndef EXO_EXTENT_H
#define EXO_EXTENT_H

#include "object.h"

struct exo_call;
struct exo_nvme;

/**
 * struct exo_namespace - a namespace, once it was used
 * @object: named by its function as long as that is bound
 * @nvme: the function; a reference
 * @nsid: its number
 * @shift: log2 of the bytes in a logical block
 * @metadata: bytes of metadata per block
 * @blocks: NSZE
 * @copy_ranges: source ranges of one Copy; 0: there is no Copy
 * @copy_range_blocks: blocks of each
 * @copy_blocks: blocks of all
 */
struct exo_namespace {
	struct exo_object object;
	struct exo_nvme *nvme;
	u32 nsid;
	u32 shift;
	u32 metadata;
	u64 blocks;
	u32 copy_ranges;
	u32 copy_range_blocks;
	u32 copy_blocks;
};

static inline struct exo_namespace *exo_namespace_of(struct exo_object *obj)
{
	return container_of(obj, struct exo_namespace, object);
}

void exo_extent_end_all(struct exo_nvme *nvme);
int exo_extent_create(struct exo_call *call);
int exo_namespace_query(struct exo_call *call);

#endif
