// SPDX-License-Identifier: MIT
/*
 * A storm: processes that share sessions, capabilities and devices are killed at random
 * points, thousands of times, under revocations; and a root that dies. Nothing may be left
 * behind, by what the module says of itself and by what the kernel counts; and who was not
 * killed must have his data, at every moment of it.
 *
 * EXO_STORM: how many kills, instead of what this kernel can do in a minute.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <kselftest_harness.h>

#include "lib.h"

#define RW (EXO_RIGHT_READ | EXO_RIGHT_WRITE)
#define KILLS 2000u
#define LIFE_US 20000u /* at most, of one process */
#define FAR (now_ns() + 20000000000ull)
#define CGROUP "/sys/fs/cgroup/exo-storm"

/* ---- what the kernel counts ---- */

#define CACHES_MAX 96

struct counters {
	__u64 frames, quarantined, adopted;
	__u32 queues[2], vectors[2];
	unsigned long irqs, files, threads, available_kb, cgroup_kb, dma_maps;
	unsigned int caches;
	struct {
		char name[40];
		unsigned long objects;
	} cache[CACHES_MAX];
};

static unsigned long count_lines(const char *path, const char *with)
{
	FILE *file = fopen(path, "r");
	unsigned long n = 0;
	char line[4096];

	while (file && fgets(line, sizeof(line), file))
		n += strstr(line, with) != NULL;
	if (file)
		fclose(file);
	return n;
}

static unsigned long number_in(const char *path, const char *format)
{
	FILE *file = fopen(path, "r");
	unsigned long n = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file) && sscanf(line, format, &n) != 1)
		;
	if (file)
		fclose(file);
	return n;
}

/* Returns what the processors keep in reserve, so that the counts are of objects in use. */
static void shrink_caches(void)
{
	write_file("/proc/sys/vm/drop_caches", "2");
	if (system("for f in /sys/kernel/slab/*kmalloc*/shrink /sys/kernel/slab/exo*/shrink; do "
		   "echo 1 >$f; done 2>/dev/null"))
		return;
}

static void count_caches(struct counters *c)
{
	FILE *file = fopen("/proc/slabinfo", "r");
	char line[512];

	while (file && c->caches < CACHES_MAX && fgets(line, sizeof(line), file))
		if (strstr(line, "kmalloc-") && sscanf(line, "%39s %lu", c->cache[c->caches].name,
						       &c->cache[c->caches].objects) == 2)
			c->caches++;
	if (file)
		fclose(file);
}

static unsigned long count_dma_maps(void)
{
	return number_in("/sys/kernel/debug/dma-api/nr_total_entries", "%lu") -
	       number_in("/sys/kernel/debug/dma-api/num_free_entries", "%lu");
}

static void count_machine(struct counters *c)
{
	c->irqs = count_lines("/proc/interrupts", "exo-queue");
	c->files = number_in("/proc/sys/fs/file-nr", "%lu");
	c->threads = number_in("/proc/loadavg", "%*f %*f %*f %*u/%lu");
	c->available_kb = number_in("/proc/meminfo", "MemAvailable: %lu kB");
	c->cgroup_kb = number_in(CGROUP "/memory.current", "%lu") / 1024;
	c->dma_maps = count_dma_maps();
	count_caches(c);
}

/* ---- the arena: what the players get their share of ---- */

#define TOKENS 5 /* a pool, two controllers, two extents */
#define BOARD 16 /* tokens of players, for other players */

struct shared {
	__u8 board[BOARD][16];
	bool stop;
	bool noticed[2];	 /* of those: its queue is dead */
	unsigned long rounds[2]; /* of whoever is not to be killed */
	unsigned long calls[11]; /* what the players came to: see enum */
};

enum {
	OPENED,
	QUEUED,
	WROTE,
	REVOKED,
	SHARED,
	REDEEMED,
	TRAVELLED,
	SLEPT,
	ADOPTED,
	SHOWN,
	UPCALLED
};

struct arena {
	int fd;
	__u32 pool, controller[2], extent[2];
	__u32 own; /* the last number that is the arena's own */
	__u8 token[TOKENS][16];
	int socket[2];
	struct shared *shared;
};

FIXTURE(storm)
{
	struct tenant t[2];
	struct arena arena;
};

static int arena_grant(struct arena *a, struct tenant *t, int i)
{
	__u32 controller, extent;
	int ret =
		controller_create(t->grantor, t->root_controller, EXO_RIGHT_QUEUE, 16, &controller);

	if (!ret)
		ret = derive(t->grantor, controller, EXO_RIGHT_QUEUE, a->fd, 0, 0,
			     &a->controller[i]);
	if (!ret)
		ret = drop(t->grantor, controller);
	if (!ret)
		ret = extent_create(t->grantor, t->root_controller, 1, RW, EXTENT_FIRST + 1024,
				    4096, &extent);
	if (!ret)
		ret = derive(t->grantor, extent, RW, a->fd, 0, 0, &a->extent[i]);
	return ret ? ret : drop(t->grantor, extent);
}

static int arena_make_tokens(struct arena *a)
{
	int i, ret = token_create(a->fd, a->pool, EXO_RIGHT_ALLOC, 0, a->token[0]);

	for (i = 0; i < 2 && !ret; i++) {
		ret = token_create(a->fd, a->controller[i], EXO_RIGHT_QUEUE, 0, a->token[1 + i]);
		if (!ret)
			ret = token_create(a->fd, a->extent[i], RW, 0, a->token[3 + i]);
	}
	return ret;
}

static int arena_open(struct arena *a, struct tenant *t)
{
	__u32 pool;
	int ret;

	a->fd = session_open();
	if (a->fd < 0)
		return a->fd;
	ret = pool_create(t->grantor, t->root_pool, EXO_RIGHT_ALLOC, 8192, &pool);
	if (!ret)
		ret = derive(t->grantor, pool, EXO_RIGHT_ALLOC, a->fd, 0, 0, &a->pool);
	if (!ret)
		ret = drop(t->grantor, pool);
	if (!ret)
		ret = arena_grant(a, &t[0], 0);
	if (!ret)
		ret = arena_grant(a, &t[1], 1);
	a->own = a->extent[1];
	if (!ret)
		ret = arena_make_tokens(a);
	if (!ret && socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, a->socket))
		ret = -errno;
	return ret;
}

/* What players left in the arena's session, and sessions that nobody fetched. */
static void arena_sweep(struct arena *a)
{
	__u32 caps[512];
	int i, n = list(a->fd, caps, 512);

	for (i = 0; i < n && i < 512; i++)
		if (caps[i] > a->own)
			drop(a->fd, caps[i]);
}

FIXTURE_SETUP(storm)
{
	const char *why;

	TENANT_SETUP(&self->t[0], "exo0");
	ASSERT_EQ(0, tenant_create(&self->t[1], "exo1", &why));
	self->arena.shared = mmap(NULL, sizeof(*self->arena.shared), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->arena.shared);
	ASSERT_EQ(0, arena_open(&self->arena, self->t));
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
}

FIXTURE_TEARDOWN(storm)
{
	close(self->arena.fd);
	tenant_destroy(&self->t[1]);
	tenant_destroy(&self->t[0]);
}

/* ---- players: whatever happens to them is no failure ---- */

struct player {
	struct arena *arena;
	int fd;
	int which; /* controller */
	__u32 pool, controller, extent;
	struct ring ring;
	struct buffer buffer;
};

static void count_call(struct player *p, int what)
{
	__atomic_fetch_add(&p->arena->shared->calls[what], 1, __ATOMIC_RELAXED);
}

static int player_by_token(struct player *p)
{
	struct arena *a = p->arena;
	int ret = token_redeem(p->fd, a->token[0], &p->pool);

	if (!ret)
		ret = token_redeem(p->fd, a->token[1 + p->which], &p->controller);
	return ret ? ret : token_redeem(p->fd, a->token[3 + p->which], &p->extent);
}

static int player_by_derivation(struct player *p)
{
	struct arena *a = p->arena;
	int ret = derive(a->fd, a->pool, EXO_RIGHT_ALLOC, p->fd, 0, 0, &p->pool);

	if (!ret)
		ret = derive(a->fd, a->controller[p->which], EXO_RIGHT_QUEUE, p->fd, 0, 0,
			     &p->controller);
	return ret ? ret : derive(a->fd, a->extent[p->which], RW, p->fd, 0, 0, &p->extent);
}

static int player_send(struct player *p)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &p->fd, sizeof(int));
	return sendmsg(p->arena->socket[0], &msg, 0) == 1 ? 0 : -errno;
}

/* A session that somebody sent, or -1. */
static int arena_receive(struct arena *a)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	int fd = -1;

	if (recvmsg(a->socket[1], &msg, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
	return fd;
}

static int player_enter(struct player *p)
{
	struct events events;
	int ret;

	p->which = random_u32() % 2;
	p->fd = random_u32() % 4 ? -1 : arena_receive(p->arena);
	if (p->fd >= 0)
		count_call(p, TRAVELLED);
	else
		p->fd = session_open();
	count_call(p, OPENED);
	ret = random_u32() % 2 ? player_by_token(p) : player_by_derivation(p);
	if (!ret && random_u32() % 2)
		events_create(p->fd, 16, &events);
	return ret;
}

/* Frames, or memory of its own. */
static int player_get_memory(struct player *p)
{
	void *own;
	int ret;

	if (random_u32() % 2) {
		ret = buffer_alloc(p->fd, p->pool, EXO_ORDER_4K, 4, &p->buffer);
		return ret ? ret : buffer_attach(p->fd, p->controller, &p->buffer);
	}
	own = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (own == MAP_FAILED)
		return -ENOMEM;
	ret = buffer_adopt(p->fd, p->controller, RW, own, 4 * PAGE, &p->buffer);
	if (!ret)
		count_call(p, ADOPTED);
	return ret;
}

static int player_equip(struct player *p)
{
	int ret = player_get_memory(p);

	if (!ret)
		ret = ring_create(p->fd, p->controller, 1 + random_u32() % 32, &p->ring);
	if (!ret)
		ret = queue_attach(p->fd, p->ring.cap, p->extent);
	if (!ret)
		count_call(p, QUEUED);
	return ret;
}

/* As much as goes in; some of it is waited for. */
static void player_io(struct player *p)
{
	struct ring *r = &p->ring;
	__u32 i, accepted = 0;
	struct cqe cqe;
	__u64 ready;

	for (i = 0; i < r->depth; i++) {
		struct sqe sqe = sqe_io(random_u32() % 2 ? OP_READ : OP_WRITE, (__u16)i, 1,
					EXTENT_FIRST + 1024 + random_u32() % 4000, 7,
					p->buffer.offset);

		ring_push(r, &sqe);
	}
	if (ring_submit(r, &accepted))
		ring_rewind(r);
	for (i = 0; i < accepted; i++)
		if (wait_queues(p->fd, &r->cap, 1, now_ns() + 10000000, &ready) ||
		    ring_reap(r, &cqe, 0))
			break;
	if (accepted)
		count_call(p, WROTE);
}

static void player_share(struct player *p)
{
	struct arena *a = p->arena;
	__u8 token[16];
	__u32 child;

	if (!derive(p->fd, p->buffer.cap, EXO_RIGHT_READ, a->fd, 0, 0, &child))
		count_call(p, SHARED);
	if (!token_create(p->fd, p->buffer.cap, EXO_RIGHT_READ, random_u32() % 3, token))
		memcpy(a->shared->board[random_u32() % BOARD], token, 16);
	memcpy(token, a->shared->board[random_u32() % BOARD], 16);
	if (!token_redeem(p->fd, token, &child))
		count_call(p, REDEEMED);
	token_cancel(p->fd, token);
}

/* What all players have is taken back: asked for, for a moment, or at once. */
static void player_revoke(struct player *p)
{
	struct exo_revoke_record records[8];
	struct exo_revoke arg = { .records = (uintptr_t)records, .count = 8 };
	struct arena *a = p->arena;
	const __u32 caps[] = { a->pool, a->controller[0], a->controller[1], a->extent[0],
			       a->extent[1] };
	__u32 cap = caps[random_u32() % 5];
	__u64 frames = cap == a->pool && random_u32() % 2 ? 8 : 0;

	if (!cap_revoke(a->fd, cap, random_u32() % 8, frames, &arg))
		count_call(p, REVOKED);
}

static void player_sleep(struct player *p)
{
	struct exo_wait arg = {
		.flags = EXO_WAIT_EVENTS,
		.queues = (uintptr_t)&p->ring.cap,
		.count = 1,
		.deadline = EXO_WAIT_FOREVER,
	};
	int efd = eventfd(0, EFD_CLOEXEC);

	count_call(p, SLEPT);
	queue_eventfd(p->fd, p->ring.cap, efd);
	call(p->fd, EXO_WAIT, &arg);
}

#define SHOWN_PAGES 1024u /* of a window: two tables of 2 MiB */

static unsigned long upcalls;

#ifdef __x86_64__

#define HAS_UPCALLS true

/* A touch of three bytes, and a handler that steps over it and counts: no signal, no death. */
extern const char storm_handler[];

__asm__(".text\n"
	"storm_handler:\n"
	"addq $3, 40(%rdi)\n" /* ip of struct exo_upcall */
	"lock incq upcalls(%rip)\n"
	"lea 24(%rsp), %rsp\n"
	"pop %rdi\n"
	"popf\n"
	"ret $128\n");

static int set_handler(struct player *p, char *at)
{
	return window_handler(p->fd, at, (uintptr_t)storm_handler, NULL);
}

static void touch(char *at)
{
	__asm__ volatile("movb $1, (%%rax)" : : "a"(at) : "memory");
}

#else

#define HAS_UPCALLS false

/* Without upcalls a touch could be a signal: entries come and go under none. */
static int set_handler(struct player *p, char *at)
{
	(void)p, (void)at;
	return 0;
}

static void touch(char *at)
{
	(void)at;
}

#endif

static void random_op(struct player *p, struct exo_window_op *op)
{
	*op = (struct exo_window_op){
		.first = random_u32() % SHOWN_PAGES,
		.count = 1,
		.op = EXO_WINDOW_MAP + random_u32() % 3,
		.access = random_u32() % 2 ? EXO_RIGHT_READ : RW,
	};
	if (op->op == EXO_WINDOW_MAP) {
		op->frames = p->buffer.cap;
		op->page = random_u32() % 4;
	} else if (op->op == EXO_WINDOW_UNMAP) {
		op->count = 1 + random_u32() % (SHOWN_PAGES - op->first);
		op->access = 0;
	}
}

/* Entries come and go under touches; what is in it goes with frames, session or process. */
static void player_show(struct player *p)
{
	struct exo_window_op ops[8];
	__u64 bits[SHOWN_PAGES / 64];
	char *at = window_create(p->fd, SHOWN_PAGES * PAGE);
	unsigned int i, k;

	if (at == MAP_FAILED)
		return;
	if (set_handler(p, at)) {
		munmap(at, SHOWN_PAGES * PAGE);
		return;
	}
	for (i = 0; i < 16; i++) {
		for (k = 0; k < ARRAY_SIZE(ops); k++)
			random_op(p, &ops[k]);
		if (!window_set(p->fd, at, ops, ARRAY_SIZE(ops)))
			count_call(p, SHOWN);
		for (k = 0; k < 32; k++)
			touch(at + random_u32() % SHOWN_PAGES * PAGE);
		window_dirty(p->fd, at, 0, SHOWN_PAGES, bits);
	}
	if (__atomic_exchange_n(&upcalls, 0, __ATOMIC_RELAXED))
		count_call(p, UPCALLED);
	if (random_u32() % 2)
		munmap(at, SHOWN_PAGES * PAGE);
}

static void player_step(struct player *p)
{
	__u32 children[16];
	struct exo_tree_list tree = { .cap = p->arena->pool, .count = 1 };
	struct exo_tree_entry entry;

	switch (random_u32() % 16) {
	case 0:
		player_revoke(p);
		break;
	case 1:
		player_share(p);
		break;
	case 2:
		player_send(p);
		break;
	case 3:
	case 8:
		/* The session belongs to both from now on. */
		if (fork() < 0)
			sched_yield();
		break;
	case 4:
		player_sleep(p);
		break;
	case 5:
		tree.entries = (uintptr_t)&entry;
		call(p->arena->fd, EXO_TREE_LIST, &tree);
		list(p->fd, children, 16);
		break;
	case 6:
		drop(p->fd, random_u32() % 2 ? p->ring.cap : p->buffer.cap);
		break;
	case 7:
		dma_detach(p->fd, p->controller, p->buffer.cap);
		break;
	case 9:
	case 10:
		player_show(p);
		break;
	default:
		player_io(p);
		break;
	}
}

/* From the beginning, again and again, until somebody kills it. */
static void play(struct arena *a)
{
	for (;;) {
		struct player p = { .arena = a };
		unsigned int i;

		/* Refused it is while somebody revokes: that is over in a moment. */
		if (player_enter(&p) || player_equip(&p))
			usleep(random_u32() % 2000);
		else
			for (i = 0; i < 32; i++)
				player_step(&p);
		if (p.ring.control)
			ring_unmap(&p.ring);
		if (p.buffer.at)
			munmap(p.buffer.at, p.buffer.size);
		if (p.fd >= 0)
			close(p.fd);
	}
}

/* ---- the survivor: its own blocks and its own frames, verified all the time ---- */

#define OWN_BLOCKS 64u
#define OWN_FRAMES 16u

struct survivor {
	struct tenant *t;
	struct ring ring;
	struct buffer io, frames;
	char *disk, *memory; /* what must be there */
};

static int survivor_io(struct survivor *s, __u8 opcode, __u32 block, __u64 prp)
{
	struct sqe sqe = sqe_io(opcode, 0, 1, EXTENT_FIRST + block, 0, prp);
	struct cqe cqe;
	__u64 ready;
	int ret;

	ring_push(&s->ring, &sqe);
	ret = ring_submit(&s->ring, NULL);
	if (!ret)
		ret = wait_queues(s->t->fd, &s->ring.cap, 1, FAR, &ready);
	if (!ret)
		ret = ring_reap(&s->ring, &cqe, 0);
	return ret ? ret : cqe.status >> 1;
}

static int survivor_begin(struct survivor *s, struct tenant *t)
{
	int ret = ring_create(t->fd, t->controller, 4, &s->ring);
	__u32 i;

	s->t = t;
	s->disk = calloc(OWN_BLOCKS, t->block);
	s->memory = malloc(OWN_FRAMES * PAGE);
	if (!s->disk || !s->memory)
		return -ENOMEM;
	if (!ret)
		ret = queue_attach(t->fd, s->ring.cap, t->extent);
	if (!ret)
		ret = buffer_alloc(t->fd, t->pool, EXO_ORDER_4K, 2, &s->io);
	if (!ret)
		ret = buffer_attach(t->fd, t->controller, &s->io);
	if (!ret)
		ret = buffer_alloc(t->fd, t->pool, EXO_ORDER_4K, OWN_FRAMES, &s->frames);
	if (ret)
		return ret;
	fill_random(s->memory, OWN_FRAMES * PAGE);
	memcpy(s->frames.at, s->memory, OWN_FRAMES * PAGE);
	memset(s->io.at, 0, 2 * PAGE);
	for (i = 0; i < OWN_BLOCKS && !ret; i++)
		ret = survivor_io(s, OP_WRITE, i, s->io.offset);
	return ret;
}

/* One block written, another read back; all frames compared. */
static int survivor_round(struct survivor *s)
{
	__u32 w = random_u32() % OWN_BLOCKS, r = random_u32() % OWN_BLOCKS, block = s->t->block;
	int ret;

	fill_random(s->io.at, block);
	memcpy(s->disk + w * block, s->io.at, block);
	ret = survivor_io(s, OP_WRITE, w, s->io.offset);
	if (!ret)
		ret = survivor_io(s, OP_READ, r, s->io.offset + PAGE);
	if (ret)
		return ret;
	if (memcmp(s->disk + r * block, (char *)s->io.at + PAGE, block))
		return -EBADMSG;
	return memcmp(s->memory, s->frames.at, OWN_FRAMES * PAGE) ? -EBADMSG : 0;
}

/* 0, or 1 and a line that says why. */
static int survive(struct tenant *t, struct shared *shared, int which)
{
	struct survivor s = { 0 };
	int ret = survivor_begin(&s, t);

	while (!ret && !__atomic_load_n(&shared->stop, __ATOMIC_RELAXED)) {
		ret = survivor_round(&s);
		shared->rounds[which]++;
		/* The processors are for the storm. */
		usleep(2000);
	}
	if (ret)
		printf("# survivor %d, round %lu: %s (%d)\n", which, shared->rounds[which],
		       strerror(ret < 0 ? -ret : 0), ret);
	fflush(stdout);
	return ret != 0;
}

/* ---- the storm ---- */

#define PLAYERS 8

struct victim {
	pid_t pid;
	__u64 due; /* ns */
	bool dying;
};

static bool kernel_is_slow(void)
{
	return !access("/proc/self/fail-nth", F_OK);
}

static int victim_start(struct victim *v, struct arena *a)
{
	v->due = now_ns() + random_u32() % LIFE_US * 1000ull * (kernel_is_slow() ? 20 : 1);
	v->pid = fork();
	if (v->pid < 0)
		return -errno;
	if (!v->pid) {
		setpgid(0, 0);
		play(a);
	}
	setpgid(v->pid, v->pid);
	return 0;
}

/* Those of it, and of what it forked, that have ended by now. */
static unsigned int victim_reap(struct victim *v)
{
	unsigned int n = 0;
	int status;
	pid_t pid;

	while ((pid = waitpid(-v->pid, &status, WNOHANG)) > 0)
		n += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	if (pid < 0)
		*v = (struct victim){ 0 };
	return n;
}

/* Kills whoever has lived long enough; ends are not waited for, so they meet each other. */
static unsigned int victim_tend(struct victim *v, bool all)
{
	if (!v->pid)
		return 0;
	if (!v->dying && (all || now_ns() >= v->due)) {
		v->dying = true;
		kill(-v->pid, SIGKILL);
	}
	return v->dying ? victim_reap(v) : 0;
}

/* @kills or more, or until @end; how many. */
static unsigned int rage(struct arena *a, unsigned int kills, __u64 end_ms)
{
	struct victim v[PLAYERS] = { 0 };
	unsigned int n = 0, i, alive = 1;
	bool over = false;

	while (alive) {
		over |= n >= kills || now_ms() >= end_ms;
		for (i = 0, alive = 0; i < PLAYERS; i++) {
			n += victim_tend(&v[i], over);
			if (!v[i].pid && !over && victim_start(&v[i], a))
				over = true;
			alive += v[i].pid != 0;
		}
		if (random_u32() % 64 == 0)
			arena_sweep(a);
		usleep(1000);
	}
	return n;
}

static void calm(struct arena *a)
{
	int fd;

	while ((fd = arena_receive(a)) >= 0)
		close(fd);
	arena_sweep(a);
	arena_sweep(a);
}

static void count_all(FIXTURE_DATA(storm) * self, struct counters *c)
{
	struct exo_controller_query q;
	struct exo_info about = { 0 };
	int i;

	memset(c, 0, sizeof(*c));
	shrink_caches();
	info(self->t[0].grantor, &about);
	c->frames = about.out_frames_used;
	c->quarantined = about.out_frames_quarantined;
	c->adopted = about.out_memory_adopted;
	for (i = 0; i < 2; i++) {
		controller_query(self->arena.fd, self->arena.controller[i], &q);
		c->queues[i] = q.out_queues_used;
		c->vectors[i] = q.out_vectors_used;
	}
	count_machine(c);
}

/* More objects than this are no noise: one lost by every eighth of those killed. */
static unsigned int noise(unsigned int kills)
{
	return kills / 8 > 100 ? kills / 8 : 100;
}

static bool same_resources(const struct counters *a, const struct counters *b)
{
	return a->frames == b->frames && a->adopted == b->adopted &&
	       !memcmp(a->queues, b->queues, sizeof(a->queues)) &&
	       !memcmp(a->vectors, b->vectors, sizeof(a->vectors)) && a->irqs == b->irqs;
}

static bool kernel_has_kasan(void)
{
	return !access("/sys/kernel/debug/kmemleak", F_OK);
}

static void expect_nothing_lost(struct __test_metadata *_metadata, const struct counters *before,
				const struct counters *after, unsigned int kills)
{
	unsigned int i;

	EXPECT_EQ(before->frames, after->frames);
	EXPECT_EQ(0, after->quarantined);
	EXPECT_EQ(before->adopted, after->adopted);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(before->queues[i], after->queues[i]);
		EXPECT_EQ(before->vectors[i], after->vectors[i]);
	}
	EXPECT_EQ(before->irqs, after->irqs);
	/* The kernel counts files for each processor apart, and has threads of its own. */
	EXPECT_GE(before->files + noise(kills), after->files);
	EXPECT_GE(before->threads + 16, after->threads);
	EXPECT_GE(before->dma_maps + 64, after->dma_maps);
	EXPECT_GE(before->cgroup_kb + 8192, after->cgroup_kb);
	EXPECT_LE(before->available_kb, after->available_kb + 65536);
	ASSERT_EQ(before->caches, after->caches);
	/* KASAN keeps what was freed, for a while; but there kmemleak looks, when all is over. */
	if (kernel_has_kasan())
		return;
	for (i = 0; i < before->caches; i++) {
		EXPECT_GE(before->cache[i].objects + noise(kills), after->cache[i].objects)
		{
			TH_LOG("%s: %lu objects, then %lu", before->cache[i].name,
			       before->cache[i].objects, after->cache[i].objects);
		}
	}
}

static void say_counters(struct __test_metadata *_metadata, const char *when,
			 const struct counters *c)
{
	unsigned long objects = 0;
	unsigned int i;

	for (i = 0; i < c->caches; i++)
		objects += c->cache[i].objects;
	TH_LOG("%s: %llu frames, %u+%u queues, %lu interrupts, %lu files, %lu threads", when,
	       (unsigned long long)c->frames, c->queues[0], c->queues[1], c->irqs, c->files,
	       c->threads);
	TH_LOG("%s: %lu kB available, %lu kB in the cgroup, %lu objects in kmalloc, %lu DMA maps",
	       when, c->available_kb, c->cgroup_kb, objects, c->dma_maps);
}

/* EXO_STORM, or 2,000; on a kernel with every check on, what it can do in a minute. */
static unsigned int storm_size(__u64 *limit_ms)
{
	const char *wanted = getenv("EXO_STORM");

	*limit_ms = kernel_is_slow() && !wanted ? 60000 : 600000;
	return wanted ? (unsigned int)atoi(wanted) : KILLS;
}

TEST_F_TIMEOUT(storm, of_kills_at_random_points_leaves_nothing_behind_and_survivors_whole, 700)
{
	struct shared *shared = self->arena.shared;
	struct counters before, after;
	unsigned int kills, i, tries;
	__u64 start, limit_ms;
	pid_t survivors[2];
	int status;

	mkdir(CGROUP, 0755);
	write_file(CGROUP "/cgroup.procs", "0");
	for (i = 0; i < 2; i++) {
		survivors[i] = fork();
		ASSERT_LE(0, survivors[i]);
		if (!survivors[i])
			_exit(survive(&self->t[i], shared, (int)i));
	}
	/* What the kernel keeps for next time is made now. */
	rage(&self->arena, 60, now_ms() + 20000);
	calm(&self->arena);
	sleep(1);
	count_all(self, &before);

	kills = storm_size(&limit_ms);
	start = now_ms();
	kills = rage(&self->arena, kills, start + limit_ms);
	calm(&self->arena);
	TH_LOG("%u kills in %llu ms; survivors verified %lu and %lu rounds", kills,
	       (unsigned long long)(now_ms() - start), shared->rounds[0], shared->rounds[1]);
	TH_LOG("%lu sessions, %lu queues, %lu batches, %lu revocations, %lu shares, %lu redeemed, "
	       "%lu travelled, %lu slept, %lu adopted, %lu shown, %lu with upcalls",
	       shared->calls[OPENED], shared->calls[QUEUED], shared->calls[WROTE],
	       shared->calls[REVOKED], shared->calls[SHARED], shared->calls[REDEEMED],
	       shared->calls[TRAVELLED], shared->calls[SLEPT], shared->calls[ADOPTED],
	       shared->calls[SHOWN], shared->calls[UPCALLED]);
	for (i = 0; i < (HAS_UPCALLS ? UPCALLED + 1 : UPCALLED); i++)
		EXPECT_LT(0, shared->calls[i]);
	EXPECT_LT(50, kills);

	/* The last references go when grace periods have ended. */
	for (tries = 0; tries < 20; tries++) {
		usleep(500000);
		count_all(self, &after);
		if (same_resources(&before, &after) && tries > 2)
			break;
	}
	say_counters(_metadata, "before", &before);
	say_counters(_metadata, "after", &after);
	expect_nothing_lost(_metadata, &before, &after, kills);
	__atomic_store_n(&shared->stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(survivors[i], waitpid(survivors[i], &status, 0));
		EXPECT_EQ(0, status);
		EXPECT_LT(0, shared->rounds[i]);
	}
	write_file("/sys/fs/cgroup/cgroup.procs", "0");
	EXPECT_EQ(0, rmdir(CGROUP));
}

/* ---- a root that dies ---- */

FIXTURE(root)
{
	__u32 address;
	int fd[2]; /* of the tenants */
	struct tenant t[2];
	struct shared *shared;
	__u64 used;
};

FIXTURE_SETUP(root)
{
	int i;

	if (machine_find("exo0", &self->address))
		SKIP(return, "no controller with serial number exo0");
	self->shared = mmap(NULL, sizeof(*self->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->shared);
	for (i = 0; i < 2; i++) {
		self->fd[i] = session_open();
		ASSERT_LE(0, self->fd[i]);
	}
	self->used = frames_used(self->fd[0]);
}

FIXTURE_TEARDOWN(root)
{
	close(self->fd[0]);
	close(self->fd[1]);
}

/* The root: grants each tenant a pool, queues and blocks, tells their numbers, and waits. */
static int reign(FIXTURE_DATA(root) * self, int tell)
{
	int i, ret, root = session_open();
	__u32 claim, pool;

	ret = claim_controller(root, self->address, &claim);
	if (!ret)
		ret = claim_pool(root, &pool);
	for (i = 0; i < 2 && !ret; i++) {
		struct tenant t = { .fd = self->fd[i], .block = 512 };
		__u32 cap;

		ret = pool_create(root, pool, EXO_RIGHT_ALLOC, 256, &cap);
		if (!ret)
			ret = derive(root, cap, EXO_RIGHT_ALLOC, t.fd, 0, 0, &t.pool);
		if (!ret)
			ret = controller_create(root, claim, EXO_RIGHT_QUEUE, 2, &cap);
		if (!ret)
			ret = derive(root, cap, EXO_RIGHT_QUEUE, t.fd, 0, 0, &t.controller);
		if (!ret)
			ret = extent_create(root, claim, 1, RW, EXTENT_FIRST, OWN_BLOCKS, &cap);
		if (!ret)
			ret = derive(root, cap, RW, t.fd, 0, 0, &t.extent);
		if (!ret && write(tell, &t, sizeof(t)) != sizeof(t))
			ret = -EIO;
	}
	if (!ret)
		pause();
	return 1;
}

/* Verifies until all was taken, and then expects to be told so, in the documented way. */
static int serve(struct tenant *t, struct shared *shared, int which)
{
	struct survivor s = { 0 };
	int ret = survivor_begin(&s, t);
	__u64 end;

	while (!ret) {
		/* Two tenants, one disk: each verifies blocks that it has just written. */
		ret = survivor_io(&s, OP_WRITE, (__u32)which, s.io.offset);
		if (!ret)
			ret = survivor_io(&s, OP_READ, (__u32)which, s.io.offset + PAGE);
		if (!ret && memcmp(s.io.at, (char *)s.io.at + PAGE, t->block))
			return 2;
		if (!ret)
			__atomic_fetch_add(&shared->rounds[which], 1, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&shared->noticed[which], true, __ATOMIC_RELEASE);
	/*
	 * Refused, since the queue, its extent or its buffer is being taken, whichever comes
	 * first; woken by a queue that is dead; or ended by the device with the queue.
	 */
	if (ret < 0 && ret != -ESTALE && ret != -ETIMEDOUT && ret != -ERANGE && ret != -EFAULT)
		return 3;
	for (end = now_ms() + 20000; s.ring.status->state != EXO_QUEUE_DEAD; usleep(1000))
		if (now_ms() > end)
			return 4;
	if (queue_submit(t->fd, s.ring.cap, NULL) != -ESTALE)
		return 5;
	/* The pool goes after the controller. */
	for (end = now_ms() + 20000; touch_read(s.frames.at) != SIGBUS; usleep(1000))
		if (now_ms() > end)
			return 6;
	return 0;
}

static void wait_for_rounds(struct __test_metadata *_metadata, FIXTURE_DATA(root) * self,
			    unsigned long more)
{
	unsigned long until[2] = { self->shared->rounds[0] + more, self->shared->rounds[1] + more };
	__u64 end = now_ms() + 60000;

	while (__atomic_load_n(&self->shared->rounds[0], __ATOMIC_RELAXED) < until[0] ||
	       __atomic_load_n(&self->shared->rounds[1], __ATOMIC_RELAXED) < until[1]) {
		ASSERT_GT(end, now_ms());
		usleep(1000);
	}
}

TEST_F_TIMEOUT(root, that_dies_leaves_tenants_running_and_a_new_one_finds_and_revokes_them, 240)
{
	struct exo_tree_entry entries[32];
	struct exo_tree_list tree = { .count = 32, .entries = (uintptr_t)entries };
	struct exo_controller_query q;
	pid_t root, tenants[2];
	__u32 claim, pool, i, held = 0;
	int tell[2], status, fd;

	ASSERT_EQ(0, pipe(tell));
	root = fork();
	ASSERT_LE(0, root);
	if (!root)
		_exit(reign(self, tell[1]));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ((ssize_t)sizeof(self->t[i]),
			  read(tell[0], &self->t[i], sizeof(self->t[i])));
		tenants[i] = fork();
		ASSERT_LE(0, tenants[i]);
		if (!tenants[i])
			_exit(serve(&self->t[i], self->shared, (int)i));
	}
	wait_for_rounds(_metadata, self, 10);
	kill(root, SIGKILL);
	ASSERT_EQ(root, waitpid(root, &status, 0));
	/* Nobody noticed. */
	wait_for_rounds(_metadata, self, 50);

	/* The new root finds them ... */
	fd = session_open();
	ASSERT_EQ(0, claim_controller(fd, self->address, &claim));
	ASSERT_EQ(0, claim_pool(fd, &pool));
	tree.cap = claim;
	ASSERT_EQ(0, call(fd, EXO_TREE_LIST, &tree));
	for (i = 0; i < tree.out_count; i++)
		held += entries[i].type == EXO_TYPE_QUEUE && entries[i].state == EXO_TREE_HELD;
	EXPECT_EQ(2, held);
	/* ... and takes all back, in the middle of their I/O. */
	ASSERT_EQ(0, cap_revoke(fd, claim, 20, 0, NULL));
	/* Frames are SIGBUS: not while they are still written to. */
	for (i = 0; i < 2; i++)
		while (!__atomic_load_n(&self->shared->noticed[i], __ATOMIC_ACQUIRE))
			usleep(1000);
	ASSERT_EQ(0, cap_revoke(fd, pool, 0, 0, NULL));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(tenants[i], waitpid(tenants[i], &status, 0));
		EXPECT_EQ(0, status)
		{
			TH_LOG("tenant %u ended with %d", i, WEXITSTATUS(status));
		}
	}
	ASSERT_EQ(0, controller_query(fd, claim, &q));
	EXPECT_EQ(0, q.out_queues_used);
	EXPECT_EQ(0, q.out_vectors_used);
	EXPECT_EQ(self->used, frames_used_soon(fd, self->used));
	close(fd);
}

TEST_HARNESS_MAIN
