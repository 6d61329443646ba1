/* SPDX-License-Identifier: MIT */
/*
 * Pictures as SVG: the few things that all of bench/ draws with. A file is text, without
 * script, style sheet or anything that would have to be fetched, and has a white ground of
 * its own: it can be read on a dark page, too. Lengths are pixels, y grows downwards.
 */
#ifndef BENCH_SVG_H
#define BENCH_SVG_H

#include <stdbool.h>
#include <stdio.h>

/* Names stand left of the plot, figures or a legend right of it, the head above. */
#define SVG_WIDTH 900
#define SVG_LEFT 170
#define SVG_RIGHT 190
#define SVG_TOP 64
#define SVG_PLOT (SVG_WIDTH - SVG_LEFT - SVG_RIGHT)
#define SVG_BAR 18		     /* from one bar to the next, */
#define SVG_BAR_HEIGHT (SVG_BAR - 4) /* what it fills of that, */
#define SVG_BASELINE (SVG_BAR - 5)   /* and where text beside it stands */

/* Makes the directory that pictures go to, if there is none. 0, or -1 after saying why not. */
int svg_directory(const char *directory);

/* A file in it. NULL after saying why. */
FILE *svg_begin(const char *directory, const char *name);

/* The picture's size, and two lines of text; the first is what it is called. */
void svg_head(FILE *out, double height, const char *title, const char *subtitle);

/* Closes @out. 0, or -1 after saying that not all of it could be written. */
int svg_end(FILE *out);

/* @anchor: start, middle or end. What is no printable ASCII becomes a question mark. */
void svg_text(FILE *out, double x, double y, const char *anchor, const char *text);
void svg_line(FILE *out, double x1, double y1, double x2, double y2, const char *stroke);

/* @opacity: 0 to 1. */
void svg_bar(FILE *out, double x, double y, double width, const char *fill, double opacity);

/* Of a row or system: what Linux has is grey to blue, exo's are orange to red. The names are
 * beside the bars: nobody has to tell the colours apart. */
const char *svg_colour(const char *name);

/**
 * struct svg_scale - a logarithmic scale of whole decades
 * @low: the power of ten that it begins with
 * @high: the one that it ends with
 * @any: a value was included
 */
struct svg_scale {
	double low, high;
	bool any;
};

/* Makes room for @value, which is positive: the scale will begin below it. What lies beyond
 * 1e-300 or 1e300 has no room. */
void svg_scale_include(struct svg_scale *scale, double value);

/* Where @value is: 0 is the scale's beginning, 1 its end. */
double svg_scale_at(const struct svg_scale *scale, double value);

#endif
