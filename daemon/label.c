// SPDX-License-Identifier: MIT
/*
 * Capabilities and their holders in words; see label.h.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "label.h"

#define FRAME_SHIFT 12

const char *type_name(__u32 type)
{
	static const char *const names[] = {
		[EXO_TYPE_POOL] = "pool",
		[EXO_TYPE_FRAMES] = "frames",
		[EXO_TYPE_CONTROLLER] = "controller",
		[EXO_TYPE_EXTENT] = "extent",
		[EXO_TYPE_QUEUE] = "queue",
		[EXO_TYPE_MEMORY] = "memory",
	};

	return type < sizeof(names) / sizeof(*names) && names[type] ? names[type] : "?";
}

char *label_bytes(char *text, unsigned long long bytes)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
	unsigned int unit = 0;
	double value = bytes;

	for (; value >= 1024 && unit < 4; unit++)
		value /= 1024;
	snprintf(text, LABEL_SIZE, "%.4g %s", value, units[unit]);
	return text;
}

static void label_pool(char *text, const struct exo_tree_entry *entry)
{
	char budget[LABEL_SIZE], used[LABEL_SIZE];

	snprintf(text, LABEL_SIZE, "pool, %.40s of %.40s in use",
		 label_bytes(used, entry->used << FRAME_SHIFT),
		 label_bytes(budget, entry->budget << FRAME_SHIFT));
}

static void label_range(char *text, const struct exo_tree_entry *entry)
{
	char bytes[LABEL_SIZE], unit[LABEL_SIZE];

	label_bytes(bytes, entry->len << entry->unit_shift);
	if (entry->type == EXO_TYPE_EXTENT)
		snprintf(text, LABEL_SIZE, "namespace %u, blocks %llu+%llu (%.40s)", entry->nsid,
			 entry->start, entry->len, bytes);
	else
		snprintf(text, LABEL_SIZE, "frames %llu+%llu of %.40s (%.40s)", entry->start,
			 entry->len, label_bytes(unit, 1ull << entry->unit_shift), bytes);
}

const char *mode_name(__u32 mode)
{
	if (mode == EXO_QUEUE_UNSAFE)
		return "unsafe";
	return mode == EXO_QUEUE_DIRECT ? "direct" : "checked";
}

char *label_what(char *text, const struct exo_tree_entry *entry)
{
	char bytes[LABEL_SIZE];

	switch (entry->type) {
	case EXO_TYPE_POOL:
		label_pool(text, entry);
		break;
	case EXO_TYPE_FRAMES:
	case EXO_TYPE_EXTENT:
		label_range(text, entry);
		break;
	case EXO_TYPE_CONTROLLER:
		snprintf(text, LABEL_SIZE, "controller, %llu of %llu queues in use", entry->used,
			 entry->budget);
		break;
	case EXO_TYPE_QUEUE:
		/* A checked queue is a queue; of others it is said. */
		snprintf(text, LABEL_SIZE, "queue %u%s%s", entry->qid, entry->mode ? ", " : "",
			 entry->mode ? mode_name(entry->mode) : "");
		break;
	case EXO_TYPE_MEMORY:
		snprintf(text, LABEL_SIZE, "adopted memory, %.40s",
			 label_bytes(bytes, entry->len << entry->unit_shift));
		break;
	default:
		snprintf(text, LABEL_SIZE, "type %u", entry->type);
	}
	return text;
}

char *label_rights(char *text, __u32 rights)
{
	static const char *const names[] = { "read",   "write",	 "trim",    "names",
					     "alloc",  "queue",	 "extent",  "submit",
					     "thread", "direct", "priority" };
	size_t length = 0;

	text[0] = '\0';
	for (unsigned int i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (rights & 1u << i)
			length += snprintf(text + length, LABEL_SIZE - length, "%s%s",
					   length ? "," : "", names[i]);
	return text;
}

char *label_state(char *text, const struct exo_tree_entry *entry, unsigned long long now)
{
	unsigned long long left = entry->deadline > now ? entry->deadline - now : 0;

	if (entry->state == EXO_TREE_ASKED)
		snprintf(text, LABEL_SIZE, "asked back, %.1f s left", left / 1e9);
	else
		snprintf(text, LABEL_SIZE, "%s",
			 entry->state == EXO_TREE_HELD ? "held" : "dropped");
	return text;
}

/* ---- holders ---- */

/* A number may have been given to another process since, which has no session. */
static bool has_session(const struct machine *m, __u32 pid)
{
	struct names files = machine_list(m, "proc/%u/fd", pid);
	char target[64], path[64];
	bool found = false;

	for (size_t i = 0; !found && i < files.count; i++) {
		ssize_t length;

		snprintf(path, sizeof(path), "proc/%u/fd/%.16s", pid, files.name[i]);
		length = readlinkat(m->root, path, target, sizeof(target) - 1);
		if (length < 0)
			continue;
		target[length] = '\0';
		found = !strcmp(target, EXO_DEVICE);
	}
	names_free(&files);
	return found;
}

static void look_up(const struct machine *m, const struct exo_tree_entry *entry,
		    struct holder *holder)
{
	const struct passwd *user = getpwuid(entry->uid);

	*holder = (struct holder){
		.session = entry->session,
		.pid = entry->pid,
		.uid = entry->uid,
		.lives = entry->pid && has_session(m, entry->pid),
	};
	if (holder->lives && machine_read(m, holder->command, sizeof(holder->command),
					  "proc/%u/comm", entry->pid) < 0)
		holder->lives = false;
	if (user)
		snprintf(holder->user, sizeof(holder->user), "%s", user->pw_name);
}

const struct holder *holder_find(const struct machine *m, struct holders_known *known,
				 const struct exo_tree_entry *entry)
{
	struct holder *holder = &known->at[entry->session % 256];

	if (holder->session != entry->session)
		look_up(m, entry, holder);
	return holder;
}

void holder_forget(struct holders_known *known, const struct exo_tree_entry *entry)
{
	known->at[entry->session % 256].session = 0; /* no session has this number */
}

/* A process may have ended and left its session to another. */
char *label_holder(char *text, const struct holder *holder)
{
	char process[48] = "a process out of sight", user[72];

	if (holder->lives)
		snprintf(process, sizeof(process), "%u (%s)", holder->pid, holder->command);
	else if (holder->pid)
		snprintf(process, sizeof(process), "%u (ended)", holder->pid);
	if (holder->user[0])
		snprintf(user, sizeof(user), "%s", holder->user);
	else
		snprintf(user, sizeof(user), "%u", holder->uid);
	snprintf(text, LABEL_SIZE, "%s, %s, session %llu", process, user, holder->session);
	return text;
}
