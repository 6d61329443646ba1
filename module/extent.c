// SPDX-License-Identifier: GPL-2.0
/*
 * Namespaces, learnt from the device when they are first used, and extents of
 * them.
 */
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/unaligned.h>

#include "cap.h"
#include "controller.h"
#include "events.h"
#include "exclusive.h"
#include "extent.h"
#include "ioctl.h"
#include "nvme.h"
#include "params.h"
#include "placement.h"
#include "queue.h"
#include "zone.h"

static struct lock_class_key exo_namespace_kill_class;

#define EXO_RIGHTS_EXTENT (EXO_RIGHT_READ | EXO_RIGHT_WRITE | EXO_RIGHT_TRIM)

static bool exo_namespace_gone(struct exo_object *obj)
{
	struct exo_namespace *ns = exo_namespace_of(obj);

	return READ_ONCE(ns->gone) || test_bit(EXO_NVME_DYING, &ns->nvme->state);
}

static void exo_namespace_release(struct exo_object *obj)
{
	struct exo_namespace *ns = exo_namespace_of(obj);

	kfree(ns->identify);
	kfree(ns->identify_nvm);
	exo_zones_free(ns->zones);
	exo_nvme_put(ns->nvme);
	kfree(ns);
}

static u64 exo_namespace_grain(struct exo_object *obj)
{
	const struct exo_zones *zones = exo_namespace_of(obj)->zones;

	return zones ? 1ull << zones->shift : 1;
}

static void exo_namespace_describe(struct exo_object *obj, struct exo_cap_query *query)
{
	struct exo_namespace *ns = exo_namespace_of(obj);

	query->out_unit_shift = ns->shift;
	query->out_nsid = ns->nsid;
	query->out_address = ns->nvme->address;
	query->out_copy_ranges = ns->copy_ranges;
	query->out_copy_range_blocks = ns->copy_range_blocks;
	query->out_copy_blocks = ns->copy_blocks;
	query->out_command_set = ns->command_set;
	if (!ns->zones)
		return;
	query->out_zone_blocks = exo_namespace_grain(obj);
	query->out_append_max = ns->nvme->append_max;
}

static const struct exo_object_ops exo_namespace_ops = {
	.type = EXO_TYPE_EXTENT,
	.rights = EXO_RIGHTS_EXTENT,
	.ranged = true,
	.grain = exo_namespace_grain,
	.gone = exo_namespace_gone,
	.release = exo_namespace_release,
	.describe = exo_namespace_describe,
};

/* ---- learning ---- */

/* NVM command set 1.0 figure 97: MSSRL, MCL, MSRC; not in the kernel's header */
static void exo_namespace_parse_copy(struct exo_namespace *ns, const struct nvme_id_ns *id)
{
	u32 most;

	if (!(ns->nvme->features & EXO_CONTROLLER_COPY) || ns->shift > PAGE_SHIFT)
		return;
	most = ns->nvme->transfer_max >> ns->shift;
	ns->copy_range_blocks = min_t(u32, get_unaligned_le16(id->rsvd74), most);
	ns->copy_blocks = min(get_unaligned_le32(id->rsvd74 + 2), most);
	ns->copy_ranges = min_t(u32, id->rsvd74[6] + 1, EXO_COPY_RANGES);
	/* What allows nothing is no Copy. */
	if (!ns->copy_range_blocks || !ns->copy_blocks)
		ns->copy_ranges = 0;
}

/* What the device says of it: NVM command set 1.0 section 4.1.5.1. -ENOENT: not active. */
static int exo_namespace_parse(struct exo_namespace *ns, const struct nvme_id_ns *id)
{
	const struct nvme_lbaf *format = &id->lbaf[nvme_lbaf_index(id->flbas)];

	ns->blocks = le64_to_cpu(id->nsze);
	ns->shift = format->ds;
	ns->metadata = le16_to_cpu(format->ms);
	ns->group = le16_to_cpu(id->endgid);
	exo_namespace_parse_copy(ns, id);
	return ns->blocks ? 0 : -ENOENT;
}

/* NVMe base 2.0 figure 277: the list of descriptors: its command set, and its UUID if it has one. */
static void exo_namespace_parse_names(struct exo_namespace *ns, const u8 *list)
{
	const struct nvme_ns_id_desc *desc;
	u32 at = 0;

	while (at + sizeof(*desc) < EXO_NVME_PAGE) {
		const u8 *name = list + at + sizeof(*desc);

		desc = (const void *)(list + at);
		if (!desc->nidl)
			break;
		at += sizeof(*desc) + desc->nidl;
		if (desc->nidt == NVME_NIDT_CSI)
			ns->command_set = *name;
		else if (desc->nidt == NVME_NIDT_UUID && desc->nidl == sizeof(ns->uuid) &&
			 at <= EXO_NVME_PAGE)
			memcpy(ns->uuid, name, sizeof(ns->uuid));
	}
}

/* MAR and MOR: less one; all ones: no limit. */
static u32 exo_namespace_zone_limit(__le32 limit)
{
	return le32_to_cpu(limit) + 1;
}

/* Zoned namespace command set 1.1 section 4.1.5.1 */
static int exo_namespace_parse_zones(struct exo_namespace *ns, u32 format,
				     const struct nvme_id_ns_zns *id)
{
	u64 size = le64_to_cpu(id->lbafe[format].zsze);
	const u32 limit[EXO_ZONES_KINDS] = {
		[EXO_ZONES_OPEN] = exo_namespace_zone_limit(id->mor),
		[EXO_ZONES_ACTIVE] = exo_namespace_zone_limit(id->mar),
	};

	/* Linux wants powers of two, too. */
	if (!is_power_of_2(size) || ns->blocks & (size - 1) ||
	    ns->blocks >> ilog2(size) > EXO_ZONES_MAX) {
		ns->odd = true;
		return 0;
	}
	ns->zones = exo_zones_alloc(ilog2(size), ns->blocks >> ilog2(size), limit);
	return ns->zones ? 0 : -ENOMEM;
}

/* What there is beside the NVM command set; of what the device says a copy is read. */
static int exo_namespace_identify_zones(struct exo_nvme *nvme, struct exo_namespace *ns, u32 format,
					struct exo_dma_buf *buf)
{
	void *id __free(kfree) = NULL;
	int ret;

	if (ns->command_set == NVME_CSI_NVM)
		return 0;
	ns->odd = ns->command_set != NVME_CSI_ZNS || !(nvme->features & EXO_CONTROLLER_ZONED);
	if (ns->odd)
		return 0;
	ret = exo_identity_learn_csi(nvme, ns->nsid, NVME_ID_CNS_CS_NS, NVME_CSI_ZNS, buf, &id);
	if (ret == -EIO)
		ns->odd = true;
	else if (!ret)
		ret = exo_namespace_parse_zones(ns, format, id);
	return ns->odd ? 0 : ret;
}

/* From NVMe 1.3 on it has names, and from the time of command sets on it says which is its. */
static int exo_namespace_identify_names(struct exo_nvme *nvme, struct exo_namespace *ns,
					struct exo_dma_buf *buf)
{
	bool sets = nvme->cap & EXO_NVME_CAP_CSI;
	void *list __free(kfree) = NULL;
	int ret;

	ns->command_set = NVME_CSI_NVM;
	if (!sets && nvme->version < NVME_VS(1, 3, 0))
		return 0;
	ret = exo_identity_learn(nvme, ns->nsid, NVME_ID_CNS_NS_DESC_LIST, buf, &list);
	if (!ret)
		exo_namespace_parse_names(ns, list);
	/* Which command set it is of nobody knows then. */
	ns->odd = ret == -EIO && sets;
	return ret == -EIO ? 0 : ret;
}

static int exo_namespace_identify(struct exo_nvme *nvme, struct exo_namespace *ns)
{
	struct exo_dma_buf buf;
	u32 format;
	int ret;

	ret = exo_dma_buf_alloc(&nvme->dma, &buf, EXO_NVME_PAGE, EXO_DMA_DEVICE_WRITES);
	if (ret)
		return ret;
	ret = exo_identity_learn(nvme, ns->nsid, NVME_ID_CNS_NS, &buf, &ns->identify);
	if (!ret)
		ret = exo_namespace_parse(ns, ns->identify);
	/* An invalid number is the device's to refuse. */
	if (ret == -EIO)
		ret = -ENOENT;
	if (!ret && exo_identity_has_sets(nvme)) {
		ret = exo_identity_learn(nvme, ns->nsid, NVME_ID_CNS_CS_NS, &buf,
					 &ns->identify_nvm);
		/* It has what it has. */
		if (ret == -EIO)
			ret = 0;
	}
	if (!ret)
		ret = exo_placement_learn(nvme, ns->identify, &ns->placement);
	if (!ret)
		ret = exo_namespace_identify_names(nvme, ns, &buf);
	if (!ret && !ns->odd) {
		format = nvme_lbaf_index(((struct nvme_id_ns *)ns->identify)->flbas);
		ret = exo_namespace_identify_zones(nvme, ns, format, &buf);
	}
	exo_nvme_buf_free(nvme, &buf);
	return ret;
}

/* As the device tells it now. */
static struct exo_namespace *exo_namespace_ask(struct exo_nvme *nvme, u32 nsid)
{
	struct exo_namespace *ns = kzalloc(sizeof(*ns), GFP_KERNEL);
	int ret;

	if (!ns)
		return ERR_PTR(-ENOMEM);
	exo_object_init(&ns->object, &exo_namespace_ops);
	/* It ends when the last queue of an exclusive function does, under that one's. */
	lockdep_set_class(&ns->object.kill_lock, &exo_namespace_kill_class);
	exo_nvme_get(nvme);
	ns->nvme = nvme;
	ns->nsid = nsid;
	ret = exo_namespace_identify(nvme, ns);
	if (!ret)
		return ns;
	exo_object_put(&ns->object);
	return ERR_PTR(ret);
}

static struct exo_namespace *exo_namespace_learn(struct exo_nvme *nvme, u32 nsid)
{
	struct exo_namespace *ns = exo_namespace_ask(nvme, nsid);
	int ret;

	if (IS_ERR(ns))
		return ns;
	ret = xa_insert(&nvme->namespaces, nsid, ns, GFP_KERNEL);
	if (!ret)
		return ns;
	exo_object_put(&ns->object);
	return ERR_PTR(ret);
}

/* Borrowed: it lives as long as the function is bound, which the caller's read lock ensures. */
static struct exo_namespace *exo_namespace_find(struct exo_nvme *nvme, u32 nsid)
{
	struct exo_namespace *ns;

	lockdep_assert_held(&nvme->busy);
	if (!nsid || nsid > nvme->nn)
		return ERR_PTR(-ENOENT);
	guard(mutex)(&nvme->lock);
	ns = xa_load(&nvme->namespaces, nsid);
	return ns ? ns : exo_namespace_learn(nvme, nsid);
}

/* Of its names one is the function's. */
bool exo_extent_any(struct exo_nvme *nvme)
{
	struct exo_namespace *ns;
	unsigned long nsid;

	lockdep_assert_held_write(&nvme->busy);
	guard(mutex)(&nvme->lock);
	xa_for_each(&nvme->namespaces, nsid, ns)
		if (atomic_read(&ns->object.caps) > 1)
			return true;
	return false;
}

void exo_extent_end_all(struct exo_nvme *nvme)
{
	struct exo_namespace *ns;
	unsigned long nsid;

	xa_for_each(&nvme->namespaces, nsid, ns) {
		xa_erase(&nvme->namespaces, nsid);
		exo_object_let_go(&ns->object);
	}
}

static int exo_namespace_explain(struct exo_call *call, int err, u32 nsid, u32 field)
{
	switch (err) {
	case -ENOENT:
		return exo_refuse(call, err, EXO_REASON_NO_NAMESPACE, field, nsid, 0);
	case -ENODEV:
		return exo_refuse(call, err, EXO_REASON_STALE, field, nsid, 0);
	case -ENOMEM:
		return exo_refuse(call, err, EXO_REASON_MEMORY, 0, 0, 0);
	case -ETIMEDOUT:
		return exo_refuse(call, err, EXO_REASON_DEVICE, field, exo_admin_timeout_ms(), 0);
	default:
		return exo_refuse(call, err, EXO_REASON_DEVICE, field, 0, 0);
	}
}

struct exo_namespace *exo_namespace_get(struct exo_call *call, struct exo_nvme *nvme, u32 nsid,
					u32 field)
{
	struct exo_namespace *ns = ERR_PTR(-ENODEV);

	scoped_guard(rwsem_read, &nvme->busy) {
		if (exo_nvme_usable(nvme))
			ns = exo_namespace_find(nvme, nsid);
		if (!IS_ERR(ns))
			exo_object_get(&ns->object);
	}
	if (IS_ERR(ns))
		exo_namespace_explain(call, PTR_ERR(ns), nsid, field);
	return ns;
}

/* ---- change ---- */

static bool exo_namespace_is_named(const struct exo_namespace *ns)
{
	const struct nvme_id_ns *id = ns->identify;

	return memchr_inv(id->nguid, 0, sizeof(id->nguid)) ||
	       memchr_inv(id->eui64, 0, sizeof(id->eui64)) ||
	       memchr_inv(ns->uuid, 0, sizeof(ns->uuid));
}

/* A number that names another namespace by now may be of the same size. */
static bool exo_namespace_same(const struct exo_namespace *a, const struct exo_namespace *b)
{
	const struct nvme_id_ns *x = a->identify, *y = b->identify;

	return !memcmp(x->nguid, y->nguid, sizeof(x->nguid)) &&
	       !memcmp(x->eui64, y->eui64, sizeof(x->eui64)) &&
	       !memcmp(a->uuid, b->uuid, sizeof(a->uuid)) && a->shift == b->shift &&
	       a->metadata == b->metadata && a->blocks == b->blocks &&
	       a->command_set == b->command_set && exo_zones_same(a->zones, b->zones);
}

/* True: by us. From here on nothing new uses it. */
static bool exo_namespace_forget(struct exo_namespace *ns)
{
	struct exo_nvme *nvme = ns->nvme;

	guard(mutex)(&nvme->lock);
	if (xa_load(&nvme->namespaces, ns->nsid) != ns)
		return false;
	WRITE_ONCE(ns->gone, true);
	xa_erase(&nvme->namespaces, ns->nsid);
	return true;
}

/* What used it ends before anybody is told. */
static void exo_namespace_end(struct exo_namespace *ns, u64 how)
{
	struct exo_nvme *nvme = ns->nvme;

	if (!exo_namespace_forget(ns))
		return;
	exo_queue_kill_users(nvme, &ns->object);
	exo_event_namespace(&ns->object, how);
	exo_object_let_go(&ns->object);
}

/*
 * What its extents mean must be known. @said: the device said that it is not what it was: of
 * one without a name nobody can tell, and in doubt it is another.
 */
static void exo_namespace_recheck(struct exo_namespace *ns, bool said)
{
	struct exo_namespace *now = exo_namespace_ask(ns->nvme, ns->nsid);

	if (!exo_nvme_usable(ns->nvme) || now == ERR_PTR(-EAGAIN)) {
		/* All of it has ended, or is about to; or it was reset: then it is asked again. */
	} else if (IS_ERR(now)) {
		exo_namespace_end(ns, now == ERR_PTR(-ENOENT) ? EXO_NAMESPACE_DETACHED
							      : EXO_NAMESPACE_CHANGED);
	} else if (!exo_namespace_same(ns, now) || (said && !exo_namespace_is_named(ns))) {
		exo_namespace_end(ns, EXO_NAMESPACE_CHANGED);
	} else {
		guard(spinlock)(&ns->nvme->identity.lock);
		swap(ns->identify, now->identify);
		swap(ns->identify_nvm, now->identify_nvm);
	}
	if (!IS_ERR(now))
		exo_object_put(&now->object);
}

/* Of those in use, the first from *@nsid on: a reference. */
static struct exo_namespace *exo_namespace_used(struct exo_nvme *nvme, unsigned long *nsid)
{
	struct exo_namespace *ns;

	guard(mutex)(&nvme->lock);
	ns = xa_find(&nvme->namespaces, nsid, ULONG_MAX, XA_PRESENT);
	if (ns)
		exo_object_get(&ns->object);
	return ns;
}

/* The list ends with a 0; one that would not hold all begins with FFFFFFFFh. */
static bool exo_namespace_listed(const __le32 *list, u32 nsid)
{
	u32 i;

	if (le32_to_cpu(list[0]) == NVME_NSID_ALL)
		return true;
	for (i = 0; i < NVME_MAX_CHANGED_NAMESPACES && list[i]; i++)
		if (le32_to_cpu(list[i]) == nsid)
			return true;
	return false;
}

void exo_extent_forget_all(struct exo_nvme *nvme)
{
	struct exo_namespace *ns;
	unsigned long nsid = 0;

	lockdep_assert_held_write(&nvme->busy);
	while ((ns = exo_namespace_used(nvme, &nsid))) {
		if (exo_namespace_forget(ns)) {
			exo_event_namespace(&ns->object, EXO_NAMESPACE_CHANGED);
			exo_object_let_go(&ns->object);
		}
		exo_object_put(&ns->object);
	}
}

void exo_namespaces_changed(struct exo_nvme *nvme, const __le32 *list)
{
	struct exo_namespace *ns;
	unsigned long nsid = 0;

	while ((ns = exo_namespace_used(nvme, &nsid))) {
		if (!list || exo_namespace_listed(list, nsid))
			exo_namespace_recheck(ns, list);
		exo_object_put(&ns->object);
		nsid++;
	}
}

/* ---- EXO_NAMESPACE_QUERY ---- */

/* Identify, active namespace list: the first number above @nsid, or 0. */
static int exo_namespace_next(struct exo_nvme *nvme, u32 nsid, u32 *next)
{
	struct exo_dma_buf buf;
	int ret;

	*next = 0;
	guard(rwsem_read)(&nvme->busy);
	if (!exo_nvme_usable(nvme))
		return -ENODEV;
	ret = exo_dma_buf_alloc(&nvme->dma, &buf, EXO_NVME_PAGE, EXO_DMA_DEVICE_WRITES);
	if (ret)
		return ret;
	ret = exo_admin_identify(nvme, nsid, NVME_ID_CNS_NS_ACTIVE_LIST, &buf);
	if (!ret)
		*next = le32_to_cpu(*(__le32 *)buf.va);
	exo_nvme_buf_free(nvme, &buf);
	return ret;
}

static u64 exo_namespace_left(struct exo_zone_account *account, u32 kind)
{
	struct exo_budget *budget = account ? account->budget[kind] : NULL;

	return budget ? budget->limit - exo_budget_used(budget) : 0;
}

static void exo_namespace_describe_zones(struct exo_namespace *ns, struct exo_namespace_query *cmd)
{
	const struct exo_zones *zones = ns->zones;

	cmd->out_command_set = ns->command_set;
	cmd->out_placement = ns->placement;
	cmd->out_endurance_group = ns->group;
	cmd->out_zone_blocks = zones ? 1ull << zones->shift : 0;
	cmd->out_open_zones = zones ? zones->limit[EXO_ZONES_OPEN] : 0;
	cmd->out_active_zones = zones ? zones->limit[EXO_ZONES_ACTIVE] : 0;
	cmd->out_open_zones_left = 0;
	cmd->out_active_zones_left = 0;
	cmd->out_append_max = zones ? ns->nvme->append_max : 0;
	if (!zones)
		return;
	cmd->out_open_zones_left = exo_namespace_left(zones->account, EXO_ZONES_OPEN);
	cmd->out_active_zones_left = exo_namespace_left(zones->account, EXO_ZONES_ACTIVE);
}

int exo_namespace_query(struct exo_call *call)
{
	struct exo_namespace_query *cmd = &call->arg.namespace_query;
	u32 field = EXO_FIELD(namespace_query, nsid), nsid = cmd->nsid;
	struct exo_namespace *ns;
	struct exo_nvme *nvme;
	int ret;

	struct exo_cap *cap __free(exo_cap_put) = exo_controller_get(
		call, EXO_FIELD(namespace_query, controller), cmd->controller, EXO_RIGHT_EXTENT);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	nvme = exo_controller_of(cap->object)->nvme;
	if (cmd->flags & EXO_NAMESPACE_NEXT) {
		ret = exo_namespace_next(nvme, cmd->nsid, &nsid);
		if (ret)
			return exo_namespace_explain(call, ret, cmd->nsid, field);
	}
	ns = exo_namespace_get(call, nvme, nsid, field);
	if (IS_ERR(ns))
		return PTR_ERR(ns);
	cmd->out_nsid = ns->nsid;
	cmd->out_block_shift = ns->shift;
	cmd->out_metadata = ns->metadata;
	cmd->out_blocks = ns->blocks;
	exo_namespace_describe_zones(ns, cmd);
	exo_object_put(&ns->object);
	return exo_call_respond(call);
}

/* ---- EXO_EXTENT_CREATE ---- */

/* Whole zones. */
static int exo_extent_check_zones(struct exo_call *call, struct exo_namespace *ns)
{
	struct exo_extent_create *cmd = &call->arg.extent_create;
	u64 grain = exo_namespace_grain(&ns->object);

	if (cmd->start & (grain - 1))
		return exo_refuse(call, -EINVAL, EXO_REASON_ZONE, EXO_FIELD(extent_create, start),
				  cmd->start, grain);
	if (cmd->len & (grain - 1))
		return exo_refuse(call, -EINVAL, EXO_REASON_ZONE, EXO_FIELD(extent_create, len),
				  cmd->len, grain);
	return 0;
}

static int exo_extent_check(struct exo_call *call, struct exo_namespace *ns)
{
	struct exo_extent_create *cmd = &call->arg.extent_create;
	u64 end;

	/* Blocks larger than a page would need larger units of everything. */
	if (ns->metadata || ns->shift < 9 || ns->shift > PAGE_SHIFT || ns->odd)
		return exo_refuse(call, -EOPNOTSUPP, EXO_REASON_FORMAT,
				  EXO_FIELD(extent_create, nsid), ns->metadata, 0);
	if (!cmd->len)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(extent_create, len), 0,
				  0);
	if (check_add_overflow(cmd->start, cmd->len, &end))
		return exo_refuse(call, -EOVERFLOW, EXO_REASON_OVERFLOW,
				  EXO_FIELD(extent_create, len), cmd->start, cmd->len);
	if (cmd->start >= ns->blocks)
		return exo_refuse(call, -ERANGE, EXO_REASON_RANGE, EXO_FIELD(extent_create, start),
				  cmd->start, ns->blocks);
	if (end > ns->blocks)
		return exo_refuse(call, -ERANGE, EXO_REASON_RANGE, EXO_FIELD(extent_create, len),
				  ns->blocks, ns->blocks);
	if (cmd->placement && !ns->placement)
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE,
				  EXO_FIELD(extent_create, placement), cmd->placement, 0);
	return exo_extent_check_zones(call, ns);
}

/* The account of its zones, used by the caller. NULL: none are counted. */
static struct exo_zone_account *exo_extent_account(struct exo_call *call, struct exo_namespace *ns)
{
	struct exo_extent_create *cmd = &call->arg.extent_create;
	const u32 quota[EXO_ZONES_KINDS] = {
		[EXO_ZONES_OPEN] = cmd->open_zones,
		[EXO_ZONES_ACTIVE] = cmd->active_zones,
	};
	static const u32 field[EXO_ZONES_KINDS] = {
		[EXO_ZONES_OPEN] = EXO_FIELD(extent_create, open_zones),
		[EXO_ZONES_ACTIVE] = EXO_FIELD(extent_create, active_zones),
	};
	struct exo_zone_account *account = ns->zones ? ns->zones->account : NULL;

	if (!quota[EXO_ZONES_OPEN] && !quota[EXO_ZONES_ACTIVE]) {
		/* The namespace's own lasts as long as that: it has a user already. */
		exo_zone_account_use(account);
		exo_zone_account_get(account);
		return account;
	}
	return exo_zone_account_make(call, account, quota, field);
}

/* Named by the call until a capability does, so that the function does not become another's. */
static int exo_extent_name(struct exo_call *call, struct exo_controller *controller,
			   struct exo_namespace *ns)
{
	struct exo_nvme *nvme = controller->nvme;
	u32 field = EXO_FIELD(extent_create, controller), id = call->arg.extent_create.controller;

	guard(rwsem_read)(&nvme->busy);
	if (!exo_exclusive_admits(controller))
		return exo_refuse(call, -EBUSY, EXO_REASON_EXCLUSIVE, field, id, 0);
	if (!exo_object_name(&ns->object))
		return exo_refuse(call, -ENODEV, EXO_REASON_STALE, field, id, 0);
	return 0;
}

static int exo_extent_give(struct exo_call *call, struct exo_cap *cap, struct exo_namespace *ns)
{
	struct exo_extent_create *cmd = &call->arg.extent_create;
	struct exo_cap_spec spec = {
		.object = &ns->object,
		.start = cmd->start,
		.len = cmd->len,
		.rights = cmd->rights,
		.placement = cmd->placement,
		.zones = exo_extent_account(call, ns),
	};
	int ret;

	if (IS_ERR(spec.zones))
		return PTR_ERR(spec.zones);
	ret = exo_extent_name(call, exo_controller_of(cap->object), ns);
	if (!ret) {
		ret = exo_cap_give(call, cap, &spec, &cmd->out_cap, NULL);
		exo_object_unname(&ns->object);
	}
	exo_zone_account_unuse(spec.zones);
	exo_zone_account_put(spec.zones);
	return ret;
}

int exo_extent_create(struct exo_call *call)
{
	struct exo_extent_create *cmd = &call->arg.extent_create;
	struct exo_namespace *ns;
	int ret;

	struct exo_cap *cap __free(exo_cap_put) = exo_controller_get(
		call, EXO_FIELD(extent_create, controller), cmd->controller, EXO_RIGHT_EXTENT);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	if (!cmd->rights || (cmd->rights & ~EXO_RIGHTS_EXTENT))
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE, EXO_FIELD(extent_create, rights),
				  cmd->rights, EXO_RIGHTS_EXTENT);
	ns = exo_namespace_get(call, exo_controller_of(cap->object)->nvme, cmd->nsid,
			       EXO_FIELD(extent_create, nsid));
	if (IS_ERR(ns))
		return PTR_ERR(ns);
	ret = exo_extent_check(call, ns);
	if (!ret)
		ret = exo_extent_give(call, cap, ns);
	exo_object_put(&ns->object);
	return ret;
}
