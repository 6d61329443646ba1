// SPDX-License-Identifier: MIT
/*
 * exo-perf: measures or verifies an extent through checked queues.
 *
 * The ways through it: measure.c (threads and figures; the loop that is
 * measured is worker.c), verify.c (pattern and checksums), refusal.c.
 */
#include <stdio.h>
#include <string.h>

#include "cmdline.h"
#include "measure.h"
#include "refusal.h"
#include "streams.h"
#include "verify.h"

/* Writing is for the disk that was named, not for whichever one got the address. */
static int check_serial(struct exo *x, const struct options *o)
{
	if (!options_write(o) || !strcmp(o->serial, exo_serial(x)))
		return 0;
	fprintf(stderr,
		"exo-perf: --write names serial number \"%s\" and %s has \"%s\": nothing was "
		"written\n",
		o->serial, exo_address(x), exo_serial(x));
	return -1;
}

static int run_measure(struct exo *x, const struct options *o)
{
	struct result result;

	if (measure(x, o, &result))
		return EXIT_FAILED;
	report(x, o, &result);
	return 0;
}

static int run(struct exo *x, const struct options *o)
{
	if (check_serial(x, o))
		return EXIT_FAILED;
	switch (o->action) {
	case ACTION_VERIFY_WRITE:
	case ACTION_VERIFY_READ:
		return verify(x, o) ? EXIT_FAILED : 0;
	case ACTION_SHOW_REFUSAL:
		return show_refusal(x, o) ? EXIT_FAILED : 0;
	default:
		return run_measure(x, o);
	}
}

/* No more rights than the job needs. */
static unsigned int rights(const struct options *o)
{
	if (o->action == ACTION_VERIFY_WRITE || (options_write(o) && !o->reads))
		return EXO_WRITE;
	return options_write(o) ? EXO_READ | EXO_WRITE : EXO_READ;
}

static int open_and_run(const struct options *o)
{
	struct exo *x;
	int r = exo_open(o->name, rights(o) | (o->direct ? EXO_DIRECT : 0), &x),
	    status = EXIT_FAILED;

	if (r)
		fprintf(stderr, "exo-perf: %s\n", exo_strerror(x, r));
	else
		status = run(x, o);
	exo_close(x);
	return status;
}

static int run_as_told(int argc, char **argv)
{
	struct options o;
	char why[256];

	if (options_parse(argc, argv, &o, why, sizeof(why))) {
		fprintf(stderr, "exo-perf: %s (exo-perf --help)\n", why);
		return EXIT_USAGE;
	}
	if (o.action == ACTION_HELP) {
		options_help();
		return 0;
	}
	if (o.action == ACTION_VERSION) {
		printf("exo-perf 0.1.0, interface %d.%d\n", EXO_VERSION_MAJOR, EXO_VERSION_MINOR);
		return 0;
	}
	return open_and_run(&o);
}

int main(int argc, char **argv)
{
	streams_begin();
	return streams_end("exo-perf", run_as_told(argc, argv));
}
