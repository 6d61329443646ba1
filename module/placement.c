// SPDX-License-Identifier: GPL-2.0
/*
 * Flexible data placement: see placement.h.
 */
#include <linux/mm.h>
#include <linux/nospec.h>

#include "check.h"
#include "nvme.h"
#include "placement.h"

/* NVMe base 2.1 section 5.1.25.1.20: Flexible Data Placement, of an endurance group */
#define EXO_FEATURE_PLACEMENT 0x1d
#define EXO_PLACEMENT_ENABLED BIT(0)

#define EXO_IDENTIFIERS 64u /* bits of a mask */

int exo_placement_learn(struct exo_nvme *nvme, const struct nvme_id_ns *id, bool *enabled)
{
	struct exo_admin_answer answer;
	int ret;

	*enabled = false;
	if (!(nvme->features & EXO_CONTROLLER_PLACEMENT))
		return 0;
	ret = exo_admin_get_features(nvme, EXO_FEATURE_PLACEMENT, le16_to_cpu(id->endgid), &answer);
	if (ret == -EIO)
		return 0;
	*enabled = !ret && (answer.result & EXO_PLACEMENT_ENABLED);
	return ret;
}

int exo_check_placement(const struct exo_queue_extent *extent, const struct nvme_command *cmd,
			struct exo_detail *detail)
{
	u32 dword12 = le32_to_cpu(cmd->common.cdw12), dword13 = le32_to_cpu(cmd->common.cdw13);
	u32 identifier = dword13 >> 16;

	if (!extent->placement && (dword12 & EXO_BIT_PLACEMENT))
		return exo_deny(detail, -EINVAL, EXO_REASON_BITS, 12, EXO_BIT_PLACEMENT, 0);
	if (!(dword12 & EXO_BIT_PLACEMENT))
		return exo_deny(detail, -EINVAL, EXO_REASON_BITS, 13, dword13, 0);
	if (identifier < EXO_IDENTIFIERS &&
	    extent->placement & BIT_ULL(array_index_nospec(identifier, EXO_IDENTIFIERS)))
		return 0;
	return exo_deny(detail, -EACCES, EXO_REASON_PLACEMENT, 13, identifier, extent->placement);
}
