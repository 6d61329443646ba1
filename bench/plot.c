// SPDX-License-Identifier: MIT
/*
 * A run as pictures; see plot.h.
 *
 * Bars lie, one below the other, in a group for each depth: their length is the median, the
 * line across their end reaches from the least to the largest round. Latencies are lines
 * over the percentiles, on a logarithmic scale. The whole file is text, without script,
 * style sheet or anything that would have to be fetched.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "plot.h"

#define WIDTH 900
#define LEFT 170
#define RIGHT 150
#define BAR 18
#define TOP 64
#define PLOT (WIDTH - LEFT - RIGHT)

/* The stock driver's rows are grey to blue, exo's are orange to red. */
static const char *colour(const char *row)
{
	static const char *const of[][2] = {
		{ "pread", "#b0b0b0" },	      { "libaio", "#8a8a8a" },
		{ "io_uring", "#7fb3e0" },    { "io_uring-polled", "#3f7fbf" },
		{ "passthrough", "#7a8fd0" }, { "passthrough-polled", "#3b4fa0" },
		{ "exo", "#f0a040" },	      { "exo-thread", "#e06f30" },
		{ "exo-direct", "#c03a2b" },
	};

	for (size_t i = 0; i < sizeof(of) / sizeof(*of); i++)
		if (!strcmp(row, of[i][0]))
			return of[i][1];
	return "#555555";
}

static void put_text(FILE *out, double x, double y, const char *anchor, const char *text)
{
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
	for (; *text; text++) {
		if (*text == '<')
			fputs("&lt;", out);
		else if (*text == '&')
			fputs("&amp;", out);
		else if ((unsigned char)*text >= 0x20)
			fputc(*text, out);
	}
	fprintf(out, "</text>\n");
}

static void put_line(FILE *out, double x1, double y1, double x2, double y2, const char *stroke)
{
	fprintf(out,
		"<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
		"stroke-width=\"1.5\"/>\n",
		x1, y1, x2, y2, stroke);
}

static void put_head(FILE *out, const struct results *r, double height, const char *title)
{
	char text[512];

	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
		"viewBox=\"0 0 %d %.0f\" font-family=\"sans-serif\" font-size=\"12\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
		WIDTH, height, WIDTH, height);
	snprintf(text, sizeof(text), "%s: 4 KiB %s, one thread [%s]", title,
		 r->place[PLACE_WORKLOAD], r->place[PLACE_TAG]);
	put_text(out, 16, 22, "start", text);
	snprintf(text, sizeof(text), "%s %s, Linux %s, %s, %u rounds", r->place[PLACE_MODEL],
		 r->place[PLACE_DEVICE], r->place[PLACE_KERNEL], r->date, r->rounds);
	put_text(out, 16, 40, "start", text);
}

static FILE *begin_file(const char *directory, const char *name)
{
	char *path = must_print("%s/%s", directory, name);
	FILE *out = fopen(path, "we");

	if (!out)
		fprintf(stderr, "exo-bench: %s: %s\n", path, strerror(errno));
	free(path);
	return out;
}

static int end_file(FILE *out)
{
	int bad;

	fprintf(out, "</svg>\n");
	bad = ferror(out);
	bad |= fclose(out);
	if (bad)
		fprintf(stderr, "exo-bench: a plot could not be written: %s\n", strerror(errno));
	return bad ? -1 : 0;
}

/* ---- bars ---- */

/* What one bar shows: the sum of these figures of a row, one colour darker each. */
struct bars {
	const char *title;
	const char *unit;
	enum metric metric[2];
	int parts;
	double scale;
};

static bool has_bar(const struct bars *bars, const struct row *row)
{
	for (int i = 0; i < bars->parts; i++)
		if (!row->series[bars->metric[i]].count)
			return false;
	return !row->series[METRIC_SHARE_LEAST].count;
}

static double bars_max(const struct bars *bars, const struct results *r)
{
	double max = 0;

	for (size_t i = 0; i < r->count; i++) {
		double end = 0;

		for (int k = 0; has_bar(bars, &r->rows[i]) && k < bars->parts; k++)
			end += series_max(&r->rows[i].series[bars->metric[k]]);
		max = fmax(max, end * bars->scale);
	}
	return max;
}

static void put_bar(FILE *out, const struct bars *bars, const struct row *row, double y, double max)
{
	double at = LEFT, value = 0, per = PLOT * bars->scale / max;
	const struct series *s = &row->series[bars->metric[0]];
	char text[64];

	put_text(out, LEFT - 8, y + BAR - 5, "end", row->name);
	for (int i = 0; i < bars->parts; i++) {
		double median = series_median(&row->series[bars->metric[i]]);

		fprintf(out,
			"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\" "
			"fill-opacity=\"%s\"/>\n",
			at, y, median * per, BAR - 4, colour(row->name), i ? "0.5" : "1");
		at += median * per;
		value += median * bars->scale;
	}
	if (bars->parts == 1)
		put_line(out, LEFT + series_min(s) * per, y + BAR / 2. - 2,
			 LEFT + series_max(s) * per, y + BAR / 2. - 2, "black");
	snprintf(text, sizeof(text), value < 100 ? "%.1f" : "%.0f", value);
	put_text(out, fmax(at, bars->parts == 1 ? LEFT + series_max(s) * per : at) + 6, y + BAR - 5,
		 "start", text);
}

/* Those of a depth that was not seen before @first; how far down it came. */
static double put_group(FILE *out, const struct bars *bars, const struct results *r, size_t first,
			double y, double max)
{
	unsigned int depth = r->rows[first].depth;
	char text[64];

	for (size_t i = 0; i < first; i++)
		if (r->rows[i].depth == depth && has_bar(bars, &r->rows[i]))
			return y;
	if (!has_bar(bars, &r->rows[first]))
		return y;
	snprintf(text, sizeof(text), "depth %u, batch %u", depth, r->rows[first].batch);
	if (out)
		put_text(out, 16, y + BAR - 5, "start", text);
	y += BAR + 2;
	for (size_t i = first; i < r->count; i++) {
		if (r->rows[i].depth != depth || !has_bar(bars, &r->rows[i]))
			continue;
		if (out)
			put_bar(out, bars, &r->rows[i], y, max);
		y += BAR;
	}
	return y + BAR / 2.;
}

static double put_groups(FILE *out, const struct bars *bars, const struct results *r)
{
	double y = TOP, max = bars_max(bars, r);

	for (size_t i = 0; i < r->count; i++)
		y = put_group(out, bars, r, i, y, max);
	return y;
}

static int plot_bars(const struct results *r, const char *directory, const char *name,
		     const struct bars *bars)
{
	FILE *out;
	char title[128];

	if (bars_max(bars, r) <= 0)
		return 0;
	out = begin_file(directory, name);
	if (!out)
		return -1;
	snprintf(title, sizeof(title), "%s, %s", bars->title, bars->unit);
	put_head(out, r, put_groups(NULL, bars, r) + 16, title);
	put_groups(out, bars, r);
	return end_file(out);
}

/* ---- latencies ---- */

#define LINES_HEIGHT 420
#define LINES_BOTTOM (TOP + LINES_HEIGHT)
#define STEPS (METRIC_MAX - METRIC_P50 + 1)

struct axis {
	double low, high; /* logarithms to base 10, whole */
};

static double at_x(enum metric metric)
{
	return LEFT / 2. + (double)(metric - METRIC_P50) * (PLOT + LEFT / 2.) / (STEPS - 1);
}

static double at_y(const struct axis *axis, double us)
{
	return LINES_BOTTOM - (log10(us) - axis->low) / (axis->high - axis->low) * LINES_HEIGHT;
}

static bool find_axis(const struct results *r, unsigned int depth, struct axis *axis)
{
	double min = INFINITY, max = 0;

	for (size_t i = 0; i < r->count; i++)
		for (int k = METRIC_P50; r->rows[i].depth == depth && k <= METRIC_MAX; k++) {
			const struct series *s = &r->rows[i].series[k];

			if (!s->count || series_median(s) <= 0)
				continue;
			min = fmin(min, series_median(s));
			max = fmax(max, series_median(s));
		}
	if (!max)
		return false;
	axis->low = floor(log10(min));
	axis->high = fmax(ceil(log10(max)), axis->low + 1);
	return true;
}

static void put_axis(FILE *out, const struct axis *axis)
{
	for (double power = axis->low; power <= axis->high; power++) {
		double y = at_y(axis, pow(10, power));
		char text[32];

		put_line(out, at_x(METRIC_P50), y, at_x(METRIC_MAX), y, "#dddddd");
		snprintf(text, sizeof(text), "%g us", pow(10, power));
		put_text(out, at_x(METRIC_P50) - 8, y + 4, "end", text);
	}
	for (int k = METRIC_P50; k <= METRIC_MAX; k++)
		put_text(out, at_x(k), LINES_BOTTOM + 18, "middle", metrics[k].what);
}

static void put_latencies(FILE *out, const struct axis *axis, const struct row *row, double legend)
{
	double x = 0, y = 0;
	bool any = false;

	for (int k = METRIC_P50; k <= METRIC_MAX; k++) {
		const struct series *s = &row->series[k];

		if (!s->count || series_median(s) <= 0)
			continue;
		if (any)
			put_line(out, x, y, at_x(k), at_y(axis, series_median(s)),
				 colour(row->name));
		x = at_x(k);
		y = at_y(axis, series_median(s));
		fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", x, y,
			colour(row->name));
		any = true;
	}
	fprintf(out, "<rect x=\"%d\" y=\"%.1f\" width=\"10\" height=\"10\" fill=\"%s\"/>\n",
		WIDTH - RIGHT + 14, legend - 10, colour(row->name));
	put_text(out, WIDTH - RIGHT + 30, legend, "start", row->name);
}

static int plot_latency(const struct results *r, const char *directory, unsigned int depth)
{
	double legend = TOP + 12;
	struct axis axis;
	char name[64], title[64];
	FILE *out;

	if (!find_axis(r, depth, &axis))
		return 0;
	snprintf(name, sizeof(name), "latency-%u.svg", depth);
	out = begin_file(directory, name);
	if (!out)
		return -1;
	snprintf(title, sizeof(title), "latency at depth %u, us", depth);
	put_head(out, r, LINES_BOTTOM + 34, title);
	put_axis(out, &axis);
	for (size_t i = 0; i < r->count; i++) {
		if (r->rows[i].depth != depth || !r->rows[i].series[METRIC_P50].count)
			continue;
		put_latencies(out, &axis, &r->rows[i], legend);
		legend += BAR;
	}
	return end_file(out);
}

static bool first_of_depth(const struct results *r, size_t row)
{
	for (size_t i = 0; i < row; i++)
		if (r->rows[i].depth == r->rows[row].depth)
			return false;
	return true;
}

int plot_write(const struct results *results, const char *directory)
{
	static const struct bars rate = { "rate", "thousands a second", { METRIC_IOPS }, 1, 1e-3 };
	static const struct bars cost = { "cost",
					  "instructions an I/O, user and (paler) kernel",
					  { METRIC_INSTRUCTIONS_USER, METRIC_INSTRUCTIONS_KERNEL },
					  2,
					  1 };
	int ret;

	if (mkdir(directory, 0777) && errno != EEXIST) {
		fprintf(stderr, "exo-bench: %s: %s\n", directory, strerror(errno));
		return -1;
	}
	ret = plot_bars(results, directory, "rate.svg", &rate);
	ret |= plot_bars(results, directory, "cost.svg", &cost);
	for (size_t i = 0; i < results->count; i++)
		if (first_of_depth(results, i))
			ret |= plot_latency(results, directory, results->rows[i].depth);
	return ret;
}
