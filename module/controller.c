// SPDX-License-Identifier: GPL-2.0
/*
 * Controllers. The root controller of a function has all its queues; a child takes
 * its budget from its parent. When it dies it gives back what is not in use, and the
 * rest as its queues die.
 */
#include <linux/pci.h>
#include <linux/slab.h>

#include "cap.h"
#include "controller.h"
#include "exclusive.h"
#include "ioctl.h"
#include "nvme.h"
#include "params.h"

static bool exo_controller_gone(struct exo_object *obj)
{
	return test_bit(EXO_NVME_DYING, &exo_controller_of(obj)->nvme->state);
}

static void exo_controller_release(struct exo_object *obj)
{
	struct exo_controller *controller = exo_controller_of(obj);

	if (controller->parent)
		exo_object_put(&controller->parent->object);
	exo_nvme_put(controller->nvme);
	kfree(controller);
}

static void exo_controller_stop(struct exo_object *obj)
{
	exo_budget_close(&exo_controller_of(obj)->budget);
}

static void exo_controller_unbind(struct exo_object *obj)
{
	struct exo_controller *controller = exo_controller_of(obj);

	if (controller->joined)
		exo_exclusive_leave(controller->nvme);
}

static void exo_controller_describe(struct exo_object *obj, struct exo_cap_query *query)
{
	query->out_address = exo_controller_of(obj)->nvme->address;
}

static const struct exo_object_ops exo_controller_ops = {
	.type = EXO_TYPE_CONTROLLER,
	.rights = EXO_RIGHT_QUEUE | EXO_RIGHT_EXTENT | EXO_RIGHT_THREAD | EXO_RIGHT_DIRECT |
		  EXO_RIGHT_PRIORITY,
	.gone = exo_controller_gone,
	.stop = exo_controller_stop,
	.unbind = exo_controller_unbind,
	.release = exo_controller_release,
	.describe = exo_controller_describe,
};

static struct exo_controller *exo_controller_alloc(struct exo_nvme *nvme,
						   struct exo_controller *parent, u32 queues)
{
	struct exo_controller *controller = kzalloc(sizeof(*controller), EXO_GFP);

	if (!controller)
		return NULL;
	exo_object_init(&controller->object, &exo_controller_ops);
	exo_budget_init(&controller->budget, parent ? &parent->budget : NULL, queues);
	exo_nvme_get(nvme);
	controller->nvme = nvme;
	if (parent)
		exo_object_get(&parent->object);
	controller->parent = parent;
	return controller;
}

/* ---- the root ---- */

int exo_controller_init_root(struct exo_nvme *nvme)
{
	nvme->root = kzalloc(sizeof(*nvme->root), GFP_KERNEL);
	if (!nvme->root)
		return -ENOMEM;
	exo_cap_init_root(nvme->root);
	nvme->controller = exo_controller_alloc(nvme, NULL, nvme->queues);
	return nvme->controller ? 0 : -ENOMEM;
}

void exo_controller_end_root(struct exo_nvme *nvme)
{
	exo_object_let_go(&nvme->controller->object);
}

/* ---- commands ---- */

struct exo_cap *exo_controller_get(struct exo_call *call, u32 field, u32 id, u32 rights)
{
	struct exo_cap *cap = exo_cap_get(call, field, id, EXO_TYPE_CONTROLLER, rights);
	int ret;

	if (IS_ERR(cap) || exo_nvme_usable(exo_controller_of(cap->object)->nvme))
		return cap;
	ret = exo_refuse(call, -ENODEV, EXO_REASON_STALE, field, id, 0);
	exo_cap_put(cap);
	return ERR_PTR(ret);
}

static int exo_controller_take(struct exo_call *call, struct exo_controller *parent, u32 queues)
{
	u64 left;

	if (!queues)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE,
				  EXO_FIELD(controller_create, queues), 0, 0);
	if (!exo_budget_take(&parent->budget, queues, &left))
		return exo_refuse(call, -EDQUOT, EXO_REASON_BUDGET,
				  EXO_FIELD(controller_create, queues), queues, left);
	return 0;
}

static int exo_controller_respond(struct exo_call *call, struct exo_cap *parent,
				  struct exo_controller *controller)
{
	struct exo_controller_create *cmd = &call->arg.controller_create;
	struct exo_cap_spec spec = {
		.object = &controller->object,
		.rights = cmd->rights,
		.fresh = true,
	};

	return exo_cap_give(call, parent, &spec, &cmd->out_cap, NULL);
}

/* In the hands of one holder alone, if that is asked for, or as its parent is. */
static int exo_controller_join(struct exo_call *call, struct exo_controller *controller)
{
	u32 field = EXO_FIELD(controller_create, controller);
	u32 id = call->arg.controller_create.controller;
	int ret;

	if (call->arg.controller_create.flags & EXO_CONTROLLER_EXCLUSIVE) {
		ret = exo_exclusive_begin(controller);
	} else {
		guard(rwsem_read)(&controller->nvme->busy);
		ret = exo_exclusive_join(controller, &controller->joined);
	}
	if (!ret)
		return 0;
	return exo_refuse(call, ret, ret == -EBUSY ? EXO_REASON_EXCLUSIVE : EXO_REASON_STALE, field,
			  id, 0);
}

int exo_controller_create(struct exo_call *call)
{
	struct exo_controller_create *cmd = &call->arg.controller_create;
	u32 rights = EXO_RIGHT_QUEUE |
		     (cmd->flags & EXO_CONTROLLER_EXCLUSIVE ? EXO_RIGHT_DIRECT : 0);
	struct exo_controller *controller, *parent;
	int ret;

	struct exo_cap *cap __free(exo_cap_put) = exo_controller_get(
		call, EXO_FIELD(controller_create, controller), cmd->controller, rights);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	parent = exo_controller_of(cap->object);
	ret = exo_cap_check_rights(call, EXO_FIELD(controller_create, rights), cmd->rights,
				   cap->rights);
	if (ret)
		return ret;
	ret = exo_controller_take(call, parent, cmd->queues);
	if (ret)
		return ret;
	controller = exo_controller_alloc(parent->nvme, parent, cmd->queues);
	if (!controller) {
		exo_budget_give(&parent->budget, cmd->queues);
		return exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
	}
	ret = exo_controller_join(call, controller);
	if (ret) {
		exo_object_let_go(&controller->object);
		return ret;
	}
	ret = exo_controller_respond(call, cap, controller);
	exo_object_put(&controller->object);
	return ret;
}

int exo_controller_query(struct exo_call *call)
{
	struct exo_controller_query *cmd = &call->arg.controller_query;
	struct exo_controller *controller;
	struct exo_nvme *nvme;

	struct exo_cap *cap __free(exo_cap_put) =
		exo_cap_get(call, EXO_FIELD(controller_query, controller), cmd->controller,
			    EXO_TYPE_CONTROLLER, 0);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	controller = exo_controller_of(cap->object);
	nvme = controller->nvme;
	cmd->out_address = nvme->address;
	cmd->out_state = test_bit(EXO_NVME_FAILED, &nvme->state) ? EXO_CONTROLLER_FAILED
								 : EXO_CONTROLLER_LIVE;
	cmd->out_features = nvme->features;
	if (READ_ONCE(nvme->doorbells.used))
		cmd->out_features |= EXO_CONTROLLER_SHADOW_DOORBELLS;
	cmd->out_queues = controller->budget.limit;
	cmd->out_queues_used = exo_budget_used(&controller->budget);
	cmd->out_depth_max = nvme->depth_max;
	cmd->out_transfer_max = nvme->transfer_max;
	cmd->out_vendor = nvme->pdev->vendor;
	cmd->out_device = nvme->pdev->device;
	memcpy(cmd->out_serial, nvme->serial, sizeof(cmd->out_serial));
	memcpy(cmd->out_model, nvme->model, sizeof(cmd->out_model));
	scoped_guard(spinlock, &nvme->identity.lock)
		memcpy(cmd->out_firmware, nvme->firmware, sizeof(cmd->out_firmware));
	cmd->out_nvme_version = nvme->version;
	cmd->out_vectors = nvme->vectors - 1;
	cmd->out_arbitration = nvme->arbitration;
	scoped_guard(mutex, &nvme->lock)
		cmd->out_vectors_used = bitmap_weight(nvme->vectors_used, nvme->vectors) - 1;
	return exo_call_respond(call);
}
