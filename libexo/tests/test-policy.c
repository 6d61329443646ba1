// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Which page goes next.
 */
#include "private.h"
#include "tap.h"

#define SLOTS 4u

static void *state_of(const struct exo_policy *p)
{
	void *state = p->create(p->arg, SLOTS);

	for (uint32_t i = 0; state && i < SLOTS; i++)
		p->enter(state, i, 100 + i, EXO_ENTER_USED);
	return state;
}

static void victims_are(const struct exo_policy *p, void *state, const uint32_t *slots, int n)
{
	for (int i = 0; i < n; i++)
		CHECK_EQUAL(p->victim(state), slots[i]);
	CHECK_EQUAL(p->victim(state), EXO_SLOT_NONE);
	p->destroy(state);
}

static void an_empty_one_has_none(void)
{
	const struct exo_policy *p = exo_policy_lru();

	victims_are(p, p->create(p->arg, SLOTS), NULL, 0);
	victims_are(p, p->create(p->arg, 0), NULL, 0);
}

static void fifo_is_their_order(void)
{
	const struct exo_policy *p = exo_policy_fifo();
	void *state = state_of(p);

	p->touch(state, 0);
	CHECK_EQUAL(p->victim(state), 0);
	p->enter(state, 0, 100, EXO_ENTER_RESCUED);
	victims_are(p, state, (uint32_t[]){ 0, 1, 2, 3 }, 4);
}

static void lru_is_the_order_of_their_use(void)
{
	const struct exo_policy *p = exo_policy_lru();
	void *state = state_of(p);

	p->touch(state, 1);
	p->touch(state, 0);
	CHECK_EQUAL(p->victim(state), 2);
	p->enter(state, 2, 102, EXO_ENTER_RESCUED);
	victims_are(p, state, (uint32_t[]){ 3, 1, 0, 2 }, 4);
}

static void what_left_is_no_victim(void)
{
	const struct exo_policy *p = exo_policy_lru();
	void *state = state_of(p);

	p->leave(state, 0);
	p->leave(state, 3);
	p->touch(state, 3);
	p->leave(state, 3);
	victims_are(p, state, (uint32_t[]){ 1, 2 }, 2);
}

static void entering_twice_is_entering_once(void)
{
	const struct exo_policy *p = exo_policy_fifo();
	void *state = state_of(p);

	p->enter(state, 0, 100, EXO_ENTER_USED);
	victims_are(p, state, (uint32_t[]){ 0, 1, 2, 3 }, 4);
}

int main(void)
{
	static const struct tap_test tests[] = {
		TEST(an_empty_one_has_none, "a policy without pages has no victim"),
		TEST(fifo_is_their_order, "first in, first out: use and rescue change nothing"),
		TEST(lru_is_the_order_of_their_use, "least recently used: use and rescue count"),
		TEST(what_left_is_no_victim, "what left is no victim any more"),
		TEST(entering_twice_is_entering_once, "what is there does not enter again"),
	};

	return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
}
