// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Which page goes next: the two policies that are ready. Both keep the slots in one list, the next
 * victim first; they differ in what is moved back to its end.
 */
#include <stdbool.h>
#include <stdlib.h>

#include "private.h"

/* A list through two arrays; number @slots is its head. */
struct order {
	bool recent; /* what is used goes to the end */
	uint32_t slots;
	struct link {
		uint32_t next, prev;
	} links[];
};

static void *order_create(void *arg, uint32_t slots)
{
	struct order *o = malloc(sizeof(*o) + ((size_t)slots + 1) * sizeof(o->links[0]));

	if (!o)
		return NULL;
	o->recent = arg;
	o->slots = slots;
	for (uint32_t i = 0; i <= slots; i++)
		o->links[i] = (struct link){ i, i };
	return o;
}

static bool is_listed(const struct order *o, uint32_t slot)
{
	return o->links[slot].next != slot;
}

static void insert_before(struct order *o, uint32_t at, uint32_t slot)
{
	uint32_t prev = o->links[at].prev;

	o->links[slot] = (struct link){ at, prev };
	o->links[prev].next = slot;
	o->links[at].prev = slot;
}

static void unlink_slot(struct order *o, uint32_t slot)
{
	struct link *l = &o->links[slot];

	o->links[l->prev].next = l->next;
	o->links[l->next].prev = l->prev;
	*l = (struct link){ slot, slot };
}

static void order_enter(void *state, uint32_t slot, uint64_t page, int how)
{
	struct order *o = state;

	(void)page;
	if (is_listed(o, slot))
		return;
	/* Before the head is the end; before the first, the first. */
	if (how == EXO_ENTER_RESCUED && !o->recent)
		insert_before(o, o->links[o->slots].next, slot);
	else
		insert_before(o, o->slots, slot);
}

static void order_leave(void *state, uint32_t slot)
{
	struct order *o = state;

	if (is_listed(o, slot))
		unlink_slot(o, slot);
}

static void order_touch(void *state, uint32_t slot)
{
	struct order *o = state;

	if (!o->recent || !is_listed(o, slot))
		return;
	unlink_slot(o, slot);
	insert_before(o, o->slots, slot);
}

static uint32_t order_victim(void *state)
{
	struct order *o = state;
	uint32_t slot = o->links[o->slots].next;

	if (slot == o->slots)
		return EXO_SLOT_NONE;
	unlink_slot(o, slot);
	return slot;
}

#define ORDER(is_recent)                                                                           \
	{                                                                                          \
		.size = sizeof(struct exo_policy), .arg = (is_recent), .create = order_create,     \
		.destroy = free, .enter = order_enter, .touch = order_touch, .leave = order_leave, \
		.victim = order_victim,                                                            \
	}

static const char recent;
static const struct exo_policy lru = ORDER((void *)(uintptr_t)&recent), fifo = ORDER(NULL);

const struct exo_policy *exo_policy_lru(void)
{
	return &lru;
}

const struct exo_policy *exo_policy_fifo(void)
{
	return &fifo;
}
