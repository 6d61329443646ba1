/* SPDX-License-Identifier: MIT */
/*
 * JSON, read into a tree: what exo-bench wrote, by hand edited or passed through other tools.
 */
#ifndef BENCH_JSON_H
#define BENCH_JSON_H

#include <stdbool.h>
#include <stddef.h>

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/**
 * struct json - a value
 * @type: of it
 * @name: in the object that it is of, or NULL
 * @text: of a string
 * @number: of a number; 1 and 0 for true and false
 * @first: of the values in it
 * @next: in what it is in
 */
struct json {
	enum json_type type;
	char *name;
	char *text;
	double number;
	struct json *first;
	struct json *next;
};

/* NULL: the text is none; *line then says where. */
struct json *json_parse(const char *text, size_t length, unsigned int *line);
void json_free(struct json *value);

/* What is in a file, to be freed. NULL after saying why: it cannot be read, or is too large. */
char *json_file(const char *path, size_t *length);

/* Of an object, or NULL: that is none, or has none of that name and type. */
const struct json *json_find(const struct json *object, const char *name, enum json_type type);
const char *json_text(const struct json *object, const char *name);
double json_number(const struct json *object, const char *name, double otherwise);

#endif
