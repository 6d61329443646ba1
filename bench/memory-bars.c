// SPDX-License-Identifier: MIT
/*
 * The figures of memory as pictures; see memory-bars.h.
 *
 * Bars lie, one below the other, in a group for each operation, on a logarithmic scale: their
 * length is the median, the line across their end reaches from the least to the greatest. What
 * they say stands right of the plot in numbers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../daemon/machine.h"
#include "memory-bars.h"
#include "svg.h"

#define AXIS 20 /* the height of a row of numbers */
#define GRID "#dddddd"

/* @only: figures of this operation; NULL: of all. @but_maps: not of those that have their own. */
struct picture {
	const char *file;
	const char *title;
	const char *bars;
	const char *only;
	bool but_maps;
	bool instructions;
};

#define OF_TIMES                                                                             \
	"logarithmic scale; median of 5, in brackets and across the bar's end: minimum and " \
	"maximum"

static const struct picture pictures[] = {
	{ "times.svg", "Protection, traps and dirty pages: time per operation, us", OF_TIMES, NULL,
	  true, false },
	{ "map-4K.svg", "Mapping and unmapping pages of 4 KiB: time per page, us", OF_TIMES,
	  "map-4K", false, false },
	{ "map-2M.svg", "Mapping and unmapping pages of 2 MiB: time per page, us", OF_TIMES,
	  "map-2M", false, false },
	{ "instructions.svg", "Memory: guest instructions per operation",
	  "logarithmic scale; user + kernel", NULL, false, true },
};

/* What an operation is, and what a figure of it is of; see memory.c. */
static const char *meaning(const char *operation)
{
	static const char *const of[][2] = {
		{ "prot1", "protected by one call" },
		{ "prot100", "protected by one call" },
		{ "unprot100", "unprotected by one call" },
		{ "trap", "a store that is not allowed, its handler, and back" },
		{ "appel1", "a touch, whose handler unprotects the page and protects another" },
		{ "appel2", "protected by one call, unprotected by a touch each; per touch" },
		{ "dirty", "asked which were written; per page" },
		{ "dirty-cycle", "written, and asked which were; per page" },
		{ "map-4K", "mapped, touched, unmapped; per page" },
		{ "map-2M", "mapped, touched, unmapped; per page" },
	};

	for (size_t i = 0; i < sizeof(of) / sizeof(*of); i++)
		if (!strcmp(operation, of[i][0]))
			return of[i][1];
	return NULL;
}

static bool is_map(const char *operation)
{
	return !strcmp(operation, "map-4K") || !strcmp(operation, "map-2M");
}

static bool shows(const struct picture *p, const struct memory_figure *f)
{
	if (p->but_maps && is_map(f->operation))
		return false;
	return !p->only || !strcmp(p->only, f->operation);
}

/* The next that the picture shows, from @f on; NULL: none. */
static const struct memory_figure *
next_shown(const struct picture *p, const struct memory_figures *all, const struct memory_figure *f)
{
	for (; f < all->at + all->count; f++)
		if (shows(p, f))
			return f;
	return NULL;
}

/* As they come in the file, those of a group are neighbours. */
static bool same_group(const struct memory_figure *a, const struct memory_figure *b)
{
	return a && !strcmp(a->operation, b->operation) && a->pages == b->pages &&
	       a->threads == b->threads;
}

static double at_x(const struct svg_scale *scale, double value)
{
	return SVG_LEFT + svg_scale_at(scale, value) * SVG_PLOT;
}

/* ---- a bar ---- */

static void put_grid(FILE *out, const struct svg_scale *scale, double y)
{
	for (double power = scale->low; power <= scale->high; power++) {
		double x = at_x(scale, pow(10, power));

		svg_line(out, x, y, x, y + SVG_BAR, GRID);
	}
}

static void put_spread(FILE *out, const struct svg_scale *scale, const struct memory_figure *f,
		       double y)
{
	double least = at_x(scale, f->least), most = at_x(scale, f->most);
	double middle = y + SVG_BAR_HEIGHT / 2.;

	if (f->least == f->most)
		return;
	svg_line(out, least, middle, most, middle, "black");
	svg_line(out, least, middle - 4, least, middle + 4, "black");
	svg_line(out, most, middle - 4, most, middle + 4, "black");
}

static int digits(double value)
{
	return value < 0.1 ? 3 : value < 10 ? 2 : value < 100 ? 1 : 0;
}

static void put_value(FILE *out, const struct memory_figure *f, bool instructions, double y)
{
	char text[128];

	if (instructions)
		snprintf(text, sizeof(text), "%.0f + %.0f", f->user, f->median - f->user);
	else
		snprintf(text, sizeof(text), "%.*f (%.*f-%.*f)", digits(f->median), f->median,
			 digits(f->least), f->least, digits(f->most), f->most);
	svg_text(out, SVG_LEFT + SVG_PLOT + 8, y + SVG_BASELINE, "start", text);
}

static void put_figure(FILE *out, const struct picture *p, const struct svg_scale *scale,
		       const struct memory_figure *f, double y)
{
	put_grid(out, scale, y - (SVG_BAR - SVG_BAR_HEIGHT) / 2.);
	svg_text(out, SVG_LEFT - 8, y + SVG_BASELINE, "end", f->system);
	svg_bar(out, SVG_LEFT, y, at_x(scale, f->median) - SVG_LEFT, svg_colour(f->system), 1);
	put_spread(out, scale, f, y);
	put_value(out, f, p->instructions, y);
}

/* ---- a picture ---- */

static void put_heading(FILE *out, const struct memory_figure *f, double y)
{
	const char *what = meaning(f->operation);
	char threads[64] = "", text[256];

	if (f->threads > 1)
		snprintf(threads, sizeof(threads), ", in each of %u threads at once", f->threads);
	snprintf(text, sizeof(text), "%s, %u page%s%s%s%s", f->operation, f->pages,
		 f->pages > 1 ? "s" : "", what ? ": " : "", what ?: "", threads);
	svg_text(out, 16, y + SVG_BASELINE, "start", text);
}

static void put_axis(FILE *out, const struct svg_scale *scale, double y)
{
	char text[32];

	for (double power = scale->low; power <= scale->high; power++) {
		snprintf(text, sizeof(text), "%g", pow(10, power));
		svg_text(out, at_x(scale, pow(10, power)), y, "middle", text);
	}
}

/* How far down they come. Without @out nothing is drawn. */
static double put_figures(FILE *out, const struct picture *p, const struct memory_figures *all,
			  const struct svg_scale *scale)
{
	const struct memory_figure *f, *before = NULL;
	double y = SVG_TOP + AXIS - SVG_BAR / 2.;

	for (f = next_shown(p, all, all->at); f; f = next_shown(p, all, f + 1)) {
		if (!same_group(before, f)) {
			y += SVG_BAR / 2.;
			if (out)
				put_heading(out, f, y);
			y += SVG_BAR + 2;
		}
		if (out)
			put_figure(out, p, scale, f, y);
		y += SVG_BAR;
		before = f;
	}
	return y;
}

static struct svg_scale find_scale(const struct picture *p, const struct memory_figures *all)
{
	struct svg_scale scale = { 0 };
	const struct memory_figure *f;

	for (f = next_shown(p, all, all->at); f; f = next_shown(p, all, f + 1)) {
		svg_scale_include(&scale, f->least);
		svg_scale_include(&scale, f->most);
	}
	return scale;
}

static int draw(const struct picture *p, const struct memory_figures *all,
		const struct svg_scale *scale, const char *directory)
{
	double bottom = put_figures(NULL, p, all, scale);
	FILE *out = svg_begin(directory, p->file);
	char *title;

	if (!out)
		return -1;
	title = must_print("%s [%s]", p->title, all->tag);
	svg_head(out, bottom + AXIS + 8, title, p->bars);
	put_axis(out, scale, SVG_TOP + AXIS / 2.);
	put_figures(out, p, all, scale);
	put_axis(out, scale, bottom + AXIS - 4);
	free(title);
	return svg_end(out);
}

static int forget(const struct picture *p, const char *directory)
{
	char *path = must_print("%s/%s", directory, p->file);
	int ret = unlink(path) && errno != ENOENT ? -1 : 0;

	if (ret)
		fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, path,
			strerror(errno));
	free(path);
	return ret;
}

int memory_bars_write(const struct memory_run *run, const char *directory)
{
	int ret = svg_directory(directory);

	for (size_t i = 0; !ret && i < sizeof(pictures) / sizeof(*pictures); i++) {
		const struct picture *p = &pictures[i];
		const struct memory_figures *all = p->instructions ? &run->instructions
								   : &run->times;
		struct svg_scale scale = find_scale(p, all);

		ret = scale.any ? draw(p, all, &scale, directory) : forget(p, directory);
	}
	return ret;
}
