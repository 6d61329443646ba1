// SPDX-License-Identifier: MIT
/*
 * Quarantine: frames that a silent device may still write to. No emulated device refuses
 * to be disabled, so the kernel's fail_function makes exo believe so: on a kernel that has
 * it (the debug kernel), in a boot without IOMMU.
 */
#include <linux/pci_regs.h>
#include <kselftest_harness.h>

#include "lib.h"

#define OWN 16 /* pages */
#define PARAMETERS "/sys/module/exo/parameters/"

FIXTURE(silent)
{
	struct tenant t;
	const struct exo_info_page *page;
	struct ring ring;
	struct buffer buffer, own;
	char admin[16];
};

FIXTURE_SETUP(silent)
{
	struct exo_controller_query c;

	if (!can_inject())
		SKIP(return, "this kernel has no fail_function");
	TENANT_SETUP(&self->t, "exo1");
	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &c));
	if (c.out_features & EXO_CONTROLLER_TRANSLATED)
		SKIP(return, "behind an IOMMU nothing needs quarantine");
	self->page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->t.fd, EXO_INFO_PAGE_OFFSET);
	ASSERT_NE(MAP_FAILED, (void *)self->page);
	ASSERT_EQ(0, read_file(PARAMETERS "admin_timeout_ms", self->admin, sizeof(self->admin)));
	ASSERT_EQ(0, ring_create(self->t.fd, self->t.controller, 63, &self->ring));
	ASSERT_EQ(0, queue_attach(self->t.fd, self->ring.cap, self->t.extent));
	ASSERT_EQ(0, buffer_alloc(self->t.fd, self->t.pool, EXO_ORDER_4K, 64, &self->buffer));
	ASSERT_EQ(0, buffer_attach(self->t.fd, self->t.controller, &self->buffer));
	self->own.at =
		mmap(NULL, OWN * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->own.at);
	ASSERT_EQ(0, buffer_adopt(self->t.fd, self->t.controller, EXO_RIGHT_READ | EXO_RIGHT_WRITE,
				  self->own.at, OWN * PAGE, &self->own));
}

FIXTURE_TEARDOWN(silent)
{
	if (!self->page)
		return;
	inject_nothing();
	write_file(PARAMETERS "admin_timeout_ms", self->admin);
	tenant_destroy(&self->t);
}

TEST_F(silent, frames_are_kept_charged_and_counted_until_the_device_is_proven_quiet)
{
	__u64 used = frames_used(self->t.fd), adopted = memory_adopted(self->t.fd);
	struct exo_info i;
	char path[64], name[16];
	__u16 command = 0;
	int config;

	ASSERT_EQ(0, ring_io(&self->ring, OP_READ, 1, EXTENT_FIRST, 1, self->buffer.offset));
	/* It answers no command any more, and will not fall silent. */
	machine_name(self->t.address, name);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", name);
	config = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_EQ(2, pread(config, &command, 2, PCI_COMMAND));
	command &= ~PCI_COMMAND_MASTER;
	ASSERT_EQ(2, pwrite(config, &command, 2, PCI_COMMAND));
	close(config);
	ASSERT_EQ(0, write_file(PARAMETERS "admin_timeout_ms", "300"));
	ASSERT_EQ(0, inject_always("exo_nvme_make_quiet", "0"));
	ASSERT_EQ(0, drop(self->t.fd, self->ring.cap));
	ASSERT_EQ(0, drop(self->t.fd, self->buffer.cap));
	ASSERT_EQ(0, drop(self->t.fd, self->own.cap));
	ASSERT_EQ(0, info(self->t.fd, &i));
	EXPECT_LE(64 + OWN, i.out_frames_quarantined);
	EXPECT_EQ(used, i.out_frames_used);
	/* Adopted memory stays pinned, wherever it is mapped or not. */
	EXPECT_EQ(adopted, i.out_memory_adopted);
	EXPECT_EQ(OWN, self->page->memory_adopted);
	EXPECT_EQ(OWN, self->page->memory_quarantined);
	ASSERT_EQ(0, munmap(self->own.at, OWN * PAGE));
	EXPECT_EQ(64, self->page->frames_quarantined);
	EXPECT_EQ(64, self->page->frames_held);
	EXPECT_EQ(SIGBUS, touch_read(self->buffer.at));
	/* Unbind tries again, in vain; the next bind resets it, which proves it quiet. */
	ASSERT_EQ(0, machine_unbind(self->t.address));
	ASSERT_EQ(0, info(self->t.fd, &i));
	EXPECT_LE(64 + OWN, i.out_frames_quarantined);
	ASSERT_EQ(0, inject_nothing());
	ASSERT_EQ(0, machine_bind(self->t.address, "exo"));
	ASSERT_EQ(0, info(self->t.fd, &i));
	EXPECT_EQ(0, i.out_frames_quarantined);
	EXPECT_EQ(used - 64, frames_used_soon(self->t.fd, used - 64));
	EXPECT_EQ(0, self->page->frames_quarantined);
	EXPECT_EQ(0, self->page->frames_held);
	EXPECT_EQ(0, self->page->memory_quarantined);
	EXPECT_EQ(0, self->page->memory_adopted);
	EXPECT_EQ(adopted - OWN, memory_adopted(self->t.fd));
}

TEST_HARNESS_MAIN
