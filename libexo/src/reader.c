// SPDX-License-Identifier: LGPL-2.1-only
/*
 * The reader's side of a shared cache: look a page up in the directory, copy it, see whether both
 * were left alone meanwhile.
 *
 * Directory and slabs are shown by windows of the reader's, because there a touch of what was taken
 * back can be survived (touch.h). The directory says nothing that is believed: share.h.
 *
 * That an owner died is nothing that its memory tells: what was derived from it lives on. So
 * a pidfd is asked, after the copy was made, and what was copied from a dead owner is not given out.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend.h"
#include "cache.h"
#include "share.h"
#include "touch.h"

#define FRAME 4096u
#define SLAB (2u << 20)	 /* of addresses, for each slab */
#define TRIES 128	 /* to read between two changes */
#define CHAIN_MAX 65536u /* entries in one bucket: an honest owner has a few */

/**
 * struct slab - one that a page was read from
 * @seq: of its place in the directory; 0: none is here
 * @cap: its frames
 */
struct slab {
	uint64_t seq;
	uint32_t cap;
};

/**
 * struct exo_reader - a reader
 * @x: the handle
 * @cap: frames of the directory
 * @head: copied from it, and checked
 * @layout: where what is
 * @directory: shows it
 * @data: shows the slabs that were read from, each at its place
 * @slabs: which those are
 * @owner: pidfd
 * @file: for copies by the kernel; -1: there are calls for touches
 */
struct exo_reader {
	struct exo *x;
	uint32_t cap;
	struct exo_share_head head;
	struct exo_share_layout layout;
	struct exo_window *directory;
	struct exo_window *data;
	struct slab *slabs;
	int owner;
	int file;
};

/* ---- copies out of windows ---- */

static int copy(struct exo_reader *r, void *to, const void *from, size_t bytes)
{
	return r->file < 0 ? exo_touch_copy(to, from, bytes)
			   : exo_touch_copy_by(r->file, to, from, bytes);
}

static int load(struct exo_reader *r, uint64_t *to, uint64_t at)
{
	const uint64_t *from = (void *)((char *)exo_window_entry(r->directory, 0) + at);

	return r->file < 0 ? exo_touch_load(to, from)
			   : exo_touch_copy_by(r->file, to, from, sizeof(*to));
}

static int copy_directory(struct exo_reader *r, void *to, uint64_t at, size_t bytes)
{
	return copy(r, to, (char *)exo_window_entry(r->directory, 0) + at, bytes);
}

/*
 * Something of the directory that begins with a sequence number: -EAGAIN if it is odd, -ESTALE if it
 * is not there. Whether it was whole, still() tells afterwards.
 */
static int copy_sequenced(struct exo_reader *r, void *to, uint64_t at, size_t bytes)
{
	uint64_t seq;

	if (load(r, &seq, at) || copy_directory(r, to, at, bytes))
		return -ESTALE;
	memcpy(to, &seq, sizeof(seq));
	return seq & 1 ? -EAGAIN : 0;
}

static int still(struct exo_reader *r, uint64_t seq, uint64_t at)
{
	uint64_t now;

	if (load(r, &now, at))
		return -ESTALE;
	return now == seq ? 0 : -EAGAIN;
}

/* ---- slabs ---- */

static void drop(struct exo *x, uint32_t cap)
{
	struct exo_cap_drop arg = { .cap = cap };

	if (cap)
		exo_sys_cap_drop(x->fd, &arg);
}

/* What is mapped of it goes with the capability. */
static void forget_slab(struct exo_reader *r, struct slab *slab)
{
	drop(r->x, slab->cap);
	*slab = (struct slab){ 0 };
}

/* Frames of at least so many bytes, or -EPROTO. Dropped by the caller, either way. */
static int redeem(struct exo *x, const uint8_t token[16], uint64_t bytes, uint32_t *cap,
		  uint64_t *length)
{
	struct exo_token_redeem arg = { 0 };
	struct exo_cap_query about = { 0 };
	int r;

	*cap = 0;
	memcpy(arg.token, token, sizeof(arg.token));
	r = exo_sys_token_redeem(x->fd, &arg);
	if (r)
		return r;
	*cap = about.cap = arg.out_cap;
	r = exo_sys_cap_query(x->fd, &about);
	if (r)
		return r;
	*length = about.out_len << about.out_unit_shift;
	return about.out_type == EXO_TYPE_FRAMES && !about.out_start && *length >= bytes ? 0
											 : -EPROTO;
}

static int map_slab(struct exo_reader *r, uint32_t n, const uint8_t token[16])
{
	uint32_t bytes = r->head.per_slab << r->head.page_shift;
	struct slab *slab = &r->slabs[n];
	uint64_t length;
	int ret = redeem(r->x, token, bytes, &slab->cap, &length);

	if (!ret)
		ret = exo_window_map(r->data, (uint64_t)n * (SLAB / FRAME), bytes / FRAME,
				     slab->cap, 0, EXO_RIGHT_READ);
	if (ret)
		forget_slab(r, slab);
	return ret;
}

static int join_slab(struct exo_reader *r, uint32_t n, uint64_t at)
{
	struct exo_share_slab slab;
	int ret = copy_sequenced(r, &slab, at, sizeof(slab)), unchanged;

	if (!ret)
		ret = still(r, slab.seq, at);
	if (ret)
		return ret;
	/* An honest owner counts from 1; it would be as if none were here. */
	if (!slab.seq)
		return -EPROTO;
	ret = map_slab(r, n, slab.token);
	if (!ret)
		r->slabs[n].seq = slab.seq;
	if (ret != -ENOENT && ret != -ESTALE && ret != -EBUSY)
		return ret;
	/* It went meanwhile; or it was taken from an owner who does not know yet. */
	unchanged = still(r, slab.seq, at);
	return unchanged ? unchanged : -ESTALE;
}

/* The slab is here, and the one that the directory means. */
static int have_slab(struct exo_reader *r, uint32_t n)
{
	uint64_t at = r->layout.slabs + (uint64_t)n * sizeof(struct exo_share_slab);
	int ret;

	if (!r->slabs[n].seq)
		return join_slab(r, n, at);
	ret = still(r, r->slabs[n].seq, at);
	if (ret == -EAGAIN)
		forget_slab(r, &r->slabs[n]);
	return ret;
}

/* ---- pages ---- */

static uint64_t entry_at(const struct exo_reader *r, uint32_t slot)
{
	return r->layout.entries + (uint64_t)slot * sizeof(struct exo_share_entry);
}

/* The entry of a page, which may be changing; -ENOENT: there is none. */
static int find(struct exo_reader *r, uint64_t page, uint32_t *slot, struct exo_share_entry *e)
{
	uint64_t at = r->layout.buckets + sizeof(struct exo_share_bucket) *
						  exo_cache_bucket(page, 64 - r->head.bucket_bits);
	struct exo_share_bucket bucket;
	int ret = copy_sequenced(r, &bucket, at, sizeof(bucket));

	if (ret)
		return ret;
	*slot = bucket.first;
	for (uint32_t steps = 0; *slot != EXO_SHARE_NONE; steps++) {
		if (*slot >= r->head.slots || steps == CHAIN_MAX)
			return still(r, bucket.seq, at) ? -EAGAIN : -EPROTO;
		ret = copy_sequenced(r, e, entry_at(r, *slot), sizeof(*e));
		if (ret == -ESTALE)
			return ret;
		if (e->page == page)
			return ret;
		*slot = e->next;
	}
	ret = still(r, bucket.seq, at);
	return ret ? ret : -ENOENT;
}

/* One try. */
static int read_page(struct exo_reader *r, uint64_t page, void *buf)
{
	struct exo_share_entry e;
	uint32_t slot;
	int ret = find(r, page, &slot, &e);
	const char *from;

	if (ret)
		return ret;
	/* No more than the number has been looked at: the rest may be of another moment. */
	ret = still(r, e.seq, entry_at(r, slot));
	if (ret)
		return ret;
	if (e.slab >= r->head.slabs || e.index >= r->head.per_slab)
		return -EPROTO;
	ret = have_slab(r, e.slab);
	if (ret)
		return ret;
	from = (char *)exo_window_entry(r->data, (uint64_t)e.slab * (SLAB / FRAME)) +
	       ((size_t)e.index << r->head.page_shift);
	if (copy(r, buf, from, 1ul << r->head.page_shift)) {
		/* This slab was taken back; another may be in its place. */
		forget_slab(r, &r->slabs[e.slab]);
		return -EAGAIN;
	}
	return still(r, e.seq, entry_at(r, slot));
}

static bool owner_lives(const struct exo_reader *r)
{
	struct pollfd owner = { .fd = r->owner, .events = POLLIN };

	return poll(&owner, 1, 0) == 0;
}

static int stale(struct exo_reader *r)
{
	return exo_fail(r->x, -ESTALE, NULL, "the shared cache is gone: its owner, process %u, %s",
			r->head.pid,
			owner_lives(r) ? "shares it no more, or lost its memory" : "ended");
}

int exo_reader_read(struct exo_reader *r, uint64_t page, void *buf)
{
	int ret = -EAGAIN;

	if (page >= r->head.pages)
		return exo_fail(r->x, -ERANGE, NULL,
				"the shared cache has %llu pages: there is no page %llu",
				(unsigned long long)r->head.pages, (unsigned long long)page);
	for (unsigned int i = 0; i < TRIES && ret == -EAGAIN; i++) {
		ret = read_page(r, page, buf);
		if (ret == -EAGAIN)
			exo_relax();
	}
	if (ret == -ESTALE || !owner_lives(r))
		return stale(r);
	if (ret == -EPROTO)
		return exo_fail(r->x, ret, NULL, "the directory of the shared cache is nonsense");
	return ret;
}

/* ---- what it is ---- */

void exo_reader_about(const struct exo_reader *r, struct exo_reader_about *about)
{
	uint32_t size = about->size < sizeof(*about) ? about->size : sizeof(*about);
	struct exo_reader_about all = {
		.size = about->size,
		.page = 1u << r->head.page_shift,
		.pages = r->head.pages,
		.first = r->head.first,
		.block = 1u << r->head.block_shift,
		.nsid = r->head.nsid,
		.pid = r->head.pid,
	};

	memcpy(all.address, r->head.address, sizeof(all.address));
	memcpy(all.serial, r->head.serial, sizeof(all.serial));
	memcpy(about, &all, size);
}

int exo_reader_find(const struct exo_reader *r, const struct exo *x, uint64_t block, uint64_t *page,
		    uint32_t *offset)
{
	uint32_t shift = r->head.page_shift - r->head.block_shift;
	uint64_t lba = x->start + block, distance = lba - r->head.first;

	if (x->block_shift != r->head.block_shift || x->nsid != r->head.nsid ||
	    strcmp(x->address, r->head.address) != 0 ||
	    strncmp(x->serial, r->head.serial, sizeof(r->head.serial) - 1) != 0)
		return -ENODEV;
	if (block >= x->blocks || lba < r->head.first || distance >> shift >= r->head.pages)
		return -ERANGE;
	*page = distance >> shift;
	*offset = (uint32_t)(distance & ((1u << shift) - 1)) << r->head.block_shift;
	return 0;
}

/* ---- joining and leaving ---- */

static bool makes_sense(const struct exo_share_head *h, uint64_t bytes)
{
	if (h->magic != EXO_SHARE_MAGIC)
		return false;
	if (h->page_shift < 12 || h->page_shift > 21 || h->block_shift < 9 ||
	    h->block_shift > h->page_shift)
		return false;
	if (h->bucket_bits < 1 || h->bucket_bits > 31 || !h->slots || !h->slabs || !h->per_slab)
		return false;
	if (h->per_slab > SLAB >> h->page_shift || h->slabs > EXO_WINDOW_BYTES_MAX / SLAB)
		return false;
	return exo_share_lay_out(h).end <= bytes;
}

/* A window that is read from by copy(). */
static int open_window(struct exo_reader *r, uint64_t bytes, struct exo_window **w)
{
	int ret = exo_window_create(r->x, bytes, w);

	if (ret || r->file >= 0 || !exo_touch_arm(*w))
		return ret;
	r->file = memfd_create("exo-reader", MFD_CLOEXEC);
	if (r->file < 0)
		return exo_fail(r->x, -errno, NULL, "cannot make a file to copy by");
	return 0;
}

static int open_directory(struct exo_reader *r, const uint8_t token[16])
{
	uint64_t bytes;
	int ret = redeem(r->x, token, EXO_SHARE_HEAD, &r->cap, &bytes);

	if (ret)
		return exo_fail(r->x, ret, NULL, "the token of a shared cache: %s",
				ret == -EPROTO ? "it is of something else"
					       : exo_errno_meaning(ret));
	if (bytes > (uint64_t)EXO_WINDOW_PAGES_MAX * FRAME)
		return exo_fail(r->x, -EPROTO, NULL,
				"the directory of a shared cache is too large");
	ret = open_window(r, bytes, &r->directory);
	if (!ret)
		ret = exo_window_map(r->directory, 0, (uint32_t)(bytes / FRAME), r->cap, 0,
				     EXO_RIGHT_READ);
	if (ret)
		return ret;
	if (copy_directory(r, &r->head, 0, sizeof(r->head)))
		return exo_fail(r->x, -ESTALE, NULL, "the shared cache is gone");
	if (!makes_sense(&r->head, bytes))
		return exo_fail(r->x, -EPROTO, NULL,
				"the token is not of a shared cache, or of one of another version");
	r->head.address[sizeof(r->head.address) - 1] = 0;
	r->head.serial[sizeof(r->head.serial) - 1] = 0;
	r->layout = exo_share_lay_out(&r->head);
	return 0;
}

/* A number that was used again is another process. */
static int find_owner(struct exo_reader *r)
{
	r->owner = exo_share_pidfd(r->head.pid);
	if (r->owner < 0 && r->owner != -ESRCH && r->owner != -EINVAL)
		return exo_fail(r->x, r->owner, NULL, "cannot watch the owner of a shared cache");
	if (r->owner >= 0 && exo_share_process(r->owner) == r->head.process && owner_lives(r))
		return 0;
	return exo_fail(r->x, -ESTALE, NULL,
			"the owner of the shared cache, process %u, ended, or is in a PID "
			"namespace that cannot be seen from here",
			r->head.pid);
}

static int open_data(struct exo_reader *r)
{
	r->slabs = calloc(r->head.slabs, sizeof(*r->slabs));
	if (!r->slabs)
		return exo_fail(r->x, -ENOMEM, NULL, "no memory to read a shared cache");
	return open_window(r, (uint64_t)r->head.slabs * SLAB, &r->data);
}

int exo_cache_join(struct exo *x, const char *text, struct exo_reader **out)
{
	struct exo_reader *r;
	const char *problem;
	uint8_t token[16];
	int ret;

	*out = NULL;
	ret = exo_check_module(x, "shared caches");
	if (ret)
		return ret;
	if (exo_token_parse(text, token, &problem))
		return exo_fail(x, -EINVAL, NULL, "cannot understand the token: %s", problem);
	r = calloc(1, sizeof(*r));
	if (!r)
		return exo_fail(x, -ENOMEM, NULL, "no memory to read a shared cache");
	r->x = x;
	r->owner = -1;
	r->file = -1;
	ret = open_directory(r, token);
	if (!ret)
		ret = find_owner(r);
	if (!ret)
		ret = open_data(r);
	if (ret)
		exo_reader_leave(r);
	else
		*out = r;
	return ret;
}

void exo_reader_leave(struct exo_reader *r)
{
	if (!r)
		return;
	for (uint32_t i = 0; r->slabs && i < r->head.slabs; i++)
		drop(r->x, r->slabs[i].cap);
	drop(r->x, r->cap);
	exo_window_destroy(r->data);
	exo_window_destroy(r->directory);
	if (r->owner >= 0)
		close(r->owner);
	if (r->file >= 0)
		close(r->file);
	free(r->slabs);
	free(r);
}
