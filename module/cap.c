// SPDX-License-Identifier: GPL-2.0
/*
 * Capabilities: look-up, derivation, death, and the laws of the tree: rights and
 * ranges only shrink on the way down, and nothing grows below a dropped node.
 *
 * exo_tree_lock guards the shape of all trees. It is a leaf, held for a few
 * pointer writes at a time: no walk ever happens under it but the one up from a
 * freed ghost, which ends after EXO_DEPTH_MAX steps.
 */
#include <linux/file.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "binding.h"
#include "cap.h"
#include "ioctl.h"
#include "params.h"
#include "session.h"
#include "view.h"

static DEFINE_SPINLOCK(exo_tree_lock);

static void exo_cap_init(struct exo_cap *cap, struct exo_cap *parent)
{
	kref_init(&cap->ref);
	INIT_LIST_HEAD(&cap->children);
	INIT_LIST_HEAD(&cap->sibling);
	INIT_LIST_HEAD(&cap->bindings);
	mutex_init(&cap->lock);
	mutex_init(&cap->view_lock);
	cap->parent = parent;
	cap->depth = parent ? parent->depth + 1 : 0;
}

void exo_cap_init_root(struct exo_cap *root)
{
	memset(root, 0, sizeof(*root));
	exo_cap_init(root, NULL);
	root->held = true;
}

/* Nothing is derived from it any more; what was derived keeps its place until it is dropped. */
void exo_cap_end_root(struct exo_cap *root)
{
	scoped_guard(spinlock, &exo_tree_lock)
		root->held = false;
}

static void exo_cap_release(struct kref *ref)
{
	struct exo_cap *cap = container_of(ref, struct exo_cap, ref);

	if (cap->object)
		exo_object_put(cap->object);
	mutex_destroy(&cap->lock);
	mutex_destroy(&cap->view_lock);
	kfree_rcu(cap, rcu);
}

/* A freed node gives up its parent, which may free that, and so on: a loop, not a recursion. */
void exo_cap_put(struct exo_cap *cap)
{
	while (cap) {
		struct exo_cap *parent = cap->parent;

		if (!kref_put(&cap->ref, exo_cap_release))
			return;
		cap = parent;
	}
}

/* ---- look-up ---- */

struct exo_cap *exo_cap_lookup(struct exo_session *session, u32 id)
{
	struct exo_cap *cap;

	guard(rcu)();
	cap = xa_load(&session->caps, id);
	if (!cap || !kref_get_unless_zero(&cap->ref))
		return ERR_PTR(-ENOENT);
	return cap;
}

struct exo_cap *exo_cap_get_any(struct exo_call *call, u32 field, u32 id)
{
	struct exo_cap *cap = exo_cap_lookup(call->session, id);

	if (IS_ERR(cap))
		exo_refuse(call, -ENOENT, EXO_REASON_NO_CAP, field, id, 0);
	return cap;
}

struct exo_cap *exo_cap_get(struct exo_call *call, u32 field, u32 id, u32 type, u32 rights)
{
	struct exo_cap *cap = exo_cap_get_any(call, field, id);
	u32 missing;
	int ret;

	if (IS_ERR(cap))
		return cap;
	missing = rights & ~cap->rights;
	if (unlikely(cap->object->ops->type != type))
		ret = exo_refuse(call, -EINVAL, EXO_REASON_WRONG_TYPE, field,
				 cap->object->ops->type, type);
	else if (unlikely(exo_object_gone(cap->object)))
		ret = exo_refuse(call, -ESTALE, EXO_REASON_STALE, field, id, 0);
	else if (unlikely(missing))
		ret = exo_refuse(call, -EACCES, EXO_REASON_RIGHT, field, missing, cap->rights);
	else
		return cap;
	exo_cap_put(cap);
	return ERR_PTR(ret);
}

/*
 * ---- birth ----
 *
 * In two steps: a reserved number that nobody can look up, then, after the answer
 * reached the program, publication. Publishing consumes the capability either way
 * and fails with -ESTALE if the parent was dropped meanwhile.
 */

static int exo_cap_reserve(struct exo_call *call, struct exo_cap *cap)
{
	int ret = xa_alloc(&cap->session->caps, &cap->id, NULL, XA_LIMIT(1, EXO_CAPS_MAX), EXO_GFP);

	if (ret == -EBUSY)
		return exo_refuse(call, -ENOSPC, EXO_REASON_TABLE_FULL, 0, 0, EXO_CAPS_MAX);
	if (ret)
		return exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
	return 0;
}

static struct exo_cap *exo_cap_alloc(struct exo_call *call, struct exo_session *session,
				     struct exo_cap *parent, const struct exo_cap_spec *spec)
{
	struct exo_cap *cap;
	int ret;

	if (parent->depth >= EXO_DEPTH_MAX) {
		ret = exo_refuse(call, -ELOOP, EXO_REASON_DEPTH, 0, parent->depth, EXO_DEPTH_MAX);
		return ERR_PTR(ret);
	}
	cap = kzalloc(sizeof(*cap), EXO_GFP);
	if (!cap) {
		exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
		return ERR_PTR(-ENOMEM);
	}
	exo_cap_init(cap, parent);
	cap->session = session;
	cap->start = spec->start;
	cap->len = spec->len;
	cap->rights = spec->rights;
	ret = exo_cap_reserve(call, cap);
	if (ret)
		goto out_free;
	if (!exo_object_name(spec->object)) {
		ret = exo_refuse(call, -ESTALE, EXO_REASON_STALE, 0, parent->id, 0);
		goto out_unreserve;
	}
	exo_object_get(spec->object);
	cap->object = spec->object;
	kref_get(&parent->ref);
	return cap;

out_unreserve:
	xa_release(&session->caps, cap->id);
out_free:
	mutex_destroy(&cap->lock);
	mutex_destroy(&cap->view_lock);
	kfree(cap);
	return ERR_PTR(ret);
}

static void exo_cap_abort(struct exo_cap *cap)
{
	xa_release(&cap->session->caps, cap->id);
	exo_object_unname(cap->object);
	exo_cap_put(cap);
}

DEFINE_FREE(exo_cap_abort, struct exo_cap *, if (!IS_ERR_OR_NULL(_T)) exo_cap_abort(_T))

static int exo_cap_publish(struct exo_cap *cap)
{
	struct exo_cap *parent = cap->parent;

	scoped_guard(spinlock, &exo_tree_lock) {
		if (parent->held) {
			list_add_tail(&cap->sibling, &parent->children);
			cap->held = true;
			kref_get(&cap->ref); /* the tree's */
		}
	}
	if (!cap->held) {
		exo_cap_abort(cap);
		return -ESTALE;
	}
	atomic_inc(&cap->session->count);
	/* The number was reserved: this allocates nothing and cannot fail. */
	xa_store(&cap->session->caps, cap->id, cap, EXO_GFP);
	return 0;
}

static int exo_cap_give_to(struct exo_call *call, struct exo_session *session,
			   struct exo_cap *parent, const struct exo_cap_spec *spec, u32 *out,
			   u64 *offset)
{
	int ret;

	/* Its number is reserved, but nobody can look it up yet. */
	struct exo_cap *cap __free(exo_cap_abort) = exo_cap_alloc(call, session, parent, spec);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	*out = cap->id;
	if (offset)
		*offset = exo_view_offset(cap->id);
	ret = exo_call_respond(call);
	if (ret)
		return ret;
	ret = exo_cap_publish(no_free_ptr(cap));
	return ret ? exo_refuse(call, ret, EXO_REASON_STALE, 0, parent->id, 0) : 0;
}

int exo_cap_give(struct exo_call *call, struct exo_cap *parent, const struct exo_cap_spec *spec,
		 u32 *out, u64 *offset)
{
	return exo_cap_give_to(call, call->session, parent, spec, out, offset);
}

/* ---- death ---- */

/* Unlinks a childless ghost, and each ghost above it that this leaves childless. */
static void exo_tree_prune(struct exo_cap *cap)
{
	kref_get(&cap->ref);
	while (cap->parent) {
		struct exo_cap *parent = cap->parent;

		scoped_guard(spinlock, &exo_tree_lock) {
			if (cap->held || !list_empty(&cap->children) || list_empty(&cap->sibling))
				goto out;
			list_del_init(&cap->sibling);
		}
		kref_get(&parent->ref);
		exo_cap_put(cap); /* the tree's */
		exo_cap_put(cap);
		cap = parent;
	}
out:
	exo_cap_put(cap);
}

static void exo_cap_end_view(struct exo_cap *cap)
{
	struct exo_view *view;

	scoped_guard(mutex, &cap->view_lock) {
		view = cap->view;
		cap->view = NULL;
		cap->view_dead = true;
	}
	if (view)
		exo_view_end(view);
}

static void exo_cap_end_bindings(struct exo_cap *cap)
{
	struct exo_binding *binding, *next;

	guard(mutex)(&cap->lock);
	cap->dead = true;
	list_for_each_entry_safe(binding, next, &cap->bindings, on_cap)
		exo_binding_sever(binding);
}

/*
 * The object first: whether its mappings stay depends on whether it died. Frames are
 * not freed by that: mappings and attachments hold references.
 */
void exo_cap_end(struct exo_cap *cap)
{
	scoped_guard(spinlock, &exo_tree_lock)
		cap->held = false;
	exo_object_unname(cap->object);
	exo_cap_end_view(cap);
	exo_cap_end_bindings(cap);
	exo_tree_prune(cap);
	exo_cap_put(cap); /* the session's */
}

/* ---- commands ---- */

int exo_cap_check_rights(struct exo_call *call, u32 field, u32 rights, u32 held)
{
	if (!rights)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, field, rights, held);
	if (rights & ~held)
		return exo_refuse(call, -EACCES, EXO_REASON_RIGHT, field, rights & ~held, held);
	return 0;
}

/* The child's range, from the argument: whole if not given, else within the parent's. */
static int exo_derive_range(struct exo_call *call, struct exo_cap *parent,
			    struct exo_cap_spec *spec)
{
	const struct exo_cap_derive *cmd = &call->arg.cap_derive;
	u64 end, limit = parent->start + parent->len;

	spec->start = parent->start;
	spec->len = parent->len;
	if (!cmd->len && cmd->start)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(cap_derive, start),
				  cmd->start, 0);
	if (!cmd->len)
		return 0;
	if (!parent->object->ops->ranged)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(cap_derive, len),
				  cmd->len, 0);
	if (check_add_overflow(cmd->start, cmd->len, &end))
		return exo_refuse(call, -EOVERFLOW, EXO_REASON_OVERFLOW, EXO_FIELD(cap_derive, len),
				  cmd->start, cmd->len);
	if (cmd->start < parent->start || cmd->start >= limit)
		return exo_refuse(call, -ERANGE, EXO_REASON_RANGE, EXO_FIELD(cap_derive, start),
				  cmd->start, limit);
	if (end > limit)
		return exo_refuse(call, -ERANGE, EXO_REASON_RANGE, EXO_FIELD(cap_derive, len),
				  limit, limit);
	spec->start = cmd->start;
	spec->len = cmd->len;
	return 0;
}

static int exo_derive_into(struct exo_call *call, struct exo_session *session)
{
	struct exo_cap_derive *cmd = &call->arg.cap_derive;
	struct exo_cap_spec spec = { .rights = cmd->rights };
	int ret;

	struct exo_cap *parent __free(exo_cap_put) =
		exo_cap_get_any(call, EXO_FIELD(cap_derive, cap), cmd->cap);
	if (IS_ERR(parent))
		return PTR_ERR(parent);
	if (exo_object_gone(parent->object))
		return exo_refuse(call, -ESTALE, EXO_REASON_STALE, EXO_FIELD(cap_derive, cap),
				  cmd->cap, 0);
	ret = exo_cap_check_rights(call, EXO_FIELD(cap_derive, rights), cmd->rights,
				   parent->rights);
	if (ret)
		return ret;
	ret = exo_derive_range(call, parent, &spec);
	if (ret)
		return ret;
	spec.object = parent->object;

	return exo_cap_give_to(call, session, parent, &spec, &cmd->out_cap, NULL);
}

int exo_cap_derive(struct exo_call *call)
{
	s32 fd = call->arg.cap_derive.session_fd;

	if (fd == EXO_SESSION_SELF)
		return exo_derive_into(call, call->session);

	CLASS(fd, file)(fd);
	if (fd < 0 || fd_empty(file) || !exo_is_session(fd_file(file)))
		return exo_refuse(call, -EBADF, EXO_REASON_SESSION,
				  EXO_FIELD(cap_derive, session_fd), fd, 0);
	return exo_derive_into(call, fd_file(file)->private_data);
}

int exo_cap_query(struct exo_call *call)
{
	struct exo_cap_query *cmd = &call->arg.cap_query;

	struct exo_cap *cap __free(exo_cap_put) =
		exo_cap_get_any(call, EXO_FIELD(cap_query, cap), cmd->cap);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	if (exo_object_gone(cap->object))
		return exo_refuse(call, -ESTALE, EXO_REASON_STALE, EXO_FIELD(cap_query, cap),
				  cmd->cap, 0);
	cmd->out_type = cap->object->ops->type;
	cmd->out_rights = cap->rights;
	cmd->out_depth = cap->depth;
	cmd->out_start = cap->start;
	cmd->out_len = cap->len;
	cmd->out_object = cap->object->serial;
	cmd->out_unit_shift = 0;
	cmd->out_nsid = 0;
	cmd->out_address = 0;
	cmd->out_mmap_offset = cap->object->ops->map_pfn ? exo_view_offset(cap->id) : 0;
	if (cap->object->ops->describe)
		cap->object->ops->describe(cap->object, cmd);
	return exo_call_respond(call);
}
