// SPDX-License-Identifier: MIT
/*
 * Who last held which blocks; see history.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "history.h"

static void append(struct history *history, const struct holding *holding)
{
	history->at = must_alloc(history->at, (history->count + 1) * sizeof(*history->at));
	history->at[history->count++] = *holding;
}

static int read_lines(struct history *history)
{
	int copy = dup(history->fd);
	FILE *file = copy < 0 ? NULL : fdopen(copy, "r");
	struct holding h;

	if (!file)
		return -errno;
	while (fscanf(file, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %u %d %" SCNu64, &h.object,
		      &h.blocks.start, &h.blocks.length, &h.user, &h.process, &h.started) == 6)
		append(history, &h);
	fclose(file);
	return 0;
}

int history_open(const struct machine *m, const char *address, struct history *history)
{
	char path[64];
	int ret;

	*history = (struct history){};
	snprintf(path, sizeof(path), "run/exo/holders-%s", address);
	if (mkdirat(m->root, "run/exo", 0755) && errno != EEXIST)
		return -errno;
	history->fd = openat(m->root, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (history->fd < 0)
		return -errno;
	ret = flock(history->fd, LOCK_EX) ? -errno : read_lines(history);
	if (ret)
		history_close(history);
	return ret;
}

int history_save(const struct history *history)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	int ret = 0;

	if (!file)
		return -errno;
	for (size_t i = 0; i < history->count; i++) {
		const struct holding *h = &history->at[i];

		fprintf(file, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %u %d %" PRIu64 "\n", h->object,
			h->blocks.start, h->blocks.length, h->user, h->process, h->started);
	}
	fclose(file);
	if (ftruncate(history->fd, 0) || pwrite(history->fd, text, size, 0) != (ssize_t)size)
		ret = errno ? -errno : -EIO;
	free(text);
	return ret;
}

void history_close(struct history *history)
{
	close(history->fd);
	free(history->at);
	*history = (struct history){ .fd = -1 };
}

static uint64_t end_of(struct range range)
{
	return range.start + range.length;
}

static bool overlap(struct range a, struct range b)
{
	return a.start < end_of(b) && b.start < end_of(a);
}

/* What of whole lies before and behind cut. Either part may be empty. */
static void subtract(struct range whole, struct range cut, struct range part[2])
{
	part[0] = part[1] = (struct range){};
	if (cut.start > whole.start)
		part[0] = (struct range){ whole.start, cut.start - whole.start };
	if (end_of(cut) < end_of(whole))
		part[1] = (struct range){ end_of(cut), end_of(whole) - end_of(cut) };
}

void history_put(struct history *history, const struct holding *now)
{
	struct history old = *history;

	*history = (struct history){ .fd = old.fd };
	for (size_t i = 0; i < old.count; i++) {
		struct holding rest = old.at[i];
		struct range part[2];

		if (rest.object != now->object || !overlap(rest.blocks, now->blocks)) {
			append(history, &rest);
			continue;
		}
		subtract(old.at[i].blocks, now->blocks, part);
		for (int k = 0; k < 2; k++) {
			rest.blocks = part[k];
			if (rest.blocks.length)
				append(history, &rest);
		}
	}
	append(history, now);
	free(old.at);
}

static void add_range(struct ranges *list, struct range range)
{
	if (!range.length)
		return;
	list->at = must_alloc(list->at, (list->count + 1) * sizeof(*list->at));
	list->at[list->count++] = range;
}

struct ranges history_foreign(const struct history *history, uint64_t object, struct range blocks,
			      uid_t user)
{
	struct ranges left = {};

	add_range(&left, blocks);
	for (size_t i = 0; i < history->count; i++) {
		const struct holding *h = &history->at[i];
		struct ranges next = {};

		if (h->object != object || h->user != user)
			continue;
		for (size_t k = 0; k < left.count; k++) {
			struct range part[2] = { left.at[k] };

			if (overlap(left.at[k], h->blocks))
				subtract(left.at[k], h->blocks, part);
			add_range(&next, part[0]);
			add_range(&next, part[1]);
		}
		free(left.at);
		left = next;
	}
	return left;
}

/* Field 22 of stat; the second is a name in brackets that may hold anything. */
uint64_t process_started(const struct machine *m, pid_t process)
{
	char stat[1024];
	uint64_t started;
	char *rest;

	if (machine_read(m, stat, sizeof(stat), "proc/%d/stat", process) < 0)
		return 0;
	rest = strrchr(stat, ')');
	if (!rest || sscanf(rest + 1,
			    " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
			    "%*d %*d %*d %*d %" SCNu64,
			    &started) != 1)
		return 0;
	return started;
}

const struct holding *history_live(const struct machine *m, const struct history *history,
				   uint64_t object, struct range blocks)
{
	for (size_t i = 0; i < history->count; i++) {
		const struct holding *h = &history->at[i];

		if (h->object == object && overlap(h->blocks, blocks) && h->started &&
		    h->process != getpid() && process_started(m, h->process) == h->started)
			return h;
	}
	return NULL;
}
