// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Caches that processes share: run by share.vm.sh under exo-run, without privileges, with an extent
 * of 16 MiB that may be written, and another, "part", that lies within it.
 */
#define _GNU_SOURCE 1
#include <time.h>

#include "../src/cache.h"
#include "../src/share.h"
#include "bus-error.h"
#include "cache-vm-rig.h"

/* ---- an owner in a process of its own ---- */

/* What the owner is told to do; it says what came of it. */
enum what { CHANGE, OPEN, PUT, EVICT, GIVE_UP, LIMIT, FLUSH, SHARE, UNSHARE, DESTROY, REWRITE };

struct errand {
	enum what what;
	uint32_t uses;
	uint64_t page;
	uint64_t number;
};

struct answer {
	int64_t result;
	char text[EXO_TOKEN_TEXT];
};

/**
 * struct owner - a process with a cache
 * @e: its session, which ends with it
 * @pid: it
 * @to: errands
 * @from: answers
 * @text: of SHARE, the latest
 */
struct owner {
	struct estate e;
	pid_t pid;
	int to;
	int from;
	char text[EXO_TOKEN_TEXT];
};

#define REWRITTEN 16u /* pages, from 0 on */

/* As fast as it can, for ever. */
static void __attribute__((noreturn)) rewrite(struct exo_cache *c)
{
	for (uint64_t number = 1;; number++)
		if (change(c, number % REWRITTEN, number))
			_exit(4);
}

static int64_t run(struct exo_cache *c, const struct errand *errand, struct answer *answer)
{
	void *buf;
	int r;

	switch (errand->what) {
	case CHANGE:
		return change(c, errand->page, errand->number);
	case OPEN:
		r = exo_cache_get(c, errand->page, EXO_CACHE_WRITE, &buf);
		if (!r)
			set(buf, errand->number);
		return r;
	case PUT:
		return exo_cache_put(c, errand->page);
	case EVICT:
		return exo_cache_evict(c, errand->page);
	case GIVE_UP:
		return (int64_t)exo_cache_give_up(c, errand->number);
	case LIMIT:
		return exo_cache_limit(c, errand->number);
	case FLUSH:
		return exo_cache_flush(c);
	case SHARE:
		return exo_cache_share(c, errand->uses, 0, EXO_TOKEN_ANYBODY, answer->text);
	case UNSHARE:
		exo_cache_unshare(c);
		return 0;
	case DESTROY:
		exo_cache_destroy(c);
		return 0;
	case REWRITE:
		rewrite(c);
	}
	return -ENOSYS;
}

static void __attribute__((noreturn)) own(const struct estate *e, int from, int to)
{
	struct exo *x = open_in(e, EXO_READ | EXO_WRITE);
	struct exo_cache *c = open_cache(x, 2 * SLAB, PAGE);
	struct errand errand;
	struct answer answer;

	while (read(from, &errand, sizeof(errand)) == sizeof(errand)) {
		answer.result = run(c, &errand, &answer);
		if (answer.result < 0)
			printf("# owner: %s\n", exo_strerror(x, (int)answer.result));
		fflush(stdout);
		if (write(to, &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	_exit(0);
}

static int64_t tell(struct owner *o, struct errand errand)
{
	struct answer answer;

	CHECK_EQUAL(write(o->to, &errand, sizeof(errand)), sizeof(errand));
	if (errand.what == REWRITE)
		return 0;
	if (read(o->from, &answer, sizeof(answer)) != sizeof(answer))
		return -EPIPE;
	if (errand.what == SHARE)
		memcpy(o->text, answer.text, sizeof(o->text));
	return answer.result;
}

#define TELL(o, ...) tell(o, (struct errand){ .what = __VA_ARGS__ })

/* In a session that is settled, which stays open here. */
static void fork_owner(struct owner *o)
{
	int to[2], from[2];

	CHECK(!pipe(to) && !pipe(from));
	fflush(stdout);
	o->pid = fork();
	if (!o->pid) {
		close(to[1]);
		close(from[0]);
		own(&o->e, to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	o->to = to[1];
	o->from = from[0];
}

static void start_owner(struct owner *o)
{
	settle(&o->e, 2 * SLAB + 256);
	fork_owner(o);
	close(o->e.session);
	CHECK_EQUAL(TELL(o, SHARE), 0);
}

static void end_owner(struct owner *o)
{
	int status;

	close(o->to);
	close(o->from);
	waitpid(o->pid, &status, 0);
	unsettle(&o->e);
}

static struct exo_reader *join(struct exo *x, const struct owner *o)
{
	struct exo_reader *r;
	int ret = exo_cache_join(x, o->text, &r);

	if (ret)
		printf("# %s\n", exo_strerror(x, ret));
	CHECK_EQUAL(ret, 0);
	if (ret)
		exit(1);
	return r;
}

static char page[PAGE];

static bool sees(struct exo_reader *r, uint64_t number_of, uint64_t number)
{
	int ret = exo_reader_read(r, number_of, page);

	if (ret)
		printf("# page %llu: %d\n", (unsigned long long)number_of, ret);
	return !ret && is(page, number);
}

static void shared(void)
{
	struct exo *x = open_handle(EXO_READ);
	struct exo_reader *r;
	struct owner o;

	start_owner(&o);
	CHECK_EQUAL(TELL(&o, CHANGE, .page = 5, .number = 55), 0);
	r = join(x, &o);
	/* Before it is on the disk. */
	CHECK(sees(r, 5, 55));
	CHECK(!on_disk(x, 5, 55));
	CHECK_EQUAL(exo_reader_read(r, 6, page), -ENOENT);
	CHECK_EQUAL(exo_reader_read(r, exo_blocks(x), page), -ERANGE);
	/* What comes and changes later, too; and slabs that come later. */
	for (unsigned int n = 0; n < 2 * SLAB; n++)
		CHECK_EQUAL(TELL(&o, CHANGE, .page = n, .number = n + 100), 0);
	for (unsigned int n = 0; n < 2 * SLAB; n++)
		CHECK(sees(r, n, n + 100));
	CHECK_EQUAL(TELL(&o, OPEN, .page = 7, .number = 700), 0);
	CHECK_EQUAL(exo_reader_read(r, 7, page), -EAGAIN);
	CHECK_EQUAL(TELL(&o, PUT, .page = 7), 0);
	CHECK(sees(r, 7, 700));
	CHECK_EQUAL(TELL(&o, FLUSH), 0);
	CHECK(sees(r, 7, 700));
	CHECK_EQUAL(TELL(&o, EVICT, .page = 7), 0);
	CHECK_EQUAL(exo_reader_read(r, 7, page), -ENOENT);
	CHECK(on_disk(x, 7, 700));
	exo_reader_leave(r);
	end_owner(&o);
	exo_close(x);
}

static void described(void)
{
	struct exo_reader_about about = { .size = sizeof(about) };
	struct exo *x = open_handle(EXO_READ);
	uint32_t blocks = PAGE / exo_block_size(x), offset;
	struct exo_reader *r;
	struct owner o;
	uint64_t at;

	start_owner(&o);
	r = join(x, &o);
	exo_reader_about(r, &about);
	CHECK_EQUAL(about.page, PAGE);
	CHECK_EQUAL(about.pages, exo_blocks(x) / blocks);
	CHECK_EQUAL(about.block, exo_block_size(x));
	CHECK_EQUAL(about.first, exo_first_block(x));
	CHECK_EQUAL(about.nsid, exo_nsid(x));
	CHECK_EQUAL(about.pid, o.pid);
	CHECK_STRING(about.address, exo_address(x));
	CHECK_STRING(about.serial, exo_serial(x));
	CHECK_EQUAL(exo_reader_find(r, x, 3 * blocks + 2, &at, &offset), 0);
	CHECK_EQUAL(at, 3);
	CHECK_EQUAL(offset, 2 * exo_block_size(x));
	CHECK_EQUAL(exo_reader_find(r, x, exo_blocks(x), &at, &offset), -ERANGE);
	CHECK_EQUAL(exo_reader_find(r, x, ~0ull, &at, &offset), -ERANGE);
	exo_reader_leave(r);
	end_owner(&o);
	exo_close(x);
}

/* A holder of other blocks of the same device: "exo:part" begins in the middle of "exo:". */
static void translated(void)
{
	struct exo *x = open_handle(EXO_READ), *part;
	uint32_t blocks = PAGE / exo_block_size(x), offset;
	uint64_t at, distance;
	struct exo_reader *r;
	struct owner o;

	CHECK_EQUAL(exo_open("exo:part", EXO_READ, &part), 0);
	distance = exo_first_block(part) - exo_first_block(x);
	CHECK(distance > blocks && exo_first_block(part) > exo_first_block(x));
	start_owner(&o);
	CHECK_EQUAL(TELL(&o, CHANGE, .page = (distance + 1) / blocks, .number = 77), 0);
	r = join(part, &o);
	CHECK_EQUAL(exo_reader_find(r, part, 1, &at, &offset), 0);
	CHECK_EQUAL(at, (distance + 1) / blocks);
	CHECK_EQUAL(offset, (distance + 1) % blocks * exo_block_size(x));
	CHECK(sees(r, at, 77));
	exo_reader_leave(r);
	end_owner(&o);
	exo_close(part);
	exo_close(x);
}

/* ---- what a reader cannot do ---- */

/* Through nothing that a token gives. */
static void try_to_write(struct exo *x, const uint8_t token[16])
{
	struct exo_token_redeem redeemed = { 0 };
	struct exo_cap_derive derive = { .session_fd = EXO_SESSION_SELF };
	struct exo_cap_query about = { 0 };
	struct exo_cap_drop drop = { 0 };
	struct exo_window *w;
	void *at;

	memcpy(redeemed.token, token, 16);
	CHECK_EQUAL(exo_sys_token_redeem(exo_fd(x), &redeemed), 0);
	about.cap = derive.cap = drop.cap = redeemed.out_cap;
	CHECK_EQUAL(exo_sys_cap_query(exo_fd(x), &about), 0);
	CHECK_EQUAL(about.out_type, EXO_TYPE_FRAMES);
	CHECK_EQUAL(about.out_rights, EXO_RIGHT_READ);
	derive.rights = EXO_RIGHT_READ | EXO_RIGHT_WRITE;
	CHECK_EQUAL(exo_sys_cap_derive(exo_fd(x), &derive), -EACCES);
	at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, exo_fd(x), about.out_mmap_offset);
	CHECK(at == MAP_FAILED && errno == EACCES);
	at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, exo_fd(x), about.out_mmap_offset);
	CHECK(at != MAP_FAILED);
	CHECK(mprotect(at, PAGE, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);
	munmap(at, PAGE);
	CHECK_EQUAL(exo_window_create(x, PAGE, &w), 0);
	CHECK_EQUAL(exo_window_map(w, 0, 1, redeemed.out_cap, 0, EXO_RIGHT_READ | EXO_RIGHT_WRITE),
		    -EACCES);
	CHECK_EQUAL(exo_window_map(w, 0, 1, redeemed.out_cap, 0, EXO_RIGHT_READ), 0);
	CHECK(write_is_sigbus(exo_window_entry(w, 0)));
	CHECK_EQUAL(exo_window_protect(w, 0, 1, EXO_RIGHT_READ | EXO_RIGHT_WRITE), -EACCES);
	exo_window_destroy(w);
	CHECK_EQUAL(exo_sys_cap_drop(exo_fd(x), &drop), 0);
}

/* The directory, whose token is told, and slabs, whose tokens it tells. */
static void never_written(void)
{
	struct exo *x = open_handle(EXO_READ);
	struct exo_token_redeem redeemed = { 0 };
	struct exo_cap_query about = { 0 };
	struct exo_share_layout layout;
	const struct exo_share_slab *slab;
	uint8_t token[16];
	struct owner o;
	char *at;

	start_owner(&o);
	CHECK_EQUAL(TELL(&o, CHANGE, .page = 0, .number = 5), 0);
	CHECK_EQUAL(exo_token_parse(o.text, token, NULL), 0);
	try_to_write(x, token);
	memcpy(redeemed.token, token, 16);
	CHECK_EQUAL(exo_sys_token_redeem(exo_fd(x), &redeemed), 0);
	about.cap = redeemed.out_cap;
	CHECK_EQUAL(exo_sys_cap_query(exo_fd(x), &about), 0);
	at = mmap(NULL, about.out_len << about.out_unit_shift, PROT_READ, MAP_SHARED, exo_fd(x),
		  about.out_mmap_offset);
	CHECK(at != MAP_FAILED);
	layout = exo_share_lay_out((const struct exo_share_head *)at);
	slab = (const struct exo_share_slab *)(at + layout.slabs);
	CHECK(!(slab->seq & 1));
	try_to_write(x, slab->token);
	exo_close(x);
	end_owner(&o);
}

static void no_entry(void)
{
	struct exo *x = open_handle(EXO_READ);
	uint64_t held = caps_held(x);
	struct exo_reader *r, *none;
	char text[EXO_TOKEN_TEXT];
	uint8_t token[16];
	struct owner o;

	CHECK_EQUAL(exo_cache_join(x, "exo1what", &none), -EINVAL);
	CHECK(!none);
	start_owner(&o);
	CHECK_EQUAL(TELL(&o, SHARE, .uses = 1), 0);
	r = join(x, &o);
	CHECK_EQUAL(exo_cache_join(x, o.text, &none), -ENOENT);
	exo_reader_leave(r);
	/* A capability that is of something else is dropped again. */
	CHECK_EQUAL(exo_token_create(x, EXO_TYPE_EXTENT, EXO_READ, 1, 0, EXO_TOKEN_ANYBODY, token),
		    0);
	CHECK_EQUAL(exo_cache_join(x, exo_token_print(token, text), &none), -EPROTO);
	CHECK_EQUAL(caps_held(x), held + 1); /* the estate's pool */
	end_owner(&o);
	CHECK_EQUAL(caps_held(x), held);
	exo_close(x);
}

/* ---- changes and ends ---- */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

/* A token is for whom and for as long as its maker said. */
static void for_some(void)
{
	struct exo *x = open_handle(EXO_READ | EXO_WRITE);
	struct exo_cache *c = open_cache(x, 64, PAGE);
	uint64_t until = now_ms() + 20000;
	char text[EXO_TOKEN_TEXT];
	struct exo_reader *r;
	int ret;

	CHECK_EQUAL(exo_cache_share(c, 0, 60000, getuid() + 1, text), 0);
	CHECK_EQUAL(exo_cache_join(x, text, &r), -ENOENT);
	CHECK_EQUAL(exo_cache_share(c, 0, 60000, getuid(), text), 0);
	CHECK_EQUAL(exo_cache_join(x, text, &r), 0);
	exo_reader_leave(r);
	CHECK_EQUAL(exo_cache_share(c, 0, 1, EXO_TOKEN_ANYBODY, text), 0);
	do {
		ret = exo_cache_join(x, text, &r);
		exo_reader_leave(r);
	} while (!ret && now_ms() < until);
	CHECK_EQUAL(ret, -ENOENT);
	exo_cache_destroy(c);
	exo_close(x);
}

static void never_torn(void)
{
	struct exo *x = open_handle(EXO_READ);
	uint64_t last[REWRITTEN] = { 0 }, until, got = 0, changed = 0, missed = 0;
	struct exo_reader *r;
	struct owner o;

	start_owner(&o);
	for (unsigned int n = 0; n < REWRITTEN; n++)
		CHECK_EQUAL(TELL(&o, CHANGE, .page = n, .number = 0), 0);
	r = join(x, &o);
	TELL(&o, REWRITE);
	until = now_ms() + 4000;
	for (unsigned int n = 0; now_ms() < until || !changed; n = (n + 1) % REWRITTEN) {
		int ret = exo_reader_read(r, n, page);
		uint64_t number;

		if (ret == -EAGAIN) {
			missed++;
			continue;
		}
		CHECK_EQUAL(ret, 0);
		CHECK(is_whole(page, &number));
		CHECK(number >= last[n] && (!number || number % REWRITTEN == n));
		changed += number != last[n];
		last[n] = number;
		got++;
		if (tap_failed)
			break;
	}
	printf("# %llu copies, %llu changes seen, %llu times it changed over and over\n",
	       (unsigned long long)got, (unsigned long long)changed, (unsigned long long)missed);
	CHECK(got > 100 && changed > 10);
	kill(o.pid, SIGKILL);
	end_owner(&o);
	exo_reader_leave(r);
	exo_close(x);
}

/* While one thread kills, the other reads: to the end without a signal. */
static void *kill_soon(void *arg)
{
	const struct owner *o = arg;

	usleep(200000);
	kill(o->pid, SIGKILL);
	return NULL;
}

static void killed(void)
{
	struct exo *x = open_handle(EXO_READ);
	uint64_t got = 0, number, until;
	struct exo_reader *r, *late;
	pthread_t thread;
	struct owner o;
	int ret, status;

	start_owner(&o);
	for (unsigned int n = 0; n < REWRITTEN; n++)
		CHECK_EQUAL(TELL(&o, CHANGE, .page = n, .number = 0), 0);
	r = join(x, &o);
	TELL(&o, REWRITE);
	CHECK_EQUAL(pthread_create(&thread, NULL, kill_soon, &o), 0);
	until = now_ms() + 20000;
	do {
		ret = exo_reader_read(r, got % REWRITTEN, page);
		if (!ret) {
			CHECK(is_whole(page, &number));
			got++;
		}
	} while ((!ret || ret == -EAGAIN) && now_ms() < until);
	CHECK_EQUAL(ret, -ESTALE);
	CHECK(strstr(exo_strerror(x, ret), "ended"));
	CHECK(got > 0);
	pthread_join(thread, NULL);
	waitpid(o.pid, &status, 0);
	CHECK(WIFSIGNALED(status));
	/* For good; and nobody joins any more. */
	CHECK_EQUAL(exo_reader_read(r, 0, page), -ESTALE);
	CHECK(exo_cache_join(x, o.text, &late) < 0);
	/* Its frames are the pool's again when its readers have left. */
	CHECK(frames_used(&o.e) > 0);
	exo_reader_leave(r);
	CHECK_EQUAL(frames_used(&o.e), 0);
	end_owner(&o);
	exo_close(x);
}

/* A session that lives on, in another process, makes no difference. */
static void killed_and_survived(void)
{
	struct exo *x = open_handle(EXO_READ);
	struct exo_reader *r;
	struct owner o;
	int status;

	settle(&o.e, 2 * SLAB + 256);
	fork_owner(&o);
	CHECK_EQUAL(TELL(&o, SHARE), 0);
	CHECK_EQUAL(TELL(&o, CHANGE, .page = 3, .number = 33), 0);
	r = join(x, &o);
	CHECK(sees(r, 3, 33));
	kill(o.pid, SIGKILL);
	waitpid(o.pid, &status, 0);
	CHECK_EQUAL(exo_reader_read(r, 3, page), -ESTALE);
	exo_reader_leave(r);
	/* The token lives, its owner does not. */
	CHECK_EQUAL(exo_cache_join(x, o.text, &r), -ESTALE);
	CHECK(strstr(exo_strerror(x, -ESTALE), "ended"));
	close(o.e.session);
	end_owner(&o);
	exo_close(x);
}

static void unshared(void)
{
	struct exo *x = open_handle(EXO_READ);
	struct exo_reader *r, *late;
	char first[EXO_TOKEN_TEXT];
	uint64_t used;
	struct owner o;

	start_owner(&o);
	used = frames_used(&o.e);
	CHECK_EQUAL(TELL(&o, CHANGE, .page = 3, .number = 33), 0);
	memcpy(first, o.text, sizeof(first));
	r = join(x, &o);
	CHECK(sees(r, 3, 33));
	CHECK_EQUAL(TELL(&o, UNSHARE), 0);
	CHECK_EQUAL(exo_reader_read(r, 3, page), -ESTALE);
	CHECK(strstr(exo_strerror(x, -ESTALE), "no more"));
	CHECK_EQUAL(exo_cache_join(x, first, &late), -ENOENT);
	/* The owner has what it had. It may share again. */
	CHECK_EQUAL(TELL(&o, CHANGE, .page = 4, .number = 44), 0);
	CHECK_EQUAL(TELL(&o, SHARE), 0);
	late = join(x, &o);
	CHECK(sees(late, 3, 33));
	CHECK(sees(late, 4, 44));
	CHECK_EQUAL(exo_reader_read(r, 3, page), -ESTALE);
	/* No reader keeps memory that the owner gave back. */
	CHECK(frames_used(&o.e) > used);
	CHECK_EQUAL(TELL(&o, DESTROY), 0);
	CHECK_EQUAL(frames_used(&o.e), 0);
	CHECK_EQUAL(exo_reader_read(late, 3, page), -ESTALE);
	exo_reader_leave(late);
	exo_reader_leave(r);
	end_owner(&o);
	exo_close(x);
}

static void slab_gone(void)
{
	struct exo *x = open_handle(EXO_READ);
	struct exo_reader *r;
	struct owner o;
	uint64_t used;

	start_owner(&o);
	for (unsigned int n = 0; n < 2 * SLAB; n++)
		CHECK_EQUAL(TELL(&o, CHANGE, .page = n, .number = n + 1), 0);
	r = join(x, &o);
	for (unsigned int n = 0; n < 2 * SLAB; n++)
		CHECK(sees(r, n, n + 1));
	used = frames_used(&o.e);
	CHECK_EQUAL(TELL(&o, GIVE_UP, .number = 1), SLAB);
	CHECK_EQUAL(frames_used(&o.e), used - SLAB);
	CHECK_EQUAL(exo_reader_read(r, 3, page), -ENOENT);
	CHECK(sees(r, SLAB + 3, SLAB + 4));
	/* In its place there may be another. */
	CHECK_EQUAL(TELL(&o, LIMIT, .number = 2 * SLAB * PAGE), 0);
	for (unsigned int n = 0; n < SLAB; n++)
		CHECK_EQUAL(TELL(&o, CHANGE, .page = n, .number = n + 2), 0);
	for (unsigned int n = 0; n < SLAB; n++)
		CHECK(sees(r, n, n + 2));
	exo_reader_leave(r);
	end_owner(&o);
	exo_close(x);
}

/* The owner's pool is taken by force. */
static void taken(void)
{
	struct exo *x = open_handle(EXO_READ);
	struct exo_revoke all = { 0 };
	struct exo_reader *r;
	struct owner o;

	start_owner(&o);
	CHECK_EQUAL(TELL(&o, CHANGE, .page = 3, .number = 33), 0);
	r = join(x, &o);
	CHECK(sees(r, 3, 33));
	all.cap = o.e.pool;
	CHECK_EQUAL(exo_sys_revoke(ours(), &all), 0);
	CHECK(all.out_taken >= 4);
	CHECK_EQUAL(exo_reader_read(r, 3, page), -ESTALE);
	CHECK_EQUAL(exo_reader_read(r, 3, page), -ESTALE);
	CHECK_EQUAL(frames_used(&o.e), 0);
	/* The owner can end it without a signal. */
	CHECK_EQUAL(TELL(&o, UNSHARE), 0);
	exo_reader_leave(r);
	end_owner(&o);
	exo_close(x);
}

static void taken_and_destroyed(void)
{
	struct exo_revoke all = { 0 };
	struct owner o;

	start_owner(&o);
	CHECK_EQUAL(TELL(&o, CHANGE, .page = 3, .number = 33), 0);
	all.cap = o.e.pool;
	CHECK_EQUAL(exo_sys_revoke(ours(), &all), 0);
	CHECK_EQUAL(TELL(&o, DESTROY), 0);
	end_owner(&o);
}

/* What exo_give_up() takes for spare is not the directory; the cache gives it when it is asked. */
static void directory_asked_back(void)
{
	struct exo *x = open_handle(EXO_READ | EXO_WRITE);
	struct exo_cache *c = open_cache(x, 64, PAGE);
	struct exo_asked asked = { .type = EXO_TYPE_POOL, .frames = 1, .deadline = 1 };
	char text[EXO_TOKEN_TEXT];
	struct exo_reader *r;

	CHECK_EQUAL(exo_cache_share(c, 0, 0, EXO_TOKEN_ANYBODY, text), 0);
	CHECK_EQUAL(change(c, 3, 33), 0);
	CHECK_EQUAL(exo_cache_join(x, text, &r), 0);
	asked.cap = exo_pool_cap(x);
	CHECK_EQUAL(exo_give_up(x, &asked), 0);
	CHECK_EQUAL(change(c, 3, 34), 0);
	CHECK(sees(r, 3, 34));
	asked = (struct exo_asked){ .type = EXO_TYPE_FRAMES, .deadline = 1 };
	asked.buf = (void *)exo_share_directory(c);
	CHECK_EQUAL(exo_cache_comply(c, &asked), 2); /* the head, and the rest */
	CHECK_EQUAL(exo_reader_read(r, 3, page), -ESTALE);
	CHECK(holds(c, 3, 34));
	exo_reader_leave(r);
	/* So it does when all of the pool is asked back: nothing is left to take. */
	CHECK_EQUAL(exo_cache_share(c, 0, 0, EXO_TOKEN_ANYBODY, text), 0);
	CHECK_EQUAL(exo_cache_join(x, text, &r), 0);
	asked = (struct exo_asked){ .type = EXO_TYPE_POOL, .deadline = 1 };
	asked.cap = exo_pool_cap(x);
	CHECK_EQUAL(exo_cache_comply(c, &asked), 64 + 2);
	CHECK(!exo_share_directory(c));
	CHECK_EQUAL(exo_reader_read(r, 3, page), -ESTALE);
	exo_reader_leave(r);
	exo_cache_destroy(c);
	exo_close(x);
}

static const struct tap_test tests[] = {
	TEST(shared, "another process reads what is cached, before it is on the disk"),
	TEST(described, "a reader knows which blocks it reads"),
	TEST(translated, "a holder of other blocks of the device finds its own in the cache"),
	TEST(never_written, "a reader can write neither pages nor the directory"),
	TEST(no_entry, "without a token that is good nobody reads"),
	TEST(for_some, "a token is good for whom and as long as it was made for"),
	TEST(never_torn, "a page that is changed all the time is never read in halves"),
	TEST(killed, "when the owner is killed, its readers are told and get no signal"),
	TEST(killed_and_survived, "so they are if its session lives on elsewhere"),
	TEST(unshared, "when sharing ends no reader has any memory left"),
	TEST(slab_gone, "memory goes from readers when the owner gives it up"),
	TEST(taken, "when the owner's memory is taken by force, readers are told"),
	TEST(taken_and_destroyed, "a shared cache whose memory was taken can be destroyed"),
	TEST(directory_asked_back, "the directory goes when the cache gives it, and not before"),
};

TAP_MAIN(tests)
