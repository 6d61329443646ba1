// SPDX-License-Identifier: MIT
/* The rounds of a run; see rounds.h. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "first-read.h"
#include "loop.h"
#include "rounds.h"
#include "stop.h"
#include "surroundings.h"
#include "tenants.h"

#define TENANTS_DEPTH 32u
#define TENANTS_BATCH 16u
/* Longer than a rate: each has only its turns, and where there are more of them than processors,
 * the scheduler has to have moved them about for their shares to say something. */
#define TENANTS_LONGER(count) ((count) > 1 ? 24 : 4)

struct run {
	const struct rounds *o;
	struct loan *loan;
	struct results *results;
	unsigned int round;
	bool broke;
};

static bool is_special(const char *row)
{
	return !strcmp(row, ROW_FIRST_READ) || !strcmp(row, ROW_TENANTS);
}

bool rounds_know(const char *row)
{
	return is_special(row) || bench_engine_named(row);
}

static void say_progress(const struct run *run, const char *row, unsigned int depth)
{
	fprintf(stderr, "round %u of %u: %s", run->round, run->o->rounds, row);
	if (depth)
		fprintf(stderr, ", depth %u", depth);
}

static void note_why(struct row *row, const char *why)
{
	free(row->why);
	row->why = must_print("%s", why);
}

/* What came of it, for a row of its own. True: there is an answer. */
static bool came_well(struct run *run, struct row *row, enum child_end end, const char *why)
{
	if (end == CHILD_STOPPED)
		fprintf(stderr, ": stopped\n");
	if (end == CHILD_DONE || end == CHILD_STOPPED)
		return end == CHILD_DONE;
	note_why(row, why);
	fprintf(stderr, ": %s\n", why);
	run->broke |= end == CHILD_BROKE;
	return false;
}

static void add_counters(struct row *row, const struct counters *counters, uint64_t ios)
{
	if (counters->error) {
		free(row->counters_why);
		row->counters_why = must_print("%s", counters_why(counters->error));
		return;
	}
	for (unsigned int i = 0; ios && i < COUNTERS; i++)
		row_add(row, METRIC_CYCLES_USER + i, counters->value[i] / ios);
}

/* ---- an engine at a depth ---- */

static void run_engine(const void *arg, void *answer)
{
	loop_run(arg, answer);
}

static void note_figures(struct run *run, const struct loop_order *order,
			 const struct loop_figures *f, struct row *row)
{
	double iops = f->ns ? f->ios * 1e9 / f->ns : 0;

	if (order->count) {
		fprintf(stderr, "\n");
		printf("INSNS engine=%s depth=%u batch=%u reads=%" PRIu64 "\n", row->name,
		       order->depth, order->batch, f->ios);
		return;
	}
	row_add(row, METRIC_IOPS, iops);
	for (unsigned int i = 0; i < LOOP_PERCENTILES; i++)
		if (f->us[i] >= 0)
			row_add(row, METRIC_P50 + i, f->us[i]);
	row_add(row, METRIC_MAX, f->us_max);
	add_counters(row, &f->counters, f->ios);
	fprintf(stderr, ": %.1f thousand a second, p50 %.1f us\n", iops / 1000, f->us[LOOP_P50]);
	if (run->o->raw)
		printf("RATE engine=%s depth=%u batch=%u reads=%" PRIu64 " ns=%" PRIu64
		       " iops=%.0f\n",
		       row->name, order->depth, order->batch, f->ios, f->ns, iops);
}

static const char *device_for(const struct loan *loan, const struct bench_engine *e)
{
	if (e->ours)
		return loan->ours;
	return strncmp(e->name, "passthrough", 11) ? loan->block : loan->generic;
}

static void measure_engine(struct run *run, const struct bench_engine *e, unsigned int point)
{
	struct loop_order order = {
		.engine = e,
		.device = device_for(run->loan, e),
		.depth = run->o->depth[point],
		.batch = run->o->batch[point],
		.write = run->o->write,
		.cpu = run->o->cpu,
		.seconds = run->o->seconds,
		.count = run->o->count,
	};
	struct loop_figures figures;
	struct child child = {
		.run = run_engine,
		.arg = &order,
		.answer = &figures,
		.size = sizeof(figures),
		.seconds = 60 + 20 * order.seconds + order.count / 100.,
	};
	struct row *row;
	enum child_end end;

	if (order.depth > e->depth_max)
		return;
	row = results_row(run->results, e->name, order.depth, order.batch);
	say_progress(run, e->name, order.depth);
	end = child_run(&child);
	if (came_well(run, row, end, child.why))
		note_figures(run, &order, &figures, row);
}

/* ---- the first read ---- */

static void measure_first_read(struct run *run)
{
	struct first_read first;
	struct series series = { first.ms, FIRST_READ_RUNS };
	struct child child = {
		.run = first_read_measure,
		.arg = run->loan->ours,
		.answer = &first,
		.size = sizeof(first),
		.seconds = 60,
	};
	struct row *row = results_row(run->results, ROW_FIRST_READ, 1, 1);
	enum child_end end;

	say_progress(run, ROW_FIRST_READ, 0);
	end = child_run(&child);
	if (!came_well(run, row, end, child.why))
		return;
	row_add(row, METRIC_FIRST_READ, series_median(&series));
	fprintf(stderr, ": %.2f ms (%.2f-%.2f)\n", series_median(&series), series_min(&series),
		series_max(&series));
	if (run->o->raw)
		first_read_print(&first, NULL);
}

/* ---- tenants ---- */

static void note_tenants(struct run *run, const struct tenants_figures *f, unsigned int count,
			 struct row *row)
{
	double iops = 0, least = 0, most = 0, ios = 0;
	struct counters sum = {};

	for (unsigned int i = 0; i < count; i++) {
		const struct tenant_figures *t = &f->at[i];
		double rate = t->ns ? t->ios * 1e9 / t->ns : 0;

		iops += rate;
		ios += t->ios;
		least = !i || rate < least ? rate : least;
		most = rate > most ? rate : most;
		sum.error = t->counters.error ?: sum.error;
		for (unsigned int k = 0; k < COUNTERS; k++)
			sum.value[k] += t->counters.value[k];
	}
	row_add(row, METRIC_IOPS, iops);
	if (iops) {
		row_add(row, METRIC_SHARE_LEAST, least * count / iops * 100);
		row_add(row, METRIC_SHARE_MOST, most * count / iops * 100);
	}
	add_counters(row, &sum, ios);
	fprintf(stderr, ": %.1f thousand a second together, each %.1f to %.1f\n", iops / 1000,
		least / 1000, most / 1000);
	if (run->o->raw)
		printf("TENANTS tenants=%u iops=%.0f least=%.0f most=%.0f\n", count, iops, least,
		       most);
}

static void measure_tenants(struct run *run, unsigned int count)
{
	struct tenants_order order = {
		.device = run->loan->ours,
		.count = count,
		.depth = TENANTS_DEPTH,
		.batch = TENANTS_BATCH,
		.write = run->o->write,
		.seconds = run->o->seconds * TENANTS_LONGER(count),
	};
	struct tenants_figures figures;
	struct child child = {
		.run = tenants_measure,
		.arg = &order,
		.answer = &figures,
		.size = sizeof(figures),
		.seconds = 60 + 20 * order.seconds,
	};
	enum child_end end;
	struct row *row;
	char name[32];

	snprintf(name, sizeof(name), ROW_TENANTS "-%u", count);
	row = results_row(run->results, name, TENANTS_DEPTH, TENANTS_BATCH);
	say_progress(run, name, 0);
	end = child_run(&child);
	if (came_well(run, row, end, child.why))
		note_tenants(run, &figures, count, row);
}

/* ---- a side, a round, all ---- */

static bool is_of_side(const char *row, bool ours)
{
	const struct bench_engine *e = bench_engine_named(row);

	return e ? e->ours == ours : ours;
}

static bool has_side(const struct run *run, bool ours)
{
	for (unsigned int i = 0; i < run->o->rows_nr; i++)
		if (is_of_side(run->o->rows[i], ours))
			return true;
	return false;
}

static void measure_special(struct run *run, const char *row)
{
	if (!strcmp(row, ROW_FIRST_READ)) {
		measure_first_read(run);
		return;
	}
	measure_tenants(run, 1);
	if (!stop_signal())
		measure_tenants(run, TENANTS_MAX);
}

static void measure_side(struct run *run, bool ours)
{
	const struct rounds *o = run->o;

	for (unsigned int point = 0; point < o->points; point++)
		for (unsigned int i = 0; i < o->rows_nr && !stop_signal(); i++)
			if (is_of_side(o->rows[i], ours) && !is_special(o->rows[i]))
				measure_engine(run, bench_engine_named(o->rows[i]), point);
	for (unsigned int i = 0; ours && i < o->rows_nr && !stop_signal(); i++)
		if (is_special(o->rows[i]))
			measure_special(run, o->rows[i]);
}

static int measure_round(struct run *run)
{
	const char *where;
	int ret = 0;

	for (int ours = 0; !ret && ours < 2; ours++) {
		if (stop_signal() || !has_side(run, ours))
			continue;
		ret = ours ? loan_to_exo(run->loan, &where) : loan_to_stock(run->loan, &where);
		if (!ret)
			measure_side(run, ours);
	}
	if (ret)
		fprintf(stderr, "exo-bench: %s: %s (%s)\n", run->loan->f.address, where,
			strerror(-ret));
	fflush(stdout);
	return ret;
}

int rounds_run(const struct rounds *rounds, struct loan *loan, struct results *results)
{
	struct run run = { .o = rounds, .loan = loan, .results = results };
	int ret = 0;

	results->rounds = rounds->rounds;
	results->seconds = rounds->seconds;
	for (run.round = 1; !ret && run.round <= rounds->rounds && !stop_signal(); run.round++)
		ret = measure_round(&run);
	if (stop_signal())
		return 2;
	return ret ? 3 : run.broke;
}
