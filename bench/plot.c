// SPDX-License-Identifier: MIT
/*
 * A run as pictures; see plot.h.
 *
 * Bars lie, one below the other, in a group for each depth: their length is the median, the
 * line across their end reaches from the least to the largest round. Latencies are lines
 * over the percentiles, on a logarithmic scale.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdlib.h>

#include "plot.h"
#include "svg.h"

static void put_head(FILE *out, const struct results *r, double height, const char *title)
{
	char *first = must_print("%s: 4 KiB %s, one thread [%s]", title, r->place[PLACE_WORKLOAD],
				 r->place[PLACE_TAG]);
	char *second = must_print("%s %s, Linux %s, %s, %u rounds", r->place[PLACE_MODEL],
				  r->place[PLACE_DEVICE], r->place[PLACE_KERNEL], r->date,
				  r->rounds);

	svg_head(out, height, first, second);
	free(first);
	free(second);
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
	double at = SVG_LEFT, value = 0, per = SVG_PLOT * bars->scale / max;
	const struct series *s = &row->series[bars->metric[0]];
	char text[64];

	svg_text(out, SVG_LEFT - 8, y + SVG_BASELINE, "end", row->name);
	for (int i = 0; i < bars->parts; i++) {
		double median = series_median(&row->series[bars->metric[i]]);

		svg_bar(out, at, y, median * per, svg_colour(row->name), i ? 0.5 : 1);
		at += median * per;
		value += median * bars->scale;
	}
	if (bars->parts == 1)
		svg_line(out, SVG_LEFT + series_min(s) * per, y + SVG_BAR / 2. - 2,
			 SVG_LEFT + series_max(s) * per, y + SVG_BAR / 2. - 2, "black");
	snprintf(text, sizeof(text), value < 100 ? "%.1f" : "%.0f", value);
	svg_text(out, fmax(at, bars->parts == 1 ? SVG_LEFT + series_max(s) * per : at) + 6,
		 y + SVG_BASELINE, "start", text);
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
		svg_text(out, 16, y + SVG_BASELINE, "start", text);
	y += SVG_BAR + 2;
	for (size_t i = first; i < r->count; i++) {
		if (r->rows[i].depth != depth || !has_bar(bars, &r->rows[i]))
			continue;
		if (out)
			put_bar(out, bars, &r->rows[i], y, max);
		y += SVG_BAR;
	}
	return y + SVG_BAR / 2.;
}

static double put_groups(FILE *out, const struct bars *bars, const struct results *r)
{
	double y = SVG_TOP, max = bars_max(bars, r);

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
	out = svg_begin(directory, name);
	if (!out)
		return -1;
	snprintf(title, sizeof(title), "%s, %s", bars->title, bars->unit);
	put_head(out, r, put_groups(NULL, bars, r) + 16, title);
	put_groups(out, bars, r);
	return svg_end(out);
}

/* ---- latencies ---- */

#define LINES_HEIGHT 420
#define LINES_BOTTOM (SVG_TOP + LINES_HEIGHT)
#define STEPS (METRIC_MAX - METRIC_P50 + 1)

static double at_x(enum metric metric)
{
	return SVG_LEFT / 2. +
	       (double)(metric - METRIC_P50) * (SVG_PLOT + SVG_LEFT / 2.) / (STEPS - 1);
}

static double at_y(const struct svg_scale *scale, double us)
{
	return LINES_BOTTOM - svg_scale_at(scale, us) * LINES_HEIGHT;
}

static bool find_scale(const struct results *r, unsigned int depth, struct svg_scale *scale)
{
	for (size_t i = 0; i < r->count; i++)
		for (int k = METRIC_P50; r->rows[i].depth == depth && k <= METRIC_MAX; k++) {
			const struct series *s = &r->rows[i].series[k];

			if (s->count && series_median(s) > 0)
				svg_scale_include(scale, series_median(s));
		}
	return scale->any;
}

static void put_axis(FILE *out, const struct svg_scale *scale)
{
	for (double power = scale->low; power <= scale->high; power++) {
		double y = at_y(scale, pow(10, power));
		char text[32];

		svg_line(out, at_x(METRIC_P50), y, at_x(METRIC_MAX), y, "#dddddd");
		snprintf(text, sizeof(text), "%g us", pow(10, power));
		svg_text(out, at_x(METRIC_P50) - 8, y + 4, "end", text);
	}
	for (int k = METRIC_P50; k <= METRIC_MAX; k++)
		svg_text(out, at_x(k), LINES_BOTTOM + 18, "middle", metrics[k].what);
}

static void put_latencies(FILE *out, const struct svg_scale *scale, const struct row *row,
			  double legend)
{
	double x = 0, y = 0;
	bool any = false;

	for (int k = METRIC_P50; k <= METRIC_MAX; k++) {
		const struct series *s = &row->series[k];

		if (!s->count || series_median(s) <= 0)
			continue;
		if (any)
			svg_line(out, x, y, at_x(k), at_y(scale, series_median(s)),
				 svg_colour(row->name));
		x = at_x(k);
		y = at_y(scale, series_median(s));
		fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", x, y,
			svg_colour(row->name));
		any = true;
	}
	fprintf(out, "<rect x=\"%d\" y=\"%.1f\" width=\"10\" height=\"10\" fill=\"%s\"/>\n",
		SVG_WIDTH - SVG_RIGHT + 14, legend - 10, svg_colour(row->name));
	svg_text(out, SVG_WIDTH - SVG_RIGHT + 30, legend, "start", row->name);
}

static int plot_latency(const struct results *r, const char *directory, unsigned int depth)
{
	double legend = SVG_TOP + 12;
	struct svg_scale scale = { 0 };
	char name[64], title[64];
	FILE *out;

	if (!find_scale(r, depth, &scale))
		return 0;
	snprintf(name, sizeof(name), "latency-%u.svg", depth);
	out = svg_begin(directory, name);
	if (!out)
		return -1;
	snprintf(title, sizeof(title), "latency at depth %u, us", depth);
	put_head(out, r, LINES_BOTTOM + 34, title);
	put_axis(out, &scale);
	for (size_t i = 0; i < r->count; i++) {
		if (r->rows[i].depth != depth || !r->rows[i].series[METRIC_P50].count)
			continue;
		put_latencies(out, &scale, &r->rows[i], legend);
		legend += SVG_BAR;
	}
	return svg_end(out);
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

	if (svg_directory(directory))
		return -1;
	ret = plot_bars(results, directory, "rate.svg", &rate);
	ret |= plot_bars(results, directory, "cost.svg", &cost);
	for (size_t i = 0; i < results->count; i++)
		if (first_of_depth(results, i))
			ret |= plot_latency(results, directory, results->rows[i].depth);
	return ret;
}
