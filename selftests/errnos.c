// SPDX-License-Identifier: MIT
/*
 * The promises of the ABI header, against what the other programs provoked in
 * this boot: every errno, every reason with each of its errnos, every command
 * with each of its errors. And the reverse: nothing was refused in a way that
 * the header does not tell.
 */
#include <kselftest_harness.h>

#include "lib.h"

struct promise {
	const char *command; /* NULL: any */
	const char *reason;  /* NULL: any */
	unsigned int number;
	const char *err;
};

static const struct promise promises[] = {
#define TABLE(err) { NULL, NULL, 0, #err },
#define REASON(name, number, err) { NULL, #name, number, #err },
#define COMMAND(cmd, err) { #cmd, NULL, 0, #err },
#include "promises.inc"
};

/* What no program can see, or no test machine can do. */
static const struct {
	const char *command;
	const char *reason;
	const char *err;
	enum {
		ALWAYS,
		WITHOUT_INJECTION,
		WITHOUT_FULL_TABLE,
		WITHOUT_TRACE,
		WITH_FULL_REACH,
		WITH_IOMMU,
		WITHOUT_EXPORTS,
	} when;
	const char *why;
} exempt[] = {
	{ NULL, NULL, "EINTR", WITHOUT_TRACE, "needs a kernel that traces system calls" },
	{ NULL, NULL, "ENOMEM", WITHOUT_INJECTION, "needs fault injection" },
	{ NULL, NULL, "ENOSPC", WITHOUT_FULL_TABLE, "cap.c could not fill a table here" },
	{ "EXO_DMA_ATTACH", NULL, "EOPNOTSUPP", WITH_FULL_REACH,
	  "provoked by coherence in a boot of its own" },
	{ NULL, "EXO_REASON_COHERENCE", "EOPNOTSUPP", WITH_FULL_REACH,
	  "provoked by coherence in a boot of its own" },
	{ NULL, "EXO_REASON_UNTRANSLATED", "EOPNOTSUPP", WITH_IOMMU,
	  "provoked by direct in the boot without an IOMMU" },
	{ NULL, "EXO_REASON_INTERRUPTS", "EOPNOTSUPP", ALWAYS,
	  "the machine's IOMMU remaps interrupts" },
	{ NULL, "EXO_REASON_SHARED_NAMESPACE", "EOPNOTSUPP", ALWAYS,
	  "provoked by shared in a boot of its own" },
	{ NULL, "EXO_REASON_DOORBELLS", "EOPNOTSUPP", ALWAYS,
	  "QEMU's controllers have their MSI-X structures on pages of their own" },
	{ NULL, "EXO_REASON_UPCALL", "EOPNOTSUPP", ALWAYS, "the machine has no shadow stacks" },
	{ "EXO_WINDOW_HANDLER", NULL, "EOPNOTSUPP", ALWAYS, "the machine has no shadow stacks" },
	{ NULL, NULL, "EMFILE", WITHOUT_EXPORTS, "this kernel has nothing to export to" },
	{ "EXO_FRAMES_EXPORT", NULL, NULL, WITHOUT_EXPORTS,
	  "this kernel has nothing to export to" },
};

static const char *const programs[] = {
	"abi",	     "session", "cap",	    "pool",	    "frames",  "map",	 "controller",
	"extent",    "dma",	"queue",    "wait",	    "thread",  "events", "revoke",
	"token",     "check",	"fault",    "death",	    "leave",   "storm",	 "removal",
	"signal",    "ranges",	"identify", "asynchronous", "direct",  "zones",	 "quotas",
	"placement", "place",	"unsafe",   "adopt",	    "adopted", "window", "winalias",
	"upcall",    "export",
};

#define RECORDS_MAX 20000

struct record {
	char command[32];
	char err[16];
	unsigned int reason;
};

static struct record *records;
static unsigned int records_n;
static bool table_filled;
static bool traced;
static bool translated;
static bool exports;

static bool record_seen(const char *command, const char *err, unsigned int reason)
{
	unsigned int i;

	for (i = 0; i < records_n; i++) {
		if (command && strcmp(records[i].command, command))
			continue;
		if (reason && records[i].reason != reason)
			continue;
		if (!strcmp(records[i].err, err))
			return true;
	}
	return false;
}

FIXTURE(promises)
{
	bool ran[ARRAY_SIZE(programs)];
};

static void record_line(FIXTURE_DATA(promises) * self, const char *line)
{
	struct record *r = &records[records_n];
	char program[64];
	unsigned int i;

	if (sscanf(line, "program %63s", program) == 1)
		for (i = 0; i < ARRAY_SIZE(programs); i++)
			self->ran[i] |= !strcmp(program, programs[i]);
	table_filled |= !strncmp(line, "table filled", 12);
	traced |= !strcmp(line, "system calls traced\n");
	translated |= !strcmp(line, "behind an IOMMU\n");
	exports |= !strcmp(line, "frames exported\n");
	if (sscanf(line, "refusal %31s %15s %u", r->command, r->err, &r->reason) == 3 &&
	    !record_seen(r->command, r->err, r->reason ? r->reason : ~0u))
		records_n++;
}

FIXTURE_SETUP(promises)
{
	const char *path = getenv("EXO_PROVOKED");
	FILE *file = fopen(path ? path : "/tmp/exo-provoked", "r");
	char line[128];
	unsigned int i;

	if (!file)
		SKIP(return, "no other test has run in this boot");
	records = calloc(RECORDS_MAX, sizeof(*records));
	ASSERT_NE(NULL, records);
	while (records_n < RECORDS_MAX - 1 && fgets(line, sizeof(line), file))
		record_line(self, line);
	fclose(file);
	for (i = 0; i < ARRAY_SIZE(programs); i++) {
		if (!self->ran[i])
			SKIP(return, "%s has not run in this boot: nothing to prove", programs[i]);
	}
}

FIXTURE_TEARDOWN(promises)
{
}

static bool injection_available(void)
{
	return !access("/proc/self/fail-nth", W_OK);
}

/* Do controllers reach all of memory in this boot? */
static bool full_reach(void)
{
	char text[16];

	return read_file("/sys/module/exo/parameters/dma_bits", text, sizeof(text)) ||
	       !strcmp(text, "64");
}

/* Why a promise need not have been provoked, or NULL. */
static const char *excuse(const struct promise *p)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(exempt); i++) {
		if (exempt[i].err && strcmp(exempt[i].err, p->err))
			continue;
		if (exempt[i].command && (!p->command || strcmp(exempt[i].command, p->command)))
			continue;
		if (exempt[i].reason && (!p->reason || strcmp(exempt[i].reason, p->reason)))
			continue;
		if (exempt[i].when == WITHOUT_INJECTION && injection_available())
			continue;
		if (exempt[i].when == WITHOUT_FULL_TABLE && table_filled)
			continue;
		if (exempt[i].when == WITHOUT_TRACE && traced)
			continue;
		if (exempt[i].when == WITH_FULL_REACH && !full_reach())
			continue;
		if (exempt[i].when == WITH_IOMMU && !translated)
			continue;
		if (exempt[i].when == WITHOUT_EXPORTS && exports)
			continue;
		return exempt[i].why;
	}
	return NULL;
}

static void check_promise(struct __test_metadata *_metadata, const struct promise *p)
{
	const char *what = p->command ? p->command : p->reason ? p->reason : "the errno table";
	bool seen = record_seen(p->command, p->err, p->number);
	const char *why = excuse(p);

	if (!seen && why) {
		TH_LOG("%s, %s: not provoked: %s", what, p->err, why);
		return;
	}
	EXPECT_TRUE(seen)
	{
		TH_LOG("%s promises %s, and no test provoked it", what, p->err);
	}
}

TEST_F(promises, every_errno_of_the_table_was_provoked)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(promises); i++) {
		if (!promises[i].command && !promises[i].reason) {
			check_promise(_metadata, &promises[i]);
		}
	}
}

TEST_F(promises, every_reason_was_provoked_with_each_of_its_errnos)
{
	unsigned int i, n = 0;

	for (i = 0; i < ARRAY_SIZE(promises); i++) {
		if (promises[i].reason) {
			check_promise(_metadata, &promises[i]);
			n++;
		}
	}
	/* The parser of the header found them at all. */
	EXPECT_LT(EXO_REASON_MAX - 12, n);
}

TEST_F(promises, every_error_of_every_command_was_provoked)
{
	unsigned int i, n = 0;

	for (i = 0; i < ARRAY_SIZE(promises); i++) {
		if (promises[i].command) {
			check_promise(_metadata, &promises[i]);
			n++;
		}
	}
	EXPECT_LT(4 * commands_count, n);
}

/* Errors that every command may have: "Rules that hold for every command". */
static bool is_common(const struct record *r)
{
	static const struct {
		const char *err;
		unsigned int reason;
	} common[] = {
		{ "ENOTTY", 0 },
		{ "EFAULT", 0 },
		{ "EINVAL", EXO_REASON_SIZE },
		{ "EINVAL", 0 }, /* a size too small to have a detail */
		{ "E2BIG", EXO_REASON_SIZE },
		{ "EOPNOTSUPP", EXO_REASON_FLAGS },
		{ "EOPNOTSUPP", EXO_REASON_RESERVED },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(common); i++)
		if (!strcmp(r->err, common[i].err) && r->reason == common[i].reason)
			return true;
	return false;
}

static bool is_promised(const struct record *r)
{
	bool command = false, reason = false;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(promises); i++) {
		const struct promise *p = &promises[i];

		if (strcmp(p->err, r->err))
			continue;
		command |= p->command && !strcmp(p->command, r->command);
		/* EINTR has none: nobody is left to read it. */
		reason |= p->reason ? p->number == r->reason : !strcmp(r->err, "EINTR");
	}
	return command && reason;
}

TEST_F(promises, nothing_was_refused_in_a_way_that_the_header_does_not_tell)
{
	unsigned int i;

	for (i = 0; i < records_n; i++) {
		EXPECT_TRUE(is_common(&records[i]) || is_promised(&records[i]))
		{
			TH_LOG("%s: %s with reason %u", records[i].command, records[i].err,
			       records[i].reason);
		}
	}
}

/* ---- and at the end of everything ---- */

TEST(all_frames_of_all_tests_came_back)
{
	int fd = session_open();
	struct exo_info i;

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, frames_used_soon(fd, 0));
	ASSERT_EQ(0, info(fd, &i));
	EXPECT_EQ(0, i.out_frames_quarantined);
	EXPECT_EQ(0, memory_adopted(fd));
	close(fd);
}

TEST_HARNESS_MAIN
