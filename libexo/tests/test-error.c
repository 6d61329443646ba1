// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Sentences: each reason and each errno has one, and what is in it is right.
 */
#include <errno.h>
#include <stdlib.h>

#include "private.h"
#include "tap.h"

static const char *explain(int result, uint32_t reason, uint64_t value, uint64_t limit)
{
	static char buf[EXO_SENTENCE_MAX];
	struct exo_detail detail = {
		.reason = reason, .field = 24, .value = value, .limit = limit
	};

	return exo_explain(buf, sizeof(buf), result, &detail);
}

static bool is_reason(uint32_t reason)
{
	return reason <= EXO_REASON_NO_NODE ||
	       (reason >= EXO_REASON_RING_INDEX && reason <= EXO_REASON_MAX);
}

static void every_reason(void)
{
	for (uint32_t reason = 1; reason <= EXO_REASON_MAX; reason++) {
		if (!is_reason(reason))
			continue;
		CHECK(strlen(explain(-EINVAL, reason, 1, 2)) > 15);
		CHECK(strcmp(exo_reason_name(reason), "unknown"));
		CHECK(!strchr(explain(-EINVAL, reason, 1, 2), '{'));
		CHECK(!strchr(explain(-EINVAL, reason, 1, 2), '}'));
	}
}

static void every_reason_fits(void)
{
	for (uint32_t reason = 1; reason <= EXO_REASON_MAX; reason++)
		CHECK(strlen(explain(-EINVAL, reason, UINT64_MAX, UINT64_MAX)) <
		      EXO_SENTENCE_MAX - 200); /* what is said before it */
}

static void sentences_differ(void)
{
	char first[EXO_SENTENCE_MAX];

	for (uint32_t a = 1; a <= EXO_REASON_MAX; a++) {
		strcpy(first, explain(-EINVAL, a, 1, 2));
		for (uint32_t b = a + 1; b <= EXO_REASON_MAX; b++)
			if (is_reason(a) && is_reason(b))
				CHECK(strcmp(first, explain(-EINVAL, b, 1, 2)));
	}
}

static void every_errno(void)
{
	static const int errnos[] = { ENOTTY, EFAULT, E2BIG,	 EINVAL, EOPNOTSUPP, EPERM,
				      EBADF,  ENOENT, ENODEV,	 EACCES, ERANGE,     EOVERFLOW,
				      EDQUOT, ENOMEM, ENOSPC,	 ELOOP,	 EEXIST,     EMSGSIZE,
				      EAGAIN, ESTALE, ETIMEDOUT, EIO,	 EINTR,	     EBUSY };

	for (size_t i = 0; i < sizeof(errnos) / sizeof(errnos[0]); i++) {
		CHECK(strlen(exo_errno_meaning(-errnos[i])) > 5);
		CHECK_STRING(exo_errno_meaning(-errnos[i]), exo_errno_meaning(errnos[i]));
	}
}

static void unknown_errno(void)
{
	CHECK_STRING(exo_errno_meaning(-99999), "an unknown error");
}

static void no_detail(void)
{
	char buf[EXO_SENTENCE_MAX];

	CHECK_STRING(exo_explain(buf, sizeof(buf), -ERANGE, NULL), exo_errno_meaning(ERANGE));
	CHECK_STRING(explain(-ERANGE, EXO_REASON_NONE, 0, 0), exo_errno_meaning(ERANGE));
}

static void unknown_reason(void)
{
	char number[32];

	snprintf(number, sizeof(number), "reason %d", EXO_REASON_MAX + 1);
	CHECK(strstr(explain(-EINVAL, EXO_REASON_MAX + 1, 0, 0), number));
	CHECK(strstr(explain(-EINVAL, UINT32_MAX, 0, 0), "reason 4294967295"));
	CHECK_STRING(exo_reason_name(EXO_REASON_MAX + 1), "unknown");
	CHECK_STRING(exo_reason_name(UINT32_MAX), "unknown");
}

static void short_buffers(void)
{
	struct exo_detail detail = { .reason = EXO_REASON_BUDGET, .value = 3, .limit = 1 };
	char whole[EXO_SENTENCE_MAX], cut[EXO_SENTENCE_MAX];

	exo_explain(whole, sizeof(whole), -EDQUOT, &detail);
	for (size_t size = 0; size < sizeof(cut); size++) {
		memset(cut, 'x', sizeof(cut));
		exo_explain(cut, size, -EDQUOT, &detail);
		CHECK(cut[size] == 'x');
		if (size)
			CHECK_EQUAL(strlen(cut), strlen(whole) < size ? strlen(whole) : size - 1);
		if (size)
			CHECK(!strncmp(cut, whole, strlen(cut)));
	}
}

static void names_the_figures(void)
{
	CHECK(strstr(explain(-EDQUOT, EXO_REASON_BUDGET, 7, 3), "7 wanted and 3 left"));
	CHECK(strstr(explain(-EDQUOT, EXO_REASON_MEMLOCK, 8192, 4096),
		     "8192 bytes are to be pinned and RLIMIT_MEMLOCK leaves the user 4096"));
	CHECK(strstr(explain(-EFAULT, EXO_REASON_PIN, 0x1000, EXO_RIGHT_READ | EXO_RIGHT_WRITE),
		     "the memory at 0x1000 cannot be pinned for READ, WRITE"));
	CHECK(strstr(explain(-EACCES, EXO_REASON_RIGHT, EXO_RIGHT_WRITE | EXO_RIGHT_TRIM,
			     EXO_RIGHT_READ),
		     "WRITE, TRIM (it has READ)"));
	CHECK(strstr(explain(-EACCES, EXO_REASON_RIGHT, EXO_RIGHT_SUBMIT, 0), "(it has none)"));
	CHECK(strstr(explain(-EINVAL, EXO_REASON_WRONG_TYPE, EXO_TYPE_QUEUE, EXO_TYPE_POOL),
		     "is a queue, and a pool is needed"));
	CHECK(strstr(explain(-ENODEV, EXO_REASON_NO_DEVICE, EXO_PCI_ADDRESS(0x10, 0x02, 0x1b), 0),
		     "exoctl bind 0010:02:03.3"));
	CHECK(strstr(explain(-EPERM, EXO_REASON_PRIVILEGE, 0, 0), "the caller lacks"));
	CHECK(strstr(explain(-EPERM, EXO_REASON_PRIVILEGE, 1, 0), "opened the session lacks"));
	CHECK(strstr(explain(-EPERM, EXO_REASON_PRIVILEGE, 0, 17), "caller lacks CAP_SYS_RAWIO"));
	CHECK(strstr(explain(-EPERM, EXO_REASON_PRIVILEGE, 2, 17), "locked down"));
	CHECK(strstr(explain(-EINVAL, EXO_REASON_MODE, 2, 1), "use a direct queue"));
	CHECK(strstr(explain(-EINVAL, EXO_REASON_MODE, 2, 0), "the queue is unsafe"));
	CHECK(strstr(explain(-EIO, EXO_REASON_DEVICE, 0x2, 0), "invalid field in command"));
	CHECK(strstr(explain(-ETIMEDOUT, EXO_REASON_DEVICE, 60000, 0), "within 60000 ms"));
	CHECK(strstr(explain(-EINVAL, EXO_REASON_VALUE, 5, 4), "at most 4"));
	CHECK(!strstr(explain(-EINVAL, EXO_REASON_VALUE, 5, 0), "at most"));
	CHECK(strstr(explain(-EOPNOTSUPP, EXO_REASON_OPCODE, 0x84, 0), "0x84 is not"));
	CHECK(strstr(explain(-EDQUOT, EXO_REASON_ZONE_QUOTA, 8192, 14), "which is 14"));
}

static void names_the_blocks(void)
{
	CHECK(strstr(explain(-ERANGE, EXO_REASON_LBA, 100, 1), "LBA 100"));
	CHECK(strstr(explain(-ERANGE, EXO_REASON_LBA, 100, 8), "LBAs 100 to 107"));
	CHECK(strstr(explain(-ERANGE, EXO_REASON_LBA, UINT64_MAX, 8), "8 LBAs from 1844674407"));
}

static void describes_commands(void)
{
	struct exo_nvme_command c = { 0 };
	char buf[128];

	c.opcode = EXO_NVME_READ;
	c.slba = 1010;
	c.cdw12 = EXO_NVME_FUA | 7;
	exo_describe_command(buf, sizeof(buf), &c, 1000);
	CHECK_STRING(buf, "Read of extent blocks 10 to 17");
	c.cdw12 = 0;
	c.opcode = EXO_NVME_WRITE_ZEROES;
	exo_describe_command(buf, sizeof(buf), &c, 1000);
	CHECK_STRING(buf, "Write Zeroes of extent block 10");
	c.opcode = EXO_NVME_FLUSH;
	exo_describe_command(buf, sizeof(buf), &c, 1000);
	CHECK_STRING(buf, "Flush");
	c.opcode = EXO_NVME_ZONE_SEND;
	exo_describe_command(buf, sizeof(buf), &c, 1000);
	CHECK_STRING(buf, "Zone Management Send of the zone at extent block 10");
	c.opcode = 0x7f;
	exo_describe_command(buf, sizeof(buf), &c, 1000);
	CHECK_STRING(buf, "command with opcode 0x7f");
}

static void keeps_the_latest(void)
{
	struct exo_error error = { 0 };
	struct exo_detail detail = { .reason = EXO_REASON_BUDGET, .value = 2, .limit = 1 };

	CHECK_STRING(exo_error_sentence(&error, -EDQUOT), exo_errno_meaning(EDQUOT));
	CHECK_EQUAL(exo_error_set(&error, -EDQUOT, &detail, "cannot %s", "create"), -EDQUOT);
	CHECK(!strncmp(exo_error_sentence(&error, -EDQUOT), "cannot create: 2 wanted", 23));
	CHECK_STRING(exo_error_sentence(&error, EDQUOT), exo_error_sentence(&error, -EDQUOT));
	CHECK_STRING(exo_error_sentence(&error, -ENOMEM), exo_errno_meaning(ENOMEM));
	CHECK_EQUAL(error.detail.reason, EXO_REASON_BUDGET);
	exo_error_set(&error, -EINVAL, NULL, "only this");
	CHECK_STRING(exo_error_sentence(&error, -EINVAL), "only this");
	CHECK_EQUAL(error.detail.reason, EXO_REASON_NONE);
}

static void no_handle(void)
{
	CHECK_STRING(exo_strerror(NULL, -ENOMEM), exo_errno_meaning(ENOMEM));
}

/* What exo_open() says without a kernel module, to somebody without a session. */
static void open_failures(void)
{
	static const char *const names[] = { "", "exo", "exo:", "exo:a b", "nvme:", "uring:/f" };
	struct exo *x;
	int r;

	unsetenv("EXO_FD");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		r = exo_open(names[i], EXO_READ, &x);
		CHECK(r < 0);
		CHECK(x && strlen(exo_strerror(x, r)) > 20);
		exo_close(x);
	}
	CHECK_EQUAL(exo_open("exo:", 0, &x), -EINVAL);
	exo_close(x);
	CHECK_EQUAL(exo_open("exo:", EXO_READ | 1u << 30, &x), -EINVAL);
	exo_close(x);
	CHECK_EQUAL(exo_open(NULL, EXO_READ, &x), -EINVAL);
	exo_close(x);
}

static void foreign_descriptors(void)
{
	struct exo *x;

	setenv("EXO_FD", "nonsense", 1);
	CHECK_EQUAL(exo_open("exo:", EXO_READ, &x), -EINVAL);
	exo_close(x);
	setenv("EXO_FD", "1000000", 1);
	CHECK_EQUAL(exo_open("exo:", EXO_READ, &x), -EBADF);
	exo_close(x);
	setenv("EXO_FD", "1", 1); /* open, and no session */
	CHECK_EQUAL(exo_open("exo:", EXO_READ, &x), -EBADF);
	CHECK(strstr(exo_strerror(x, -EBADF), "is not a session"));
	exo_close(x);
	unsetenv("EXO_FD");
	exo_close(NULL);
}

static const struct tap_test tests[] = {
	TEST(every_reason, "every reason of the ABI has a name and a sentence"),
	TEST(every_reason_fits, "the largest figures do not overflow a sentence"),
	TEST(sentences_differ, "no two reasons have the same sentence"),
	TEST(every_errno, "every errno of the ABI has a meaning, whatever its sign"),
	TEST(unknown_errno, "an unknown errno is called unknown"),
	TEST(no_detail, "without a detail the errno speaks"),
	TEST(unknown_reason, "a reason from a newer module is named by its number"),
	TEST(short_buffers, "a sentence is cut to its buffer and always terminated"),
	TEST(names_the_figures, "a sentence names the figures of the detail"),
	TEST(names_the_blocks, "a range of blocks is written without being fooled by overflow"),
	TEST(describes_commands, "a refused command is described in extent blocks"),
	TEST(keeps_the_latest, "a handle keeps its latest failure and gives it to that errno only"),
	TEST(no_handle, "exo_strerror() works without a handle"),
	TEST(open_failures, "exo_open() explains each name that it cannot open"),
	TEST(foreign_descriptors, "an EXO_FD that is no session is refused"),
};

TAP_MAIN(tests)
