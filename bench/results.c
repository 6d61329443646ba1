// SPDX-License-Identifier: MIT
/* The figures of a run in memory, and as JSON; see results.h. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "../daemon/report.h"
#include "json.h"
#include "results.h"

#define FORMAT 1

const struct metric_info metrics[METRICS] = {
	[METRIC_IOPS] = { "iops", "rate", "1/s", true },
	[METRIC_P50] = { "p50_us", "p50", "us", false },
	[METRIC_P90] = { "p90_us", "p90", "us", false },
	[METRIC_P99] = { "p99_us", "p99", "us", false },
	[METRIC_P99_9] = { "p99_9_us", "p99.9", "us", false },
	[METRIC_P99_99] = { "p99_99_us", "p99.99", "us", false },
	[METRIC_MAX] = { "max_us", "max", "us", false },
	[METRIC_CYCLES_USER] = { "cycles_user", "cycles, user", "1/IO", false },
	[METRIC_CYCLES_KERNEL] = { "cycles_kernel", "cycles, kernel", "1/IO", false },
	[METRIC_INSTRUCTIONS_USER] = { "instructions_user", "instructions, user", "1/IO", false },
	[METRIC_INSTRUCTIONS_KERNEL] = { "instructions_kernel", "instructions, kernel", "1/IO",
					 false },
	[METRIC_FIRST_READ] = { "first_read_ms", "exec to first read", "ms", false },
	[METRIC_SHARE_LEAST] = { "share_least_percent", "least share", "%", true },
	[METRIC_SHARE_MOST] = { "share_most_percent", "largest share", "%", false },
};

const char *const places[PLACES] = {
	[PLACE_TAG] = "tag",	   [PLACE_WORKLOAD] = "workload",   [PLACE_KERNEL] = "kernel",
	[PLACE_CPU] = "cpu",	   [PLACE_DEVICE] = "device",	    [PLACE_MODEL] = "model",
	[PLACE_SERIAL] = "serial", [PLACE_NAMESPACE] = "namespace", [PLACE_IOMMU] = "iommu",
};

void results_begin(struct results *results)
{
	*results = (struct results){ .date = must_print("%s", "") };
	for (int i = 0; i < PLACES; i++)
		results->place[i] = must_print("%s", "");
}

static void free_row(struct row *row)
{
	for (int i = 0; i < METRICS; i++)
		free(row->series[i].at);
	free(row->why);
	free(row->counters_why);
}

void results_free(struct results *results)
{
	for (size_t i = 0; i < results->count; i++)
		free_row(&results->rows[i]);
	for (int i = 0; i < PLACES; i++)
		free(results->place[i]);
	free(results->rows);
	free(results->date);
	findings_free(&results->checks);
}

void results_place(struct results *results, enum place place, const char *text)
{
	free(results->place[place]);
	results->place[place] = must_print("%s", text);
}

struct row *results_find(const struct results *results, const char *name, unsigned int depth)
{
	for (size_t i = 0; i < results->count; i++)
		if (results->rows[i].depth == depth && !strcmp(results->rows[i].name, name))
			return &results->rows[i];
	return NULL;
}

struct row *results_row(struct results *results, const char *name, unsigned int depth,
			unsigned int batch)
{
	struct row *row = results_find(results, name, depth);

	if (row)
		return row;
	results->rows = must_alloc(results->rows, (results->count + 1) * sizeof(*row));
	row = &results->rows[results->count++];
	*row = (struct row){ .depth = depth, .batch = batch };
	snprintf(row->name, sizeof(row->name), "%s", name);
	return row;
}

void row_add(struct row *row, enum metric metric, double value)
{
	struct series *s = &row->series[metric];

	s->at = must_alloc(s->at, (s->count + 1) * sizeof(*s->at));
	s->at[s->count++] = value;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double series_median(const struct series *series)
{
	double *sorted = must_alloc(NULL, series->count * sizeof(*sorted)), median;
	size_t half = series->count / 2;

	memcpy(sorted, series->at, series->count * sizeof(*sorted));
	qsort(sorted, series->count, sizeof(*sorted), by_value);
	median = series->count % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
	free(sorted);
	return median;
}

double series_min(const struct series *series)
{
	double min = series->at[0];

	for (size_t i = 1; i < series->count; i++)
		if (series->at[i] < min)
			min = series->at[i];
	return min;
}

double series_max(const struct series *series)
{
	double max = series->at[0];

	for (size_t i = 1; i < series->count; i++)
		if (series->at[i] > max)
			max = series->at[i];
	return max;
}

/* ---- writing ---- */

static void write_text(FILE *out, const char *name, const char *text)
{
	fprintf(out, ", \"%s\": ", name);
	json_string(out, text);
}

static void write_row(const struct row *row, const char *tag, FILE *out)
{
	fprintf(out, "  {\"row\": ");
	json_string(out, row->name);
	fprintf(out, ", \"depth\": %u, \"batch\": %u", row->depth, row->batch);
	write_text(out, "tag", tag);
	if (row->why)
		write_text(out, "why", row->why);
	if (row->counters_why)
		write_text(out, "no_counters", row->counters_why);
	for (int i = 0; i < METRICS; i++) {
		const struct series *s = &row->series[i];

		if (s->count)
			fprintf(out, ", \"%s\": [", metrics[i].key);
		for (size_t k = 0; k < s->count; k++)
			fprintf(out, "%s%.6g%s", k ? ", " : "", s->at[k],
				k + 1 == s->count ? "]" : "");
	}
	fprintf(out, "}");
}

static void write_check(const struct finding *check, FILE *out)
{
	fprintf(out, "  {\"result\": \"%s\"", check->cure[0] ? "warn" : "ok");
	write_text(out, "what", check->what);
	write_text(out, "cure", check->cure);
	fprintf(out, "}");
}

void results_write(const struct results *results, FILE *out)
{
	fprintf(out, "{\n \"exo_bench\": %d", FORMAT);
	write_text(out, "date", results->date);
	for (int i = 0; i < PLACES; i++)
		write_text(out, places[i], results->place[i]);
	fprintf(out, ",\n \"rounds\": %u, \"seconds\": %g, \"bytes\": 4096,\n \"checks\": [\n",
		results->rounds, results->seconds);
	for (size_t i = 0; i < results->checks.count; i++) {
		write_check(&results->checks.at[i], out);
		fprintf(out, "%s\n", i + 1 < results->checks.count ? "," : "");
	}
	fprintf(out, " ],\n \"rows\": [\n");
	for (size_t i = 0; i < results->count; i++) {
		write_row(&results->rows[i], results->place[PLACE_TAG], out);
		fprintf(out, "%s\n", i + 1 < results->count ? "," : "");
	}
	fprintf(out, " ]\n}\n");
}

/* ---- reading ---- */

static void read_series(struct row *row, const struct json *object)
{
	for (int i = 0; i < METRICS; i++) {
		const struct json *list = json_find(object, metrics[i].key, JSON_ARRAY);

		for (const struct json *v = list ? list->first : NULL; v; v = v->next)
			if (v->type == JSON_NUMBER)
				row_add(row, i, v->number);
	}
}

static int read_row(struct results *results, const struct json *object)
{
	const char *name = json_text(object, "row"), *why = json_text(object, "why");
	double depth = json_number(object, "depth", 0), batch = json_number(object, "batch", 0);
	struct row *row;

	if (!name || !(depth >= 1 && depth <= 65536) || !(batch >= 1 && batch <= depth))
		return -1;
	row = results_row(results, name, depth, batch);
	read_series(row, object);
	if (why) {
		free(row->why);
		row->why = must_print("%s", why);
	}
	why = json_text(object, "no_counters");
	if (why) {
		free(row->counters_why);
		row->counters_why = must_print("%s", why);
	}
	return 0;
}

static int read_rows(struct results *results, const struct json *rows)
{
	int ret = 0;

	for (const struct json *v = rows->first; !ret && v; v = v->next)
		ret = read_row(results, v);
	return ret;
}

static void read_places(struct results *results, const struct json *root)
{
	const char *date = json_text(root, "date");

	if (date) {
		free(results->date);
		results->date = must_print("%s", date);
	}
	for (int i = 0; i < PLACES; i++)
		if (json_text(root, places[i]))
			results_place(results, i, json_text(root, places[i]));
}

static void read_checks(struct results *results, const struct json *list)
{
	for (const struct json *v = list ? list->first : NULL; v; v = v->next)
		if (json_text(v, "what"))
			findings_add(&results->checks, json_text(v, "cure") ?: "", "%s",
				     json_text(v, "what"));
}

int results_parse(struct results *results, const char *text, size_t length, const char *name)
{
	unsigned int line;
	struct json *root = json_parse(text, length, &line);
	const struct json *rows = json_find(root, "rows", JSON_ARRAY);
	double rounds = json_number(root, "rounds", 0);
	int ret = -1;

	results_begin(results);
	if (!root)
		fprintf(stderr, "exo-bench: %s: line %u is no JSON\n", name, line);
	else if (json_number(root, "exo_bench", 0) != FORMAT || !rows)
		fprintf(stderr, "exo-bench: %s is not what exo-bench wrote with --json\n", name);
	else
		ret = read_rows(results, rows);
	if (ret && rows)
		fprintf(stderr, "exo-bench: %s: a row without name, depth and batch\n", name);
	results->rounds = rounds >= 1 && rounds < 1e9 ? rounds : 0;
	results->seconds = json_number(root, "seconds", 0);
	read_places(results, root);
	read_checks(results, json_find(root, "checks", JSON_ARRAY));
	json_free(root);
	if (ret)
		results_free(results);
	return ret;
}

int results_read(struct results *results, const char *path)
{
	size_t length;
	char *text = json_file(path, &length);
	int ret = text ? results_parse(results, text, length, path) : -1;

	free(text);
	return ret;
}
