// SPDX-License-Identifier: MIT
/*
 * The rows of bench/capabilities. A grantor (the revoker, the main thread) and a holder,
 * each a session. A holder that complies is a thread that sleeps in EXO_WAIT and drops
 * what it is asked for; one that does not has no thread. Calls that are measured are
 * plain ioctl()s.
 */
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "capabilities.h"

#define NODES 10000u
#define CHILDREN 10u
#define POOL_FRAMES 10016u
#define RING_EVENTS 4096u
#define NULL_NSID 2 /* of exo0 */
#define IN_FLIGHT 32u
#define FOREVER_MS 60000u

static struct {
	struct tenant t; /* t.grantor: the revoker's session; t.fd: the holder's */
	__u32 pool, holder_pool;
	__u32 frames; /* the grantor's, one 4 KiB frame */
	struct events events;
	__u8 token[16];
	__u32 caps[NODES];
} b;

/* ---- the grantor and the holder ---- */

static void parties_begin(const struct row *row)
{
	const __u32 rights = EXO_RIGHT_ALLOC | EXO_RIGHT_NAMES;
	struct exo_frames_alloc f;
	const char *why = "";

	(void)row;
	need(tenant_create(&b.t, "exo0", &why), why);
	need(pool_create(b.t.grantor, b.t.root_pool, rights, POOL_FRAMES, &b.pool), "a pool");
	need(derive(b.t.grantor, b.pool, rights, b.t.fd, 0, 0, &b.holder_pool), "its pool");
	need(frames_alloc(b.t.grantor, b.t.root_pool, EXO_ORDER_4K, 1, ANY_NODE, &f), "a frame");
	b.frames = f.out_cap;
	need(token_create(b.t.grantor, b.frames, RW, 0, b.token), "a token");
	need(events_create(b.t.fd, RING_EVENTS, &b.events), "an event ring");
}

static void parties_end(const struct row *row)
{
	(void)row;
	tenant_destroy(&b.t);
}

static __u32 share(void)
{
	__u32 cap;

	need(derive(b.t.grantor, b.frames, RW, b.t.fd, 0, 0, &cap), "derive");
	return cap;
}

static bool event_next(struct exo_event *e)
{
	if (b.events.head == __atomic_load_n(&b.events.status->tail, __ATOMIC_ACQUIRE))
		return false;
	*e = b.events.ring[b.events.head++ & b.events.mask];
	__atomic_store_n(&b.events.control->head, b.events.head, __ATOMIC_RELEASE);
	return true;
}

static void events_forget(void)
{
	struct exo_event e;

	while (event_next(&e))
		;
}

/* ---- a holder that complies ---- */

static struct {
	pthread_t thread;
	bool stop;
	__u32 give;  /* drops this, whatever is asked for; 0: what is asked for */
	__u32 lost;  /* events, seen */
	__u32 given; /* capabilities */
} holder;

static void holder_give(__u32 cap)
{
	if (!drop(b.t.fd, cap))
		__atomic_add_fetch(&holder.given, 1, __ATOMIC_RELEASE);
}

/* What the ring had no room for is in the list. */
static void holder_recover(void)
{
	static __u32 asked[2 * NODES];
	__u32 lost = __atomic_load_n(&b.events.status->lost, __ATOMIC_ACQUIRE);
	int n, i;

	if (lost == holder.lost)
		return;
	holder.lost = lost;
	n = list_marked(b.t.fd, EXO_LIST_ASKED, asked, 2 * NODES);
	for (i = 0; i < n; i++)
		holder_give(asked[i]);
}

static void *holder_main(void *arg)
{
	struct exo_event e;

	settle(place.together ? REVOKER_CPU : HOLDER_CPU, 2);
	while (!__atomic_load_n(&holder.stop, __ATOMIC_ACQUIRE)) {
		struct exo_wait wait = {
			.size = sizeof(wait),
			.flags = EXO_WAIT_EVENTS,
			.deadline = now_ns() + 100000000,
		};

		need(ioctl(b.t.fd, EXO_WAIT, &wait) ? -errno : 0, "wait");
		while (event_next(&e))
			if (e.type == EXO_EVENT_REVOKE)
				holder_give(holder.give ? holder.give : e.cap);
		holder_recover();
	}
	return arg;
}

static void complied_begin(const struct row *row)
{
	parties_begin(row);
	holder.stop = false;
	holder.give = holder.lost = 0;
	need(-pthread_create(&holder.thread, NULL, holder_main, NULL), "a thread");
	usleep(10000);
}

static void complied_end(const struct row *row)
{
	__atomic_store_n(&holder.stop, true, __ATOMIC_RELEASE);
	pthread_join(holder.thread, NULL);
	parties_end(row);
}

static bool complies(const struct row *row)
{
	return row->begin == complied_begin;
}

/* Measured. Exactly @taken by force, if nobody complies. */
static void take_back(const struct row *row, int fd, __u32 cap, __u64 frames, __u32 taken)
{
	struct exo_revoke arg = {
		.size = sizeof(arg),
		.cap = cap,
		.timeout_ms = complies(row) ? FOREVER_MS : 0,
		.frames = frames,
	};
	__u64 begin = measure_begin();
	int ret = ioctl(fd, EXO_REVOKE, &arg);

	measure_end(begin);
	need(ret ? -errno : 0, "revoke");
	if (arg.out_taken != (complies(row) ? 0 : taken))
		errx(1, "%s: %u were taken", row->name, arg.out_taken);
}

/* ---- derive, redeem, drop ---- */

static bool round_derive(const struct row *row)
{
	struct exo_cap_derive arg = {
		.size = sizeof(arg),
		.cap = b.frames,
		.rights = RW,
		.session_fd = b.t.fd,
	};
	__u64 begin = measure_begin();
	int ret = ioctl(b.t.grantor, EXO_CAP_DERIVE, &arg);

	(void)row;
	measure_end(begin);
	need(ret ? -errno : 0, "derive");
	need(drop(b.t.fd, arg.out_cap), "drop");
	return true;
}

static bool round_redeem(const struct row *row)
{
	struct exo_token_redeem arg = { .size = sizeof(arg) };
	__u64 begin;
	int ret;

	(void)row;
	memcpy(arg.token, b.token, sizeof(arg.token));
	begin = measure_begin();
	ret = ioctl(b.t.fd, EXO_TOKEN_REDEEM, &arg);
	measure_end(begin);
	need(ret ? -errno : 0, "redeem");
	need(drop(b.t.fd, arg.out_cap), "drop");
	return true;
}

static bool round_drop(const struct row *row)
{
	struct exo_cap_drop arg = { .size = sizeof(arg), .cap = share() };
	__u64 begin = measure_begin();
	int ret = ioctl(b.t.fd, EXO_CAP_DROP, &arg);

	(void)row;
	measure_end(begin);
	need(ret ? -errno : 0, "drop");
	return true;
}

/* Lets the kernel free on this CPU what RCU held back. */
static void breathe(void)
{
	usleep(1000);
}

/* ---- frames: so many of a pool, in one set, all mapped and touched ---- */

static bool round_frames(const struct row *row)
{
	struct exo_frames_alloc f;
	size_t size = row->n * PAGE, i;
	char *at;

	need(frames_alloc(b.t.fd, b.holder_pool, EXO_ORDER_4K, row->n, ANY_NODE, &f), "frames");
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, b.t.fd, (off_t)f.out_mmap_offset);
	if (at == MAP_FAILED)
		err(1, "mmap");
	for (i = 0; i < size; i += PAGE)
		at[i] = 1;
	holder.give = f.out_cap;
	take_back(row, b.t.grantor, b.pool, row->n, 1);
	munmap(at, size);
	if (!complies(row)) {
		need(drop(b.t.fd, f.out_cap), "drop");
		events_forget();
	}
	breathe();
	return true;
}

/* ---- a queue that another thread keeps busy ---- */

static struct {
	struct ring ring;
	struct buffer buffer;
	__u32 extent;
	pthread_t thread;
	__u32 batches; /* that it submitted */
} q;

static void queue_setup(void)
{
	__u32 extent;

	need(extent_create(b.t.grantor, b.t.root_controller, NULL_NSID, EXO_RIGHT_READ, 0, 65536,
			   &extent),
	     "an extent");
	need(derive(b.t.grantor, extent, EXO_RIGHT_READ, b.t.fd, 0, 0, &q.extent), "its extent");
	need(buffer_alloc(b.t.fd, b.t.pool, EXO_ORDER_4K, IN_FLIGHT, &q.buffer), "a buffer");
	need(buffer_attach(b.t.fd, b.t.controller, &q.buffer), "attach");
}

static void queue_make(void)
{
	need(ring_create(b.t.fd, b.t.controller, 63, &q.ring), "a queue");
	need(queue_attach(b.t.fd, q.ring.cap, q.extent), "attach");
}

/* Reads of @pages pages each. Of large ones a device has more to do than a moment. */
static void queue_push(__u32 n, __u32 pages)
{
	const __u32 blocks = (__u32)(pages * PAGE / b.t.block);
	__u32 i;

	for (i = 0; i < n; i++) {
		__u64 offset = q.buffer.offset + i * pages % IN_FLIGHT * PAGE;
		struct sqe sqe =
			sqe_io(OP_READ, (__u16)i, NULL_NSID, i * blocks, blocks - 1, offset);

		ring_push(&q.ring, &sqe);
	}
}

static void queue_forced_begin(const struct row *row)
{
	parties_begin(row);
	queue_setup();
}

static void queue_complied_begin(const struct row *row)
{
	complied_begin(row);
	queue_setup();
}

/* Looks until as many have ended as were submitted. False: the queue died. */
static bool queue_reap(void)
{
	struct cqe cqe;
	__u32 n = 0;

	while (n < IN_FLIGHT) {
		if (!ring_reap(&q.ring, &cqe, 0))
			n++;
		else if (__atomic_load_n(&q.ring.status->state, __ATOMIC_ACQUIRE) == EXO_QUEUE_DEAD)
			return false;
	}
	return true;
}

/* Keeps the queue busy until it is gone. */
static void *queue_main(void *arg)
{
	settle(HOLDER_CPU, 0);
	do {
		queue_push(IN_FLIGHT, 1);
		if (ring_submit(&q.ring, NULL))
			break;
		__atomic_add_fetch(&q.batches, 1, __ATOMIC_RELEASE);
	} while (queue_reap());
	return arg;
}

/* When counting, no other thread: only commands that were just submitted. */
static void queue_occupy(void)
{
	if (place.together) {
		queue_push(IN_FLIGHT, IN_FLIGHT);
		need(ring_submit(&q.ring, NULL), "submit");
		return;
	}
	q.batches = 0;
	need(-pthread_create(&q.thread, NULL, queue_main, NULL), "a thread");
	while (__atomic_load_n(&q.batches, __ATOMIC_ACQUIRE) < 3)
		usleep(50);
}

static bool round_queue(const struct row *row)
{
	struct exo_revoke arg = {
		.size = sizeof(arg),
		.cap = b.t.controller,
		.timeout_ms = row->begin == queue_complied_begin ? FOREVER_MS : 0,
	};
	__u64 begin;
	int ret;

	queue_make();
	queue_occupy();
	begin = measure_begin();
	ret = ioctl(b.t.fd, EXO_REVOKE, &arg);
	measure_end(begin);
	need(ret ? -errno : 0, "revoke");
	if (arg.out_taken != !arg.timeout_ms)
		errx(1, "%u were taken", arg.out_taken);
	if (!place.together)
		pthread_join(q.thread, NULL);
	ring_unmap(&q.ring);
	if (!arg.timeout_ms) {
		need(drop(b.t.fd, q.ring.cap), "drop");
		events_forget();
	}
	return true;
}

/* ---- a tree ---- */

void tree_build(int grantor, __u32 frames, int fd, __u32 *caps, __u32 n, __u32 children)
{
	__u32 i;

	need(derive(grantor, frames, RW, fd, 0, 0, &caps[0]), "derive");
	for (i = 1; i < n; i++)
		need(derive(fd, caps[(i - 1) / children], RW, fd, 0, 0, &caps[i]), "derive");
}

static bool round_tree(const struct row *row)
{
	__u32 i;

	tree_build(b.t.grantor, b.frames, b.t.fd, b.caps, row->n, CHILDREN);
	take_back(row, b.t.grantor, b.frames, 0, row->n);
	for (i = 0; i < row->n && !complies(row); i++)
		need(drop(b.t.fd, b.caps[i]), "drop");
	if (!complies(row))
		events_forget();
	breathe();
	return true;
}

/* ---- events: from when it was posted to when its holder has it ---- */

static struct {
	pthread_t thread;
	bool stop;
	__u32 seen; /* rounds */
	__u64 ns;
} waiter;

static bool waiter_stopped(void)
{
	return __atomic_load_n(&waiter.stop, __ATOMIC_ACQUIRE);
}

static void waiter_took(const struct exo_event *e, __u64 now)
{
	MARK_REPORT();
	waiter.ns = now - e->time;
	__atomic_add_fetch(&waiter.seen, 1, __ATOMIC_RELEASE);
}

/* One CPU each: counted is only the look that finds an event, not the posting. */
static void *poller_main(void *arg)
{
	struct exo_event e;
	bool found;

	settle(HOLDER_CPU, 0);
	while (!waiter_stopped()) {
		MARK_RESET();
		MARK_START();
		found = event_next(&e);
		if (!found) {
			MARK_DISCARD();
			continue;
		}
		MARK_COMMIT();
		if (e.type != EXO_EVENT_REVOKE || waiter_stopped())
			continue;
		waiter_took(&e, now_ns());
	}
	return arg;
}

/* The marks begin where who revokes calls, and end here: all on one CPU when counted. */
static void *sleeper_main(void *arg)
{
	struct exo_event e;

	settle(place.together ? REVOKER_CPU : HOLDER_CPU, 2);
	while (!waiter_stopped()) {
		struct exo_wait wait = {
			.size = sizeof(wait),
			.flags = EXO_WAIT_EVENTS,
			.deadline = EXO_WAIT_FOREVER,
		};

		need(ioctl(b.t.fd, EXO_WAIT, &wait) ? -errno : 0, "wait");
		while (event_next(&e)) {
			if (e.type != EXO_EVENT_REVOKE || waiter_stopped())
				continue;
			if (place.together)
				MARK_COMMIT();
			waiter_took(&e, now_ns());
		}
	}
	return arg;
}

static bool sleeps(const struct row *row)
{
	return row->n;
}

static void waiter_begin(const struct row *row)
{
	parties_begin(row);
	waiter.stop = false;
	need(-pthread_create(&waiter.thread, NULL, sleeps(row) ? sleeper_main : poller_main, NULL),
	     "a thread");
	usleep(10000);
}

static bool round_event(const struct row *row)
{
	struct exo_revoke arg = { .size = sizeof(arg), .cap = b.frames };
	__u32 seen = __atomic_load_n(&waiter.seen, __ATOMIC_ACQUIRE), cap = share();

	usleep(100); /* that it sleeps, or is at its looking */
	if (place.together && sleeps(row)) {
		MARK_RESET();
		MARK_START();
	}
	need(ioctl(b.t.grantor, EXO_REVOKE, &arg) ? -errno : 0, "revoke");
	while (__atomic_load_n(&waiter.seen, __ATOMIC_ACQUIRE) == seen)
		sched_yield();
	latency = waiter.ns;
	need(drop(b.t.fd, cap), "drop");
	return true;
}

static void waiter_end(const struct row *row)
{
	struct exo_revoke arg = { .size = sizeof(arg), .cap = b.frames };

	__atomic_store_n(&waiter.stop, true, __ATOMIC_RELEASE);
	share();
	need(ioctl(b.t.grantor, EXO_REVOKE, &arg) ? -errno : 0, "revoke");
	pthread_join(waiter.thread, NULL);
	parties_end(row);
}

/* ---- submission, alone and beside a revocation in another process ---- */

static struct {
	pid_t pid;
	__u32 *under_way; /* odd while a revocation is */
	bool beside;
} other;

static void __attribute__((noreturn)) other_main(void)
{
	struct exo_frames_alloc f;
	int root = session_open(), fd = session_open();
	__u32 claim, i;

	need(claim_pool(root, &claim), "claim");
	need(frames_alloc(root, claim, EXO_ORDER_4K, 1, ANY_NODE, &f), "a frame");
	for (;;) {
		struct exo_revoke arg = { .size = sizeof(arg), .cap = f.out_cap };

		tree_build(root, f.out_cap, fd, b.caps, NODES, CHILDREN);
		__atomic_add_fetch(other.under_way, 1, __ATOMIC_SEQ_CST);
		need(ioctl(root, EXO_REVOKE, &arg) ? -errno : 0, "revoke");
		__atomic_add_fetch(other.under_way, 1, __ATOMIC_SEQ_CST);
		if (arg.out_taken != NODES)
			errx(1, "%u were taken", arg.out_taken);
		for (i = 0; i < NODES; i++)
			need(drop(fd, b.caps[i]), "drop");
	}
}

static void other_begin(void)
{
	other.under_way =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (other.under_way == MAP_FAILED)
		err(1, "mmap");
	other.pid = fork();
	need(other.pid < 0 ? -errno : 0, "fork");
	if (!other.pid) {
		settle(HOLDER_CPU, 0);
		other_main();
	}
}

static void submit_begin(const struct row *row)
{
	other.beside = !strcmp(row->how, "beside-revocation");
	if (other.beside)
		other_begin();
	parties_begin(row);
	queue_setup();
	queue_make();
}

static void submit_end(const struct row *row)
{
	ring_unmap(&q.ring);
	parties_end(row);
	if (!other.beside)
		return;
	kill(other.pid, SIGKILL);
	waitpid(other.pid, NULL, 0);
	munmap(other.under_way, PAGE);
}

/* The number of the revocation under way, or 0. */
static __u32 beside_which(void)
{
	__u32 now = __atomic_load_n(other.under_way, __ATOMIC_SEQ_CST);

	return now & 1 ? now : 0;
}

static __u32 wait_beside(void)
{
	__u32 which;

	if (!other.beside)
		return 0;
	while (!(which = beside_which()))
		usleep(50);
	return which;
}

/* All that was submitted ends before the next round, so that each finds the same. */
static void submit_finish(__u32 n)
{
	struct cqe cqe;

	usleep(100 + 40 * n);
	for (; n; n--)
		need(ring_reap(&q.ring, &cqe, 10000), "reap");
}

/* Only what lies within one revocation from beginning to end counts. */
static bool round_submit(const struct row *row)
{
	struct exo_queue_submit arg = { .size = sizeof(arg), .queue = q.ring.cap };
	__u64 begin;
	__u32 which;
	bool good;
	int ret;

	queue_push(row->n, 1);
	which = wait_beside();
	begin = measure_begin();
	ret = ioctl(b.t.fd, EXO_QUEUE_SUBMIT, &arg);
	measure_stop(begin);
	good = !other.beside || beside_which() == which;
	if (good)
		MARK_REPORT();
	need(ret ? -errno : 0, "submit");
	if (arg.out_accepted != row->n)
		errx(1, "%u of %u were accepted", arg.out_accepted, row->n);
	submit_finish(row->n);
	return good;
}

/* ---- the lock of the trees ---- */

/* Chains as deep as they may be, side by side: the farthest ways up and down there are. */
static __u32 broom(__u32 chains)
{
	__u32 n = 0, cap, next;

	while (chains--) {
		cap = share();
		b.caps[n++] = cap;
		while (!derive(b.t.fd, cap, RW, EXO_SESSION_SELF, 0, 0, &next))
			b.caps[n++] = cap = next;
	}
	return n;
}

void lock_exercise(void)
{
	static struct exo_tree_entry entries[NODES];
	struct exo_tree_list list = { .size = sizeof(list), .entries = (uintptr_t)entries };
	struct exo_revoke arg = { .size = sizeof(arg) };
	__u32 n, deepest, above;

	parties_begin(NULL);
	n = broom(32);
	deepest = b.caps[n - 1];
	above = b.caps[n - 2];
	list.cap = arg.cap = b.frames;
	list.count = NODES;
	MARK_RESET();
	MARK_START();
	need(drop(b.t.fd, deepest), "drop");
	need(derive(b.t.fd, above, RW, EXO_SESSION_SELF, 0, 0, &deepest), "derive");
	need(ioctl(b.t.grantor, EXO_TREE_LIST, &list) ? -errno : 0, "list");
	need(ioctl(b.t.grantor, EXO_REVOKE, &arg) ? -errno : 0, "revoke");
	MARK_COMMIT();
	MARK_REPORT();
	printf("CAPLOCK nodes=%u listed=%u taken=%u\n", n, list.out_count, arg.out_taken);
	parties_end(NULL);
}

/* ---- the table ---- */

#define PLAIN(name_, round_)                                      \
	{                                                         \
		name_, "-", parties_begin, round_, parties_end, 1 \
	}
#define BOTH(name_, round_, n_)                                          \
	{ name_, "complied", complied_begin, round_, complied_end, n_ }, \
	{                                                                \
		name_, "forced", parties_begin, round_, parties_end, n_  \
	}

const struct row rows[] = {
	PLAIN("redeem", round_redeem),
	PLAIN("derive", round_derive),
	PLAIN("drop", round_drop),
	BOTH("revoke-1-frame", round_frames, 1),
	BOTH("revoke-10000-frames", round_frames, 10000),
	{ "revoke-busy-queue", "complied", queue_complied_begin, round_queue, complied_end, 1 },
	{ "revoke-busy-queue", "forced", queue_forced_begin, round_queue, parties_end, 1 },
	BOTH("revoke-10000-nodes", round_tree, NODES),
	{ "event", "polling", waiter_begin, round_event, waiter_end, 0 },
	{ "event", "sleeping", waiter_begin, round_event, waiter_end, 1 },
	{ "submit-1", "alone", submit_begin, round_submit, submit_end, 1 },
	{ "submit-1", "beside-revocation", submit_begin, round_submit, submit_end, 1 },
	{ "submit-32", "alone", submit_begin, round_submit, submit_end, 32 },
	{ "submit-32", "beside-revocation", submit_begin, round_submit, submit_end, 32 },
};

const unsigned int rows_count = sizeof(rows) / sizeof(*rows);
