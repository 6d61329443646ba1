// SPDX-License-Identifier: MIT
/*
 * A namespace that two controllers have: whoever had a direct or unsafe queue of one would reach what
 * the other's tenants have. For the machine with a subsystem of two controllers (vm/check).
 */
#include <kselftest_harness.h>

#include "lib.h"

FIXTURE(shared)
{
	struct tenant t;
};

FIXTURE_SETUP(shared)
{
	TENANT_SETUP(&self->t, "exo3");
	ASSERT_EQ(0, drop(self->t.fd, self->t.controller));
	ASSERT_EQ(0, drop(self->t.fd, self->t.extent));
}

FIXTURE_TEARDOWN(shared)
{
	tenant_destroy(&self->t);
}

/* With an IOMMU or without. */
static __u32 mode_here(const struct tenant *t)
{
	struct exo_controller_query c;

	if (controller_query(t->grantor, t->root_controller, &c))
		return ~0u;
	return c.out_features & EXO_CONTROLLER_TRANSLATED ? EXO_QUEUE_DIRECT : EXO_QUEUE_UNSAFE;
}

TEST_F(shared, a_namespace_of_another_controller_too_is_no_place_for_a_direct_or_unsafe_queue)
{
	struct exo_controller_create alone = {
		.flags = EXO_CONTROLLER_EXCLUSIVE,
		.controller = self->t.root_controller,
		.rights = EXO_RIGHT_QUEUE | EXO_RIGHT_DIRECT,
		.queues = 1,
	};
	struct exo_queue_create q = { .mode = mode_here(&self->t), .depth = 1 };

	ASSERT_EQ(0, call(self->t.grantor, EXO_CONTROLLER_CREATE, &alone));
	q.controller = alone.out_cap;
	EXPECT_REFUSED(EOPNOTSUPP, EXO_REASON_SHARED_NAMESPACE,
		       offsetof(struct exo_queue_create, controller), 1,
		       call(self->t.grantor, EXO_QUEUE_CREATE, &q));
	/* A checked one is. */
	q.mode = EXO_QUEUE_CHECKED;
	EXPECT_EQ(0, call(self->t.grantor, EXO_QUEUE_CREATE, &q));
}

TEST_HARNESS_MAIN
