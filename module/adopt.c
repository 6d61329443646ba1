// SPDX-License-Identifier: GPL-2.0
/*
 * Adopting a program's own memory. Its pages are pinned for good (FOLL_LONGTERM), with
 * write access if the device is to have that, and let go with the last use of their object,
 * as frames are: not before no device can reach them. What the program does with its
 * addresses meanwhile changes the pages that a device reaches no more than it can free them.
 *
 * They are charged to the user, as io_uring does, and not to the address space: that may be
 * left by exec, or by a child that shared the session, with the pages still pinned. Letting
 * go takes no lock of the program's: a revocation must not wait for it.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/slab.h>

#include "adopt.h"
#include "cap.h"
#include "controller.h"
#include "ioctl.h"
#include "page.h"
#include "params.h"
#include "session.h"

#define EXO_MEMORY_BATCH 512 /* pages pinned, or let go, at once */

static atomic64_t exo_memory_pages = ATOMIC64_INIT(0);

u64 exo_memory_adopted(void)
{
	return atomic64_read(&exo_memory_pages);
}

static void exo_memory_count(struct exo_memory *memory, s64 pages)
{
	atomic64_add(pages, &exo_memory_pages);
	atomic64_add(pages, &memory->mm->pinned_vm);
	EXO_PAGE_COUNT(memory->session, memory_adopted, pages);
}

/* ---- RLIMIT_MEMLOCK ---- */

static bool exo_memory_charge(struct user_struct *user, long pages, u64 *left)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	long used = atomic_long_read(&user->locked_vm);

	do {
		*left = limit > used ? limit - used : 0;
		if (pages > *left)
			return false;
	} while (!atomic_long_try_cmpxchg(&user->locked_vm, &used, used + pages));
	return true;
}

static void exo_memory_uncharge(struct exo_memory *memory)
{
	if (!memory->user)
		return;
	atomic_long_sub(memory->count, &memory->user->locked_vm);
	free_uid(memory->user);
}

/* ---- the object ---- */

static void exo_memory_reclaim(struct exo_object *obj)
{
	struct exo_memory *memory = exo_memory_of(obj);
	u32 i, n;

	for (i = 0; i < memory->pinned; i += n) {
		n = min_t(u32, memory->pinned - i, EXO_MEMORY_BATCH);
		unpin_user_pages_dirty_lock(memory->pages + i, n, memory->written);
		cond_resched();
	}
	exo_memory_count(memory, -(s64)memory->pinned);
	exo_memory_uncharge(memory);
	mmdrop(memory->mm);
}

static void exo_memory_release(struct exo_object *obj)
{
	struct exo_memory *memory = exo_memory_of(obj);

	exo_object_put(&memory->session->object);
	kvfree(memory->pages);
	kfree(memory);
}

static void exo_memory_units(struct exo_object *obj, struct exo_units *units)
{
	units->pages = exo_memory_of(obj)->pages;
	units->order = EXO_ORDER_4K;
}

static void exo_memory_describe(struct exo_object *obj, struct exo_cap_query *query)
{
	query->out_unit_shift = PAGE_SHIFT;
}

static const struct exo_object_ops exo_memory_ops = {
	.type = EXO_TYPE_MEMORY,
	.rights = EXO_RIGHT_READ | EXO_RIGHT_WRITE,
	.ranged = true,
	.unshared = true,
	.reclaim = exo_memory_reclaim,
	.release = exo_memory_release,
	.units = exo_memory_units,
	.describe = exo_memory_describe,
};

/* ---- EXO_MEM_ADOPT ---- */

static int exo_memory_check(struct exo_call *call)
{
	const u64 most = (u64)EXO_MEM_PAGES_MAX << PAGE_SHIFT;
	struct exo_mem_adopt *cmd = &call->arg.mem_adopt;
	u64 end;
	int ret = exo_cap_check_rights(call, EXO_FIELD(mem_adopt, rights), cmd->rights,
				       exo_memory_ops.rights);

	if (ret)
		return ret;
	if (cmd->address & ~PAGE_MASK)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(mem_adopt, address),
				  cmd->address, 0);
	if (check_add_overflow(cmd->address, cmd->bytes, &end))
		return exo_refuse(call, -EOVERFLOW, EXO_REASON_OVERFLOW,
				  EXO_FIELD(mem_adopt, bytes), cmd->address, cmd->bytes);
	if (!cmd->bytes || (cmd->bytes & ~PAGE_MASK) || cmd->bytes > most)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(mem_adopt, bytes),
				  cmd->bytes, most);
	return 0;
}

/* Charged before anything is pinned; exo_memory_reclaim() gives it back. */
static int exo_memory_pay(struct exo_call *call, struct exo_memory *memory)
{
	struct user_struct *user = current_user();
	u64 left;

	if (ns_capable_noaudit(&init_user_ns, CAP_IPC_LOCK))
		return 0;
	if (!exo_memory_charge(user, memory->count, &left))
		return exo_refuse(call, -EDQUOT, EXO_REASON_MEMLOCK, EXO_FIELD(mem_adopt, bytes),
				  call->arg.mem_adopt.bytes, left << PAGE_SHIFT);
	memory->user = get_uid(user);
	return 0;
}

static struct exo_memory *exo_memory_create(struct exo_call *call)
{
	struct exo_mem_adopt *cmd = &call->arg.mem_adopt;
	struct exo_memory *memory = kzalloc(sizeof(*memory), EXO_GFP);
	int ret;

	if (!memory)
		goto out_memory;
	memory->count = cmd->bytes >> PAGE_SHIFT;
	memory->written = cmd->rights & EXO_RIGHT_WRITE;
	memory->pages = kvcalloc(memory->count, sizeof(*memory->pages), EXO_GFP);
	if (!memory->pages)
		goto out_memory;
	ret = exo_memory_pay(call, memory);
	if (ret)
		goto out_free;
	exo_object_init(&memory->object, &exo_memory_ops);
	exo_object_get(&call->session->object);
	memory->session = call->session;
	mmgrab(current->mm);
	memory->mm = current->mm;
	return memory;

out_memory:
	ret = exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
out_free:
	if (memory)
		kvfree(memory->pages);
	kfree(memory);
	return ERR_PTR(ret);
}

/* @err: of the first page that was not pinned. */
static int exo_memory_explain(struct exo_call *call, const struct exo_memory *memory, int err)
{
	struct exo_mem_adopt *cmd = &call->arg.mem_adopt;
	u32 field = EXO_FIELD(mem_adopt, address);

	if (err == -EINTR)
		return err;
	if (err == -ENOMEM)
		return exo_refuse(call, err, EXO_REASON_MEMORY, field, memory->pinned, 0);
	return exo_refuse(call, -EFAULT, EXO_REASON_PIN, field,
			  cmd->address + ((u64)memory->pinned << PAGE_SHIFT), cmd->rights);
}

static int exo_memory_pin(struct exo_call *call, struct exo_memory *memory)
{
	unsigned int how = FOLL_LONGTERM | (memory->written ? FOLL_WRITE : 0);
	unsigned long address = call->arg.mem_adopt.address;
	int n;

	while (memory->pinned < memory->count) {
		if (fatal_signal_pending(current))
			return -EINTR;
		n = min_t(u32, memory->count - memory->pinned, EXO_MEMORY_BATCH);
		n = pin_user_pages_fast(address + ((u64)memory->pinned << PAGE_SHIFT), n, how,
					memory->pages + memory->pinned);
		if (n <= 0)
			return exo_memory_explain(call, memory, n);
		memory->pinned += n;
		exo_memory_count(memory, n);
		cond_resched();
	}
	return 0;
}

static int exo_memory_respond(struct exo_call *call, struct exo_cap *controller,
			      struct exo_memory *memory)
{
	struct exo_mem_adopt *cmd = &call->arg.mem_adopt;
	struct exo_cap_spec spec = {
		.object = &memory->object,
		.len = memory->count,
		.rights = cmd->rights,
		.fresh = true,
	};

	return exo_cap_give(call, controller, &spec, &cmd->out_cap, NULL);
}

int exo_mem_adopt(struct exo_call *call)
{
	struct exo_memory *memory;
	int ret;

	struct exo_cap *controller __free(exo_cap_put) =
		exo_controller_get(call, EXO_FIELD(mem_adopt, controller),
				   call->arg.mem_adopt.controller, EXO_RIGHT_QUEUE);
	if (IS_ERR(controller))
		return PTR_ERR(controller);
	ret = exo_memory_check(call);
	if (ret)
		return ret;
	memory = exo_memory_create(call);
	if (IS_ERR(memory))
		return PTR_ERR(memory);
	ret = exo_memory_pin(call, memory);
	if (ret) {
		exo_object_let_go(&memory->object);
		return ret;
	}
	ret = exo_memory_respond(call, controller, memory);
	exo_object_put(&memory->object);
	return ret;
}
