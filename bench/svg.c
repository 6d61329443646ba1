// SPDX-License-Identifier: MIT
/* What pictures are drawn with; see svg.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../daemon/machine.h"
#include "svg.h"

const char *svg_colour(const char *name)
{
	static const char *const of[][2] = {
		{ "pread", "#b0b0b0" },
		{ "libaio", "#8a8a8a" },
		{ "io_uring", "#7fb3e0" },
		{ "io_uring-polled", "#3f7fbf" },
		{ "passthrough", "#7a8fd0" },
		{ "passthrough-polled", "#3b4fa0" },
		{ "exo", "#f0a040" },
		{ "exo-thread", "#e06f30" },
		{ "exo-direct", "#c03a2b" },
		{ "exo-scattered", "#e06f30" },
		{ "mprotect", "#8a8a8a" },
		{ "uffd-sigbus", "#7fb3e0" },
		{ "uffd-thread", "#3f7fbf" },
		{ "pagemap-scan", "#7a8fd0" },
		{ "touch-dontneed", "#8a8a8a" },
		{ "memfd-mmap", "#7fb3e0" },
	};

	for (size_t i = 0; i < sizeof(of) / sizeof(*of); i++)
		if (!strcmp(name, of[i][0]))
			return of[i][1];
	return "#555555";
}

static void put_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			fputs("&lt;", out);
		else if (*text == '>')
			fputs("&gt;", out);
		else if (*text == '&')
			fputs("&amp;", out);
		else
			fputc(*text >= 0x20 && *text < 0x7f ? *text : '?', out);
	}
}

void svg_text(FILE *out, double x, double y, const char *anchor, const char *text)
{
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
	put_escaped(out, text);
	fprintf(out, "</text>\n");
}

void svg_line(FILE *out, double x1, double y1, double x2, double y2, const char *stroke)
{
	fprintf(out,
		"<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
		"stroke-width=\"1.5\"/>\n",
		x1, y1, x2, y2, stroke);
}

void svg_bar(FILE *out, double x, double y, double width, const char *fill, double opacity)
{
	fprintf(out,
		"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\" "
		"fill-opacity=\"%g\"/>\n",
		x, y, width, SVG_BAR_HEIGHT, fill, opacity);
}

static void say_errno(const char *path)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, path, strerror(errno));
}

int svg_directory(const char *directory)
{
	if (!mkdir(directory, 0777) || errno == EEXIST)
		return 0;
	say_errno(directory);
	return -1;
}

FILE *svg_begin(const char *directory, const char *name)
{
	char *path = must_print("%s/%s", directory, name);
	FILE *out = fopen(path, "we");

	if (!out)
		say_errno(path);
	free(path);
	return out;
}

void svg_head(FILE *out, double height, const char *title, const char *subtitle)
{
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
		"viewBox=\"0 0 %d %.0f\" font-family=\"sans-serif\" font-size=\"12\">\n<title>",
		SVG_WIDTH, height, SVG_WIDTH, height);
	put_escaped(out, title);
	fprintf(out, "</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n");
	svg_text(out, 16, 22, "start", title);
	svg_text(out, 16, 40, "start", subtitle);
}

int svg_end(FILE *out)
{
	int bad;

	fprintf(out, "</svg>\n");
	bad = ferror(out);
	bad |= fclose(out);
	if (bad)
		fprintf(stderr, "%s: a plot could not be written: %s\n",
			program_invocation_short_name, strerror(errno));
	return bad ? -1 : 0;
}

void svg_scale_include(struct svg_scale *scale, double value)
{
	double seen = fmin(fmax(value, 1e-300), 1e300);
	double low = floor(log10(seen * 0.9)), high = ceil(log10(seen));

	scale->low = scale->any ? fmin(scale->low, low) : low;
	scale->high = scale->any ? fmax(scale->high, high) : high;
	scale->any = true;
}

double svg_scale_at(const struct svg_scale *scale, double value)
{
	return (log10(value) - scale->low) / (scale->high - scale->low);
}
