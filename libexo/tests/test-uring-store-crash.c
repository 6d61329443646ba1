// SPDX-License-Identifier: LGPL-2.1-only
/*
 * A store after crashes and corruption. All that reaches the disk is noted, command by command. A
 * power cut is then made of it: what was flushed is there, of what was not any sectors are, in no
 * order, also half a block. What opens must be the old content or the new, whole.
 */
#include <endian.h>
#include <stdbool.h>
#include <stdint.h>

#include "crc32c.h"
#include "store-rig.h"
#include "store.h"

#define SECTOR 512u
#define STEPS_MAX 256
#define DISK (96 * PAGE) /* what is looked at: more than the store takes */

/**
 * struct step - a command that the device was given
 * @at: byte on the disk
 * @bytes: that it writes; 0: it flushes
 * @fua: durable when it ends
 * @data: what it writes
 */
struct step {
	uint64_t at;
	uint32_t bytes;
	bool fua;
	char *data;
};

static struct exo_backend noting;
static struct step steps[STEPS_MAX];
static unsigned int step_count;
static int fail_in;    /* commands until one fails; 0: none does */
static bool fail_late; /* it was done all the same */
static uint64_t seed = 1;

/* splitmix64 */
static uint64_t dice(uint64_t sides)
{
	uint64_t z = seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (z ^ z >> 31) % sides;
}

static void forget_steps(void)
{
	while (step_count)
		free(steps[--step_count].data);
}

static void note(const struct exo_queue *q, const struct exo_nvme_command *c)
{
	struct step *s = &steps[step_count];

	if (c->opcode != EXO_NVME_WRITE && c->opcode != EXO_NVME_FLUSH)
		return;
	if (step_count++ == STEPS_MAX)
		abort();
	*s = (struct step){ 0 };
	if (c->opcode == EXO_NVME_FLUSH)
		return;
	s->at = c->slba << q->block_shift;
	s->bytes = ((c->cdw12 & 0xffff) + 1) << q->block_shift;
	s->fua = c->cdw12 & EXO_NVME_FUA;
	s->data = malloc(s->bytes);
	/* The way back from exo_buf_offset() */
	memcpy(s->data, (char *)(q->buf_base + c->prp1 - (1u << EXO_BUF_CHUNK_SHIFT)), s->bytes);
}

/* Behind the back of the handle. */
static void poke(uint64_t at, const char *data, size_t bytes)
{
	int fd = open(rig_path, O_WRONLY);

	CHECK_EQUAL(pwrite(fd, data, bytes, at), bytes);
	close(fd);
}

static int note_and_submit(struct exo_queue *q)
{
	for (uint32_t i = q->sq_head; i != q->sq_tail; i++) {
		bool fails = fail_in && !--fail_in;

		if (!fails || fail_late)
			note(q, &q->sq[i & q->mask]);
		if (fails && fail_late && steps[step_count - 1].bytes)
			poke(steps[step_count - 1].at, steps[step_count - 1].data,
			     steps[step_count - 1].bytes);
		if (fails)
			return -EIO;
	}
	return exo_backend_uring.submit(q);
}

static void rig_begin(struct rig *rig)
{
	rig_open(rig, RIG_ALL, 8);
	noting = exo_backend_uring;
	noting.submit = note_and_submit;
	rig->x->backend = &noting;
	fail_in = 0;
}

static void rig_end(struct rig *rig)
{
	rig->x->backend = &exo_backend_uring;
	forget_steps();
	rig_close(rig);
}

/* ---- the disk after a power cut ---- */

static char *peek_disk(void)
{
	char *disk = malloc(DISK);
	int fd = open(rig_path, O_RDONLY);

	CHECK_EQUAL(pread(fd, disk, DISK, 0), DISK);
	close(fd);
	return disk;
}

enum fate { LOST, DONE, TORN };

static void apply(char *disk, const struct step *s, enum fate fate)
{
	for (uint32_t i = 0; i < s->bytes && fate != LOST; i += SECTOR)
		if (fate == DONE || dice(2))
			memcpy(disk + s->at + i, s->data + i, SECTOR);
}

/* The latest flush among the first @n commands: what was done before is durable. */
static unsigned int flushed(unsigned int n)
{
	while (n && steps[n - 1].bytes)
		n--;
	return n;
}

/* How it was in the middle of command @n, or before any. What has not ended has no order. */
static void cut_at(char *disk, const char *before, unsigned int n, enum fate (*fate)(void))
{
	unsigned int durable = flushed(n);

	memcpy(disk, before, DISK);
	for (unsigned int i = 0; i < n; i++)
		apply(disk, &steps[i], i < durable || steps[i].fua ? DONE : fate());
	if (n < step_count)
		apply(disk, &steps[n], fate());
}

/* Of @disk, what differs from @now, which is there. Not noted. */
static void restore_disk(struct rig *rig, const char *disk, const char *now)
{
	rig->x->backend = &exo_backend_uring;
	for (uint64_t at = 0; at < DISK; at += PAGE) {
		if (!memcmp(disk + at, now + at, PAGE))
			continue;
		memcpy(rig->buf, disk + at, PAGE);
		CHECK_EQUAL(exo_write(rig->q, rig->buf, at / rig->size, PAGE / rig->size), 0);
	}
	rig->x->backend = &noting;
}

static enum fate all_done(void)
{
	return DONE;
}

static enum fate all_lost(void)
{
	return LOST;
}

static enum fate all_torn(void)
{
	return TORN;
}

static enum fate any(void)
{
	return dice(3);
}

/* ---- one commit, cut everywhere ---- */

static void change(struct rig *rig, struct exo_store *s, struct model *m, uint32_t version)
{
	for (unsigned int i = 0, n = 1 + dice(6); i < n; i++) {
		uint64_t page = dice(PAGES);

		if (!i || dice(5)) {
			store_put(rig, s, page, version);
			m->versions[page] = version;
		} else {
			exo_store_forget(s, page);
			m->versions[page] = 0;
		}
	}
}

/**
 * struct outage - a commit, and what a power cut may make of it
 * @old: before
 * @new: what it makes
 * @generation: the old one
 * @before: the disk then
 * @now: the disk, as it is
 * @disk: the disk, as the power cut left it
 */
struct outage {
	struct model old;
	struct model new;
	uint64_t generation;
	char *before;
	char *now;
	char disk[DISK];
};

/* It is this commit that has been noted, and may be cut. */
static void outage_begin(struct outage *o)
{
	o->before = peek_disk();
	forget_steps();
}

static void outage_end(struct outage *o)
{
	free(o->before);
	free(o->now);
	o->old = o->new;
	o->generation++;
}

/* The root is what counts: command number @n of those that were noted, the last of them, is cut. */
static void is_old_or_new(struct rig *rig, const struct outage *o, unsigned int n)
{
	struct exo_store *s = store_open(rig);
	uint64_t found;

	if (!s)
		return;
	found = exo_store_generation(s);
	CHECK(found == o->generation || found == o->generation + 1);
	if (n + 1 < step_count)
		CHECK_EQUAL(found, o->generation);
	if (n == step_count)
		CHECK_EQUAL(found, o->generation + 1);
	CHECK(store_is(rig, s, found == o->generation ? &o->old : &o->new));
	exo_store_close(s);
}

/* With the disk as it was left; and back. */
static void survives(struct rig *rig, struct outage *o, unsigned int n)
{
	restore_disk(rig, o->disk, o->now);
	rig->x->backend = &exo_backend_uring; /* opening flushes */
	is_old_or_new(rig, o, n);
	restore_disk(rig, o->now, o->disk);
}

static void cut_everywhere(void)
{
	static enum fate (*const fates[])(void) = { all_done, all_lost, all_torn, any, any, any };
	static struct outage o;
	struct exo_store *s;
	struct rig rig;

	rig_begin(&rig);
	store_make(&rig, 0, PAGE, PAGES);
	for (uint32_t round = 1; round <= 3; round++) {
		s = store_open(&rig);
		outage_begin(&o);
		change(&rig, s, &o.new, round);
		CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
		exo_store_close(s);
		o.now = peek_disk();
		for (unsigned int n = 0; n <= step_count; n++) {
			for (unsigned int i = 0; i < sizeof(fates) / sizeof(fates[0]); i++) {
				cut_at(o.disk, o.before, n, fates[i]);
				survives(&rig, &o, n);
			}
		}
		outage_end(&o);
	}
	rig_end(&rig);
}

/* ---- and on from there ---- */

/* A store that lives through one crash after the other; some commits fail before. */
static void live_on(void)
{
	struct model m = { { 0 } }, new;
	char *before, *now, *disk = malloc(DISK);
	unsigned int crashes = 0, kept = 0;
	uint64_t generation = 0;
	struct exo_store *s;
	struct rig rig;

	rig_begin(&rig);
	store_make(&rig, 0, PAGE, PAGES);
	s = store_open(&rig);
	for (uint32_t round = 1; round <= 150; round++) {
		before = peek_disk();
		forget_steps();
		new = m;
		change(&rig, s, &new, round);
		fail_in = dice(2) * (1 + dice(4));
		fail_late = dice(2);
		if (exo_store_commit(s, rig.q))
			CHECK(!exo_store_commit(s, rig.q) || !"a commit can be tried again");
		fail_in = 0;
		if (dice(3)) {
			now = peek_disk();
			cut_at(disk, before, dice(step_count + 1), any);
			restore_disk(&rig, disk, now);
			free(now);
			s = store_anew(&rig, s);
			crashes++;
		}
		free(before);
		kept += exo_store_generation(s) == generation + 1;
		CHECK(exo_store_generation(s) - generation <= 1);
		if (exo_store_generation(s) == generation + 1)
			m = new;
		generation = exo_store_generation(s);
		CHECK(store_is(&rig, s, &m));
	}
	printf("# %u power cuts, %u of 150 commits kept\n", crashes, kept);
	exo_store_close(s);
	free(disk);
	rig_end(&rig);
}

/* A device that says it has flushed and has not: found, if the pages are there. */
static void lying_device(void)
{
	static struct outage o;
	struct exo_store *s;
	struct rig rig;

	rig_begin(&rig);
	store_make(&rig, 0, PAGE, PAGES);
	for (uint32_t round = 1; round <= 30; round++) {
		s = store_open(&rig);
		change(&rig, s, &o.new, round);
		outage_begin(&o);
		CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
		exo_store_close(s);
		o.now = peek_disk();
		for (unsigned int i = 0; i < 8; i++) {
			memcpy(o.disk, o.before, DISK);
			for (unsigned int n = 0; n < step_count; n++)
				apply(o.disk, &steps[n], any());
			survives(&rig, &o, step_count - 1);
		}
		outage_end(&o);
	}
	rig_end(&rig);
}

/*
 * A program dies, its root on the way: the device has it in its cache. The next program goes on from
 * there, and writes where the former generation was; then the power goes.
 */
static void root_in_the_cache(void)
{
	static struct outage o;
	struct exo_store *s;
	struct rig rig;

	rig_begin(&rig);
	store_make(&rig, 0, PAGE, PAGES);
	s = store_open(&rig);
	for (uint64_t i = 0; i < PAGES; i++)
		store_put(&rig, s, i, o.old.versions[i] = 1);
	CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
	o.generation = 1;
	o.new = o.old;
	outage_begin(&o);
	for (uint64_t i = 0; i < PAGES; i += 2)
		store_put(&rig, s, i, o.new.versions[i] = 2);
	fail_in = 3; /* after the map and the flush */
	fail_late = true;
	CHECK_EQUAL(exo_store_commit(s, rig.q), -EIO);
	steps[step_count - 1].fua = false; /* it has not ended */
	s = store_anew(&rig, s);
	CHECK_EQUAL(exo_store_generation(s), 2);
	for (uint64_t i = 0; i < PAGES; i++)
		store_put(&rig, s, i, 3);
	exo_store_close(s);
	o.now = peek_disk();
	for (unsigned int i = 0; i < 20; i++) {
		cut_at(o.disk, o.before, step_count, any);
		survives(&rig, &o, step_count);
	}
	outage_end(&o);
	rig_end(&rig);
}

/* ---- commits that fail ---- */

/* At each command, done or not: nothing is lost, and nothing that may count is written over. */
static void failing_commits(void)
{
	struct model m = { { 0 } };
	struct exo_store *s;
	struct rig rig;
	uint32_t version = 0;

	rig_begin(&rig);
	store_make(&rig, 0, PAGE, PAGES);
	s = store_open(&rig);
	for (unsigned int i = 0; i < 6; i++) {
		bool root = i / 2 == 2; /* after the map and the flush */

		change(&rig, s, &m, ++version);
		forget_steps();
		fail_late = i % 2;
		fail_in = 1 + i / 2;
		CHECK_EQUAL(exo_store_commit(s, rig.q), -EIO);
		if (root)
			exo_store_undo(s); /* it may count */
		CHECK(store_is(&rig, s, &m));
		CHECK_EQUAL(exo_store_place(s, 1) == EXO_STORE_NO_PLACE, root);
		if (root)
			CHECK_EQUAL(exo_write(rig.q, rig.buf, exo_store_place(s, 1), 1), -ERANGE);
		CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
		CHECK(exo_store_place(s, 1) != EXO_STORE_NO_PLACE);
		s = store_anew(&rig, s);
		CHECK_EQUAL(exo_store_generation(s), version);
		CHECK(store_is(&rig, s, &m));
	}
	exo_store_close(s);
	rig_end(&rig);
}

/* At any command of it, and after a power cut there: the former store whole, or none. */
static void cut_while_formatting(void)
{
	struct model m = { { 0 } };
	char *before, *now, *disk = malloc(DISK);
	struct exo_store *s;
	struct rig rig;
	int r;

	rig_begin(&rig);
	for (uint32_t commits = 1; commits <= 2; commits++) {
		memset(&m, 0, sizeof(m));
		store_make(&rig, 0, PAGE, PAGES);
		s = store_open(&rig);
		for (uint32_t i = 0; i < commits; i++) {
			change(&rig, s, &m, 1 + i);
			CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
		}
		for (uint64_t i = 0; i < PAGES; i++) /* the places of the older one are gone */
			CHECK_EQUAL(
				exo_write(rig.q, rig.buf, exo_store_place(s, i), PAGE / rig.size),
				0);
		exo_store_close(s);
		before = peek_disk();
		forget_steps();
		store_make(&rig, 0, PAGE, PAGES + 1);
		now = peek_disk();
		for (unsigned int n = 0; n <= 4 * step_count; n++) {
			cut_at(disk, before, n / 4, any);
			restore_disk(&rig, disk, now);
			rig.x->backend = &exo_backend_uring; /* opening flushes */
			r = exo_store_open(rig.q, 0, &s);
			if (r)
				CHECK(r == -EILSEQ && n / 4 < step_count);
			else if (exo_store_pages(s) == PAGES)
				CHECK(store_is(&rig, s, &m));
			else
				CHECK_EQUAL(exo_store_find(s, PAGES), EXO_STORE_HOLE);
			exo_store_close(s);
			restore_disk(&rig, now, disk);
		}
		free(before);
		free(now);
	}
	free(disk);
	rig_end(&rig);
}

/* ---- corruption ---- */

/* Three commits: both sides have been written. */
static void three_commits(struct rig *rig, struct model *old, struct model *new)
{
	struct exo_store *s;

	memset(new, 0, sizeof(*new));
	store_make(rig, 0, PAGE, PAGES);
	s = store_open(rig);
	for (uint32_t i = 1; i <= 3; i++) {
		*old = *new;
		change(rig, s, new, i);
		CHECK_EQUAL(exo_store_commit(s, rig->q), 0);
	}
	exo_store_close(s);
}

/* The newer root and map are blocks 1 and 3 then; nobody has written a page since. */
static void touched_bytes(void)
{
	struct model old, new;
	struct exo_store *s;
	struct rig rig;
	char *disk, *touched;

	rig_begin(&rig);
	three_commits(&rig, &old, &new);
	disk = peek_disk();
	touched = malloc(DISK);
	for (uint64_t at = 0; at < 4 * PAGE; at += 1 + dice(30)) {
		bool newer = at / PAGE % 2;

		memcpy(touched, disk, DISK);
		touched[at] ^= 1 << dice(8);
		restore_disk(&rig, touched, disk);
		s = store_open(&rig);
		CHECK_EQUAL(exo_store_generation(s), newer ? 2 : 3);
		CHECK(store_is(&rig, s, newer ? &old : &new));
		exo_store_close(s);
		restore_disk(&rig, disk, touched);
		forget_steps();
	}
	/* With both sides damaged nothing is left. */
	poke(PAGE, "", 1);
	poke(2 * PAGE + 100, "?", 1);
	CHECK_EQUAL(exo_store_open(rig.q, 0, &s), -EILSEQ);
	CHECK(strstr(exo_queue_strerror(rig.q, -EILSEQ), "map of the store at block 0 is damaged"));
	free(touched);
	free(disk);
	rig_end(&rig);
}

/* A damaged map is written anew by the commit whose turn it is. */
static void healed(void)
{
	struct model old, new;
	struct exo_store *s;
	struct rig rig;

	rig_begin(&rig);
	three_commits(&rig, &old, &new);
	poke(2 * PAGE + 50, "?", 1);
	s = store_open(&rig);
	CHECK_EQUAL(exo_store_generation(s), 3);
	change(&rig, s, &new, 9);
	CHECK_EQUAL(exo_store_commit(s, rig.q), 0);
	s = store_anew(&rig, s);
	CHECK_EQUAL(exo_store_generation(s), 4);
	CHECK(store_is(&rig, s, &new));
	exo_store_close(s);
	rig_end(&rig);
}

static void attack(char *block)
{
	static const uint64_t numbers[] = { 0,		1,	    2,		4095,
					    4096,	1ull << 31, 1ull << 32, 1ull << 52,
					    1ull << 62, 1ull << 63, ~0ull };
	uint64_t number = numbers[dice(sizeof(numbers) / sizeof(numbers[0]))];

	switch (dice(4)) {
	case 0: /* a field of the header */
		memcpy(block + 4 * dice(12), &number, 4 + 4 * dice(2));
		break;
	case 1:
		block[dice(PAGE)] = dice(256);
		break;
	case 2:
		for (unsigned int i = 0; i < PAGE; i++)
			block[i] = dice(256);
		break;
	case 3: /* likely, and not so */
		number += dice(3) - 1;
		memcpy(block + 8 * (1 + dice(5)), &number, 8);
		break;
	}
	if (dice(8))
		((uint32_t *)block)[1023] = htole32(exo_crc32c(block, 4092));
}

/* All that can be asked of a store that opened. */
static void use(struct rig *rig, struct exo_store *s)
{
	uint64_t page = exo_store_pages(s), blocks = exo_store_page(s) / rig->size;

	while (page--) {
		uint64_t at = exo_store_find(s, page), place = exo_store_place(s, page);

		CHECK(at == EXO_STORE_HOLE || at + blocks <= exo_blocks(rig->x));
		CHECK(place + blocks <= exo_blocks(rig->x) && place != at);
		if (dice(64))
			continue;
		exo_store_wrote(s, page);
	}
	exo_store_commit(s, rig->q);
}

/* With checksums that are right, and a map that fits the root now and then. */
static void hostile(void)
{
	static const int allowed[] = { 0, -EILSEQ, -ENOSPC, -EPROTO };
	unsigned int seen[4] = { 0 };
	struct model old, new;
	char *disk, *now;
	struct exo_store *s;
	struct rig rig;

	rig_begin(&rig);
	three_commits(&rig, &old, &new);
	disk = peek_disk();
	now = malloc(4 * PAGE);
	for (unsigned int round = 0; round < 1500; round++) {
		unsigned int i = 0;
		int r;

		memcpy(now, disk, 4 * PAGE);
		for (unsigned int n = 1 + dice(3); n; n--)
			attack(now + dice(4) * PAGE);
		if (dice(2))
			for (unsigned int side = 0; side < 2; side++) {
				struct exo_store_root_block *root = (void *)(now + side * PAGE);

				root->map_crc = htole32(exo_crc32c(now + (side + 3) * PAGE - 4, 4));
				root->crc = htole32(exo_crc32c(root, 4092));
			}
		memcpy(rig.buf, now, 4 * PAGE);
		CHECK_EQUAL(exo_write(rig.q, rig.buf, 0, 4 * PAGE / rig.size), 0);
		r = exo_store_open(rig.q, 0, &s);
		while (i < 3 && allowed[i] != r)
			i++;
		CHECK_EQUAL(r, allowed[i]);
		seen[i]++;
		if (!r)
			use(&rig, s);
		exo_store_close(s);
		forget_steps();
	}
	printf("# of 1500: %u opened, %u damaged, %u too large, %u of a later version\n", seen[0],
	       seen[1], seen[2], seen[3]);
	for (unsigned int i = 0; i < 4; i++)
		CHECK(seen[i]);
	free(disk);
	free(now);
	rig_end(&rig);
}

static const struct tap_test tests[] = {
	TEST(cut_everywhere, "a power cut at any instant of a commit leaves the old or the new"),
	TEST(live_on, "a store lives on after any number of power cuts and failed commits"),
	TEST(lying_device, "a part of a map that was lost is found, whichever it is"),
	TEST(root_in_the_cache, "what a store is opened with is there to stay"),
	TEST(failing_commits, "a commit that fails can be repeated, and protects what may count"),
	TEST(cut_while_formatting, "a power cut while formatting leaves the former store or none"),
	TEST(touched_bytes, "every byte of a root or a map that is touched is found"),
	TEST(healed, "a damaged map is written anew when it is its turn"),
	TEST(hostile, "whatever roots and maps hold, opening them does no harm"),
};

RIG_MAIN(tests)
