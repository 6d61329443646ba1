// SPDX-License-Identifier: LGPL-2.1-only
/*
 * The meaning of NVMe status fields.
 */
#include <errno.h>

#include "private.h"
#include "tap.h"

static void every_status(void)
{
	for (uint32_t status = 0; status <= 0x7fff; status++) {
		int r = exo_nvme_status_errno(status);

		CHECK(strlen(exo_nvme_status_text(status)) > 5);
		CHECK(r <= 0 && (r == 0) == ((status & 0x7ff) == 0));
	}
}

static void known_status(void)
{
	CHECK_STRING(exo_nvme_status_text(0x080), "LBA out of range");
	CHECK_STRING(exo_nvme_status_text(0x1bd), "too many active zones");
	CHECK_EQUAL(exo_nvme_status_errno(0x1bd), -EDQUOT);
	CHECK_EQUAL(exo_nvme_status_errno(0x1b9), -ENOSPC);
	CHECK_STRING(exo_nvme_status_text(0x281), "unrecovered read error");
	CHECK_EQUAL(exo_nvme_status_errno(0x080), -ERANGE);
	CHECK_EQUAL(exo_nvme_status_errno(0x281), -EIO);
	CHECK_EQUAL(exo_nvme_status_errno(0x020), -EROFS);
}

static void do_not_retry(void)
{
	CHECK_STRING(exo_nvme_status_text(0x4000 | 0x080), "LBA out of range");
	CHECK_EQUAL(exo_nvme_status_errno(0x4000 | 0x2000 | 0x281), -EIO);
}

static const struct tap_test tests[] = {
	TEST(every_status, "every status has words, and only success is no error"),
	TEST(known_status, "the specification's codes have the specification's words"),
	TEST(do_not_retry, "More and Do Not Retry do not change the meaning"),
};

TAP_MAIN(tests)
