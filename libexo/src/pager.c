// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Pagers: beginning and end, slots, and what they show in the window. pager-private.h has the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pager-private.h"
#include "store.h"

#define LANE_DEPTH 64u
#define READ_AHEAD (128u << 10)
#define READ_AHEAD_MAX (1u << 20)
#define MEMORY_MAX (64ull << 30)

/* ---- lists of slots ---- */

static uint32_t head_of(const struct exo_pager *p, enum pager_list list)
{
	return p->slots_nr + list;
}

void exo_pager_list(struct exo_pager *p, enum pager_list list, uint32_t slot)
{
	uint32_t head = head_of(p, list), last = p->slots[head].prev;

	p->slots[slot].prev = last;
	p->slots[slot].next = head;
	p->slots[last].next = slot;
	p->slots[head].prev = slot;
	p->listed[list]++;
}

void exo_pager_unlist(struct exo_pager *p, enum pager_list list, uint32_t slot)
{
	struct pager_slot *s = &p->slots[slot];

	p->slots[s->prev].next = s->next;
	p->slots[s->next].prev = s->prev;
	p->listed[list]--;
}

uint32_t exo_pager_first(struct exo_pager *p, enum pager_list list)
{
	uint32_t head = head_of(p, list), first = p->slots[head].next;

	return first == head ? EXO_SLOT_NONE : first;
}

void exo_pager_empty(struct exo_pager *p, struct pager_slot *s)
{
	if (s->page != PAGER_NOWHERE)
		p->where[s->page] = 0;
	s->page = PAGER_NOWHERE;
}

/* ---- the window ---- */

static struct exo_window_op *next_op(struct exo_pager *p, const struct pager_slot *s, uint32_t op)
{
	if (p->ops_nr == PAGER_OPS)
		exo_pager_apply(p);
	p->ops[p->ops_nr] = (struct exo_window_op){
		.first = s->page * p->entries,
		.count = p->entries,
		.op = op,
	};
	return &p->ops[p->ops_nr++];
}

void exo_pager_show(struct exo_pager *p, const struct pager_slot *s)
{
	struct exo_window_op *op = next_op(p, s, EXO_WINDOW_MAP);
	uint64_t frame;

	op->access = EXO_RIGHT_READ | (s->open ? EXO_RIGHT_WRITE : 0);
	op->frames = exo_frames_capability(p->f, exo_pager_number(p, s), &frame);
	op->page = frame;
	op->order = p->large ? EXO_ORDER_2M : EXO_ORDER_4K;
}

void exo_pager_hide(struct exo_pager *p, const struct pager_slot *s)
{
	next_op(p, s, EXO_WINDOW_PROTECT);
}

/* Neighbours in ascending order are cheapest. Two of one page stay in their order. */
static void sort_ops(struct exo_pager *p)
{
	for (uint32_t i = 1; i < p->ops_nr; i++) {
		struct exo_window_op op = p->ops[i];
		uint32_t k = i;

		for (; k && p->ops[k - 1].first > op.first; k--)
			p->ops[k] = p->ops[k - 1];
		p->ops[k] = op;
	}
}

/* What was not done has an effect here. Returns whether it is as it should be all the same. */
static bool undo(struct exo_pager *p, const struct exo_window_op *op, int r)
{
	struct pager_slot *s = exo_pager_slot(p, op->first / p->entries);

	if (!s || exo_pager_check(p, exo_pager_number(p, s)))
		return true;
	/* A marker had no entry yet: it cannot be touched as it is. */
	if (!op->access && r == -ENOENT)
		return true;
	if (!op->access && s->state == SLOT_INACTIVE && !s->writing) {
		exo_pager_unlist(p, LIST_INACTIVE, exo_pager_number(p, s));
		s->state = SLOT_ACTIVE;
		p->o.policy->enter(p->policy, exo_pager_number(p, s), s->page, EXO_ENTER_RESCUED);
	}
	return !op->access;
}

int exo_pager_apply(struct exo_pager *p)
{
	uint32_t at = 0, nr = p->ops_nr;
	int error = 0;

	sort_ops(p);
	/* What follows from a failure may collect others. */
	p->ops_nr = 0;
	while (at < nr) {
		unsigned int done;
		int r = exo_window_change(p->w, p->ops + at, nr - at, &done);

		at += done;
		if (!r || r == -EINTR)
			continue;
		if (!undo(p, &p->ops[at++], r))
			error = r;
	}
	return error;
}

/* ---- frames that go ---- */

uint64_t exo_pager_remove(struct exo_pager *p, uint32_t slab)
{
	uint32_t n = exo_frames_per_slab(p->f);
	uint64_t frames = exo_frames_release(p->f, slab);

	for (uint32_t i = slab * n; i < (slab + 1) * n; i++)
		p->slots[i].state = SLOT_GONE;
	p->held -= frames ? n : 0;
	return frames;
}

static void lose_slot(struct exo_pager *p, uint32_t slot)
{
	struct pager_slot *s = &p->slots[slot];

	if (s->state == SLOT_FREE)
		exo_pager_unlist(p, LIST_FREE, slot);
	else if (s->state == SLOT_CLEAN)
		exo_pager_unlist(p, LIST_CLEAN, slot);
	else if (s->state == SLOT_INACTIVE && !s->writing)
		exo_pager_unlist(p, LIST_INACTIVE, slot);
	else if (s->state == SLOT_INACTIVE)
		p->washing--;
	else if (s->state == SLOT_ACTIVE && !s->pins)
		p->o.policy->leave(p->policy, slot);
	p->stats.lost += s->page != PAGER_NOWHERE;
	if (s->pins) {
		p->ended[s->page] += s->pins;
		p->ended_nr += s->pins;
		s->pins = 0;
	}
	exo_pager_empty(p, s);
}

bool exo_pager_check(struct exo_pager *p, uint32_t slot)
{
	struct exo_cap_query query = { 0 };
	uint32_t n = exo_frames_per_slab(p->f), slab = slot / n;
	uint64_t first;

	if (p->slots[slot].state == SLOT_GONE)
		return true;
	query.cap = exo_frames_capability(p->f, slot, &first);
	if (query.cap && exo_sys_cap_query(exo_fd(p->x), &query) >= 0)
		return false;
	for (uint32_t i = slab * n; i < (slab + 1) * n; i++)
		lose_slot(p, i);
	exo_pager_remove(p, slab);
	/* What was written to, nobody can say any more: its entries have gone with their dirty bits. */
	if (p->writable && !p->error)
		p->error = -ESTALE;
	return true;
}

/* ---- options ---- */

static int complete_sizes(struct exo *x, struct exo_pager_options *o)
{
	uint32_t block = exo_block_size(x);

	if (o->store && (o->store->x != x || o->flags & EXO_PAGER_FRESH))
		return exo_fail(x, -EINVAL, NULL,
				"a store is of the pager's handle, and has its own zeroes");
	if (o->store && (o->first || (o->page && o->page != exo_store_page(o->store))))
		return exo_fail(x, -EINVAL, NULL, "a store has its own page and place");
	if (!o->page)
		o->page = o->store ? exo_store_page(o->store) : PAGER_ENTRY;
	if (o->page < PAGER_ENTRY || o->page > EXO_PAGE_MAX || o->page & (o->page - 1))
		return exo_fail(x, -EINVAL, NULL,
				"a page cannot have %u bytes: a power of two, 4096 to %u", o->page,
				EXO_PAGE_MAX);
	if (!o->store && o->first >= exo_blocks(x))
		return exo_fail(x, -ERANGE, NULL, "the extent ends before block %llu",
				(unsigned long long)o->first);
	if (!o->bytes)
		o->bytes = o->store ? exo_store_pages(o->store) * o->page
				    : (exo_blocks(x) - o->first) * block & -(uint64_t)o->page;
	return 0;
}

static int check_sizes(struct exo *x, const struct exo_pager_options *o)
{
	uint64_t room = o->store ? exo_store_pages(o->store) * o->page
				 : (exo_blocks(x) - o->first) * exo_block_size(x);

	if (!o->bytes || o->bytes % o->page || o->bytes > EXO_WINDOW_BYTES_MAX)
		return exo_fail(x, -EINVAL, NULL, "the size of a pager is a number of its pages");
	if (o->bytes > room)
		return exo_fail(x, -ERANGE, NULL,
				"the pager is larger than its %s: %llu bytes there, %llu here",
				o->store ? "store" : "extent", (unsigned long long)room,
				(unsigned long long)o->bytes);
	if (o->memory / o->page < PAGER_PAGES_MIN || o->memory > MEMORY_MAX)
		return exo_fail(x, -EINVAL, NULL,
				"a pager holds at least %u pages, and at most 64 GiB",
				PAGER_PAGES_MIN);
	if (o->lanes > EXO_PAGER_LANES_MAX || o->flags & ~EXO_PAGER_FRESH)
		return exo_fail(x, -EINVAL, NULL, "options that a pager cannot have");
	return 0;
}

static int check_policy(struct exo *x, const struct exo_policy *p)
{
	if (p->size < sizeof(*p) || !p->create || !p->destroy || !p->enter || !p->leave ||
	    !p->victim)
		return exo_fail(x, -EINVAL, NULL, "a policy lacks functions");
	return 0;
}

static int complete_options(struct exo *x, struct exo_pager_options *to,
			    const struct exo_pager_options *from)
{
	int r = exo_options_copy(to, sizeof(*to), from);

	if (r)
		return exo_fail(x, -EINVAL, NULL, "options that this library does not know");
	r = complete_sizes(x, to);
	if (!r)
		r = check_sizes(x, to);
	if (r)
		return r;
	to->lanes = to->lanes ? to->lanes : 2;
	to->policy = to->policy ? to->policy : exo_policy_lru();
	if (!to->read_ahead)
		to->read_ahead = to->page < READ_AHEAD ? READ_AHEAD / to->page : 1;
	if (to->read_ahead != EXO_READ_AHEAD_NONE && to->read_ahead > READ_AHEAD_MAX)
		to->read_ahead = READ_AHEAD_MAX;
	return check_policy(x, to->policy);
}

/* ---- beginning and end ---- */

static int open_lanes(struct exo_pager *p)
{
	struct exo_queue_options o = { .size = sizeof(o), .depth = LANE_DEPTH };
	int r = 0;

	/* A read and a write of a page at the same time are the least. */
	if (o.depth < 4 * exo_lane_commands(p))
		o.depth = 4 * exo_lane_commands(p);
	if (o.depth > exo_depth_max(p->x))
		o.depth = exo_depth_max(p->x);
	if (o.depth < 2 * exo_lane_commands(p))
		return exo_fail(
			p->x, -EINVAL, NULL,
			"pages of %u bytes are too large for queues of %u and transfers of %u "
			"bytes",
			p->o.page, exo_depth_max(p->x), exo_transfer_max(p->x));
	while (p->lanes_nr < p->o.lanes) {
		struct pager_lane *lane = &p->lanes[p->lanes_nr];

		r = exo_queue_create(p->x, &o, &lane->q);
		if (r)
			break;
		pthread_mutex_init(&lane->lock, NULL);
		p->lanes_nr++;
	}
	return p->lanes_nr ? 0 : r;
}

static int open_frames(struct exo_pager *p)
{
	struct exo_frames_options o = {
		.size = sizeof(o),
		.page = p->o.page,
		.node = p->o.node,
		.limit = p->o.memory,
		.order = p->o.page == EXO_PAGE_MAX ? EXO_BUF_ORDER(EXO_ORDER_2M) : 0,
	};
	int r = exo_frames_create(p->lanes[0].q, &o, &p->f);

	if (!r)
		r = exo_frames_reserve(p->f, p->o.memory);
	p->large = !r && o.order;
	if (r && p->f && o.order) { /* of other frames, then */
		exo_frames_destroy(p->f);
		o.order = 0;
		r = exo_frames_create(p->lanes[0].q, &o, &p->f);
		if (!r)
			r = exo_frames_reserve(p->f, p->o.memory);
	}
	return r ? r : exo_frames_cache_create(p->f, &p->cache);
}

/* Memory that is there when it is touched. */
static void *lazy(uint64_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static uint64_t backed_bytes(const struct exo_pager *p)
{
	return (p->pages + 63) / 64 * sizeof(*p->backed);
}

static int make_tables(struct exo_pager *p)
{
	p->slots_nr = exo_frames_slabs(p->f) * exo_frames_per_slab(p->f);
	p->slots = calloc((size_t)p->slots_nr + LISTS, sizeof(*p->slots));
	p->policy = p->o.policy->create(p->o.policy->arg, p->slots_nr);
	p->where = lazy(p->pages * sizeof(*p->where));
	p->ended = lazy(p->pages * sizeof(*p->ended));
	if (p->o.flags & EXO_PAGER_FRESH)
		p->backed = lazy(backed_bytes(p));
	if (!p->slots || !p->policy || !p->where || !p->ended ||
	    (p->o.flags & EXO_PAGER_FRESH && !p->backed))
		return exo_fail(p->x, -ENOMEM, NULL, "no memory for the tables of a pager");
	for (uint32_t i = 0; i < LISTS; i++)
		p->slots[p->slots_nr + i].next = p->slots[p->slots_nr + i].prev = p->slots_nr + i;
	for (uint32_t i = 0; i < PAGER_STREAMS; i++)
		p->streams[i].next = PAGER_NOWHERE;
	return 0;
}

/* All pages of the allocator, in their order: a slab at a time is what goes later. */
static int fill_slots(struct exo_pager *p)
{
	for (uint32_t i = 0; i < p->slots_nr; i++) {
		uint32_t slot;
		int r = exo_frames_get(p->cache, &slot);

		if (r)
			return r;
		p->slots[slot].state = SLOT_FREE;
		p->slots[slot].page = PAGER_NOWHERE;
		exo_pager_list(p, LIST_FREE, slot);
		p->held++;
	}
	return 0;
}

static int open_zeroes(struct exo_pager *p)
{
	if (!p->o.store && !(p->o.flags & EXO_PAGER_FRESH))
		return 0;
	p->zeroes = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	return p->zeroes < 0 ? exo_fail(p->x, -errno, NULL, "cannot open /dev/zero") : 0;
}

static int set_up(struct exo_pager *p)
{
	int r = exo_window_create(p->x, p->o.bytes, &p->w);

	if (!r)
		r = open_zeroes(p);
	if (!r)
		r = open_lanes(p);
	if (!r)
		r = open_frames(p);
	if (!r)
		r = make_tables(p);
	if (!r)
		r = fill_slots(p);
	if (!r)
		r = exo_window_on_fault(p->w, exo_pager_fault, p, 0);
	return r;
}

int exo_pager_create(struct exo *x, const struct exo_pager_options *options, struct exo_pager **out)
{
	struct exo_pager *p;
	int r = exo_check_module(x, "pagers");

	*out = NULL;
	if (r)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p)
		return exo_fail(x, -ENOMEM, NULL, "no memory for a pager");
	p->x = x;
	p->zeroes = -1;
	pthread_mutex_init(&p->lock, NULL);
	r = complete_options(x, &p->o, options);
	if (!r) {
		p->shift = __builtin_ctz(p->o.page);
		p->entries = p->o.page / PAGER_ENTRY;
		p->blocks = p->o.page / exo_block_size(x);
		p->pages = p->o.bytes >> p->shift;
		p->writable = exo_rights(x) & EXO_WRITE;
		r = set_up(p);
	}
	if (r)
		exo_pager_destroy(p);
	else
		*out = p;
	return r;
}

void exo_pager_destroy(struct exo_pager *p)
{
	if (!p)
		return;
	exo_lanes_drain(p);
	exo_window_destroy(p->w);
	exo_frames_cache_destroy(p->cache);
	exo_frames_destroy(p->f);
	for (uint32_t i = 0; i < p->lanes_nr; i++) {
		if (p->lanes[i].q)
			exo_queue_destroy(p->lanes[i].q);
		pthread_mutex_destroy(&p->lanes[i].lock);
	}
	if (p->zeroes >= 0)
		close(p->zeroes);
	if (p->policy)
		p->o.policy->destroy(p->policy);
	if (p->where)
		munmap(p->where, p->pages * sizeof(*p->where));
	if (p->ended)
		munmap(p->ended, p->pages * sizeof(*p->ended));
	if (p->backed)
		munmap(p->backed, backed_bytes(p));
	free(p->slots);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* ---- what is in reach ---- */

void *exo_pager_address(const struct exo_pager *p)
{
	return exo_window_entry(p->w, 0);
}

uint64_t exo_pager_bytes(const struct exo_pager *p)
{
	return p->o.bytes;
}

uint32_t exo_pager_page(const struct exo_pager *p)
{
	return p->o.page;
}

void exo_pager_get_stats(struct exo_pager *p, struct exo_pager_stats *stats)
{
	struct exo_pager_stats now;
	uint32_t size = stats->size;

	pthread_mutex_lock(&p->lock);
	now = p->stats;
	now.pages = p->held;
	pthread_mutex_unlock(&p->lock);
	now.size = size;
	memcpy(stats, &now, size < sizeof(now) ? size : sizeof(now));
}
