// SPDX-License-Identifier: GPL-2.0
/*
 * Sessions: open, close, and the commands that concern a session as a whole.
 */
#include <linux/capability.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "adopt.h"
#include "cap.h"
#include "controller.h"
#include "events.h"
#include "ioctl.h"
#include "nvme.h"
#include "page.h"
#include "params.h"
#include "quarantine.h"
#include "pool.h"
#include "session.h"
#include "space.h"
#include "view.h"
#include "window.h"

static void exo_session_free(struct exo_object *obj)
{
	struct exo_session *session = exo_session_of(obj);

	exo_events_free(session);
	exo_page_free(session);
	put_pid(session->pid);
	mutex_destroy(&session->spaces_lock);
	kfree(session);
}

/* Page 0 is the info page, the rest the event ring. */
static int exo_session_map_check(struct exo_object *obj, const struct exo_cap *cap,
				 struct vm_area_struct *vma)
{
	if (vma->vm_pgoff)
		return exo_events_map_check(obj, vma);
	if (vma_pages(vma) != 1)
		return -ERANGE;
	return vma->vm_flags & VM_WRITE ? -EACCES : 0;
}

static bool exo_session_map_pfn(struct exo_object *obj, pgoff_t page, struct exo_pfn *at)
{
	if (page)
		return exo_events_map_pfn(obj, page, at);
	at->pfn = PHYS_PFN(virt_to_phys(exo_session_of(obj)->page));
	return true;
}

/* Its pages stay, where they are mapped, until they are unmapped. */
static const struct exo_object_ops exo_session_ops = {
	.release = exo_session_free,
	.map_check = exo_session_map_check,
	.map_pfn = exo_session_map_pfn,
	.map_outlives = true,
};

static int exo_session_open(struct inode *inode, struct file *file)
{
	struct exo_session *session = kzalloc(sizeof(*session), EXO_GFP);

	if (!session)
		return -ENOMEM;
	if (exo_page_init(session)) {
		kfree(session);
		return -ENOMEM;
	}
	exo_object_init(&session->object, &exo_session_ops);
	exo_view_slot_init(&session->slot);
	session->pid = get_task_pid(current, PIDTYPE_TGID);
	session->uid = file->f_cred->euid;
	exo_events_init(session);
	xa_init_flags(&session->caps, XA_FLAGS_ALLOC1 | XA_FLAGS_ACCOUNT);
	mutex_init(&session->spaces_lock);
	INIT_LIST_HEAD(&session->spaces);
	file->private_data = session;
	return 0;
}

/*
 * Queues end first, so that what they use is idle when its turn comes. Nobody looks anything
 * up any more.
 */
static void exo_session_drop_all(struct exo_session *session, bool queues_only)
{
	struct exo_cap *cap;
	unsigned long id;

	xa_for_each(&session->caps, id, cap) {
		if (queues_only && cap->object->ops->type != EXO_TYPE_QUEUE)
			continue;
		xa_erase(&session->caps, id);
		exo_page_leave(cap);
		exo_cap_end(cap);
		cond_resched();
	}
}

/* What has to be waited for begins for all of them before the first is waited for. */
static void exo_session_stop_all(struct exo_session *session)
{
	struct exo_cap *cap;
	unsigned long id;

	xa_for_each(&session->caps, id, cap) {
		exo_cap_stop(cap);
		cond_resched();
	}
}

static int exo_session_release(struct inode *inode, struct file *file)
{
	struct exo_session *session = file->private_data;

	exo_session_drop_all(session, true);
	exo_session_stop_all(session);
	exo_session_drop_all(session, false);
	exo_space_put_all(session);
	xa_destroy(&session->caps);
	exo_object_drop_name(&session->object);
	exo_view_slot_end(&session->slot);
	exo_object_unuse(&session->object);
	exo_object_put(&session->object);
	return 0;
}

const struct file_operations exo_session_fops = {
	.owner = THIS_MODULE,
	.open = exo_session_open,
	.release = exo_session_release,
	.unlocked_ioctl = exo_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = exo_view_mmap,
	.poll = exo_events_poll,
	.llseek = noop_llseek,
};

int exo_session_info(struct exo_call *call)
{
	struct exo_info *cmd = &call->arg.info;

	cmd->out_version_major = EXO_VERSION_MAJOR;
	cmd->out_version_minor = EXO_VERSION_MINOR;
	cmd->out_features = EXO_FEATURE_QUEUE_CHECKED | EXO_FEATURE_QUEUE_DIRECT |
			    EXO_FEATURE_MEM_ADOPT;
	if (IS_ENABLED(EXO_WINDOWS))
		cmd->out_features |= EXO_FEATURE_WINDOW;
	if (IS_ENABLED(EXO_WINDOWS) && exo_upcall_is_supported())
		cmd->out_features |= EXO_FEATURE_UPCALL;
	if (IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		cmd->out_features |= EXO_FEATURE_FRAMES_2M;
	if (IS_ENABLED(EXO_EXPORTS))
		cmd->out_features |= EXO_FEATURE_EXPORT;
	cmd->out_frames_limit = exo_pool_root_limit();
	cmd->out_frames_used = exo_pool_root_used();
	cmd->out_frames_quarantined = exo_quarantined();
	cmd->out_controllers = exo_nvme_count();
	cmd->out_io_timeout_ms = exo_io_timeout_ms();
	cmd->out_admin_timeout_ms = exo_admin_timeout_ms();
	cmd->out_caps = READ_ONCE(call->session->page->caps);
	cmd->out_memory_adopted = exo_memory_adopted();
	return exo_call_respond(call);
}

/* Who opened the file and who calls may be different: a file descriptor travels. */
static int exo_claim_allowed(struct exo_call *call)
{
	if (!capable(CAP_SYS_ADMIN))
		return exo_refuse(call, -EPERM, EXO_REASON_PRIVILEGE, 0, 0, CAP_SYS_ADMIN);
	if (!file_ns_capable(call->file, &init_user_ns, CAP_SYS_ADMIN))
		return exo_refuse(call, -EPERM, EXO_REASON_PRIVILEGE, 0, 1, CAP_SYS_ADMIN);
	return 0;
}

static int exo_claim_root(struct exo_call *call, struct exo_cap *root, struct exo_object *object)
{
	struct exo_cap_spec spec = {
		.object = object,
		.claim = true,
		.rights = object->ops->rights,
	};

	return exo_cap_give(call, root, &spec, &call->arg.claim.out_cap, NULL);
}

/* The root controller, if the function is still bound: a reference. */
static struct exo_object *exo_claim_object(struct exo_nvme *nvme)
{
	guard(rwsem_read)(&nvme->busy);
	if (test_bit(EXO_NVME_DYING, &nvme->state))
		return NULL;
	exo_object_get(&nvme->controller->object);
	return &nvme->controller->object;
}

static int exo_claim_controller(struct exo_call *call)
{
	u32 address = call->arg.claim.address;
	struct exo_object *object = NULL;
	int ret = -ESTALE;

	struct exo_nvme *nvme __free(exo_nvme_put) = exo_nvme_find(address);
	if (nvme)
		object = exo_claim_object(nvme);
	if (object) {
		ret = exo_claim_root(call, nvme->root, object);
		exo_object_put(object);
	}
	if (ret != -ESTALE)
		return ret;
	return exo_refuse(call, -ENODEV, EXO_REASON_NO_DEVICE, EXO_FIELD(claim, address), address,
			  0);
}

int exo_session_claim(struct exo_call *call)
{
	struct exo_claim *cmd = &call->arg.claim;
	int ret = exo_claim_allowed(call);

	if (ret)
		return ret;
	switch (cmd->type) {
	case EXO_TYPE_POOL:
		if (cmd->address)
			return exo_refuse(call, -EINVAL, EXO_REASON_VALUE,
					  EXO_FIELD(claim, address), cmd->address, 0);
		return exo_claim_root(call, exo_pool_root_cap(), exo_pool_root_object());
	case EXO_TYPE_CONTROLLER:
		return exo_claim_controller(call);
	default:
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(claim, type),
				  cmd->type, 0);
	}
}

/* Collects up to @max numbers above *@after, without a lock that a page fault could want. */
static u32 exo_list_chunk(struct exo_session *session, xa_mark_t filter, u32 *after, u32 *ids,
			  u32 max)
{
	unsigned long id = *after;
	u32 n = 0;

	guard(rcu)();
	while (n < max && xa_find_after(&session->caps, &id, ULONG_MAX, filter))
		ids[n++] = id;
	*after = id;
	return n;
}

static xa_mark_t exo_list_filter(u32 flags)
{
	if (flags & EXO_LIST_ASKED)
		return EXO_MARK_ASKED;
	return flags & EXO_LIST_TAKEN ? EXO_MARK_TAKEN : XA_PRESENT;
}

int exo_session_list(struct exo_call *call)
{
	struct exo_cap_list *cmd = &call->arg.cap_list;
	u32 __user *to = u64_to_user_ptr(cmd->caps);
	u32 ids[32], after = cmd->after, done = 0, n;
	xa_mark_t filter = exo_list_filter(cmd->flags);

	if (cmd->flags == (EXO_LIST_ASKED | EXO_LIST_TAKEN))
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(cap_list, flags),
				  cmd->flags, 0);
	if (!cmd->count || cmd->count > EXO_CAPS_MAX)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(cap_list, count),
				  cmd->count, EXO_CAPS_MAX);
	while (done < cmd->count) {
		u32 want = min_t(u32, cmd->count - done, ARRAY_SIZE(ids));

		n = exo_list_chunk(call->session, filter, &after, ids, want);
		if (copy_to_user(to + done, ids, n * sizeof(*ids)))
			return -EFAULT;
		done += n;
		if (n < want)
			break;
		cond_resched();
	}
	cmd->out_count = done;
	return exo_call_respond(call);
}

/* Whoever takes it out, ends it. A number that is only reserved stays reserved. */
static struct exo_cap *exo_session_take(struct exo_session *session, u32 id)
{
	struct exo_cap *cap;

	xa_lock(&session->caps);
	cap = xa_load(&session->caps, id);
	if (cap) {
		__xa_erase(&session->caps, id);
		exo_session_enter(session, id, NULL);
	}
	xa_unlock(&session->caps);
	if (cap)
		exo_page_leave(cap);
	return cap;
}

int exo_session_drop(struct exo_call *call)
{
	struct exo_cap_drop *cmd = &call->arg.cap_drop;
	struct exo_cap *cap = exo_session_take(call->session, cmd->cap);

	if (!cap)
		return exo_refuse(call, -ENOENT, EXO_REASON_NO_CAP, EXO_FIELD(cap_drop, cap),
				  cmd->cap, 0);
	exo_cap_end(cap);
	return 0;
}
