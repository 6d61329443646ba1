// SPDX-License-Identifier: MIT
/*
 * exo-index load: lines of text, or keys of its own, into an index.
 *
 * A signal that would end it is waited for between two lines: what was read until then is in
 * the index, which is closed in order.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "index.h"
#include "job.h"
#include "text.h"

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	stopped = signal;
}

/* Without SA_RESTART, so that a wait for a line ends, too. */
static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = stop };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

static int put_record(const struct options *o, struct index *ix, const struct record *r)
{
	int error = index_put(ix, r->key, r->key_bytes, r->value, r->value_bytes);

	return error ? complain(o, error) : 0;
}

static int load_lines(const struct options *o, struct index *ix, FILE *f, const char *name,
		      uint64_t *put)
{
	struct record r;
	int got, status = 0;

	for (*put = 0; !stopped; ++*put) {
		got = text_read(f, &r);
		if (stopped || !got)
			break;
		status = got < 0 ? complain_text(name, *put + 1, got) : put_record(o, ix, &r);
		if (status)
			break;
	}
	return status;
}

static int load_generated(const struct options *o, struct index *ix, uint64_t *put)
{
	struct record r;
	int status;

	for (*put = 0; *put < o->generate && !stopped; ++*put) {
		r.key_bytes =
			snprintf(r.key, sizeof(r.key), "%016" PRIx64, job_number(o->seed, *put));
		r.value_bytes = snprintf(r.value, sizeof(r.value), "%" PRIu64, *put);
		status = put_record(o, ix, &r);
		if (status)
			return status;
	}
	return 0;
}

static int load_file(const struct options *o, struct index *ix, uint64_t *put)
{
	const char *name = o->args_nr ? o->args[0] : "-";
	FILE *f = strcmp(name, "-") ? fopen(name, "re") : stdin;
	int status;

	if (!f) {
		fprintf(stderr, "exo-index: %s: %s\n", name, strerror(errno));
		return EXIT_FAILED;
	}
	status = load_lines(o, ix, f, strcmp(name, "-") ? name : "standard input", put);
	if (f != stdin)
		fclose(f);
	return status;
}

int run_load(const struct options *o, struct pages *pages)
{
	struct index ix;
	uint64_t put = 0;
	int status, r = index_open(&ix, pages, true);

	if (r)
		return complain(o, r);
	catch_signals();
	status = o->generate ? load_generated(o, &ix, &put) : load_file(o, &ix, &put);
	r = index_close(&ix);
	if (r)
		return complain(o, r);
	if (stopped)
		fprintf(stderr, "exo-index: stopped by a signal (%s)\n", strsignal(stopped));
	fprintf(stderr, "exo-index: %" PRIu64 " entries were put; there are %" PRIu64 " keys\n",
		put, ix.keys);
	return stopped ? EXIT_FAILED : status;
}
