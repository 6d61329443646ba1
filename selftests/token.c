// SPDX-License-Identifier: MIT
/*
 * Tokens: a capability that travels as 128 bits; redeemed so often, by whom, until when;
 * and one answer for all that cannot be redeemed. Sessions that travel as descriptors.
 */
#include <pthread.h>
#include <sys/socket.h>
#include <kselftest_harness.h>

#include "lib.h"

#define RW (EXO_RIGHT_READ | EXO_RIGHT_WRITE)

FIXTURE(token)
{
	int fd, other;
	__u32 claim, pool, frames;
};

FIXTURE_SETUP(token)
{
	struct exo_frames_alloc f;

	self->fd = session_open();
	self->other = session_open();
	ASSERT_LE(0, self->other);
	ASSERT_EQ(0, claim_pool(self->fd, &self->claim));
	ASSERT_EQ(0, pool_create(self->fd, self->claim, EXO_RIGHT_ALLOC, 256, &self->pool));
	ASSERT_EQ(0, frames_alloc(self->fd, self->pool, EXO_ORDER_4K, 8, ANY_NODE, &f));
	self->frames = f.out_cap;
}

FIXTURE_TEARDOWN(token)
{
	close(self->fd);
	close(self->other);
}

/* The one answer. */
#define EXPECT_NO_TOKEN(expr) EXPECT_REFUSED(ENOENT, EXO_REASON_TOKEN, 0, 0, expr)

TEST_F(token, redeemed_it_is_a_child_with_the_rights_and_the_range_it_was_made_for)
{
	struct exo_token_create arg = {
		.cap = self->frames,
		.rights = EXO_RIGHT_READ,
		.start = 2,
		.len = 3,
		.uses = 1,
	};
	struct exo_token_redeem redeem = { 0 };
	struct exo_cap_query q, parent;

	ASSERT_EQ(0, call(self->fd, EXO_TOKEN_CREATE, &arg));
	memcpy(redeem.token, arg.out_token, 16);
	ASSERT_EQ(0, call(self->other, EXO_TOKEN_REDEEM, &redeem));
	EXPECT_EQ(EXO_TYPE_FRAMES, redeem.out_type);
	ASSERT_EQ(0, query(self->other, redeem.out_cap, &q));
	ASSERT_EQ(0, query(self->fd, self->frames, &parent));
	EXPECT_EQ(EXO_RIGHT_READ, q.out_rights);
	EXPECT_EQ(2, q.out_start);
	EXPECT_EQ(3, q.out_len);
	EXPECT_EQ(parent.out_object, q.out_object);
	EXPECT_EQ(parent.out_depth + 1, q.out_depth);
	/* Once was all. */
	EXPECT_NO_TOKEN(call(self->other, EXO_TOKEN_REDEEM, &redeem));
	/* Revoking the parent takes it. */
	ASSERT_EQ(0, cap_revoke(self->fd, self->frames, 0, 0, NULL));
	EXPECT_EQ(-ESTALE, query(self->other, redeem.out_cap, &q));
}

TEST_F(token, so_many_times_or_any_number)
{
	__u8 three[16], many[16];
	unsigned int i;
	__u32 cap;

	ASSERT_EQ(0, token_create(self->fd, self->frames, RW, 3, three));
	ASSERT_EQ(0, token_create(self->fd, self->frames, RW, 0, many));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, token_redeem(self->other, three, &cap));
	EXPECT_NO_TOKEN(token_redeem(self->other, three, &cap));
	for (i = 0; i < 1000; i++)
		ASSERT_EQ(0, token_redeem(self->other, many, &cap));
}

TEST_F(token, every_one_that_cannot_be_redeemed_gets_the_same_answer)
{
	struct exo_token_create arg = { .cap = self->frames, .rights = RW, .lifetime_ms = 1 };
	__u8 token[16], unknown[16] = { 0 };
	struct exo_frames_alloc f;
	__u32 cap;

	EXPECT_NO_TOKEN(token_redeem(self->other, unknown, &cap));
	fill_random(unknown, 16);
	EXPECT_NO_TOKEN(token_redeem(self->other, unknown, &cap));
	EXPECT_NO_TOKEN(token_cancel(self->fd, unknown));
	/* One bit beside a good one. */
	ASSERT_EQ(0, token_create(self->fd, self->frames, RW, 0, token));
	token[15] ^= 1;
	EXPECT_NO_TOKEN(token_redeem(self->other, token, &cap));
	token[15] ^= 1;
	ASSERT_EQ(0, token_redeem(self->other, token, &cap));
	/* Cancelled, by who made it and by nobody else. */
	EXPECT_NO_TOKEN(token_cancel(self->other, token));
	ASSERT_EQ(0, token_redeem(self->other, token, &cap));
	ASSERT_EQ(0, token_cancel(self->fd, token));
	EXPECT_NO_TOKEN(token_redeem(self->other, token, &cap));
	EXPECT_NO_TOKEN(token_cancel(self->fd, token));
	/* Expired. */
	ASSERT_EQ(0, call(self->fd, EXO_TOKEN_CREATE, &arg));
	usleep(5000);
	EXPECT_NO_TOKEN(token_redeem(self->other, arg.out_token, &cap));
	arg.lifetime_ms = 600000;
	ASSERT_EQ(0, call(self->fd, EXO_TOKEN_CREATE, &arg));
	ASSERT_EQ(0, token_redeem(self->other, arg.out_token, &cap));
	/* Its capability dropped, or taken. */
	ASSERT_EQ(0, frames_alloc(self->fd, self->pool, EXO_ORDER_4K, 8, ANY_NODE, &f));
	ASSERT_EQ(0, token_create(self->fd, f.out_cap, RW, 0, token));
	ASSERT_EQ(0, drop(self->fd, f.out_cap));
	EXPECT_NO_TOKEN(token_redeem(self->other, token, &cap));
	ASSERT_EQ(0, token_create(self->fd, self->frames, RW, 0, token));
	ASSERT_EQ(0, cap_revoke(self->fd, self->pool, 0, 0, NULL));
	EXPECT_NO_TOKEN(token_redeem(self->other, token, &cap));
}

TEST_F(token, it_ends_with_the_session_that_made_it_and_what_was_redeemed_stays)
{
	struct exo_cap_query q;
	__u8 token[16];
	__u32 cap;

	ASSERT_EQ(0, token_create(self->fd, self->frames, RW, 0, token));
	ASSERT_EQ(0, token_redeem(self->other, token, &cap));
	close(self->fd);
	EXPECT_EQ(0, query(self->other, cap, &q));
	EXPECT_NO_TOKEN(token_redeem(self->other, token, &cap));
	self->fd = session_open();
}

/* Runs as uid and gid 1000. */
static int as_nobody(int (*run)(int fd, const __u8 *token), int fd, const __u8 *token)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (become_nobody())
			_exit(100);
		_exit(run(fd, token) ? 1 : 0);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int redeem_here(int fd, const __u8 *token)
{
	__u32 cap;

	return token_redeem(fd, token, &cap) == -ENOENT;
}

static int redeem_in_own_session(int fd __attribute__((unused)), const __u8 *token)
{
	int own = session_open();

	return own < 0 || redeem_here(own, token);
}

TEST_F(token, one_for_a_uid_counts_both_who_opened_the_session_and_who_calls)
{
	struct exo_token_create arg = {
		.flags = EXO_TOKEN_UID,
		.cap = self->frames,
		.rights = RW,
		.uid = 1000,
	};
	__u32 cap;

	ASSERT_EQ(0, call(self->fd, EXO_TOKEN_CREATE, &arg));
	/* Root's session, root calls: not even root. */
	EXPECT_NO_TOKEN(token_redeem(self->other, arg.out_token, &cap));
	/* Root's session, 1000 calls. */
	EXPECT_EQ(1, as_nobody(redeem_here, self->other, arg.out_token));
	/* 1000's session, 1000 calls. */
	EXPECT_EQ(0, as_nobody(redeem_in_own_session, -1, arg.out_token));
	/* One for root: 1000 gets nothing, whichever way. */
	arg.uid = 0;
	ASSERT_EQ(0, call(self->fd, EXO_TOKEN_CREATE, &arg));
	EXPECT_EQ(1, as_nobody(redeem_here, self->other, arg.out_token));
	EXPECT_EQ(1, as_nobody(redeem_in_own_session, -1, arg.out_token));
	EXPECT_EQ(0, token_redeem(self->other, arg.out_token, &cap));
}

/* The opener: a session that uid 1000 opened and handed to root. */
static int session_of_nobody(void)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec byte = { .iov_base = control, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int pair[2], fd = -1;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return -1;
	pid = fork();
	if (!pid) {
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);

		if (become_nobody())
			_exit(1);
		fd = session_open();
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
		byte.iov_base = "x";
		_exit(sendmsg(pair[0], &message, 0) != 1);
	}
	byte.iov_base = &pair;
	byte.iov_len = 1;
	if (recvmsg(pair[1], &message, 0) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	waitpid(pid, NULL, 0);
	return fd;
}

TEST_F(token, root_tricked_into_acting_on_anothers_session_gives_it_nothing)
{
	struct exo_token_create arg = { .flags = EXO_TOKEN_UID, .cap = self->frames, .rights = RW };
	int theirs = session_of_nobody();
	struct exo_info i;
	__u32 cap;

	ASSERT_LE(0, theirs);
	ASSERT_EQ(0, call(self->fd, EXO_TOKEN_CREATE, &arg));
	EXPECT_NO_TOKEN(token_redeem(theirs, arg.out_token, &cap));
	EXPECT_REFUSED(EPERM, EXO_REASON_PRIVILEGE, 0, 1, claim_pool(theirs, &cap));
	EXPECT_EQ(-ENOENT, derive(theirs, self->frames, RW, EXO_SESSION_SELF, 0, 0, &cap));
	ASSERT_EQ(0, info(theirs, &i));
	EXPECT_EQ(0, i.out_caps);
	close(theirs);
}

/* ---- a session that is passed on is the same session ---- */

TEST_F(token, a_session_is_shared_by_all_who_hold_its_descriptor)
{
	struct exo_cap_query q;
	int fd = self->fd, status;
	__u32 frames = self->frames;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		__u32 child;

		/* A child sees what its parent has, and what it makes the parent has. */
		if (query(fd, frames, &q))
			_exit(1);
		_exit(derive(fd, frames, EXO_RIGHT_READ, EXO_SESSION_SELF, 0, 0, &child)
			      ? 1
			      : (int)child);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	/* It outlived the process that made it: the session is the file's. */
	EXPECT_EQ(0, query(fd, WEXITSTATUS(status), &q));
	EXPECT_EQ(EXO_RIGHT_READ, q.out_rights);
}

TEST_F(token, a_descriptor_that_is_closed_on_exec_ends_the_session_there)
{
	struct exo_cap_query q;
	struct exo_frames_alloc f;
	int status, fd, copy;
	pid_t pid;

	/* Its only copy is a child's, which calls exec. */
	fd = session_open();
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, derive(self->fd, self->pool, EXO_RIGHT_ALLOC, fd, 0, 0, &f.pool));
	ASSERT_EQ(0, frames_alloc(fd, f.pool, EXO_ORDER_4K, 4, ANY_NODE, &f));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, query(fd, f.out_cap, &q)); /* this copy keeps it */
	/* Without the flag it survives exec. */
	copy = dup(fd);
	close(fd);
	ASSERT_LE(0, copy);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		char path[64];

		snprintf(path, sizeof(path), "test -e /proc/self/fd/%d", copy);
		execl("/bin/sh", "sh", "-c", path, NULL);
		_exit(1);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(12, frames_used(self->fd));
	close(copy);
	EXPECT_EQ(8, frames_used_soon(self->fd, 8));
}

/* ---- refusals and races ---- */

TEST_F(token, wrong_arguments_are_refused)
{
	struct exo_token_create arg = { .cap = self->frames, .rights = RW | EXO_RIGHT_NAMES };
	struct exo_token_redeem redeem = { 0 };
	__u8 token[16];

	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_token_create, rights),
		       EXO_RIGHT_NAMES, call(self->fd, EXO_TOKEN_CREATE, &arg));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_token_create, rights), 0,
		       token_create(self->fd, self->frames, 0, 0, token));
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_CAP, offsetof(struct exo_token_create, cap), 9999,
		       token_create(self->fd, 9999, RW, 0, token));
	arg = (struct exo_token_create){ .cap = self->frames, .rights = RW, .start = 8, .len = 1 };
	EXPECT_REFUSED(ERANGE, EXO_REASON_RANGE, offsetof(struct exo_token_create, start), 8,
		       call(self->fd, EXO_TOKEN_CREATE, &arg));
	arg.start = ~0ull;
	EXPECT_REFUSED(EOVERFLOW, EXO_REASON_OVERFLOW, offsetof(struct exo_token_create, len),
		       ~0ull, call(self->fd, EXO_TOKEN_CREATE, &arg));
	arg = (struct exo_token_create){ .cap = self->pool, .rights = EXO_RIGHT_ALLOC, .len = 1 };
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_token_create, len), 1,
		       call(self->fd, EXO_TOKEN_CREATE, &arg));
	arg = (struct exo_token_create){ .cap = self->frames, .rights = RW, .uid = 5 };
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_token_create, uid), 5,
		       call(self->fd, EXO_TOKEN_CREATE, &arg));
	arg = (struct exo_token_create){
		.flags = EXO_TOKEN_UID, .cap = self->frames, .rights = RW, .uid = ~0u
	};
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_token_create, uid), ~0u,
		       call(self->fd, EXO_TOKEN_CREATE, &arg));
	/* What failed used nothing up. */
	ASSERT_EQ(0, token_create(self->fd, self->frames, RW, 1, redeem.token));
	redeem.size = sizeof(redeem);
	ASSERT_EQ(PAGE, (unsigned long)sysconf(_SC_PAGESIZE));
	{
		void *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
				0);
		__u32 cap;

		ASSERT_NE(MAP_FAILED, at);
		memcpy(at, &redeem, sizeof(redeem));
		((struct exo_token_redeem *)at)->detail = (uintptr_t)&last;
		ASSERT_EQ(0, mprotect(at, PAGE, PROT_READ));
		EXPECT_EQ(-EFAULT, call_raw(self->other, EXO_TOKEN_REDEEM, at));
		EXPECT_EQ(0, token_redeem(self->other, redeem.token, &cap));
		EXPECT_NO_TOKEN(token_redeem(self->other, redeem.token, &cap));
	}
	ASSERT_EQ(0, cap_revoke(self->fd, self->pool, 0, 0, NULL));
	EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, offsetof(struct exo_token_create, cap),
		       self->frames, token_create(self->fd, self->frames, RW, 0, token));
}

TEST_F(token, while_its_capability_is_asked_back_it_is_ebusy_and_afterwards_good_again)
{
	struct exo_cap_query q;
	__u8 token[16];
	__u32 cap;
	int status;
	pid_t pid;

	ASSERT_EQ(0, token_create(self->fd, self->frames, RW, 0, token));
	ASSERT_EQ(0, token_redeem(self->other, token, &cap));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(cap_revoke(self->fd, self->frames, 300, 0, NULL) ? 1 : 0);
	do {
		ASSERT_EQ(0, query(self->other, cap, &q));
	} while (!q.out_deadline);
	EXPECT_EQ(-EBUSY, token_redeem(self->other, token, &cap));
	EXPECT_EQ(EXO_REASON_REVOKING, last.reason);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, token_redeem(self->other, token, &cap));
}

struct racer {
	int fd;
	const __u8 *token;
	unsigned int got;
	pthread_barrier_t *barrier;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	__u32 cap;

	pthread_barrier_wait(r->barrier);
	r->got += !token_redeem(r->fd, r->token, &cap);
	return NULL;
}

TEST_F(token, redeemable_once_it_is_redeemed_once_however_many_try)
{
	struct racer racers[8];
	pthread_barrier_t barrier;
	pthread_t threads[8];
	unsigned int round, i, got;
	__u8 token[16];

	pthread_barrier_init(&barrier, NULL, 8);
	for (round = 0; round < 200; round++) {
		ASSERT_EQ(0, token_create(self->fd, self->frames, RW, 1, token));
		for (i = 0; i < 8; i++) {
			racers[i] = (struct racer){ self->other, token, 0, &barrier };
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, race, &racers[i]));
		}
		for (i = 0, got = 0; i < 8; i++) {
			pthread_join(threads[i], NULL);
			got += racers[i].got;
		}
		ASSERT_EQ(1, got);
	}
}

struct going {
	int fd, other;
	__u32 pool;
	__u8 token[16];
	bool stop;
};

static void *redeem_all_the_time(void *arg)
{
	struct going *g = arg;
	__u32 cap;

	while (!__atomic_load_n(&g->stop, __ATOMIC_RELAXED))
		if (!token_redeem(g->other, g->token, &cap))
			drop(g->other, cap);
	return NULL;
}

TEST_F(token, one_may_be_redeemed_while_its_capability_goes)
{
	struct going g = { .fd = self->fd, .other = self->other, .pool = self->pool };
	__u64 end = now_ms() + 1500;
	struct exo_frames_alloc f;
	pthread_t threads[2];
	__u8 token[16];

	ASSERT_EQ(0, pthread_create(&threads[0], NULL, redeem_all_the_time, &g));
	ASSERT_EQ(0, pthread_create(&threads[1], NULL, redeem_all_the_time, &g));
	while (now_ms() < end) {
		ASSERT_EQ(0, frames_alloc(g.fd, g.pool, EXO_ORDER_4K, 1, ANY_NODE, &f));
		ASSERT_EQ(0, token_create(g.fd, f.out_cap, RW, 0, token));
		memcpy(g.token, token, 16);
		ASSERT_EQ(0, drop(g.fd, f.out_cap));
	}
	g.stop = true;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	EXPECT_EQ(8, frames_used_soon(self->fd, 8));
}

TEST_F(token, a_hundred_thousand_tokens_come_and_go)
{
	const unsigned int n = 100000;
	__u8(*tokens)[16] = calloc(n, 16);
	unsigned int i;
	__u32 cap;

	ASSERT_NE(NULL, tokens);
	for (i = 0; i < n; i++)
		ASSERT_EQ(0, token_create(self->fd, self->frames, RW, 0, tokens[i]));
	for (i = 0; i < n; i += 97)
		ASSERT_EQ(0, token_redeem(self->other, tokens[i], &cap));
	for (i = 0; i < n; i += 2)
		ASSERT_EQ(0, token_cancel(self->fd, tokens[i]));
	ASSERT_EQ(0, drop(self->fd, self->frames));
	for (i = 0; i < n; i += 97)
		EXPECT_NO_TOKEN(token_redeem(self->other, tokens[i], &cap));
	free(tokens);
}

TEST_F(token, it_is_in_no_listing_and_not_in_the_log)
{
	struct exo_tree_entry entries[16];
	struct exo_tree_list arg = {
		.cap = self->claim,
		.count = 16,
		.entries = (uintptr_t)entries,
	};
	char text[33], line[1024];
	__u8 token[16];
	FILE *log;
	int i;

	ASSERT_EQ(0, token_create(self->fd, self->frames, RW, 0, token));
	memset(entries, 0, sizeof(entries));
	ASSERT_EQ(0, call(self->fd, EXO_TREE_LIST, &arg));
	EXPECT_EQ(2, arg.out_count);
	EXPECT_EQ(NULL, memmem(entries, sizeof(entries), token, 8));
	for (i = 0; i < 16; i++)
		sprintf(text + 2 * i, "%02x", token[i]);
	text[16] = 0;
	log = popen("dmesg", "r");
	ASSERT_NE(NULL, log);
	while (fgets(line, sizeof(line), log))
		EXPECT_EQ(NULL, strstr(line, text));
	pclose(log);
}

TEST_HARNESS_MAIN
