// SPDX-License-Identifier: MIT
/* JSON (RFC 8259), read; see json.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../daemon/machine.h"
#include "json.h"

#define DEPTH_MAX 32 /* no text makes the reader recurse further */
#define FILE_MAX (64u << 20)

struct reader {
	const char *at, *end;
	unsigned int line, depth;
};

static struct json *read_value(struct reader *r);

static void skip_blanks(struct reader *r)
{
	for (; r->at < r->end && memchr(" \t\r\n", *r->at, 4); r->at++)
		r->line += *r->at == '\n';
}

static bool take(struct reader *r, char c)
{
	skip_blanks(r);
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

static bool take_word(struct reader *r, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length))
		return false;
	r->at += length;
	return true;
}

static struct json *new_value(enum json_type type)
{
	struct json *value = must_alloc(NULL, sizeof(*value));

	*value = (struct json){ .type = type };
	return value;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind "\u". What is not ASCII is not kept: exo-bench writes none that way. */
static int read_code(struct reader *r)
{
	int code = 0;

	for (int i = 0; i < 4; i++) {
		int digit = r->at < r->end ? hex_digit(*r->at++) : -1;

		if (digit < 0)
			return -1;
		code = code << 4 | digit;
	}
	return code && code < 0x80 ? code : '?';
}

static int read_escape(struct reader *r)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (r->at == r->end)
		return -1;
	if (*r->at == 'u') {
		r->at++;
		return read_code(r);
	}
	found = *r->at ? strchr(from, *r->at++) : NULL;
	return found ? to[found - from] : -1;
}

/* Behind its first quote. NULL: it is none. */
static char *read_text(struct reader *r)
{
	char *text = must_alloc(NULL, r->end - r->at + 1);
	size_t length = 0;

	while (r->at < r->end && *r->at != '"') {
		int c = (unsigned char)*r->at++;

		if (c == '\\')
			c = read_escape(r);
		else if (c < 0x20)
			c = -1;
		if (c < 0) {
			free(text);
			return NULL;
		}
		text[length++] = c;
	}
	if (r->at == r->end) {
		free(text);
		return NULL;
	}
	r->at++;
	text[length++] = '\0';
	return must_alloc(text, length);
}

static struct json *read_number(struct reader *r)
{
	char text[64], *end;
	size_t length = 0;
	struct json *value;
	double number;

	while (r->at + length < r->end && length < sizeof(text) - 1 &&
	       strchr("+-.0123456789eE", r->at[length]) && r->at[length]) {
		text[length] = r->at[length];
		length++;
	}
	text[length] = '\0';
	number = strtod(text, &end);
	if (!length || *end || text[0] == '+' || !isfinite(number))
		return NULL;
	r->at += length;
	value = new_value(JSON_NUMBER);
	value->number = number;
	return value;
}

static struct json *read_member(struct reader *r, bool named)
{
	struct json *value;
	char *name = NULL;

	if (named) {
		name = take(r, '"') ? read_text(r) : NULL;
		if (!name)
			return NULL;
	}
	value = !named || take(r, ':') ? read_value(r) : NULL;
	if (value)
		value->name = name;
	else
		free(name);
	return value;
}

/* Behind its first bracket. */
static struct json *read_members(struct reader *r, enum json_type type, char last)
{
	struct json *all = new_value(type), **end = &all->first;

	if (take(r, last))
		return all;
	do {
		*end = read_member(r, type == JSON_OBJECT);
		if (!*end) {
			json_free(all);
			return NULL;
		}
		end = &(*end)->next;
	} while (take(r, ','));
	if (take(r, last))
		return all;
	json_free(all);
	return NULL;
}

static struct json *read_plain(struct reader *r)
{
	struct json *value;

	if (take_word(r, "null"))
		return new_value(JSON_NULL);
	if (take_word(r, "false"))
		return new_value(JSON_BOOL);
	if (!take_word(r, "true"))
		return read_number(r);
	value = new_value(JSON_BOOL);
	value->number = 1;
	return value;
}

static struct json *read_string(struct reader *r)
{
	char *text = read_text(r);
	struct json *value;

	if (!text)
		return NULL;
	value = new_value(JSON_STRING);
	value->text = text;
	return value;
}

static struct json *read_value(struct reader *r)
{
	struct json *value = NULL;

	if (r->depth == DEPTH_MAX)
		return NULL;
	r->depth++;
	if (take(r, '{'))
		value = read_members(r, JSON_OBJECT, '}');
	else if (take(r, '['))
		value = read_members(r, JSON_ARRAY, ']');
	else if (take(r, '"'))
		value = read_string(r);
	else
		value = read_plain(r);
	r->depth--;
	return value;
}

struct json *json_parse(const char *text, size_t length, unsigned int *line)
{
	struct reader r = { .at = text, .end = text + length, .line = 1 };
	struct json *value = read_value(&r);

	skip_blanks(&r);
	if (value && r.at != r.end) {
		json_free(value);
		value = NULL;
	}
	*line = r.line;
	return value;
}

void json_free(struct json *value)
{
	while (value) {
		struct json *next = value->next;

		json_free(value->first);
		free(value->name);
		free(value->text);
		free(value);
		value = next;
	}
}

const struct json *json_find(const struct json *object, const char *name, enum json_type type)
{
	const struct json *value;

	if (!object || object->type != JSON_OBJECT)
		return NULL;
	for (value = object->first; value; value = value->next)
		if (!strcmp(value->name, name))
			return value->type == type ? value : NULL;
	return NULL;
}

const char *json_text(const struct json *object, const char *name)
{
	const struct json *value = json_find(object, name, JSON_STRING);

	return value ? value->text : NULL;
}

double json_number(const struct json *object, const char *name, double otherwise)
{
	const struct json *value = json_find(object, name, JSON_NUMBER);

	return value ? value->number : otherwise;
}

char *json_file(const char *path, size_t *length)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t got = 0;

	if (!file) {
		fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, path,
			strerror(errno));
		return NULL;
	}
	*length = 0;
	do {
		*length += got;
		text = must_alloc(text, *length + 65536);
		got = fread(text + *length, 1, 65536, file);
	} while (got && *length < FILE_MAX);
	if (ferror(file) || got) {
		fprintf(stderr, "%s: %s: it cannot be read, or is too large\n",
			program_invocation_short_name, path);
		free(text);
		text = NULL;
	}
	fclose(file);
	return text;
}
