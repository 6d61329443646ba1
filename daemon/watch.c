// SPDX-License-Identifier: MIT
/*
 * exoctl watch: one line for each change below the roots, by comparing listings that are
 * an interval apart. Each look is a session of its own, so that a function that comes or
 * goes between two looks is just another difference. Until the next look it hears what the
 * devices tell.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libexo/events.h>

#include "list.h"
#include "change.h"
#include "ears.h"
#include "options.h"

#define INTERVAL_MS 500

/* What one look saw, and its ears, which hear from @since on. */
struct look {
	struct roots roots;
	struct ears ears;
	__u64 since;
};

struct watch {
	const struct machine *machine;
	struct holders_known known;
	const char *where; /* of what is being compared */
};

static void printf_like(1, 2) say(const char *format, ...)
{
	struct timespec now;
	char stamp[16];
	struct tm local;
	va_list args;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &local);
	strftime(stamp, sizeof(stamp), "%H:%M:%S", &local);
	printf("%s.%03ld  ", stamp, now.tv_nsec / 1000000);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

/* ---- the trees ---- */

static void tell_change(void *context, enum change change, const struct exo_tree_entry *was,
			const struct exo_tree_entry *now)
{
	static const char *const words[] = {
		[CHANGE_NEW] = "granted",     [CHANGE_GONE] = "gone",
		[CHANGE_DROPPED] = "dropped", [CHANGE_ASKED] = "asked back",
		[CHANGE_UNASKED] = "kept",
	};
	char what[LABEL_SIZE], holder[LABEL_SIZE], note[LABEL_SIZE] = "";
	const struct exo_tree_entry *entry = now ? now : was;
	struct watch *w = context;

	/* exo-run has become another program meanwhile. */
	if (now)
		holder_forget(&w->known, now);
	if (change == CHANGE_ASKED)
		snprintf(note, sizeof(note), ", %.1f s left",
			 now->deadline > list_now() ? (now->deadline - list_now()) / 1e9 : 0);
	if (change == CHANGE_GONE && was->state == EXO_TREE_ASKED)
		snprintf(note, sizeof(note), ", after it was asked back");
	if (change == CHANGE_DROPPED)
		snprintf(note, sizeof(note), ", others still hold parts of it");
	say("%-10s  %s: node %llu, %s, %s%s", words[change], w->where, entry->node,
	    label_what(what, entry),
	    label_holder(holder, holder_find(w->machine, &w->known, entry)), note);
}

/* ---- functions and memory ---- */

static void compare_controllers(const struct root *was, const struct root *now)
{
	if (was->controller.out_queues_used != now->controller.out_queues_used)
		say("%-10s  %s: %u of %u in use, were %u", "queues", now->address,
		    now->controller.out_queues_used, now->controller.out_queues,
		    was->controller.out_queues_used);
	if (was->controller.out_state != now->controller.out_state)
		say("%-10s  %s: %s", "controller", now->address,
		    now->controller.out_state == EXO_CONTROLLER_LIVE ? "live" : "FAILED");
}

static void compare_memory(const struct exo_info *was, const struct exo_info *now)
{
	char before[LABEL_SIZE], after[LABEL_SIZE];

	if (was->out_frames_used != now->out_frames_used)
		say("%-10s  %s in use, were %s", "memory",
		    label_bytes(after, now->out_frames_used << 12),
		    label_bytes(before, was->out_frames_used << 12));
	if (was->out_frames_quarantined != now->out_frames_quarantined)
		say("%-10s  %s in quarantine", "memory",
		    label_bytes(after, now->out_frames_quarantined << 12));
}

static void compare_root(struct watch *w, struct root *was, struct root *now)
{
	static struct root none;
	const struct root *any = now ? now : was;

	w->where = any->address[0] ? any->address : "memory";
	if (!was)
		say("%-10s  %s: bound to exo", "function", w->where);
	if (!was)
		was = &none;
	else if (now)
		compare_controllers(was, now);
	changes_find(was->entries, was->count, now ? now->entries : NULL, now ? now->count : 0,
		     tell_change, w);
	if (!now)
		say("%-10s  %s: bound to exo no more", "function", w->where);
}

static void compare_all(struct watch *w, struct roots *was, struct roots *now)
{
	for (size_t i = 0; i < now->count; i++)
		compare_root(w, roots_find(was, now->at[i].address), &now->at[i]);
	for (size_t i = 0; i < was->count; i++)
		if (!roots_find(now, was->at[i].address))
			compare_root(w, &was->at[i], NULL);
	compare_memory(&was->info, &now->info);
	fflush(stdout);
}

/* ---- what the devices tell ---- */

static const char *root_of(const struct roots *roots, __u32 cap)
{
	for (size_t i = 0; i < roots->count; i++)
		if (roots->at[i].cap == cap && roots->at[i].address[0])
			return roots->at[i].address;
	return NULL;
}

/* What was told from @until on the next look has heard, too. */
static void tell_events(struct look *look, __u64 until)
{
	struct exo_event event;
	char sentence[256];

	while (ears_next(&look->ears, &event)) {
		const char *address = root_of(&look->roots, event.cap);

		if (event.type == EXO_EVENT_DEVICE && address && event.time >= look->since &&
		    event.time < until)
			say("%-10s  %s: %s", "device", address,
			    exo_event_print(&event, sentence, sizeof(sentence)));
	}
}

/* ---- */

static int look_begin(const struct machine *m, struct look *look)
{
	int ret = roots_read(m, &look->roots);

	if (ret)
		return ret;
	/* Without memory for a ring it sees what it saw before. */
	ears_open(look->roots.session, &look->ears);
	look->since = list_now();
	return 0;
}

static void look_end(struct look *look)
{
	ears_close(&look->ears);
	roots_close(&look->roots);
}

/* SIGINT and SIGTERM are blocked: they end the wait, and so the program, in good order. */
static bool wait_or_end(const sigset_t *ends, uint64_t ms)
{
	const struct timespec interval = { ms / 1000, ms % 1000 * 1000000 };

	return sigtimedwait(ends, NULL, &interval) < 0;
}

/* So that their names are known when they are gone. How many capabilities there are. */
static size_t meet_holders(struct watch *w, const struct roots *roots)
{
	size_t count = 0;

	for (size_t i = 0; i < roots->count; i++) {
		const struct root *root = &roots->at[i];

		for (size_t k = 0; k < root->count; k++)
			holder_find(w->machine, &w->known, &root->entries[k]);
		count += root->count;
	}
	return count;
}

static int watch(struct watch *w, uint64_t ms)
{
	struct look was, now;
	size_t held;
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	if (look_begin(w->machine, &was))
		return EXIT_FAILURE;
	held = meet_holders(w, &was.roots);
	say("%zu capabilities below %zu roots; looking every %llu ms, Ctrl-C ends it", held,
	    was.roots.count, (unsigned long long)ms);
	fflush(stdout);
	while (!ferror(stdout) && wait_or_end(&ends, ms)) {
		if (look_begin(w->machine, &now)) {
			look_end(&was);
			return EXIT_FAILURE;
		}
		tell_events(&was, now.since);
		compare_all(w, &was.roots, &now.roots);
		look_end(&was);
		was = now;
	}
	look_end(&was);
	return EXIT_SUCCESS;
}

int watch_command(const struct machine *m, const struct options *options)
{
	struct watch *w;
	uint64_t ms;
	int ret;

	if (!option_number(options, OPT_INTERVAL, 10, 3600000, INTERVAL_MS, &ms))
		return EXIT_USAGE;
	w = must_alloc(NULL, sizeof(*w));
	memset(w, 0, sizeof(*w));
	w->machine = m;
	ret = watch(w, ms);
	free(w);
	return ret;
}
