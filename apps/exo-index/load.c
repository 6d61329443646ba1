// SPDX-License-Identifier: MIT
/*
 * exo-index load: lines of text, or keys of its own, into an index.
 *
 * A signal that would end it is waited for between two lines: what was read until then is in
 * the index, which is closed in order.
 */
#define _GNU_SOURCE 1
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "index.h"
#include "job.h"
#include "stop.h"
#include "text.h"

/* Between a look at the signals and a read one could come, and the read wait for a line all the same. */
static ssize_t read_unless_stopped(void *cookie, char *to, size_t bytes)
{
	int fd = fileno(cookie);

	stop_wait(fd, POLLIN);
	return stop_asked() ? 0 : read(fd, to, bytes);
}

/* What is left of it, but it ends when the program is to stop. */
static FILE *until_stopped(FILE *f)
{
	return fopencookie(f, "r", (cookie_io_functions_t){ .read = read_unless_stopped });
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

	for (*put = 0; !stop_asked(); ++*put) {
		got = text_read(f, &r);
		if (stop_asked() || !got)
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

	for (*put = 0; *put < o->generate && !stop_asked(); ++*put) {
		r.key_bytes =
			snprintf(r.key, sizeof(r.key), "%016" PRIx64, job_number(o->seed, *put));
		r.value_bytes = snprintf(r.value, sizeof(r.value), "%" PRIu64, *put);
		status = put_record(o, ix, &r);
		if (status)
			return status;
	}
	return 0;
}

static int load_stream(const struct options *o, struct index *ix, FILE *f, const char *name,
		       uint64_t *put)
{
	FILE *lines = until_stopped(f);
	int status;

	if (!lines)
		return complain(o, -errno);
	status = load_lines(o, ix, lines, name, put);
	fclose(lines);
	return status;
}

static int load_file(const struct options *o, struct index *ix, uint64_t *put)
{
	const char *name = o->args_nr ? o->args[0] : "-";
	FILE *f;
	int status;

	if (!strcmp(name, "-"))
		return load_stream(o, ix, stdin, "standard input", put);
	f = fopen(name, "re");
	if (!f) {
		fprintf(stderr, "exo-index: %s: %s\n", name, strerror(errno));
		return EXIT_FAILED;
	}
	status = load_stream(o, ix, f, name, put);
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
	stop_begin();
	status = o->generate ? load_generated(o, &ix, &put) : load_file(o, &ix, &put);
	r = index_close(&ix);
	if (r)
		return complain(o, r);
	if (stop_asked())
		fprintf(stderr, "exo-index: stopped by a signal (%s)\n", strsignal(stop_asked()));
	fprintf(stderr, "exo-index: %" PRIu64 " entries were put; there are %" PRIu64 " keys\n",
		put, ix.keys);
	return stop_asked() ? EXIT_FAILED : status;
}
