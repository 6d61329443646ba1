// SPDX-License-Identifier: LGPL-2.1-only
/*
 * What the Status Field of a completion means: NVM Express Base 2.0, section
 * 3.3.3.2.1, NVM Command Set 1.0, section 3.1, and Zoned Namespace Command Set 1.1,
 * section 3.1.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "private.h"

static_assert(sizeof(struct exo_nvme_command) == 64, "a submission queue entry is 64 bytes");
static_assert(sizeof(struct exo_nvme_dsm_range) == 16, "a range is 16 bytes");
static_assert(sizeof(struct exo_nvme_copy_range) == 32, "a source range is 32 bytes");
static_assert(sizeof(struct exo_nvme_zone) == 64, "a zone descriptor is 64 bytes");
static_assert(sizeof(struct exo_nvme_zone_report) == 64, "the header of a report is 64 bytes");
static_assert(sizeof(struct exo_nvme_completion) == 16, "a completion queue entry is 16 bytes");

/* Status Code Type and Status Code, without Command Retry Delay, More, DNR. */
#define STATUS(type, code) ((type) << 8 | (code))
#define STATUS_MASK 0x7ff

static const struct {
	uint16_t status;
	int result;
	const char *text;
} meanings[] = {
	{ STATUS(0, 0x00), 0, "success" },
	{ STATUS(0, 0x01), -EOPNOTSUPP, "invalid command opcode" },
	{ STATUS(0, 0x02), -EINVAL, "invalid field in command" },
	{ STATUS(0, 0x03), -EIO, "command identifier conflict" },
	{ STATUS(0, 0x04), -EIO, "data transfer error" },
	{ STATUS(0, 0x05), -EIO, "aborted by loss of power" },
	{ STATUS(0, 0x06), -EIO, "internal error of the device" },
	{ STATUS(0, 0x07), -ECANCELED, "command aborted on request" },
	{ STATUS(0, 0x08), -ECANCELED, "command aborted by deletion of its queue" },
	{ STATUS(0, 0x0b), -ENODEV, "invalid namespace or format" },
	{ STATUS(0, 0x0c), -EIO, "command sequence error" },
	{ STATUS(0, 0x13), -EINVAL, "PRP offset invalid" },
	{ STATUS(0, 0x1d), -EBUSY, "sanitize in progress" },
	{ STATUS(0, 0x20), -EROFS, "namespace is write protected" },
	{ STATUS(0, 0x80), -ERANGE, "LBA out of range" },
	{ STATUS(0, 0x81), -ENOSPC, "capacity exceeded" },
	{ STATUS(0, 0x82), -EBUSY, "namespace not ready" },
	{ STATUS(0, 0x83), -EBUSY, "reservation conflict" },
	{ STATUS(0, 0x84), -EBUSY, "format in progress" },
	{ STATUS(1, 0x80), -EINVAL, "conflicting attributes" },
	{ STATUS(1, 0x81), -EINVAL, "invalid protection information" },
	{ STATUS(1, 0x82), -EROFS, "attempted write to read only range" },
	{ STATUS(1, 0x83), -EMSGSIZE, "command size limit exceeded" },
	{ STATUS(1, 0xb8), -EINVAL, "the blocks are not of one zone" },
	{ STATUS(1, 0xb9), -ENOSPC, "the zone is full" },
	{ STATUS(1, 0xba), -EROFS, "the zone is read only" },
	{ STATUS(1, 0xbb), -EIO, "the zone is offline" },
	{ STATUS(1, 0xbc), -EINVAL, "the write does not begin where the zone goes on" },
	{ STATUS(1, 0xbd), -EDQUOT, "too many active zones" },
	{ STATUS(1, 0xbe), -EDQUOT, "too many open zones" },
	{ STATUS(1, 0xbf), -EINVAL, "the zone is not in a state for this" },
	{ STATUS(2, 0x80), -EIO, "write fault" },
	{ STATUS(2, 0x81), -EIO, "unrecovered read error" },
	{ STATUS(2, 0x82), -EILSEQ, "end-to-end guard check error" },
	{ STATUS(2, 0x83), -EILSEQ, "end-to-end application tag check error" },
	{ STATUS(2, 0x84), -EILSEQ, "end-to-end reference tag check error" },
	{ STATUS(2, 0x85), -EILSEQ, "compare failure" },
	{ STATUS(2, 0x86), -EACCES, "access denied" },
	{ STATUS(2, 0x87), -ENODATA, "deallocated or unwritten logical block" },
};

static const char *const types[8] = {
	"a generic error",	"a command specific error", "a media or data integrity error",
	"a path related error", "a reserved error",	    "a reserved error",
	"a reserved error",	"a vendor specific error",
};

const char *exo_nvme_status_text(uint16_t status)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (meanings[i].status == (status & STATUS_MASK))
			return meanings[i].text;
	return types[EXO_NVME_SCT(status)];
}

int exo_nvme_status_errno(uint16_t status)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (meanings[i].status == (status & STATUS_MASK))
			return meanings[i].result;
	return -EIO;
}
