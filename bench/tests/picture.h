/* SPDX-License-Identifier: MIT */
/*
 * What every picture is asked: is it XML, and can it be read? For the tests of those who draw.
 */
#ifndef BENCH_TESTS_PICTURE_H
#define BENCH_TESTS_PICTURE_H

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The text of a file, which is then removed; to be freed. NULL: there is none. */
static char *picture(const char *directory, const char *name)
{
	char path[512], *text = calloc(1, 1 << 20);
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "re");
	if (!file || !fread(text, 1, (1 << 20) - 1, file)) {
		free(text);
		text = NULL;
	}
	if (file)
		fclose(file);
	unlink(path);
	return text;
}

static inline unsigned int picture_count(const char *text, const char *what)
{
	unsigned int n = 0;

	for (text = strstr(text, what); text; text = strstr(text + 1, what))
		n++;
	return n;
}

/* ---- XML, as much of it as a picture has: elements, attributes, text; no comments ---- */

#define XML_DEPTH 16

/* Up to one of @ends, which may not come by itself. NULL: that is no text. */
static const char *xml_text(const char *at, const char *ends)
{
	static const char *const entities[] = { "&lt;", "&gt;", "&amp;", "&quot;" };

	for (; *at && !strchr(ends, *at); at++) {
		bool known = *at != '&' && *at != '<' && *at != '>';

		for (size_t i = 0; i < sizeof(entities) / sizeof(*entities); i++)
			known |= !strncmp(at, entities[i], strlen(entities[i]));
		if (!known || ((unsigned char)*at < 0x20 && *at != '\n') ||
		    (unsigned char)*at > 0x7e)
			return NULL;
	}
	return at;
}

static const char *xml_name(const char *at)
{
	if (!isalpha((unsigned char)*at))
		return NULL;
	while (isalnum((unsigned char)*at) || *at == '-')
		at++;
	return at;
}

/* Behind an element's name: up to its ">" or "/>". */
static const char *xml_attributes(const char *at)
{
	while (at && *at == ' ') {
		at = xml_name(at + 1);
		if (!at || strncmp(at, "=\"", 2))
			return NULL;
		at = xml_text(at + 2, "\"");
		at = at && *at ? at + 1 : NULL;
	}
	return at;
}

/* At its "<". Behind its end, or NULL: it is none. */
static const char *xml_element(const char *at, int depth)
{
	const char *name = at + 1, *end = *at == '<' ? xml_name(name) : NULL;
	const size_t length = end ? end - name : 0;

	at = end ? xml_attributes(end) : NULL;
	if (!at || depth == XML_DEPTH)
		return NULL;
	if (!strncmp(at, "/>", 2))
		return at + 2;
	if (*at++ != '>')
		return NULL;
	for (;;) {
		at = xml_text(at, "<");
		if (!at || !*at)
			return NULL;
		if (at[1] == '/')
			break;
		at = xml_element(at, depth + 1);
		if (!at)
			return NULL;
	}
	return !strncmp(at + 2, name, length) && at[2 + length] == '>' ? at + length + 3 : NULL;
}

static bool picture_is_xml(const char *text)
{
	const char *end = !strncmp(text, "<svg ", 5) ? xml_element(text, 0) : NULL;

	return end && !strcmp(end, "\n");
}

/* No number that is none. */
static bool picture_has_numbers(const char *text)
{
	return !strstr(text, "\"nan") && !strstr(text, "\"-nan") && !strstr(text, "\"inf") &&
	       !strstr(text, "\"-inf");
}

/* ---- room ---- */

#define GLYPH 7.5 /* of a wide font of 12 pixels, on average; height: */
#define LINE 12

struct picture_text {
	double left, right, y;
};

/* At "<text ". */
static bool picture_text(struct picture_text *t, const char *at)
{
	char anchor[8];
	double width = 0;
	int length;

	if (sscanf(at, "<text x=\"%lf\" y=\"%lf\" text-anchor=\"%7[a-z]\">%n", &t->left, &t->y,
		   anchor, &length) != 3)
		return false;
	for (at += length; *at && *at != '<'; at++) {
		width += GLYPH;
		if (*at == '&')
			at = strchr(at, ';');
	}
	t->left -= !strcmp(anchor, "end") ? width : !strcmp(anchor, "middle") ? width / 2 : 0;
	t->right = t->left + width;
	return true;
}

static bool texts_meet(const struct picture_text *a, const struct picture_text *b)
{
	return a->left < b->right && b->left < a->right && fabs(a->y - b->y) < LINE;
}

/* No text lies over another, or leaves the picture. */
static bool picture_is_readable(const char *text)
{
	static struct picture_text texts[1000];
	double width, height;
	size_t n = 0;

	if (sscanf(text, "<svg xmlns=\"%*[^\"]\" width=\"%lf\" height=\"%lf\"", &width, &height) !=
	    2)
		return false;
	for (text = strstr(text, "<text "); text && n < 1000; text = strstr(text + 1, "<text ")) {
		const struct picture_text *t = &texts[n++];

		if (!picture_text(&texts[n - 1], text) || t->left < 0 || t->right > width ||
		    t->y < LINE || t->y > height)
			return false;
		for (size_t i = 0; i < n - 1; i++)
			if (texts_meet(&texts[i], t)) {
				printf("# over another text: %.60s\n", text);
				return false;
			}
	}
	return n;
}

#endif
