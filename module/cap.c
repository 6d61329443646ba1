// SPDX-License-Identifier: GPL-2.0
/*
 * Capabilities: look-up, birth, death, and derivation: rights and ranges only shrink
 * on the way down.
 */
#include <linux/file.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "binding.h"
#include "cap.h"
#include "events.h"
#include "ioctl.h"
#include "page.h"
#include "params.h"
#include "session.h"
#include "token.h"
#include "trace.h"
#include "view.h"
#include "zone.h"

static atomic64_t exo_cap_serials = ATOMIC64_INIT(0);
static struct kmem_cache *exo_cap_cache;

int exo_cap_init_cache(void)
{
	exo_cap_cache = KMEM_CACHE(exo_cap, SLAB_ACCOUNT);
	return exo_cap_cache ? 0 : -ENOMEM;
}

void exo_cap_exit_cache(void)
{
	kmem_cache_destroy(exo_cap_cache);
}

static void exo_cap_init(struct exo_cap *cap, struct exo_cap *parent)
{
	kref_init(&cap->ref);
	INIT_LIST_HEAD(&cap->children);
	INIT_LIST_HEAD(&cap->sibling);
	INIT_LIST_HEAD(&cap->on_object);
	INIT_LIST_HEAD(&cap->bindings);
	INIT_LIST_HEAD(&cap->tokens);
	mutex_init(&cap->lock);
	exo_view_slot_init(&cap->slot);
	cap->parent = parent;
	cap->serial = atomic64_inc_return(&exo_cap_serials);
}

void exo_cap_init_root(struct exo_cap *root)
{
	memset(root, 0, sizeof(*root));
	exo_cap_init(root, NULL);
	exo_tree_init_root(root);
}

static void exo_cap_release(struct kref *ref)
{
	struct exo_cap *cap = container_of(ref, struct exo_cap, ref);

	if (cap->object)
		exo_object_put(cap->object);
	if (cap->session)
		exo_object_put(&cap->session->object);
	exo_zone_account_put(cap->zones);
	mutex_destroy(&cap->lock);
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

static __always_inline struct exo_cap *exo_cap_find(struct exo_session *session, u32 id)
{
	struct exo_cap *cap;

	guard(rcu)();
	if (likely(id < EXO_CAPS_FIRST))
		cap = rcu_dereference(session->first[array_index_nospec(id, EXO_CAPS_FIRST)]);
	else
		cap = xa_load(&session->caps, id);
	if (unlikely(!cap || !kref_get_unless_zero(&cap->ref)))
		return ERR_PTR(-ENOENT);
	return cap;
}

struct exo_cap *exo_cap_lookup(struct exo_session *session, u32 id)
{
	return exo_cap_find(session, id);
}

static __always_inline struct exo_cap *exo_cap_named(struct exo_call *call, u32 field, u32 id)
{
	struct exo_cap *cap = exo_cap_find(call->session, id);

	if (IS_ERR(cap))
		exo_refuse(call, -ENOENT, EXO_REASON_NO_CAP, field, id, 0);
	return cap;
}

struct exo_cap *exo_cap_get_any(struct exo_call *call, u32 field, u32 id)
{
	return exo_cap_named(call, field, id);
}

static __always_inline int exo_cap_verify(struct exo_call *call, struct exo_cap *cap, u32 field,
					  u32 type, u32 rights)
{
	u32 missing = (rights | EXO_CAP_LIVE) & ~READ_ONCE(cap->usable);

	if (unlikely(cap->object->ops->type != type))
		return exo_refuse(call, -EINVAL, EXO_REASON_WRONG_TYPE, field,
				  cap->object->ops->type, type);
	if (unlikely(exo_object_gone(cap->object) || (missing & EXO_CAP_LIVE)))
		return exo_refuse(call, -ESTALE, EXO_REASON_STALE, field, cap->id, 0);
	if (unlikely(missing))
		return exo_refuse(call, -EACCES, EXO_REASON_RIGHT, field, missing, cap->rights);
	return 0;
}

int exo_cap_check(struct exo_call *call, struct exo_cap *cap, u32 field, u32 type, u32 rights)
{
	return exo_cap_verify(call, cap, field, type, rights);
}

struct exo_cap *exo_cap_with_any(struct exo_call *call, struct exo_cap *cap, u32 field, u32 rights)
{
	int ret;

	if (IS_ERR(cap) || (cap->rights & rights))
		return cap;
	ret = exo_refuse(call, -EACCES, EXO_REASON_RIGHT, field, rights, cap->rights);
	exo_cap_put(cap);
	return ERR_PTR(ret);
}

struct exo_cap *exo_cap_get(struct exo_call *call, u32 field, u32 id, u32 type, u32 rights)
{
	struct exo_cap *cap = exo_cap_named(call, field, id);
	int ret;

	if (IS_ERR(cap))
		return cap;
	ret = exo_cap_verify(call, cap, field, type, rights);
	if (likely(!ret))
		return cap;
	exo_cap_put(cap);
	return ERR_PTR(ret);
}

/*
 * ---- birth ----
 *
 * In three steps. It takes its place in the tree, with a number that nobody can look up
 * yet: from here on a revocation finds it. The answer goes to the program, which may take
 * as long as it likes to accept it. Then the number is published, unless the capability
 * was taken meanwhile, or is about to be.
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
	cap = kmem_cache_zalloc(exo_cap_cache, EXO_GFP);
	if (!cap) {
		exo_refuse(call, -ENOMEM, EXO_REASON_MEMORY, 0, 0, 0);
		return ERR_PTR(-ENOMEM);
	}
	exo_cap_init(cap, exo_tree_top(parent));
	cap->depth = parent->depth + 1;
	cap->claim = spec->claim;
	cap->session = session;
	cap->start = spec->start;
	cap->len = spec->len;
	cap->rights = spec->rights;
	cap->usable = spec->rights | EXO_CAP_LIVE;
	ret = exo_cap_reserve(call, cap);
	if (ret)
		goto out_free;
	exo_object_get(spec->object);
	cap->object = spec->object;
	cap->zones = spec->zones ?: parent->zones;
	exo_zone_account_get(cap->zones);
	cap->placement = spec->placement;
	exo_object_get(&session->object);
	kref_get(&cap->parent->ref);
	return cap;

out_free:
	mutex_destroy(&cap->lock);
	kmem_cache_free(exo_cap_cache, cap);
	return ERR_PTR(ret);
}

static void exo_cap_abort(struct exo_cap *cap)
{
	xa_release(&cap->session->caps, cap->id);
	exo_cap_put(cap);
}

static int exo_cap_refuse(struct exo_call *call, int err, const struct exo_cap *parent)
{
	u32 reason = err == -EBUSY ? EXO_REASON_REVOKING : EXO_REASON_STALE;

	return exo_refuse(call, err, reason, 0, parent->id, 0);
}

static int exo_cap_link(struct exo_cap *cap, struct exo_cap *from)
{
	int ret;

	if (!exo_zone_account_use(cap->zones))
		return -ESTALE;
	ret = -ESTALE;
	if (exo_object_name(cap->object)) {
		ret = exo_tree_link(cap, from);
		if (ret)
			exo_object_unname(cap->object);
	}
	if (ret)
		exo_zone_account_unuse(cap->zones);
	return ret;
}

static struct exo_cap *exo_cap_make(struct exo_call *call, struct exo_session *session,
				    struct exo_cap *parent, const struct exo_cap_spec *spec)
{
	struct exo_cap *cap = exo_cap_alloc(call, session, parent, spec);
	int ret;

	if (IS_ERR(cap))
		return cap;
	ret = exo_cap_link(cap, parent);
	if (!ret)
		return cap;
	exo_cap_abort(cap);
	return ERR_PTR(exo_cap_refuse(call, ret, parent));
}

/* Whoever takes it by the tree from now on finds its number in the table. */
static int exo_cap_publish(struct exo_cap *cap)
{
	struct xarray *caps = &cap->session->caps;
	struct exo_object *object = cap->object;
	int ret;

	xa_lock(caps);
	ret = exo_tree_check(cap);
	if (!ret) {
		exo_page_enter(cap);
		/* The number was reserved: this allocates nothing and cannot fail. */
		__xa_store(caps, cap->id, cap, 0);
		exo_session_enter(cap->session, cap->id, cap);
	}
	xa_unlock(caps);
	if (ret)
		return ret;
	/* It died before it had this holder to tell. */
	if (object->ops->type == EXO_TYPE_QUEUE && exo_object_gone(object))
		exo_event_queue_died(object);
	return 0;
}

/* Its number was never published. */
static void exo_cap_withdraw(struct exo_cap *cap)
{
	xa_release(&cap->session->caps, cap->id);
	exo_cap_end(cap);
}

static int exo_cap_answer(struct exo_call *call, struct exo_cap *cap, struct exo_cap *parent)
{
	int ret = exo_call_respond(call);

	if (ret) {
		exo_cap_withdraw(cap);
		return ret;
	}
	ret = exo_cap_publish(cap);
	if (!ret)
		return 0;
	exo_cap_withdraw(cap);
	return exo_cap_refuse(call, ret, parent);
}

/* What is new has no other name during the answer: it goes when the capability is taken. */
static void exo_cap_settle(struct exo_object *object, bool linked)
{
	if (linked && object->ops->linked)
		object->ops->linked(object);
	exo_object_unname(object);
}

static int exo_cap_give_to(struct exo_call *call, struct exo_session *session,
			   struct exo_cap *parent, const struct exo_cap_spec *spec, u32 *out,
			   u64 *offset)
{
	struct exo_cap *cap = exo_cap_make(call, session, parent, spec);

	if (spec->fresh)
		exo_cap_settle(spec->object, !IS_ERR(cap));
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	*out = cap->id;
	if (offset)
		*offset = exo_view_offset(cap->id);
	return exo_cap_answer(call, cap, parent);
}

int exo_cap_give(struct exo_call *call, struct exo_cap *parent, const struct exo_cap_spec *spec,
		 u32 *out, u64 *offset)
{
	return exo_cap_give_to(call, call->session, parent, spec, out, offset);
}

/* ---- death ---- */

/* Under its lock, so that none is made any more. */
static void exo_cap_begin_bindings(struct exo_cap *cap)
{
	struct exo_binding *binding;

	lockdep_assert_held(&cap->lock);
	cap->dead = true;
	list_for_each_entry(binding, &cap->bindings, on_cap)
		exo_binding_begin(binding);
}

/* All begin before the first waits, so that they wait for the same time. */
static void exo_cap_end_bindings(struct exo_cap *cap)
{
	struct exo_binding *binding, *next;

	guard(mutex)(&cap->lock);
	exo_cap_begin_bindings(cap);
	list_for_each_entry_safe(binding, next, &cap->bindings, on_cap)
		exo_binding_sever(binding);
}

/*
 * By whoever ended its being held. The object first: whether its mappings stay depends
 * on whether it died. Its frames are not freed by that, but by the last use.
 */
static void exo_cap_tear_down(struct exo_cap *cap)
{
	struct exo_object *object = cap->object;

	exo_token_end_all(cap);
	exo_object_drop_name(object);
	exo_view_slot_end(&cap->slot);
	exo_cap_end_bindings(cap);
	if (object->ops->forget)
		object->ops->forget(object, cap);
	exo_zone_account_unuse(cap->zones);
	exo_object_unuse(object);
	exo_tree_prune(cap);
}

/* If it was taken back before, nothing is left but the record. */
void exo_cap_end(struct exo_cap *cap)
{
	if (exo_tree_let_go(cap)) {
		/* Out of the table: nobody asks any more. */
		if (cap->deadline)
			trace_exo_revoke_comply(cap);
		exo_cap_tear_down(cap);
	}
	exo_cap_put(cap); /* the session's */
}

void exo_cap_stop(struct exo_cap *cap)
{
	if (!exo_tree_stop(cap))
		return;
	WRITE_ONCE(cap->usable, 0);
	exo_object_stop_if_all(cap->object);
	/* Whoever holds it is severing bindings already. */
	if (!mutex_trylock(&cap->lock))
		return;
	exo_cap_begin_bindings(cap);
	mutex_unlock(&cap->lock);
}

void exo_cap_repossess(struct exo_cap *cap)
{
	WRITE_ONCE(cap->usable, 0);
	exo_cap_tear_down(cap);
}

bool exo_cap_use(struct exo_cap *cap)
{
	guard(mutex)(&cap->lock);
	if (cap->dead)
		return false;
	exo_object_use(cap->object);
	return true;
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

/* The child's range: whole if not given, else within the parent's. */
static int exo_child_range(struct exo_call *call, const struct exo_cap *parent,
			   const struct exo_child *child, struct exo_cap_spec *spec)
{
	u64 end, grain, limit = parent->start + parent->len;

	spec->start = parent->start;
	spec->len = parent->len;
	if (!child->len && child->start)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, child->start_field, child->start,
				  0);
	if (!child->len)
		return 0;
	if (!parent->object->ops->ranged)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, child->len_field, child->len, 0);
	if (check_add_overflow(child->start, child->len, &end))
		return exo_refuse(call, -EOVERFLOW, EXO_REASON_OVERFLOW, child->len_field,
				  child->start, child->len);
	if (child->start < parent->start || child->start >= limit)
		return exo_refuse(call, -ERANGE, EXO_REASON_RANGE, child->start_field, child->start,
				  limit);
	if (end > limit)
		return exo_refuse(call, -ERANGE, EXO_REASON_RANGE, child->len_field, limit, limit);
	grain = parent->object->ops->grain ? parent->object->ops->grain(parent->object) : 1;
	if (child->start & (grain - 1))
		return exo_refuse(call, -EINVAL, EXO_REASON_ZONE, child->start_field, child->start,
				  grain);
	if (child->len & (grain - 1))
		return exo_refuse(call, -EINVAL, EXO_REASON_ZONE, child->len_field, child->len,
				  grain);
	spec->start = child->start;
	spec->len = child->len;
	return 0;
}

int exo_cap_check_child(struct exo_call *call, const struct exo_cap *parent,
			const struct exo_child *child, struct exo_cap_spec *spec)
{
	int ret = exo_cap_check_rights(call, child->rights_field, child->rights, parent->rights);

	spec->rights = child->rights;
	spec->placement = parent->placement;
	return ret ?: exo_child_range(call, parent, child, spec);
}

/* A share of its parent's open and active zones, if it is to have its own. */
static struct exo_zone_account *exo_derive_zones(struct exo_call *call,
						 const struct exo_cap *parent)
{
	struct exo_cap_derive *cmd = &call->arg.cap_derive;
	const u32 quota[EXO_ZONES_KINDS] = {
		[EXO_ZONES_OPEN] = cmd->open_zones,
		[EXO_ZONES_ACTIVE] = cmd->active_zones,
	};
	static const u32 field[EXO_ZONES_KINDS] = {
		[EXO_ZONES_OPEN] = EXO_FIELD(cap_derive, open_zones),
		[EXO_ZONES_ACTIVE] = EXO_FIELD(cap_derive, active_zones),
	};

	if (!cmd->open_zones && !cmd->active_zones)
		return NULL;
	return exo_zone_account_make(call, parent->zones, quota, field);
}

static int exo_derive_into(struct exo_call *call, struct exo_session *session)
{
	struct exo_cap_derive *cmd = &call->arg.cap_derive;
	const struct exo_child child = {
		.rights = cmd->rights,
		.start = cmd->start,
		.len = cmd->len,
		.rights_field = EXO_FIELD(cap_derive, rights),
		.start_field = EXO_FIELD(cap_derive, start),
		.len_field = EXO_FIELD(cap_derive, len),
	};
	struct exo_cap_spec spec = {};
	int ret;

	struct exo_cap *parent __free(exo_cap_put) =
		exo_cap_get_any(call, EXO_FIELD(cap_derive, cap), cmd->cap);
	if (IS_ERR(parent))
		return PTR_ERR(parent);
	if (exo_cap_gone(parent))
		return exo_refuse(call, -ESTALE, EXO_REASON_STALE, EXO_FIELD(cap_derive, cap),
				  cmd->cap, 0);
	if (parent->object->ops->unshared)
		return exo_refuse(call, -EINVAL, EXO_REASON_UNSHARED, EXO_FIELD(cap_derive, cap),
				  cmd->cap, 0);
	ret = exo_cap_check_child(call, parent, &child, &spec);
	if (ret)
		return ret;
	if (cmd->placement & ~parent->placement)
		return exo_refuse(call, -EACCES, EXO_REASON_PLACEMENT,
				  EXO_FIELD(cap_derive, placement), cmd->placement,
				  parent->placement);
	spec.placement = cmd->placement ?: parent->placement;
	spec.object = parent->object;
	spec.zones = exo_derive_zones(call, parent);
	if (IS_ERR(spec.zones))
		return PTR_ERR(spec.zones);
	ret = exo_cap_give_to(call, session, parent, &spec, &cmd->out_cap, NULL);
	exo_zone_account_unuse(spec.zones);
	exo_zone_account_put(spec.zones);
	return ret;
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
	if (exo_cap_gone(cap))
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
	cmd->out_qid = 0;
	cmd->out_mode = 0;
	cmd->out_copy_ranges = 0;
	cmd->out_copy_range_blocks = 0;
	cmd->out_copy_blocks = 0;
	cmd->out_zone_blocks = 0;
	cmd->out_append_max = 0;
	cmd->out_open_zones = 0;
	cmd->out_open_zones_used = 0;
	cmd->out_active_zones = 0;
	cmd->out_active_zones_used = 0;
	cmd->out_command_set = 0;
	cmd->out_placement = cap->placement;
	exo_zone_account_describe(cap->zones, cmd);
	xa_lock(&cap->session->caps);
	cmd->out_deadline = cap->deadline;
	cmd->out_wanted = cap->deadline ? cap->wanted : 0;
	xa_unlock(&cap->session->caps);
	cmd->out_mmap_offset = cap->object->ops->map_pfn ? exo_view_offset(cap->id) : 0;
	if (cap->object->ops->describe)
		cap->object->ops->describe(cap->object, cmd);
	return exo_call_respond(call);
}
