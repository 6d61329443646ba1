// SPDX-License-Identifier: MIT
/*
 * Two tenants share blocks and page frames; one is asked to give back half, refuses, and
 * loses that half while the other goes on.
 *
 *	exo-run --queues 2 --mem 4M --extent 0000:01:00.0/1:0+4M -- tenants exo:
 *	tenants nvme:0000:01:00.0/1:0+4M	(as root: shows the numbers of the frames, too)
 *
 * The landlord, who runs this, fills the extent and a set of frames with a pattern that
 * tells each place from every other, and gives both tenants tokens: for the lower and for
 * the upper half of each. The tenants are processes with sessions of their own, and know
 * nothing but their tokens. They compare all they have with the pattern until they are
 * told to end. Writes to the extent.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <libexo.h>

#define FRAMES 64 /* shared, of 4 KiB */
#define FRAME 4096u
#define CHUNK 4096u /* bytes of one read */
#define DEADLINE_MS 400
#define TAKING_MS 10000 /* from a refusal to its record, at most */
#define NOBODY 65534

enum { LOWER, UPPER, HALVES };

/* What a tenant is given: three tokens to open, and three more. */
struct lease {
	char name[256]; /* "token:…": the lower blocks, a queue, memory */
	__u8 upper_blocks[16], frames[HALVES][16];
	uint64_t blocks; /* of both halves */
};

/* ---- the timeline ---- */

static struct timespec begin;

__attribute__((format(printf, 2, 3))) static void say(const char *who, const char *what, ...)
{
	char text[256];
	struct timespec now;
	va_list args;

	va_start(args, what);
	vsnprintf(text, sizeof(text), what, args);
	va_end(args);
	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("%8.1f ms  %-8s  %s\n",
	       (now.tv_sec - begin.tv_sec) * 1e3 + (now.tv_nsec - begin.tv_nsec) / 1e6, who, text);
	fflush(stdout);
}

static void must(int ret, const char *who, const char *what)
{
	if (ret < 0)
		errx(1, "%s: %s: %s", who, what, exo_errno_meaning(ret));
}

/* ---- the pattern: each word of 8 bytes says where it is ---- */

static void fill(uint64_t *words, size_t bytes, uint64_t place)
{
	for (size_t i = 0; i < bytes / 8; i++)
		words[i] = (place + i) * 0x9e3779b97f4a7c15ull;
}

static bool matches(const uint64_t *words, size_t bytes, uint64_t place)
{
	for (size_t i = 0; i < bytes / 8; i++)
		if (words[i] != (place + i) * 0x9e3779b97f4a7c15ull)
			return false;
	return true;
}

#define FRAMES_PLACE (1ull << 60) /* where the frames begin, as far from the blocks as can be */

/* ---- a tenant ---- */

struct tenant {
	const char *name;
	struct exo *x;
	struct exo_queue *q;
	uint64_t *buf;
	uint64_t blocks;
	__u32 upper_blocks, frames[HALVES]; /* capabilities */
	char *at[HALVES];		    /* the frames, mapped */
	bool lost_blocks, lost_frames;	    /* of the upper halves */
	int copy;			    /* a file for what is copied from frames */
	unsigned long rounds;
};

static __u32 redeem(struct tenant *t, const __u8 token[16])
{
	struct exo_token_redeem arg = {};

	memcpy(arg.token, token, 16);
	must(exo_sys_token_redeem(exo_fd(t->x), &arg), t->name, "redeeming a token");
	return arg.out_cap;
}

static void map_frames(struct tenant *t, int half, const __u8 token[16])
{
	struct exo_cap_query about = { .cap = redeem(t, token) };

	t->frames[half] = about.cap;
	must(exo_sys_cap_query(exo_fd(t->x), &about), t->name, "asking about frames");
	t->at[half] = mmap(NULL, about.out_len * FRAME, PROT_READ, MAP_SHARED, exo_fd(t->x),
			   about.out_mmap_offset + about.out_start * FRAME);
	if (t->at[half] == MAP_FAILED)
		err(1, "%s: mapping frames", t->name);
}

static void move_in(struct tenant *t, const struct lease *lease)
{
	struct exo_queue_attach attach;
	int r;

	if ((r = exo_open(lease->name, EXO_READ, &t->x)) ||
	    (r = exo_queue_create(t->x, NULL, &t->q)) ||
	    (r = exo_buf_alloc(t->q, CHUNK, (void **)&t->buf)) || (r = exo_events_open(t->x, 0)))
		errx(1, "%s: %s", t->name, exo_strerror(t->x, r));
	t->blocks = lease->blocks;
	/* The upper half lies behind the lower: one queue reads both. */
	t->upper_blocks = redeem(t, lease->upper_blocks);
	attach = (struct exo_queue_attach){ .queue = exo_queue_cap(t->q),
					    .extent = t->upper_blocks };
	must(exo_sys_queue_attach(exo_fd(t->x), &attach), t->name, "attaching the upper blocks");
	for (int half = LOWER; half < HALVES; half++)
		map_frames(t, half, lease->frames[half]);
	t->copy = memfd_create("copy", MFD_CLOEXEC);
	if (t->copy < 0)
		err(1, "memfd_create");
}

static void hear(struct tenant *t);

/*
 * True: it is this tenant's no more, and the kernel has a record of what it was. What is being taken
 * is refused a moment before there is one; the event comes after it.
 */
static bool was_taken(struct tenant *t, __u32 cap, struct exo_cap_taken *record)
{
	struct pollfd events = { .fd = exo_fd(t->x), .events = POLLIN };

	for (;;) {
		*record = (struct exo_cap_taken){ .cap = cap };
		if (!exo_sys_cap_taken(exo_fd(t->x), record))
			return true;
		if (poll(&events, 1, TAKING_MS) <= 0)
			return false;
		hear(t);
	}
}

static void read_chunk(struct tenant *t, uint64_t block)
{
	unsigned int n = CHUNK / exo_block_size(t->x);
	uint64_t lba = exo_first_block(t->x) + block;
	struct exo_cap_taken record;
	int r = exo_read(t->q, t->buf, block, n);

	if (r == -ERANGE && block >= t->blocks / 2 && was_taken(t, t->upper_blocks, &record)) {
		if (!t->lost_blocks)
			say(t->name, "a read of LBA %" PRIu64 " is refused: %s", lba,
			    exo_strerror(t->x, r));
		t->lost_blocks = true;
		return;
	}
	if (r)
		errx(1, "%s: LBA %" PRIu64 ": %s", t->name, lba, exo_strerror(t->x, r));
	if (t->lost_blocks && block >= t->blocks / 2)
		errx(1, "%s: LBA %" PRIu64 " was taken and can be read", t->name, lba);
	if (!matches(t->buf, CHUNK, lba * CHUNK))
		errx(1, "%s: LBA %" PRIu64 " holds what nobody wrote there", t->name, lba);
}

/* One that is taken in the middle of the call makes it short: the next tells. */
static bool copy_frame(const struct tenant *t, const char *at)
{
	ssize_t n;

	do {
		n = pwrite(t->copy, at, FRAME, 0);
	} while (n >= 0 && n < FRAME);
	return n == FRAME;
}

/* A touch of a frame that was taken is SIGBUS; a system call that touches it, EFAULT. */
static void look_at_frame(struct tenant *t, unsigned int i)
{
	int half = i >= FRAMES / 2;
	char *at = t->at[half] + i % (FRAMES / 2) * FRAME;
	struct exo_cap_taken record;
	uint64_t words[FRAME / 8];

	if (!copy_frame(t, at)) {
		if (errno != EFAULT || !half || !was_taken(t, t->frames[half], &record))
			err(1, "%s: frame %u", t->name, i);
		if (!t->lost_frames)
			say(t->name, "a touch of frame %u ends in EFAULT (SIGBUS)", i);
		t->lost_frames = true;
		return;
	}
	if (pread(t->copy, words, FRAME, 0) != FRAME)
		err(1, "%s: the copy of a frame", t->name);
	if (half && t->lost_frames)
		errx(1, "%s: frame %u was taken and can be read", t->name, i);
	if (!matches(words, FRAME, FRAMES_PLACE + i * FRAME))
		errx(1, "%s: frame %u holds what nobody wrote there", t->name, i);
}

static void tell_taken(struct tenant *t, __u32 cap)
{
	struct exo_cap_taken record;
	char names[192] = "";
	uint64_t pfn[FRAMES];
	size_t length = 0;

	if (!was_taken(t, cap, &record))
		errx(1, "%s: no record of what was taken", t->name);
	if (record.out_type == EXO_TYPE_EXTENT) {
		say(t->name, "taken: LBA %llu to %llu of namespace %u", record.out_start,
		    record.out_start + record.out_len - 1, record.out_nsid);
		return;
	}
	if (record.out_rights & EXO_RIGHT_NAMES) {
		record.first = record.out_start;
		record.count = record.out_len;
		record.names = exo_sys_address(pfn);
		must(exo_sys_cap_taken(exo_fd(t->x), &record), t->name, "naming frames");
		for (unsigned int i = 0; i < 6; i++)
			length += snprintf(names + length, sizeof(names) - length, " %#" PRIx64,
					   pfn[i]);
		snprintf(names + length, sizeof(names) - length, " …");
	}
	say(t->name, "taken: frames %llu to %llu%s%s", record.out_start,
	    record.out_start + record.out_len - 1, names[0] ? ", page frame numbers" : "", names);
}

static void hear(struct tenant *t)
{
	struct exo_event event;

	while (exo_event_next(t->x, &event) == 1) {
		const char *what = event.cap == t->upper_blocks ? "upper blocks" : "upper frames";

		if (event.type == EXO_EVENT_REVOKE)
			say(t->name, "asked for its %s, and refuses", what);
		if (event.type == EXO_EVENT_TAKEN)
			tell_taken(t, event.cap);
	}
}

/* To look for events costs no system call. */
static void verify(struct tenant *t)
{
	for (uint64_t block = 0; block < t->blocks; block += CHUNK / exo_block_size(t->x)) {
		hear(t);
		read_chunk(t, block);
	}
	for (unsigned int i = 0; i < FRAMES; i++) {
		hear(t);
		look_at_frame(t, i);
	}
	t->rounds++;
}

/* Until the landlord hangs up. Says "v" after the first round. */
static void live(struct tenant *t, int landlord)
{
	char byte;

	do {
		verify(t);
		if (t->rounds == 1 && write(landlord, "v", 1) != 1)
			err(1, "%s: landlord", t->name);
	} while (recv(landlord, &byte, 1, MSG_DONTWAIT) < 0);
	verify(t);
	say(t->name, "compared everything %lu times; has lost: %s", t->rounds,
	    t->lost_blocks && t->lost_frames   ? "half of its blocks and frames"
	    : t->lost_blocks || t->lost_frames ? "not what was taken"
					       : "nothing");
}

/* The landlord's session, if exo-run gave him one, is no business of a tenant's. */
static void leave_landlord(void)
{
	const char *fd = getenv("EXO_FD");

	if (fd)
		close(atoi(fd));
	unsetenv("EXO_FD");
	if (!geteuid() && (setgid(NOBODY) || setuid(NOBODY)))
		err(1, "giving up privileges");
}

static int tenant_main(const char *name, bool loses, int landlord)
{
	struct tenant t = { .name = name };
	struct lease lease;

	leave_landlord();
	if (recv(landlord, &lease, sizeof(lease), MSG_WAITALL) != sizeof(lease))
		errx(1, "%s: no lease", name);
	move_in(&t, &lease);
	say(name, "process %d, user %d: has blocks and frames by token", getpid(), geteuid());
	live(&t, landlord);
	exo_close(t.x);
	return t.lost_blocks == loses && t.lost_frames == loses ? 0 : 1;
}

/* ---- the landlord ---- */

struct landlord {
	struct exo *x;
	struct exo_queue *q;
	__u32 frames;
	__u32 let_blocks[HALVES], let_frames[HALVES]; /* what the losing tenant's tokens are of */
	int line[2];				      /* to each tenant */
	pid_t tenant[2];
};

static const char *const names[] = { "anna", "ben" };

static void hire(struct landlord *l, int i)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		err(1, "socketpair");
	fflush(stdout);
	l->tenant[i] = fork();
	if (l->tenant[i] < 0)
		err(1, "fork");
	if (!l->tenant[i]) {
		close(ends[0]);
		for (int k = 0; k < i; k++)
			close(l->line[k]);
		exit(tenant_main(names[i], i == 1, ends[1]));
	}
	close(ends[1]);
	l->line[i] = ends[0];
}

static void fill_blocks(struct landlord *l)
{
	uint64_t *buf;
	int r;

	if ((r = exo_queue_create(l->x, NULL, &l->q)) ||
	    (r = exo_buf_alloc(l->q, CHUNK, (void **)&buf)))
		errx(1, "%s", exo_strerror(l->x, r));
	for (uint64_t block = 0; block < exo_blocks(l->x); block += CHUNK / exo_block_size(l->x)) {
		fill(buf, CHUNK, (exo_first_block(l->x) + block) * CHUNK);
		r = exo_write(l->q, buf, block, CHUNK / exo_block_size(l->x));
		if (r)
			errx(1, "%s", exo_strerror(l->x, r));
	}
	/* The queue is needed no more: a tenant may have it. */
	exo_queue_destroy(l->q);
}

static void fill_frames(struct landlord *l)
{
	struct exo_frames_alloc arg = {
		.pool = exo_pool_cap(l->x),
		.count = FRAMES,
		.node = EXO_NODE_ANY,
	};
	char *at;

	must(exo_sys_frames_alloc(exo_fd(l->x), &arg), "landlord", "allocating frames");
	l->frames = arg.out_cap;
	at = mmap(NULL, FRAMES * FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, exo_fd(l->x),
		  arg.out_mmap_offset);
	if (at == MAP_FAILED)
		err(1, "mapping frames");
	for (unsigned int i = 0; i < FRAMES; i++)
		fill((uint64_t *)(at + i * FRAME), FRAME, FRAMES_PLACE + i * FRAME);
}

/* A capability of our own to a part, so that it can be taken back from one tenant alone. */
static __u32 part(struct landlord *l, __u32 cap, __u32 rights, uint64_t start, uint64_t len)
{
	struct exo_cap_derive arg = {
		.cap = cap,
		.rights = rights,
		.session_fd = EXO_SESSION_SELF,
		.start = start,
		.len = len,
	};

	must(exo_sys_cap_derive(exo_fd(l->x), &arg), "landlord", "deriving a part");
	return arg.out_cap;
}

static void token_of(struct landlord *l, __u32 cap, __u32 rights, __u8 token[16])
{
	struct exo_token_create arg = {
		.flags = EXO_TOKEN_UID,
		.cap = cap,
		.rights = rights,
		.uses = 1,
		.uid = geteuid() ? geteuid() : NOBODY,
	};

	must(exo_sys_token_create(exo_fd(l->x), &arg), "landlord", "making a token");
	memcpy(token, arg.out_token, 16);
}

static void let(struct landlord *l, int i)
{
	struct exo_cap_query about = { .cap = l->frames };
	uint64_t blocks = exo_blocks(l->x) / 2;
	char text[3][EXO_TOKEN_TEXT];
	struct lease lease = { .blocks = 2 * blocks };
	__u8 token[3][16], *blocks_token[] = { token[0], lease.upper_blocks };
	__u32 rights;

	must(exo_sys_cap_query(exo_fd(l->x), &about), "landlord", "asking about frames");
	rights = EXO_RIGHT_READ | (about.out_rights & EXO_RIGHT_NAMES);
	for (int h = LOWER; h < HALVES; h++) {
		l->let_blocks[h] = part(l, exo_extent_cap(l->x), EXO_RIGHT_READ,
					exo_first_block(l->x) + h * blocks, blocks);
		token_of(l, l->let_blocks[h], EXO_RIGHT_READ, blocks_token[h]);
		l->let_frames[h] = part(l, l->frames, rights, h * FRAMES / 2, FRAMES / 2);
		token_of(l, l->let_frames[h], rights, lease.frames[h]);
	}
	token_of(l, exo_controller_cap(l->x), EXO_RIGHT_QUEUE, token[1]);
	token_of(l, exo_pool_cap(l->x), EXO_RIGHT_ALLOC, token[2]);
	for (int k = 0; k < 3; k++)
		exo_token_print(token[k], text[k]);
	snprintf(lease.name, sizeof(lease.name), "token:%s,%s,%s", text[0], text[1], text[2]);
	if (write(l->line[i], &lease, sizeof(lease)) != sizeof(lease))
		err(1, "%s", names[i]);
}

/* Asks first; what is not given by the deadline is taken. True: by force, and nothing else. */
static bool take_back(struct landlord *l, __u32 cap, const char *what)
{
	struct exo_revoke_record record;
	struct exo_revoke arg = {
		.cap = cap,
		.timeout_ms = DEADLINE_MS,
		.records = exo_sys_address(&record),
		.count = 1,
	};

	say("landlord", "asks ben for his %s, within %d ms", what, DEADLINE_MS);
	must(exo_sys_revoke(exo_fd(l->x), &arg), "landlord", "taking back");
	say("landlord", "has the %s back: asked for %u, taken by force %u", what, arg.out_asked,
	    arg.out_taken);
	return arg.out_asked == 1 && arg.out_taken == 1;
}

static void wait_verified(struct landlord *l, int i)
{
	char byte;

	if (recv(l->line[i], &byte, 1, MSG_WAITALL) != 1)
		errx(1, "%s ended early", names[i]);
}

static bool part_from(struct landlord *l, int i)
{
	int status;

	shutdown(l->line[i], SHUT_WR);
	return waitpid(l->tenant[i], &status, 0) == l->tenant[i] && !status;
}

int main(int argc, char **argv)
{
	struct landlord l = {};
	bool good;
	int r;

	if (argc != 2 || !strcmp(argv[1], "--help"))
		errx(2,
		     "usage: tenants NAME   (\"exo:\" under exo-run, \"nvme:BDF/NSID:START+LENGTH\""
		     " as root; writes to it)");
	clock_gettime(CLOCK_MONOTONIC, &begin);
	hire(&l, 0);
	hire(&l, 1);
	if ((r = exo_open(argv[1], EXO_READ | EXO_WRITE, &l.x)))
		errx(1, "%s", exo_strerror(l.x, r));
	if (exo_blocks(l.x) % (2 * CHUNK / exo_block_size(l.x)))
		errx(1, "the extent must have a multiple of 8 KiB");
	say("landlord", "has LBA %" PRIu64 "+%" PRIu64 " of %s and %u page frames",
	    exo_first_block(l.x), exo_blocks(l.x), exo_address(l.x), FRAMES);
	fill_blocks(&l);
	fill_frames(&l);
	let(&l, 0);
	let(&l, 1);
	wait_verified(&l, 0);
	wait_verified(&l, 1);
	say("landlord", "both tenants have compared all blocks and frames once");
	good = take_back(&l, l.let_blocks[UPPER], "upper blocks");
	good &= take_back(&l, l.let_frames[UPPER], "upper frames");
	for (int i = 1; i >= 0; i--)
		good &= part_from(&l, i);
	exo_close(l.x);
	printf("%s\n", good ? "tenants: every check held: ben lost exactly half, anna nothing"
			    : "tenants: FAILED");
	return good ? 0 : 1;
}
