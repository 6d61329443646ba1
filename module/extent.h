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
struct exo_zones;

/**
 * struct exo_namespace - a namespace, once it was used
 * @object: named by its function as long as that is bound
 * @nvme: the function; a reference
 * @nsid: its number
 * @gone: it was detached, or became another under its number: see exo_namespaces_changed()
 * @identify: Identify Namespace, CNS 00h; under the lock of the function's identity
 * @identify_nvm: CNS 05h, of the NVM command set; NULL: it has none; likewise
 * @shift: log2 of the bytes in a logical block
 * @metadata: bytes of metadata per block
 * @blocks: NSZE
 * @copy_ranges: source ranges of one Copy; 0: there is no Copy
 * @copy_range_blocks: blocks of each
 * @copy_blocks: blocks of all
 * @zones: NULL: it is not zoned
 * @command_set: NVME_CSI_*
 * @uuid: zero: it has none
 * @placement: Writes may name placement identifiers
 * @group: endurance group
 * @odd: there are no extents of it: an I/O command set that exo does not know, or zones
 *	that are not alike, or too many
 */
struct exo_namespace {
	struct exo_object object;
	struct exo_nvme *nvme;
	u32 nsid;
	bool gone;
	void *identify;
	void *identify_nvm;
	u32 shift;
	u32 metadata;
	u64 blocks;
	u32 copy_ranges;
	u32 copy_range_blocks;
	u32 copy_blocks;
	struct exo_zones *zones;
	u8 command_set;
	u8 uuid[16];
	u16 group;
	bool placement;
	bool odd;
};

/*
 * Both with nvme->busy held for writing. Has anybody an extent there? And: what the device
 * said is believed no more; extents that rest on it are stale. No queue is live.
 */
bool exo_extent_any(struct exo_nvme *nvme);
void exo_extent_forget_all(struct exo_nvme *nvme);

static inline struct exo_namespace *exo_namespace_of(struct exo_object *obj)
{
	return container_of(obj, struct exo_namespace, object);
}

void exo_extent_end_all(struct exo_nvme *nvme);

/* A reference, or why not; the detail is filled. @field: of @nsid. */
struct exo_namespace *exo_namespace_get(struct exo_call *call, struct exo_nvme *nvme, u32 nsid,
					u32 field);

/*
 * The device says so, of those on the list: NVMe base 2.0 section 5.16.1.5. Each that is used is
 * looked at again. One that is not what it was ends: its queues are killed, its extents stale,
 * and their holders told. Who uses its number afterwards finds what it is by then.
 */
void exo_namespaces_changed(struct exo_nvme *nvme, const __le32 *list);
int exo_extent_create(struct exo_call *call);
int exo_namespace_query(struct exo_call *call);

#endif
