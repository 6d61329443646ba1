// SPDX-License-Identifier: MIT
/*
 * exo-bench: what exo is worth on this machine and this disk, beside the ways that Linux
 * has. See exo-bench(8).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "diff.h"
#include "first-read.h"
#include "plot.h"
#include "rounds.h"
#include "stop.h"
#include "surroundings.h"

#define EXIT_USAGE 2
#define DEFAULT_DEPTHS "1,32,128"
#define DEFAULT_ROWS                                                                           \
	"pread,libaio,io_uring,io_uring-polled,passthrough,passthrough-polled,exo,exo-thread," \
	"exo-direct," ROW_FIRST_READ "," ROW_TENANTS

static const char help[] =
	"usage: exo-bench DEVICE [OPTION]...          measure it: a free NVMe disk, as root\n"
	"       exo-bench diff A.json B.json          what changed, and whether it is noise\n"
	"       exo-bench plot RUN.json -o DIR        pictures (SVG) of a run\n"
	"       exo-bench first-read NAME             from exec to a completed read of NAME\n"
	"       exo-bench --list | --help\n"
	"  --rounds N       of all rows, the disk going back and forth between the drivers (5)\n"
	"  --seconds S      that the rate of each row is measured; latencies half of that (1)\n"
	"  --depths LIST    DEPTH or DEPTH:BATCH, with commas (" DEFAULT_DEPTHS ")\n"
	"  --rows LIST      with commas; --list names them\n"
	"  --nsid N         namespace (the first)\n"
	"  --iommu TYPE     of the stock driver's rows: identity, DMA, DMA-FQ (as it is)\n"
	"  --cpu N          to run on (one of the disk's node)\n"
	"  --json FILE      all figures; for diff and plot\n"
	"  --svg DIR        pictures\n"
	"  --raw            a line for each measurement, as it is made\n"
	"  --count N        count N reads between marks, for bench/insncount; no times\n"
	"  --write SERIAL   measure writes: destroys what the disk with this serial number bears\n"
	"DEVICE is a PCI address (0000:01:00.0) or a controller (nvme0). Without --write nothing\n"
	"is written to it. It is given back whatever happens. More: man exo-bench\n";

struct options {
	struct rounds rounds;
	const char *device, *nsid, *iommu, *json, *svg, *serial;
	char *depths, *rows;
};

static int usage(const char *why, const char *what)
{
	fprintf(stderr, "exo-bench: %s%s%s\n%s", why, what ? ": " : "", what ? what : "", help);
	return EXIT_USAGE;
}

static void list_rows(void)
{
	const struct bench_engine *e;

	for (unsigned int i = 0; (e = bench_engine_at(i)); i++)
		printf("%-20s %s\n", e->name, e->what);
	printf("%-20s %s\n", ROW_FIRST_READ, "exo, from exec to the first completed read");
	printf("%-20s %s\n", ROW_TENANTS, "exo, one process and 16 that share the disk");
}

/* ---- the command line ---- */

static bool take_number(const char *text, double least, double most, double *number)
{
	char *end;

	errno = 0;
	*number = strtod(text, &end);
	return end != text && !*end && !errno && isfinite(*number) && *number >= least &&
	       *number <= most;
}

static bool take_whole(const char *text, double least, double most, unsigned int *number)
{
	double value;

	if (!take_number(text, least, most, &value) || value != floor(value))
		return false;
	*number = value;
	return true;
}

/* As much at a time as keeps the disk busy meanwhile. */
static unsigned int usual_batch(unsigned int depth)
{
	return depth < 4 ? 1 : depth <= 32 ? depth / 2 : depth / 4;
}

static bool take_point(struct rounds *o, char *word)
{
	char *batch = strchr(word, ':');
	unsigned int *depth = &o->depth[o->points];

	if (batch)
		*batch++ = '\0';
	if (o->points == POINTS_MAX || !take_whole(word, 1, BENCH_DEPTH_MAX, depth))
		return false;
	o->batch[o->points] = usual_batch(*depth);
	if (batch && !take_whole(batch, 1, *depth, &o->batch[o->points]))
		return false;
	o->points++;
	return true;
}

static bool take_row(struct rounds *o, char *word)
{
	if (o->rows_nr == ROWS_MAX || !rounds_know(word))
		return false;
	o->rows[o->rows_nr++] = word;
	return true;
}

/* The words between commas or blanks; the first that @take does not take, or NULL. */
static const char *take_words(struct rounds *o, char *list, bool (*take)(struct rounds *, char *))
{
	char *word;

	while ((word = strtok_r(list, ", ", &list)))
		if (!take(o, word))
			return word;
	return NULL;
}

enum {
	OPT_CPU = 1000,
	OPT_COUNT,
	OPT_DEPTHS,
	OPT_IOMMU,
	OPT_JSON,
	OPT_LIST,
	OPT_NSID,
	OPT_RAW,
	OPT_ROUNDS,
	OPT_ROWS,
	OPT_SECONDS,
	OPT_SVG,
	OPT_WRITE,
};

static const struct option known[] = {
	{ "count", required_argument, NULL, OPT_COUNT },
	{ "cpu", required_argument, NULL, OPT_CPU },
	{ "depths", required_argument, NULL, OPT_DEPTHS },
	{ "help", no_argument, NULL, 'h' },
	{ "iommu", required_argument, NULL, OPT_IOMMU },
	{ "json", required_argument, NULL, OPT_JSON },
	{ "list", no_argument, NULL, OPT_LIST },
	{ "nsid", required_argument, NULL, OPT_NSID },
	{ "raw", no_argument, NULL, OPT_RAW },
	{ "rounds", required_argument, NULL, OPT_ROUNDS },
	{ "rows", required_argument, NULL, OPT_ROWS },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "svg", required_argument, NULL, OPT_SVG },
	{ "write", required_argument, NULL, OPT_WRITE },
	{},
};

/* A number that an option has, or is one of the words. */
static bool take_value(struct options *o, int option, char *value)
{
	unsigned int whole = 0;
	bool good = true;

	switch (option) {
	case OPT_COUNT:
		good = take_whole(value, 1, 1e9, &whole);
		o->rounds.count = whole;
		break;
	case OPT_CPU:
		good = take_whole(value, 0, 1023, &whole);
		o->rounds.cpu = whole;
		break;
	case OPT_NSID:
		good = take_whole(value, 1, 0xfffffffe, &whole);
		o->nsid = value;
		break;
	case OPT_ROUNDS:
		good = take_whole(value, 1, 10000, &o->rounds.rounds);
		break;
	case OPT_SECONDS:
		good = take_number(value, 0.01, 86400, &o->rounds.seconds);
		break;
	case OPT_RAW:
		o->rounds.raw = true;
		break;
	case OPT_DEPTHS:
		o->depths = value;
		break;
	case OPT_ROWS:
		o->rows = value;
		break;
	case OPT_IOMMU:
		o->iommu = value;
		good = !strcmp(value, "identity") || !strcmp(value, "DMA") ||
		       !strcmp(value, "DMA-FQ");
		break;
	case OPT_JSON:
		o->json = value;
		break;
	case OPT_SVG:
		o->svg = value;
		break;
	case OPT_WRITE:
		o->serial = value;
		o->rounds.write = true;
		break;
	}
	return good;
}

/* 0, or an exit code + 1. */
static int take_options(struct options *o, int argc, char **argv)
{
	int option;

	*o = (struct options){ .rounds = { .rounds = 5, .seconds = 1, .cpu = -1 } };
	while ((option = getopt_long(argc, argv, "h", known, NULL)) >= 0) {
		switch (option) {
		case 'h':
			fputs(help, stdout);
			return EXIT_SUCCESS + 1;
		case OPT_LIST:
			list_rows();
			return EXIT_SUCCESS + 1;
		case '?':
			return usage("cannot understand that", NULL) + 1;
		default:
			if (!take_value(o, option, optarg))
				return usage("not a value of this option", optarg) + 1;
		}
	}
	if (optind != argc - 1)
		return usage(optind == argc ? "which DEVICE?" : "too many arguments", NULL) + 1;
	o->device = argv[optind];
	return 0;
}

static int take_lists(struct options *o)
{
	const char *bad;

	o->depths = o->depths ? strdup(o->depths) : strdup(DEFAULT_DEPTHS);
	o->rows = o->rows ? strdup(o->rows) : strdup(DEFAULT_ROWS);
	bad = take_words(&o->rounds, o->depths, take_point);
	if (bad)
		return usage("--depths: not a depth from 1 to 256, or too many", bad) + 1;
	bad = take_words(&o->rounds, o->rows, take_row);
	if (bad)
		return usage("--rows: no such row, or too many", bad) + 1;
	if (!o->rounds.points || !o->rounds.rows_nr)
		return usage("nothing to measure", NULL) + 1;
	if (o->rounds.count)
		o->rounds.rounds = 1;
	return 0;
}

/* ---- a run ---- */

static void print_checks(const struct findings *checks)
{
	for (size_t i = 0; i < checks->count; i++) {
		bool warns = checks->at[i].cure[0];

		fprintf(stderr, "%-5s %s\n", warns ? "warn" : "ok", checks->at[i].what);
		if (warns)
			fprintf(stderr, "      -> %s\n", checks->at[i].cure);
	}
}

/*
 * Made before the disk is touched: a place where nothing can be written is told first. What is
 * there from before stays until there is something else.
 */
static int open_outputs(const struct options *o, FILE **json)
{
	*json = NULL;
	if (!o->json)
		return 0;
	*json = fopen(o->json, "ae");
	if (!*json)
		fprintf(stderr, "exo-bench: %s: %s\n", o->json, strerror(errno));
	return *json ? 0 : -1;
}

static int write_outputs(const struct options *o, const struct results *results, FILE *json)
{
	int ret = 0;

	if (json) {
		if (ftruncate(fileno(json), 0) && errno != EINVAL) /* a pipe has no length */
			ret = errno;
		results_write(results, json);
		ret |= ferror(json);
		ret |= fclose(json);
		if (ret)
			fprintf(stderr, "exo-bench: %s: it could not be written\n", o->json);
	}
	if (o->svg)
		ret |= plot_write(results, o->svg);
	if (!o->rounds.raw && !o->rounds.count)
		results_table(results, stdout);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The disk is asked for and held. */
static int measure(struct options *o, struct loan *loan, struct results *results)
{
	const char *where;
	int ret;

	if (o->rounds.cpu < 0)
		o->rounds.cpu = surroundings_cpu(loan->m, loan->f.address);
	results_place(results, PLACE_WORKLOAD, o->rounds.write ? "random writes" : "random reads");
	surroundings_note(loan, o->rounds.cpu, results);
	surroundings_sample(loan, results);
	print_checks(&results->checks);
	ret = loan_begin(loan, &where);
	if (ret) {
		fprintf(stderr, "exo-bench: %s: %s\n", where, strerror(-ret));
		return 3;
	}
	ret = rounds_run(&o->rounds, loan, results);
	if (loan_end(loan))
		return 3;
	fprintf(stderr, "%s has its own driver again\n", loan->f.address);
	return ret;
}

static int run_disk(struct options *o, const struct machine *m, FILE *json)
{
	struct loan loan = { .m = m, .nsid = o->nsid ? strtoul(o->nsid, NULL, 10) : 0 };
	struct findings refused = {};
	struct results results;
	int ret;

	snprintf(loan.iommu, sizeof(loan.iommu), "%s", o->iommu ? o->iommu : "");
	loan_ask(&loan, o->device, &refused);
	if (!refused.count && o->serial && strcmp(o->serial, loan.serial))
		findings_add(&refused, "is it the right disk?",
			     "--write %s: the serial number of this disk is %s", o->serial,
			     loan.serial);
	if (refused.count) {
		bind_print_refusal("exo-bench", loan.f.address[0] ? loan.f.address : o->device,
				   &refused);
		exclusive_release(&loan.held);
		findings_free(&refused);
		return EXIT_FAILURE;
	}
	results_begin(&results);
	ret = measure(o, &loan, &results);
	if (ret < 2 && write_outputs(o, &results, json))
		ret = 1;
	results_free(&results);
	return ret == 2 ? 128 + stop_signal() : ret ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_command(int argc, char **argv)
{
	struct options o;
	struct machine m;
	FILE *json;
	int ret = take_options(&o, argc, argv) ?: take_lists(&o);

	if (ret)
		return ret - 1;
	if (geteuid()) {
		fprintf(stderr, "exo-bench: moving a disk between drivers needs root\n");
		return EXIT_FAILURE;
	}
	if (machine_open(&m, "/") || open_outputs(&o, &json))
		return EXIT_FAILURE;
	stop_begin();
	ret = run_disk(&o, &m, json);
	machine_close(&m);
	free(o.depths);
	free(o.rows);
	return ret;
}

/* ---- what was measured before ---- */

static int diff_command(int argc, char **argv)
{
	struct results before, after;

	if (argc != 3)
		return usage("diff: which two runs?", NULL);
	if (results_read(&before, argv[1]))
		return EXIT_FAILURE;
	if (results_read(&after, argv[2])) {
		results_free(&before);
		return EXIT_FAILURE;
	}
	diff_print(&before, &after, stdout);
	results_free(&before);
	results_free(&after);
	return EXIT_SUCCESS;
}

static int plot_command(int argc, char **argv)
{
	struct results results;
	int ret;

	if (argc != 4 || strcmp(argv[2], "-o"))
		return usage("plot: which run, and where to?", NULL);
	if (results_read(&results, argv[1]))
		return EXIT_FAILURE;
	ret = plot_write(&results, argv[3]);
	results_free(&results);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "first-read"))
		return first_read_command(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "diff"))
		return diff_command(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "plot"))
		return plot_command(argc - 1, argv + 1);
	return run_command(argc, argv);
}
