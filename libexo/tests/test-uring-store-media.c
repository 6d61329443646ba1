// SPDX-License-Identifier: LGPL-2.1-only
/*
 * A store on a device that cannot read some block of it. That is not damage: the block may be right,
 * and the newer.
 */
#include "store-rig.h"
#include "store.h"

#define STATUS(type, code) ((type) << 8 | (code))

/* ---- a device that fails ---- */

static struct exo_backend spoiling;
static unsigned int bad;    /* block of 4096 bytes that cannot be read */
static uint16_t bad_status; /* what the device says then; 0: it can */
static bool bad_cids[8];
static int first_write; /* the block that was written first; -1: none yet */

static void look_at(struct exo_queue *q, const struct exo_nvme_command *c)
{
	uint64_t from = c->slba << q->block_shift;
	uint64_t end = from + ((uint64_t)((c->cdw12 & 0xffff) + 1) << q->block_shift);

	if (c->opcode == EXO_NVME_READ && bad_status)
		bad_cids[c->cid] = bad * PAGE >= from && bad * PAGE < end;
	if (c->opcode == EXO_NVME_WRITE && first_write < 0)
		first_write = (int)(from / PAGE);
}

/* Of the completions from @from on, those of the reads that met the block fail. */
static void spoil(struct exo_queue *q, uint32_t from)
{
	struct exo_uring_queue *u = exo_queue_private(q)->uring;

	for (; from != u->posted; from++) {
		struct exo_nvme_completion *done = &u->cq[from & q->mask];

		if (bad_cids[done->cid])
			done->status = bad_status << 1 | (done->status & 1);
		bad_cids[done->cid] = false;
	}
}

static int submit(struct exo_queue *q)
{
	uint32_t posted = exo_queue_private(q)->uring->posted;
	int r;

	for (uint32_t i = q->sq_head; i != q->sq_tail; i++)
		look_at(q, &q->sq[i & q->mask]);
	r = exo_backend_uring.submit(q);
	spoil(q, posted);
	return r;
}

static unsigned int post(struct exo_queue *q)
{
	uint32_t posted = exo_queue_private(q)->uring->posted;
	unsigned int n = exo_backend_uring.post(q);

	spoil(q, posted);
	return n;
}

/* Three commits: the newer root and map are blocks 1 and 3, the older 0 and 2. */
static void begin(struct rig *rig, struct model *m)
{
	struct exo_store *s;

	rig_open(rig, RIG_ALL, 8);
	spoiling = exo_backend_uring;
	spoiling.submit = submit;
	spoiling.post = post;
	rig->x->backend = &spoiling;
	bad_status = 0;
	memset(m, 0, sizeof(*m));
	store_make(rig, 0, PAGE, PAGES);
	s = store_open(rig);
	for (uint32_t i = 1; i <= 3; i++) {
		store_put(rig, s, 7, m->versions[7] = i);
		store_put(rig, s, i, m->versions[i] = i);
		CHECK_EQUAL(exo_store_commit(s, rig->q), 0);
	}
	exo_store_close(s);
}

static void end(struct rig *rig)
{
	rig->x->backend = &exo_backend_uring;
	rig_close(rig);
}

struct failure {
	uint16_t status;
	int result;
};

static void with_each(void (*test)(const struct failure *))
{
	static const struct failure failures[] = {
		{ STATUS(2, 0x81), -EIO },     /* unrecovered read error */
		{ STATUS(2, 0x82), -EILSEQ },  /* end-to-end guard check error */
		{ STATUS(2, 0x87), -ENODATA }, /* deallocated or unwritten logical block */
	};

	for (unsigned int i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
		test(&failures[i]);
}

/* ---- tests ---- */

static void is_not_opened(const struct failure *failure)
{
	static const unsigned int blocks[] = { 0, 1, 3 };
	struct exo_store *s;
	struct model m;
	struct rig rig;

	begin(&rig, &m);
	bad_status = failure->status;
	for (unsigned int i = 0; i < 3; i++) {
		bad = blocks[i];
		CHECK_EQUAL(exo_store_open(rig.q, 0, &s), failure->result);
		CHECK(!s);
		exo_store_close(s);
	}
	bad_status = 0;
	s = store_open(&rig);
	CHECK_EQUAL(exo_store_generation(s), 3);
	CHECK(store_is(&rig, s, &m));
	exo_store_close(s);
	end(&rig);
}

static void counts(void)
{
	with_each(is_not_opened);
}

static void is_spared(const struct failure *failure)
{
	struct exo_store *s;
	struct model m;
	struct rig rig;

	begin(&rig, &m);
	bad = 2;
	bad_status = failure->status;
	s = store_open(&rig);
	if (!s)
		goto out_end;
	CHECK_EQUAL(exo_store_generation(s), 3);
	CHECK(store_is(&rig, s, &m));
	store_put(&rig, s, 9, m.versions[9] = 9);
	CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
	exo_store_close(s);
	bad_status = 0;
	s = store_open(&rig);
	CHECK_EQUAL(exo_store_generation(s), 4);
	CHECK(store_is(&rig, s, &m));
	exo_store_close(s);
out_end:
	end(&rig);
}

static void does_not_count(void)
{
	with_each(is_spared);
}

static void is_wiped_last(const struct failure *failure)
{
	struct model m;
	struct rig rig;

	for (bad = 0; bad < 2; bad++) {
		begin(&rig, &m);
		bad_status = failure->status;
		first_write = -1;
		store_make(&rig, 0, PAGE, PAGES);
		CHECK_EQUAL(first_write, !bad);
		end(&rig);
	}
}

static void formatting(void)
{
	with_each(is_wiped_last);
}

static const struct tap_test tests[] = {
	TEST(counts, "a root or map that counts and cannot be read is no reason to open the other"),
	TEST(does_not_count, "a map that does not count and cannot be read is written anew"),
	TEST(formatting, "a root that cannot be read, and may be the newer, is wiped last"),
};

RIG_MAIN(tests)
