// SPDX-License-Identifier: GPL-2.0
/*
 * Memory pressure. The shrinker asks: whoever holds a pool with frames above its guaranteed
 * minimum is told how many would help, and the shrinker returns. When nothing else is left
 * before a process would be killed, the kernel's OOM notifier asks once more, waits for a
 * moment, and then has frames taken by force, never below a minimum.
 *
 * Both are called by whoever allocates, with any lock held but spinlocks of ours, under
 * which nobody allocates. So they take no other lock; the taking is done by a worker,
 * and waited for with a limit: if it should need a lock of the waiter's, the waiter gives up.
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/shrinker.h>
#include <linux/wait.h>

#include "cap.h"
#include "events.h"
#include "params.h"
#include "pool.h"
#include "pressure.h"

#define EXO_PRESSURE_POOLS 32	  /* told at once */
#define EXO_PRESSURE_HOLDERS 8	  /* of each */
#define EXO_PRESSURE_FRAMES 16384 /* 64 MiB: asked for at least, and taken at most, at once */
#define EXO_PRESSURE_PAUSE (HZ / 10)
#define EXO_PRESSURE_HELPFUL (EXO_PRESSURE_FRAMES / 8) /* what spares force, or a kill */
#define EXO_PRESSURE_GRACE HZ
#define EXO_PRESSURE_PATIENCE (10 * HZ) /* for the worker, while it is at it */

/* ---- asking ---- */

static void exo_pressure_tell(struct exo_pool *pool, u64 frames)
{
	struct exo_cap *caps[EXO_PRESSURE_HOLDERS];
	u32 n = exo_tree_holders(&pool->object, caps, EXO_PRESSURE_HOLDERS), i;

	for (i = 0; i < n; i++) {
		exo_event_post(caps[i], EXO_EVENT_PRESSURE, frames, 0);
		exo_cap_put(caps[i]);
	}
}

/* Each pool now and then, however often it is called. True: there was one to ask. */
static bool exo_pressure_ask(u64 frames)
{
	struct exo_pool *pools[EXO_PRESSURE_POOLS];
	u32 n = exo_pool_find_excess(pools, EXO_PRESSURE_POOLS), i;

	for (i = 0; i < n; i++) {
		unsigned long now = jiffies, last = READ_ONCE(pools[i]->told);

		if (time_after(now, last + EXO_PRESSURE_PAUSE) &&
		    cmpxchg(&pools[i]->told, last, now) == last)
			exo_pressure_tell(pools[i], min(frames, exo_pool_excess(pools[i])));
		exo_object_put(&pools[i]->object);
	}
	return n;
}

static unsigned long exo_pressure_count(struct shrinker *shrinker, struct shrink_control *control)
{
	return exo_pool_root_used() ?: SHRINK_EMPTY;
}

/* What it asks for comes back later, if at all. */
static unsigned long exo_pressure_scan(struct shrinker *shrinker, struct shrink_control *control)
{
	exo_pressure_ask(max(control->nr_to_scan, EXO_PRESSURE_FRAMES));
	return SHRINK_STOP;
}

/* ---- taking ---- */

/* How often force was asked for, and which of these the worker has begun after and ended. */
static atomic_t exo_pressure_asked = ATOMIC_INIT(0);
static int exo_pressure_served;

static void exo_pressure_force(struct work_struct *work)
{
	struct exo_pool *pools[EXO_PRESSURE_POOLS];
	int asked = atomic_read(&exo_pressure_asked);
	u32 n = exo_pool_find_excess(pools, EXO_PRESSURE_POOLS), i;
	u64 taken = 0;

	for (i = 0; i < n; i++) {
		if (taken < EXO_PRESSURE_FRAMES)
			taken += exo_pool_repossess(pools[i], EXO_PRESSURE_FRAMES - taken);
		exo_object_put(&pools[i]->object);
	}
	WRITE_ONCE(exo_pressure_served, asked);
	exo_tree_changed();
}

static DECLARE_WORK(exo_pressure_work, exo_pressure_force);

/* By how much less is in use than was. Frames that came and went in between do not help. */
static u64 exo_pressure_freed(u64 before)
{
	u64 now = exo_pool_root_used();

	return now < before ? before - now : 0;
}

static bool exo_pressure_helped(u64 before)
{
	return exo_pressure_freed(before) >= EXO_PRESSURE_HELPFUL;
}

/*
 * What it could not take in one go, it will not take: a set that reaches below a minimum. But
 * in a go of ours: one that was under way before may have taken its share by then.
 */
static bool exo_pressure_done(u64 before, int ticket)
{
	return exo_pressure_helped(before) || READ_ONCE(exo_pressure_served) - ticket >= 0;
}

static int exo_pressure_oom(struct notifier_block *block, unsigned long action, void *data)
{
	unsigned long *freed = data;
	u64 before = exo_pool_root_used();
	int ticket;

	if (!exo_pressure_ask(EXO_PRESSURE_FRAMES))
		return NOTIFY_OK;
	wait_event_timeout(exo_tree_wait, exo_pressure_helped(before), EXO_PRESSURE_GRACE);
	if (!exo_pressure_helped(before)) {
		ticket = atomic_inc_return(&exo_pressure_asked);
		queue_work(exo_workqueue, &exo_pressure_work);
		wait_event_timeout(exo_tree_wait, exo_pressure_done(before, ticket),
				   EXO_PRESSURE_PATIENCE);
	}
	/* Too little to tell from noise is nothing: the kernel would try for ever. */
	if (exo_pressure_helped(before))
		*freed += exo_pressure_freed(before);
	return NOTIFY_OK;
}

static struct notifier_block exo_pressure_notifier = {
	.notifier_call = exo_pressure_oom,
};

static struct shrinker *exo_pressure_shrinker;

int exo_pressure_init(void)
{
	exo_pressure_shrinker = shrinker_alloc(0, "exo");
	if (!exo_pressure_shrinker)
		return -ENOMEM;
	exo_pressure_shrinker->count_objects = exo_pressure_count;
	exo_pressure_shrinker->scan_objects = exo_pressure_scan;
	shrinker_register(exo_pressure_shrinker);
	register_oom_notifier(&exo_pressure_notifier);
	return 0;
}

void exo_pressure_exit(void)
{
	unregister_oom_notifier(&exo_pressure_notifier);
	shrinker_free(exo_pressure_shrinker);
	flush_work(&exo_pressure_work);
}
