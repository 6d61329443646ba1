// SPDX-License-Identifier: GPL-2.0
/*
 * Who has a function to itself, and until when.
 */
#include "controller.h"
#include "exclusive.h"
#include "extent.h"
#include "nvme.h"

bool exo_exclusive_admits(const struct exo_controller *controller)
{
	const struct exo_controller *alone = controller->nvme->exclusive;

	lockdep_assert_held(&controller->nvme->busy);
	while (alone && controller && controller != alone)
		controller = controller->parent;
	return controller;
}

/* Not from 0: it has ended then, and who ends it waits for us. */
int exo_exclusive_join(const struct exo_controller *controller, bool *joined)
{
	struct exo_nvme *nvme = controller->nvme;

	if (!exo_exclusive_admits(controller))
		return -EBUSY;
	if (nvme->exclusive && !atomic_inc_not_zero(&nvme->exclusive_uses))
		return -EBUSY;
	*joined = nvme->exclusive;
	return 0;
}

void exo_exclusive_leave(struct exo_nvme *nvme)
{
	if (!atomic_dec_and_test(&nvme->exclusive_uses))
		return;
	guard(rwsem_write)(&nvme->busy);
	nvme->exclusive = NULL;
	/* With shadows of its doorbells again, too. */
	if (nvme->direct || nvme->has_shadows)
		exo_nvme_restart(nvme);
	if (nvme->direct)
		exo_extent_forget_all(nvme);
	nvme->direct = false;
	/* Unbind resets it after what is attached was severed. */
	if (!test_bit(EXO_NVME_DYING, &nvme->state))
		clear_bit(EXO_NVME_UNSAFE, &nvme->state);
}

/* Queues and attachments are on its lists until the hardware has nothing of them. */
static bool exo_exclusive_unused(struct exo_nvme *nvme)
{
	guard(spinlock)(&nvme->list_lock);
	return list_empty(&nvme->live_queues) && list_empty(&nvme->attachments);
}

int exo_exclusive_begin(struct exo_controller *controller)
{
	struct exo_nvme *nvme = controller->nvme;

	guard(rwsem_write)(&nvme->busy);
	if (!exo_nvme_usable(nvme))
		return -ENODEV;
	if (nvme->exclusive || !exo_exclusive_unused(nvme) || exo_extent_any(nvme))
		return -EBUSY;
	atomic_set(&nvme->exclusive_uses, 1);
	nvme->exclusive = controller;
	controller->joined = true;
	/* Programs may ring its registers, which a controller with shadows does not look at. */
	if (nvme->doorbells.used)
		exo_nvme_restart(nvme);
	return exo_nvme_usable(nvme) ? 0 : -ENODEV;
}
