// SPDX-License-Identifier: MIT
/*
 * exoctl revoke: takes back what is pointed at. Each capability that is meant is one
 * EXO_REVOKE from the claim of its root, many side by side, so that all holders have the
 * same time to give what they are asked for.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libexo/error.h>
#include <libexo/sys.h>

#include "identity.h"
#include "list.h"
#include "options.h"
#include "pick.h"

#define DEADLINE_MS 3000
#define AT_ONCE 64
#define LINES_MAX 200

/**
 * struct target - one call
 * @root: below which
 * @first, @end: entries of the root that it takes back
 * @arg, @detail, @result: the call
 * @records: what it took, sorted
 */
struct target {
	const struct root *root;
	size_t first, end;
	struct exo_revoke arg;
	struct exo_detail detail;
	int result;
	struct exo_revoke_record *records;
	int session;
	pthread_t thread;
};

struct targets {
	struct target *at;
	size_t count;
};

/* ---- what is meant ---- */

struct wish {
	struct pick pick;
	bool picked;
	char address[ADDRESS_SIZE]; /* --function; empty: none */
	uint64_t frames, deadline_ms;
};

static bool parse_user(const char *text, uint64_t *uid)
{
	const struct passwd *user = getpwnam(text);
	char *end;

	*uid = user ? user->pw_uid : strtoul(text, &end, 10);
	if (user || (text[0] >= '0' && text[0] <= '9' && !*end && *uid <= UINT32_MAX))
		return true;
	fprintf(stderr, "exoctl: --uid %s: no such user\n", text);
	return false;
}

/* One way to point, or frames of a node. */
static bool one_way(const struct options *options)
{
	static const char ways[] = { OPT_NODE,	  OPT_PID,	OPT_UID,
				     OPT_SESSION, OPT_FUNCTION, OPT_FRAMES };
	unsigned int given = 0;

	for (size_t i = 0; i < sizeof(ways); i++)
		given += options->value[(int)ways[i]] != NULL;
	if (given == 1 || (given == 2 && options->value[OPT_FRAMES] && options->value[OPT_NODE]))
		return true;
	fprintf(stderr, "exoctl: revoke wants one of --node, --pid, --uid, --session, --function, "
			"--frames (which may go with --node)\n");
	return false;
}

static bool parse_pick(const struct options *options, struct wish *wish)
{
	static const struct {
		char letter;
		enum pick_by by;
		uint64_t most;
	} numbers[] = {
		{ OPT_NODE, PICK_NODE, UINT64_MAX },
		{ OPT_PID, PICK_PID, INT32_MAX },
		{ OPT_SESSION, PICK_SESSION, UINT64_MAX },
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		if (!options->value[(int)numbers[i].letter])
			continue;
		wish->picked = true;
		wish->pick.by = numbers[i].by;
		if (!option_number(options, numbers[i].letter, 1, numbers[i].most, 0,
				   &wish->pick.number))
			return false;
	}
	if (!options->value[OPT_UID])
		return true;
	wish->picked = true;
	wish->pick.by = PICK_UID;
	return parse_user(options->value[OPT_UID], &wish->pick.number);
}

static bool parse(const struct options *options, struct wish *wish)
{
	const char *function = options->value[OPT_FUNCTION];

	if (!one_way(options) || !parse_pick(options, wish))
		return false;
	if (function && address_parse(function, wish->address)) {
		fprintf(stderr, "exoctl: --function %s: not a PCI address\n", function);
		return false;
	}
	return option_number(options, OPT_FRAMES, 1, UINT64_MAX, 0, &wish->frames) &&
	       option_number(options, OPT_DEADLINE, 0, UINT32_MAX, DEADLINE_MS, &wish->deadline_ms);
}

/* ---- targets ---- */

static void add_target(struct targets *targets, const struct wish *wish, const struct roots *roots,
		       const struct root *root, size_t first, size_t end)
{
	struct target target = {
		.root = root,
		.first = first,
		.end = end,
		.session = roots->session,
		.arg = {
			.cap = root->cap,
			.timeout_ms = wish->deadline_ms,
			.frames = wish->frames,
			.node = wish->picked ? root->entries[first].node : 0,
		},
	};

	targets->at = must_alloc(targets->at, (targets->count + 1) * sizeof(target));
	targets->at[targets->count++] = target;
}

static void add_picked(struct targets *targets, const struct wish *wish, const struct roots *roots)
{
	for (size_t i = 0; i < roots->count; i++) {
		const struct root *root = &roots->at[i];
		size_t count, *tops = pick_topmost(root->entries, root->count, &wish->pick, &count);

		for (size_t k = 0; k < count; k++)
			add_target(targets, wish, roots, root, tops[k],
				   pick_end(root->entries, root->count, tops[k]));
		free(tops);
	}
}

/* False, after telling why: there is nothing to take back. */
static bool find_targets(struct targets *targets, const struct wish *wish, struct roots *roots)
{
	const struct root *root = roots_find(roots, wish->address);

	if (!root) {
		fprintf(stderr, "exoctl: %s is not bound to exo: exoctl status lists what is\n",
			wish->address);
		return false;
	}
	if (wish->picked)
		add_picked(targets, wish, roots);
	else if (root->count)
		add_target(targets, wish, roots, root, 0, root->count);
	if (!targets->count)
		fprintf(stderr,
			"exoctl: nobody holds anything like that: exoctl list shows who holds "
			"what\n");
	return targets->count;
}

/* ---- asking and taking ---- */

static int by_holder(const void *a, const void *b)
{
	const struct exo_revoke_record *x = a, *y = b;

	if (x->session != y->session)
		return x->session < y->session ? -1 : 1;
	return x->cap < y->cap ? -1 : x->cap > y->cap;
}

static void *revoke(void *arg)
{
	struct target *t = arg;
	size_t room = t->end - t->first + 64; /* for what is derived meanwhile */

	room = room < EXO_RECORDS_MAX ? room : EXO_RECORDS_MAX;
	t->records = must_alloc(NULL, room * sizeof(*t->records));
	t->arg.records = exo_sys_address(t->records);
	t->arg.count = room;
	t->arg.detail = exo_sys_address(&t->detail);
	t->result = exo_sys_revoke(t->session, &t->arg);
	if (t->result)
		t->arg.out_taken = t->arg.out_asked = 0;
	/* Given back, or unbound, before we came to it. */
	if (t->result == -ESTALE || t->detail.reason == EXO_REASON_NO_NODE)
		t->result = 0;
	t->arg.count = t->arg.out_taken < room ? t->arg.out_taken : room;
	qsort(t->records, t->arg.count, sizeof(*t->records), by_holder);
	return NULL;
}

static void revoke_all(struct targets *targets)
{
	for (size_t first = 0; first < targets->count; first += AT_ONCE) {
		size_t end = first + AT_ONCE < targets->count ? first + AT_ONCE : targets->count;

		for (size_t i = first; i < end; i++) {
			int ret = pthread_create(&targets->at[i].thread, NULL, revoke,
						 &targets->at[i]);

			if (ret) {
				fprintf(stderr, "exoctl: a thread: %s\n", strerror(ret));
				exit(EXIT_FAILURE);
			}
		}
		for (size_t i = first; i < end; i++)
			pthread_join(targets->at[i].thread, NULL);
	}
}

/* ---- telling ---- */

struct report {
	const struct machine *machine;
	struct holders_known known;
	size_t lines, left_out;
};

static void line(struct report *report, const struct exo_tree_entry *entry, const char *state)
{
	if (report->lines++ < LINES_MAX)
		list_line(report->machine, &report->known, entry, state);
	else
		report->left_out++;
}

static void end_lines(struct report *report)
{
	if (report->left_out)
		printf("          … and %zu more\n", report->left_out);
	report->lines = report->left_out = 0;
}

static void report_entry(struct report *report, const struct target *t,
			 const struct exo_tree_entry *entry)
{
	const struct exo_revoke_record key = { .session = entry->session, .cap = entry->cap };
	const struct exo_revoke_record *taken;

	if (entry->state == EXO_TREE_DROPPED)
		return;
	taken = bsearch(&key, t->records, t->arg.count, sizeof(key), by_holder);
	if (taken)
		line(report, entry, "taken by force");
	else if (!t->arg.frames)
		line(report, entry, t->arg.out_taken > t->arg.count ? "gone" : "given back");
}

static int report_target(struct report *report, const struct target *t)
{
	char why[256];

	if (t->result) {
		fprintf(stderr, "exoctl: %s: %s\n",
			t->root->address[0] ? t->root->address : "memory",
			exo_explain(why, sizeof(why), t->result, &t->detail));
		return EXIT_FAILURE;
	}
	for (size_t i = t->first; i < t->end; i++)
		report_entry(report, t, &t->root->entries[i]);
	return EXIT_SUCCESS;
}

static void announce(struct report *report, const struct targets *targets, const struct wish *wish)
{
	if (wish->frames)
		printf("asking for %" PRIu64 " frames, for %" PRIu64 " ms, whoever has pools or "
		       "frames of\n",
		       wish->frames, wish->deadline_ms);
	else
		printf("asking for, for %" PRIu64 " ms\n", wish->deadline_ms);
	list_heading();
	for (size_t i = 0; i < targets->count; i++) {
		const struct target *t = &targets->at[i];

		for (size_t k = t->first; k < t->end; k++)
			if (t->root->entries[k].state != EXO_TREE_DROPPED)
				line(report, &t->root->entries[k], "asked");
	}
	end_lines(report);
	fflush(stdout);
}

/* An exit code. */
static int conclude(struct report *report, const struct targets *targets)
{
	uint64_t asked = 0, taken = 0, frames = 0;
	int ret = EXIT_SUCCESS;

	printf("\n");
	for (size_t i = 0; i < targets->count; i++) {
		const struct target *t = &targets->at[i];

		ret |= report_target(report, t);
		asked += t->arg.out_asked;
		taken += t->arg.out_taken;
		frames += t->result ? 0 : t->arg.out_frames;
	}
	end_lines(report);
	printf("asked for %" PRIu64 ", taken by force %" PRIu64, asked, taken);
	if (frames)
		printf(", %" PRIu64 " frames came back", frames);
	printf("\n");
	return ret;
}

static void free_targets(struct targets *targets)
{
	for (size_t i = 0; i < targets->count; i++)
		free(targets->at[i].records);
	free(targets->at);
}

int revoke_command(const struct machine *m, const struct options *options)
{
	struct wish wish = {};
	struct targets targets = {};
	struct report *report;
	struct roots roots;
	int ret = EXIT_FAILURE;

	if (!parse(options, &wish))
		return EXIT_USAGE;
	if (roots_read(m, &roots))
		return EXIT_FAILURE;
	report = must_alloc(NULL, sizeof(*report));
	memset(report, 0, sizeof(*report));
	report->machine = m;
	if (find_targets(&targets, &wish, &roots)) {
		announce(report, &targets, &wish);
		revoke_all(&targets);
		ret = conclude(report, &targets);
	}
	free(report);
	free_targets(&targets);
	roots_close(&roots);
	return ret;
}
