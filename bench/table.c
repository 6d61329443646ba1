// SPDX-License-Identifier: MIT
/* A run as a table for a person. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "results.h"

/* Four digits that count. */
static void print_value(FILE *out, int width, double value)
{
	fprintf(out, " %*.*f", width, value < 10 ? 2 : value < 100 ? 1 : 0, value);
}

static void print_cell(FILE *out, int width, const struct series *s)
{
	if (s->count)
		print_value(out, width, series_median(s));
	else
		fprintf(out, " %*s", width, "-");
}

static void print_rate(FILE *out, const struct series *s)
{
	char text[64];

	if (!s->count) {
		fprintf(out, " %24s", "-");
		return;
	}
	snprintf(text, sizeof(text), "%.1f (%.1f-%.1f)", series_median(s) / 1000,
		 series_min(s) / 1000, series_max(s) / 1000);
	fprintf(out, " %24s", text);
}

static void print_row(const struct row *row, FILE *out)
{
	fprintf(out, "%-20s", row->name);
	print_rate(out, &row->series[METRIC_IOPS]);
	for (int i = METRIC_P50; i <= METRIC_MAX; i++)
		if (i != METRIC_P90)
			print_cell(out, 8, &row->series[i]);
	if (row->series[METRIC_CYCLES_USER].count)
		for (int i = METRIC_CYCLES_USER; i <= METRIC_INSTRUCTIONS_KERNEL; i++)
			print_cell(out, 7, &row->series[i]);
	fprintf(out, "\n");
	if (row->why)
		fprintf(out, "  %s\n", row->why);
}

static bool is_depth_row(const struct row *row)
{
	return !row->series[METRIC_FIRST_READ].count && !row->series[METRIC_SHARE_LEAST].count;
}

static void print_depth(const struct results *results, const struct row *of, FILE *out)
{
	fprintf(out,
		"\ndepth %u, batch %u\n%-20s %24s %8s %8s %8s %8s %8s  cycles/IO u,k  insns/IO "
		"u,k\n",
		of->depth, of->batch, "row", "thousands a second", "p50 us", "p99", "p99.9",
		"p99.99", "max");
	for (size_t i = 0; i < results->count; i++)
		if (results->rows[i].depth == of->depth && is_depth_row(&results->rows[i]))
			print_row(&results->rows[i], out);
}

/* The row is the first of its depth. */
static bool opens_depth(const struct results *results, size_t row)
{
	for (size_t i = 0; i < row; i++)
		if (results->rows[i].depth == results->rows[row].depth &&
		    is_depth_row(&results->rows[i]))
			return false;
	return is_depth_row(&results->rows[row]);
}

static void print_other(const struct row *row, FILE *out)
{
	const struct series *first = &row->series[METRIC_FIRST_READ];
	const struct series *least = &row->series[METRIC_SHARE_LEAST];
	const struct series *most = &row->series[METRIC_SHARE_MOST];

	if (first->count)
		fprintf(out, "%s: from exec to the first completed read %.2f ms (%.2f-%.2f)\n",
			row->name, series_median(first), series_min(first), series_max(first));
	if (least->count)
		fprintf(out,
			"%s: together %.1f thousand a second; each has %.0f to %.0f %% of its "
			"share\n",
			row->name, series_median(&row->series[METRIC_IOPS]) / 1000,
			series_min(least), series_max(most));
}

static void print_counters_why(const struct results *results, FILE *out)
{
	for (size_t i = 0; i < results->count; i++)
		if (results->rows[i].counters_why) {
			fprintf(out, "no cycles and instructions: %s\n",
				results->rows[i].counters_why);
			return;
		}
}

void results_table(const struct results *results, FILE *out)
{
	fprintf(out,
		"4 KiB %s, one thread, %s (%s), namespace %s; median (min-max) of %u round%s   "
		"[%s]\n",
		results->place[PLACE_WORKLOAD], results->place[PLACE_DEVICE],
		results->place[PLACE_MODEL], results->place[PLACE_NAMESPACE], results->rounds,
		results->rounds == 1 ? "" : "s", results->place[PLACE_TAG]);
	for (size_t i = 0; i < results->count; i++)
		if (opens_depth(results, i))
			print_depth(results, &results->rows[i], out);
	fprintf(out, "\n");
	for (size_t i = 0; i < results->count; i++)
		print_other(&results->rows[i], out);
	print_counters_why(results, out);
}
