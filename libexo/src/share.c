// SPDX-License-Identifier: LGPL-2.1-only
/*
 * The owner's side of a shared cache: the directory, and who may read it.
 *
 * Tokens are of the frames with the right to read alone. A capability that was redeemed
 * outlives the one it was derived from, so it does not do to drop that: first the tokens end, then what
 * was derived is revoked, then the memory is given back.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backend.h"
#include "cache.h"
#include "share.h"

#define FRAME 4096u
#define PIDFS_MAGIC 0x50494446 /* <linux/magic.h> since 6.9 */

/**
 * struct shown - what readers may have of a slab
 * @token: of it
 * @shown: there is one
 */
struct shown {
	uint8_t token[16];
	bool shown;
};

/**
 * struct exo_share - a directory
 * @at: it
 * @frames: so many
 * @buckets: in it, likewise the others
 * @shown: the same of slabs, where nobody takes it
 * @tokens: of the directory, that were made
 * @tokens_count: so many
 */
struct exo_share {
	char *at;
	uint64_t frames;
	struct exo_share_bucket *buckets;
	struct exo_share_entry *entries;
	struct exo_share_slab *slabs;
	struct shown *shown;
	uint8_t (*tokens)[16];
	size_t tokens_count;
};

/* ---- sequence numbers ---- */

/* Odd: whoever reads now, reads in vain. */
static void begin(uint64_t *seq)
{
	__atomic_store_n(seq, *seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void end(uint64_t *seq)
{
	__atomic_store_n(seq, *seq + 1, __ATOMIC_RELEASE);
}

/* ---- capabilities ---- */

static int make_token(struct exo_cache *c, uint32_t cap, struct exo_token_create *arg)
{
	struct exo_detail detail = { 0 };
	int r;

	arg->detail = exo_sys_address(&detail);
	arg->cap = cap;
	arg->rights = EXO_RIGHT_READ;
	r = exo_sys_token_create(c->x->fd, arg);
	return r ? exo_fail(c->x, r, &detail, "cannot make a token to share a cache with") : 0;
}

/* It may be used up already. */
static void cancel(struct exo_cache *c, const uint8_t token[16])
{
	struct exo_token_cancel arg = { 0 };

	memcpy(arg.token, token, sizeof(arg.token));
	exo_sys_token_cancel(c->x->fd, &arg);
}

/* Take it from all readers. If the owner has it no more, they have not either. */
static void take_back(struct exo_cache *c, uint32_t cap)
{
	struct exo_revoke arg = { .cap = cap };

	if (cap)
		exo_sys_revoke(c->x->fd, &arg);
}

/* ---- slabs ---- */

/* Let readers have it; they may have been let before. */
static bool show_slab(struct exo_cache *c, const struct exo_slot *s)
{
	uint32_t n = s->frame / exo_frames_per_slab(c->frames);
	struct exo_share_slab *slab = &c->share->slabs[n];
	struct shown *shown = &c->share->shown[n];
	struct exo_token_create arg = { 0 };
	uint64_t first;

	if (shown->shown)
		return true;
	if (make_token(c, exo_frames_capability(c->frames, s->frame, &first), &arg))
		return false;
	memcpy(shown->token, arg.out_token, sizeof(shown->token));
	shown->shown = true;
	memcpy(slab->token, arg.out_token, sizeof(slab->token));
	end(&slab->seq);
	return true;
}

/* Not in the directory, which may be gone. */
static void hide_slab(struct exo_cache *c, uint32_t n)
{
	struct shown *shown = &c->share->shown[n];
	uint32_t cap;
	uint64_t first;

	shown->shown = false;
	cancel(c, shown->token);
	cap = exo_frames_capability(c->frames, n * exo_frames_per_slab(c->frames), &first);
	pthread_mutex_unlock(&c->lock);
	take_back(c, cap);
	pthread_mutex_lock(&c->lock);
}

void exo_share_lose_slab(struct exo_cache *c, uint32_t n)
{
	if (!c->share || !c->share->shown[n].shown)
		return;
	begin(&c->share->slabs[n].seq);
	hide_slab(c, n);
}

/* ---- pages ---- */

static struct exo_share_entry *entry_of(struct exo_cache *c, const struct exo_slot *s)
{
	return &c->share->entries[exo_slot_number(c, s)];
}

static struct exo_share_bucket *bucket_of(struct exo_cache *c, const struct exo_slot *s)
{
	return &c->share->buckets[exo_cache_bucket(s->page, c->bucket_shift)];
}

void exo_share_enter(struct exo_cache *c, struct exo_slot *s)
{
	uint32_t per_slab = exo_frames_per_slab(c->frames);
	struct exo_share_bucket *bucket;
	struct exo_share_entry *e;

	if (!c->share || !show_slab(c, s))
		return;
	bucket = bucket_of(c, s);
	e = entry_of(c, s);
	e->page = s->page;
	e->slab = s->frame / per_slab;
	e->index = s->frame % per_slab;
	if (!s->open)
		end(&e->seq);
	begin(&bucket->seq);
	e->next = bucket->first;
	bucket->first = exo_slot_number(c, s);
	end(&bucket->seq);
	s->shown = true;
}

void exo_share_leave(struct exo_cache *c, struct exo_slot *s)
{
	struct exo_share_bucket *bucket;
	uint32_t *at;

	if (!s->shown)
		return;
	s->shown = false;
	if (!s->open)
		begin(&entry_of(c, s)->seq);
	bucket = bucket_of(c, s);
	begin(&bucket->seq);
	at = &bucket->first;
	while (*at != exo_slot_number(c, s))
		at = &c->share->entries[*at].next;
	*at = entry_of(c, s)->next;
	end(&bucket->seq);
}

void exo_share_open(struct exo_cache *c, struct exo_slot *s)
{
	if (s->shown)
		begin(&entry_of(c, s)->seq);
}

void exo_share_close(struct exo_cache *c, struct exo_slot *s)
{
	if (s->shown)
		end(&entry_of(c, s)->seq);
}

/* ---- the directory ---- */

int exo_share_pidfd(uint32_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);

	return fd < 0 ? -errno : fd;
}

uint64_t exo_share_process(int pidfd)
{
	struct statfs fs;
	struct stat about;

	if (fstatfs(pidfd, &fs) || fs.f_type != PIDFS_MAGIC || fstat(pidfd, &about))
		return 0;
	return about.st_ino;
}

/* All but the magic number: that is written when the rest can be read. */
static int describe(struct exo_cache *c, struct exo_share_head *h)
{
	const struct exo *x = c->x;
	int fd = exo_share_pidfd((uint32_t)getpid());

	if (fd < 0)
		return exo_fail(c->x, fd, NULL, "this process has no pidfd to be known by: %s",
				strerrordesc_np(-fd));
	*h = (struct exo_share_head){
		.page_shift = c->page_shift,
		.block_shift = x->block_shift,
		.pages = c->pages,
		.first = x->start,
		.nsid = x->nsid,
		.bucket_bits = 64 - c->bucket_shift,
		.slots = c->slots_count,
		.slabs = exo_frames_slabs(c->frames),
		.per_slab = exo_frames_per_slab(c->frames),
		.pid = (uint32_t)getpid(),
		.process = exo_share_process(fd),
	};
	close(fd);
	memcpy(h->address, x->address, sizeof(h->address));
	memcpy(h->serial, x->serial, strnlen(x->serial, sizeof(h->serial) - 1));
	return 0;
}

static void fill(struct exo_cache *c, const struct exo_share_head *h)
{
	for (uint32_t i = 0; i < 1u << h->bucket_bits; i++)
		c->share->buckets[i].first = EXO_SHARE_NONE;
	for (uint32_t i = 0; i < h->slots; i++)
		c->share->entries[i].seq = 1;
	for (uint32_t i = 0; i < h->slabs; i++)
		c->share->slabs[i].seq = 1;
	memcpy(c->share->at, h, sizeof(*h));
	((struct exo_share_head *)c->share->at)->magic = EXO_SHARE_MAGIC;
	for (struct exo_slot *s = c->slots; s < c->slots + c->slots_count; s++)
		if (s->place > EXO_SLOT_READING)
			exo_share_enter(c, s);
}

static void free_share(struct exo_share *share)
{
	free(share->shown);
	free(share->tokens);
	free(share);
}

static struct exo_share *make_share(const struct exo_cache *c)
{
	struct exo_share *share = calloc(1, sizeof(*share));

	if (!share)
		return NULL;
	share->shown = calloc(exo_frames_slabs(c->frames), sizeof(*share->shown));
	if (share->shown)
		return share;
	free_share(share);
	return NULL;
}

static int begin_sharing(struct exo_cache *c)
{
	struct exo_share_layout layout;
	struct exo_share_head head;
	struct exo_share *share;
	void *at;
	int r;

	r = describe(c, &head);
	if (r)
		return r;
	share = make_share(c);
	if (!share)
		return exo_fail(c->x, -ENOMEM, NULL, "no memory to share a cache");
	layout = exo_share_lay_out(&head);
	r = exo_buf_alloc(c->q, layout.end, &at);
	if (r) {
		free_share(share);
		return r;
	}
	/* When it may go, exo_cache_comply() knows. */
	exo_buf_keep(c->x, at);
	share->at = at;
	share->frames = (layout.end + FRAME - 1) / FRAME;
	share->buckets = (void *)(share->at + layout.buckets);
	share->entries = (void *)(share->at + layout.entries);
	share->slabs = (void *)(share->at + layout.slabs);
	c->share = share;
	fill(c, &head);
	return 0;
}

uint64_t exo_share_end(struct exo_cache *c)
{
	struct exo_share *share = c->share;
	uint64_t frames;

	if (!share)
		return 0;
	for (size_t i = 0; i < share->tokens_count; i++)
		cancel(c, share->tokens[i]);
	for (uint32_t n = 0; n < exo_frames_slabs(c->frames); n++)
		if (share->shown[n].shown)
			hide_slab(c, n);
	for (struct exo_slot *s = c->slots; s < c->slots + c->slots_count; s++)
		s->shown = false;
	c->share = NULL;
	pthread_mutex_unlock(&c->lock);
	take_back(c, exo_buf_capability(c->q, share->at));
	exo_buf_free(c->q, share->at);
	pthread_mutex_lock(&c->lock);
	frames = share->frames;
	free_share(share);
	return frames;
}

const void *exo_share_directory(const struct exo_cache *c)
{
	return c->share ? c->share->at : NULL;
}

/* ---- calls ---- */

/* It can be cancelled when sharing ends. */
static int remember(struct exo_cache *c, const uint8_t token[16])
{
	size_t count = c->share->tokens_count;
	uint8_t(*tokens)[16] = realloc(c->share->tokens, (count + 1) * sizeof(*tokens));

	if (!tokens)
		return exo_fail(c->x, -ENOMEM, NULL, "no memory to note a token in");
	memcpy(tokens[count], token, sizeof(*tokens));
	c->share->tokens = tokens;
	c->share->tokens_count++;
	return 0;
}

static int share(struct exo_cache *c, struct exo_token_create *arg)
{
	int r = c->share ? 0 : begin_sharing(c);

	if (r)
		return r;
	r = make_token(c, exo_buf_capability(c->q, c->share->at), arg);
	if (r)
		return r;
	r = remember(c, arg->out_token);
	if (r)
		cancel(c, arg->out_token);
	return r;
}

int exo_cache_share(struct exo_cache *c, uint32_t uses, uint32_t lifetime_ms, uint32_t uid,
		    char text[EXO_TOKEN_TEXT])
{
	struct exo_token_create arg = {
		.flags = uid == EXO_TOKEN_ANYBODY ? 0 : EXO_TOKEN_UID,
		.uses = uses,
		.lifetime_ms = lifetime_ms,
		.uid = uid == EXO_TOKEN_ANYBODY ? 0 : uid,
	};
	int r = exo_check_module(c->x, "shared caches");

	if (r)
		return r;
	pthread_mutex_lock(&c->io);
	pthread_mutex_lock(&c->lock);
	r = share(c, &arg);
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&c->io);
	if (!r)
		exo_token_print(arg.out_token, text);
	return r;
}

void exo_cache_unshare(struct exo_cache *c)
{
	pthread_mutex_lock(&c->io);
	pthread_mutex_lock(&c->lock);
	exo_share_end(c);
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&c->io);
}
