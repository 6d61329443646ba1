/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Controllers: an NVMe function with a budget of queues, as an object.
 */
#ifndef EXO_CONTROLLER_H
#define EXO_CONTROLLER_H

#include "budget.h"
#include "object.h"

struct exo_call;
struct exo_nvme;

/**
 * struct exo_controller - part of a function's queues
 * @object: queues and child controllers hold references
 * @nvme: the function; a reference
 * @budget: queue pairs
 * @joined: it keeps the function exclusive
 * @parent: where the budget came from; a reference. NULL: the function
 */
struct exo_controller {
	struct exo_object object;
	struct exo_nvme *nvme;
	struct exo_budget budget;
	struct exo_controller *parent;
	bool joined;
};

static inline struct exo_controller *exo_controller_of(struct exo_object *obj)
{
	return container_of(obj, struct exo_controller, object);
}

int exo_controller_init_root(struct exo_nvme *nvme);
void exo_controller_end_root(struct exo_nvme *nvme);

/* A controller capability whose function still works: else -ENODEV. */
struct exo_cap *exo_controller_get(struct exo_call *call, u32 field, u32 id, u32 rights);

int exo_controller_create(struct exo_call *call);
int exo_controller_query(struct exo_call *call);

#endif
