// SPDX-License-Identifier: MIT
/*
 * A kernel that is locked down, so that not even root reaches its memory: there a device that
 * no IOMMU bounds is rung by no program. It stays so until the next boot, and so this program
 * is the last of a machine of its own (vm/check).
 */
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <kselftest_harness.h>

#include "lib.h"

#define SECURITY "/tmp/exo-security"

static int lock_down(void)
{
	int ret;

	mkdir(SECURITY, 0700);
	if (mount("securityfs", SECURITY, "securityfs", 0, NULL))
		return -errno;
	ret = write_file(SECURITY "/lockdown", "integrity");
	umount(SECURITY);
	return ret;
}

FIXTURE(lockdown)
{
	struct tenant t;
	__u32 controller;
};

FIXTURE_SETUP(lockdown)
{
	struct tenant *t = &self->t;
	struct exo_controller_query c;

	TENANT_SETUP(t, "exo3");
	ASSERT_EQ(0, controller_query(t->grantor, t->root_controller, &c));
	if (c.out_features & EXO_CONTROLLER_TRANSLATED)
		SKIP(return, "behind an IOMMU there are no unsafe queues");
	ASSERT_EQ(0, drop(t->fd, t->controller));
	ASSERT_EQ(0, drop(t->fd, t->extent));
	ASSERT_EQ(0, exclusive_create(t->grantor, t->root_controller,
				      EXO_RIGHT_QUEUE | EXO_RIGHT_DIRECT, &self->controller));
}

FIXTURE_TEARDOWN(lockdown)
{
	tenant_destroy(&self->t);
}

TEST_F(lockdown, of_the_kernel_leaves_no_unsafe_queue_to_root)
{
	struct exo_queue_create arg = {
		.controller = self->controller,
		.mode = EXO_QUEUE_UNSAFE,
		.depth = 1,
	};
	int ret = lock_down();

	if (ret == -ENODEV || ret == -ENOENT)
		SKIP(return, "this kernel cannot be locked down");
	ASSERT_EQ(0, ret);
	EXPECT_REFUSED(EPERM, EXO_REASON_PRIVILEGE, offsetof(struct exo_queue_create, mode), 2,
		       call(self->t.grantor, EXO_QUEUE_CREATE, &arg));
	EXPECT_EQ(CAP_SYS_RAWIO, last.limit);
	arg.mode = EXO_QUEUE_CHECKED;
	EXPECT_EQ(0, call(self->t.grantor, EXO_QUEUE_CREATE, &arg));
}

TEST_HARNESS_MAIN
