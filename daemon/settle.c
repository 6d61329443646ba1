// SPDX-License-Identifier: MIT
/*
 * What blocks hold when they change hands; see settle.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "settle.h"
#include "zero.h"

struct settlement {
	const struct machine *machine;
	const char *address;
	struct history history;
	uid_t user;
	enum zeroing zeroing;
};

static int fail_history(const char *address, int error)
{
	fprintf(stderr, "%s: /run/exo/holders-%s: %s\n", program_invocation_short_name, address,
		strerror(-error));
	return error;
}

static int check_live(const struct settlement *s, const struct parcel *parcel, struct range part)
{
	const struct holding *live = history_live(s->machine, &s->history, parcel->object, part);

	if (!live)
		return 0;
	fprintf(stderr,
		"%s: process %d of user %u runs with blocks %" PRIu64 "+%" PRIu64
		" in its hands, which would be overwritten with zeroes: wait for it, or share "
		"them as they are with --keep\n",
		program_invocation_short_name, live->process, live->user, live->blocks.start,
		live->blocks.length);
	return -EBUSY;
}

static int zero_part(const struct settlement *s, const struct parcel *parcel, struct range part)
{
	fprintf(stderr, "%s: writing zeroes to %s/%u:%" PRIu64 "+%" PRIu64 " (%.6g MiB)%s\n",
		program_invocation_short_name, s->address, parcel->nsid, part.start, part.length,
		(double)part.length * (1u << parcel->block_shift) / (1u << 20),
		s->zeroing == ZERO_ALWAYS
			? ""
			: ": not known to be this user's; --keep keeps what is there");
	return zero_blocks(s->address, parcel->nsid, part);
}

static int zero_parcel(const struct settlement *s, const struct parcel *parcel)
{
	/* Nobody has held anything: all blocks are foreign, as they are to who is not known. */
	static const struct history blank;
	bool all = s->zeroing == ZERO_ALWAYS || s->user == SETTLE_ANYBODY;
	struct ranges parts =
		history_foreign(all ? &blank : &s->history, parcel->object, parcel->range, s->user);
	int ret = 0;

	for (size_t i = 0; !ret && i < parts.count; i++)
		ret = check_live(s, parcel, parts.at[i]);
	for (size_t i = 0; !ret && i < parts.count; i++)
		ret = zero_part(s, parcel, parts.at[i]);
	free(parts.at);
	return ret;
}

static void remember(struct settlement *s, const struct parcel *parcel, pid_t process)
{
	struct holding now = {
		.object = parcel->object,
		.blocks = parcel->range,
		.user = s->user,
		.process = process,
		.started = process_started(s->machine, process),
	};

	history_put(&s->history, &now);
}

int settle(const struct machine *m, const char *address, const struct parcel *parcels, size_t count,
	   uid_t user, enum zeroing zeroing)
{
	struct settlement s = {
		.machine = m,
		.address = address,
		.user = user,
		.zeroing = zeroing,
	};
	int ret = history_open(m, address, &s.history);

	if (ret)
		return fail_history(address, ret);
	for (size_t i = 0; !ret && i < count; i++) {
		if (zeroing != ZERO_NEVER)
			ret = zero_parcel(&s, &parcels[i]);
		if (!ret)
			remember(&s, &parcels[i], getpid());
	}
	if (!ret) {
		ret = history_save(&s.history);
		if (ret)
			fail_history(address, ret);
	}
	history_close(&s.history);
	return ret;
}

int settle_holder(const struct machine *m, const char *address, const struct parcel *parcel,
		  uid_t user, pid_t process)
{
	struct settlement s = { .machine = m, .address = address, .user = user };
	int ret = history_open(m, address, &s.history);

	if (!ret) {
		remember(&s, parcel, process);
		ret = history_save(&s.history);
		history_close(&s.history);
	}
	return ret ? fail_history(address, ret) : 0;
}
