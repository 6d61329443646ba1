// SPDX-License-Identifier: MIT
/*
 * exo-cp: copies between extents and files.
 *
 * The way through it: options.c, side.c opens both, plan.c refuses what cannot work, extent.c
 * makes queues and a buffer, flow.c moves the data, and this file says what became of it.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "clock.h"
#include "cmdline.h"
#include "extent.h"
#include "file.h"
#include "flow.h"
#include "plan.h"
#include "report.h"
#include "stop.h"
#include "streams.h"

typedef unsigned long long ull;

/**
 * struct job - one run of the program
 * @o: the command line
 * @from: SOURCE
 * @to: DESTINATION
 * @plan: what is copied
 * @buffer: memory that both reach
 * @sums: of what was copied, with --verify
 * @done: bytes that have arrived
 */
struct job {
	const struct options *o;
	struct side from;
	struct side to;
	struct plan plan;
	char *buffer;
	struct sums sums;
	uint64_t done;
};

static struct flow flow_of(struct job *j, enum flow_kind kind, uint64_t begin, uint64_t end)
{
	return (struct flow){
		.kind = kind,
		.from = &j->from,
		.pad = j->o->pad,
		.begin = begin,
		.end = end,
		.size = j->plan.size,
		.buffer = j->buffer,
		.stride = j->plan.stride,
		.count = j->plan.count,
	};
}

/* ---- copying ---- */

/* Whole blocks. */
static int copy_in_device(struct job *j)
{
	uint64_t end = j->plan.bytes - j->plan.bytes % j->to.block;
	struct flow f = flow_of(j, FLOW_OFFLOAD, 0, end);
	int r;

	f.to = &j->to;
	f.size = extent_copy_max(&j->to);
	r = flow_run(&f);
	j->done = f.done;
	return r;
}

/* The rest, or all. */
static int copy_by_host(struct job *j)
{
	uint64_t end = j->plan.bytes < j->plan.room ? j->plan.bytes : j->plan.room;
	struct flow f = flow_of(j, FLOW_COPY, j->done, end);
	int r;

	f.to = &j->to;
	f.sums = j->o->verify && !j->plan.offload ? &j->sums : NULL;
	r = flow_run(&f);
	j->done = f.done;
	return r;
}

/* Did SOURCE have what it should have, and DESTINATION room for it? */
static int check_end(struct job *j)
{
	ssize_t n;
	char more;

	if (j->plan.bytes != UNKNOWN && j->done < j->plan.bytes)
		return fail("%s has ended after %llu of %llu bytes", j->from.name, (ull)j->done,
			    (ull)j->plan.bytes);
	if (j->plan.bytes != UNKNOWN || j->done < j->plan.room)
		return 0;
	n = file_read(&j->from, &more, j->done, 1);
	if (n <= 0)
		return n;
	return fail("%s is full after %llu bytes, and %s has more", j->to.name, (ull)j->done,
		    j->from.name);
}

/* What has arrived is the beginning of SOURCE, without a gap: the rest can be copied later. */
static int tell_how_far(struct job *j, const char *what)
{
	char rest[128] = "", bytes[32] = "";

	if (j->o->bytes.given)
		snprintf(bytes, sizeof(bytes), " --bytes %llu", (ull)(j->plan.bytes - j->done));
	if (j->from.kind != SIDE_STREAM && j->to.kind != SIDE_STREAM)
		snprintf(rest, sizeof(rest), "; --from %llu --to %llu%s goes on",
			 (ull)(j->from.offset + j->done), (ull)(j->to.offset + j->done), bytes);
	return fail("%s: the first %llu bytes were copied, and may not be durable%s", what,
		    (ull)j->done, rest);
}

static int copy(struct job *j)
{
	int r = side_replace(&j->to, j->o);

	if (r)
		return r;
	report_phase("copied", j->plan.bytes);
	if (j->plan.offload)
		r = copy_in_device(j);
	if (!r && !stop_asked() && j->done != j->plan.bytes)
		r = copy_by_host(j);
	if (!r && !stop_asked())
		r = check_end(j);
	/* A stream that has not said that it ends may have more. */
	if (stop_asked() && j->done != j->plan.bytes)
		return tell_how_far(j, "interrupted");
	if (r)
		return tell_how_far(j, "not all was copied");
	return side_sync(&j->to);
}

/* ---- verifying ---- */

static int check(struct job *j)
{
	struct flow f = flow_of(j, FLOW_CHECK, 0, j->done);
	int r;

	f.from = &j->to;
	f.sums = &j->sums;
	if (j->to.kind == SIDE_FILE)
		file_forget(&j->to);
	report_phase("verified", j->done);
	r = flow_run(&f);
	if (!r && f.done < j->done && !stop_asked())
		r = fail("%s has ended after %llu of %llu bytes that were written", j->to.name,
			 (ull)f.done, (ull)j->done);
	return r;
}

/* What the device copied has not been here. */
static int note(struct job *j)
{
	struct flow f = flow_of(j, FLOW_NOTE, 0, j->done);

	if (!j->plan.offload)
		return 0;
	f.sums = &j->sums;
	report_phase("read again", j->done);
	return flow_run(&f);
}

static int verify(struct job *j)
{
	int r;

	if (!j->o->verify)
		return 0;
	r = note(j);
	if (!r && !stop_asked())
		r = check(j);
	if (stop_asked())
		return fail("interrupted: all was copied and is durable, and not verified");
	if (!r && j->sums.wrong)
		r = fail("%s differs from what was copied in %zu of %zu pieces", j->to.name,
			 j->sums.wrong, j->sums.checked);
	return r;
}

/* ---- all of it ---- */

static void summarize(struct job *j, uint64_t ns)
{
	double seconds = ns / 1e9;
	char how[64];

	if (j->plan.offload)
		snprintf(how, sizeof(how), "by NVMe Copy");
	else
		snprintf(how, sizeof(how), "by the host, %u x %s", j->plan.count,
			 amount(j->plan.size).text);
	say("%llu bytes (%s) in %.3f s, %s/s, %s%s%s", (ull)j->done, amount(j->done).text, seconds,
	    amount(j->done / (seconds > 0 ? seconds : 1e-9)).text, how,
	    j->to.kind == SIDE_STREAM ? "" : ", durable", j->o->verify ? ", verified" : "");
}

static int set_up(struct job *j)
{
	if (side_open_source(&j->from, j->o) || side_open_destination(&j->to, j->o, &j->from) ||
	    plan_make(&j->plan, j->o, &j->from, &j->to) ||
	    extent_open_queues(&j->from, &j->to, j->plan.count))
		return -1;
	j->buffer = extent_alloc(&j->from, &j->to, (size_t)j->plan.stride * j->plan.count);
	return j->buffer ? 0 : -1;
}

static int run(struct job *j)
{
	uint64_t began;
	int r = set_up(j);

	if (r)
		return r;
	began = clock_ns();
	r = copy(j);
	began = clock_ns() - began;
	if (!r)
		r = verify(j);
	if (!r)
		summarize(j, began);
	return r;
}

/*
 * A touch of the buffer, which is not there any more: who gave it has taken it back. Nobody
 * touches it within stdio, or holding a lock: so stdio may be used.
 */
static void lose_buffer(int number)
{
	(void)number;
	report_lost_buffer();
	_exit(EXIT_FAILED);
}

static void catch_signals(void)
{
	stop_begin();
	/* Who reads no more, and who may not make a file as large, is found out by write(). */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGBUS, lose_buffer);
}

static int copy_as_told(const struct options *o)
{
	struct job j = { .o = o, .from.fd = -1, .to.fd = -1 };
	int r;

	report_begin(o);
	catch_signals();
	r = run(&j);
	/* The other side may use what the first has lent. */
	side_close(&j.to);
	side_close(&j.from);
	sums_free(&j.sums);
	/* What is whole needs no excuse. */
	if (r && stop_asked())
		stop_now();
	return r ? EXIT_FAILED : 0;
}

static int run_as_told(int argc, char **argv)
{
	struct options o;
	char why[512];

	if (options_parse(argc, argv, &o, why, sizeof(why))) {
		fprintf(stderr, "exo-cp: %s (exo-cp --help)\n", why);
		return EXIT_USAGE;
	}
	switch (o.action) {
	case ACTION_HELP:
		options_help();
		return 0;
	case ACTION_VERSION:
		printf("exo-cp 0.1.0, interface %d.%d\n", EXO_VERSION_MAJOR, EXO_VERSION_MINOR);
		return 0;
	default:
		return copy_as_told(&o);
	}
}

int main(int argc, char **argv)
{
	streams_begin();
	return streams_end("exo-cp", run_as_told(argc, argv));
}
