// SPDX-License-Identifier: MIT
/* Two runs, compared; see diff.h. */
#define _GNU_SOURCE
#include <string.h>

#include "diff.h"

#define ROUNDS_MIN 3

static const char *const verdicts[] = {
	[DIFF_WITHIN] = "within the spread",
	[DIFF_BETTER] = "better",
	[DIFF_WORSE] = "WORSE",
	[DIFF_UNKNOWN] = "too few rounds to tell",
};

enum diff_verdict diff_judge(const struct series *before, const struct series *after,
			     bool more_is_better)
{
	if (before->count < ROUNDS_MIN || after->count < ROUNDS_MIN)
		return DIFF_UNKNOWN;
	if (series_min(after) > series_max(before))
		return more_is_better ? DIFF_BETTER : DIFF_WORSE;
	if (series_max(after) < series_min(before))
		return more_is_better ? DIFF_WORSE : DIFF_BETTER;
	return DIFF_WITHIN;
}

static void print_series(const struct series *s, FILE *out)
{
	fprintf(out, " %12.6g (%.6g-%.6g)", series_median(s), series_min(s), series_max(s));
}

static void print_metric(const struct row *a, const struct row *b, enum metric metric, FILE *out)
{
	const struct series *before = &a->series[metric], *after = &b->series[metric];
	const struct metric_info *info = &metrics[metric];
	double was;

	if (!before->count || !after->count)
		return;
	was = series_median(before);
	fprintf(out, "  %-20s", info->what);
	print_series(before, out);
	fprintf(out, " ->");
	print_series(after, out);
	fprintf(out, " %s", info->unit);
	if (was)
		fprintf(out, "  %+.1f %%", (series_median(after) / was - 1) * 100);
	fprintf(out, "  %s\n", verdicts[diff_judge(before, after, info->more_is_better)]);
}

static bool has_figures(const struct row *row)
{
	for (int i = 0; i < METRICS; i++)
		if (row->series[i].count)
			return true;
	return false;
}

static void print_row(const struct row *a, const struct row *b, FILE *out)
{
	fprintf(out, "%s, depth %u, batch %u\n", a->name, a->depth, a->batch);
	if (a->batch != b->batch) {
		fprintf(out, "  not comparable: the second has batch %u\n", b->batch);
		return;
	}
	if (!has_figures(a) || !has_figures(b))
		fprintf(out, "  no figures in the %s run: %s\n",
			has_figures(a) ? "second" : "first",
			(has_figures(a) ? b : a)->why ?: "not known why");
	for (int i = 0; i < METRICS; i++)
		print_metric(a, b, i, out);
}

/* What makes a comparison say something else than was meant. */
static void print_places(const struct results *a, const struct results *b, FILE *out)
{
	for (int i = 0; i < PLACES; i++)
		if (strcmp(a->place[i], b->place[i]))
			fprintf(out, "note: %s differs: %s -> %s\n", places[i],
				a->place[i][0] ? a->place[i] : "unknown",
				b->place[i][0] ? b->place[i] : "unknown");
	if (a->seconds != b->seconds)
		fprintf(out, "note: seconds differ: %g -> %g\n", a->seconds, b->seconds);
}

static void print_missing(const struct results *of, const struct results *from, const char *which,
			  FILE *out)
{
	for (size_t i = 0; i < of->count; i++)
		if (!results_find(from, of->rows[i].name, of->rows[i].depth))
			fprintf(out, "%s, depth %u: only in the %s run\n", of->rows[i].name,
				of->rows[i].depth, which);
}

void diff_print(const struct results *before, const struct results *after, FILE *out)
{
	fprintf(out,
		"median (min-max) of %u rounds, %s [%s]\n             -> of %u rounds, %s [%s]\n",
		before->rounds, before->date, before->place[PLACE_TAG], after->rounds, after->date,
		after->place[PLACE_TAG]);
	print_places(before, after, out);
	for (size_t i = 0; i < before->count; i++) {
		const struct row *a = &before->rows[i];
		const struct row *b = results_find(after, a->name, a->depth);

		if (b)
			print_row(a, b, out);
	}
	print_missing(before, after, "first", out);
	print_missing(after, before, "second", out);
}
