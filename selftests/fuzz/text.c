// SPDX-License-Identifier: MIT
/*
 * The text form of inputs.
 */
#include <stdlib.h>
#include <string.h>

#include "input.h"

static const char *const area_names[AREAS] = {
	[AREA_ARGUMENT] = "argument", [AREA_SCRATCH] = "scratch", [AREA_READ_ONLY] = "read-only",
	[AREA_EDGE] = "edge",	      [AREA_NONE] = "none",	  [AREA_RING] = "ring",
	[AREA_STATUS] = "status",     [AREA_FRAMES] = "frames",	  [AREA_SLOT] = "slot",
	[AREA_KERNEL] = "kernel",
};

/* ---- to text ---- */

static int print_plus(char *text, size_t size, uint64_t n)
{
	return n ? snprintf(text, size, "+%#lx", (unsigned long)n) : 0;
}

static int print_value(const struct value *v, char *text, size_t size)
{
	int n;

	switch (v->kind) {
	case V_MADE:
		return snprintf(text, size, "@%u", v->index);
	case V_MAP:
	case V_BUFFER:
		n = snprintf(text, size, "@%u.%s", v->index, v->kind == V_MAP ? "map" : "buf");
		return n + print_plus(text + n, size - (size_t)n, v->n);
	case V_SESSION:
		return snprintf(text, size, "s%u", v->index);
	case V_ADDRESS:
		n = snprintf(text, size, "&%s", area_names[v->index % AREAS]);
		return n + print_plus(text + n, size - (size_t)n, v->n);
	case V_LATER:
		return snprintf(text, size, "+%lu", (unsigned long)v->n);
	default:
		return snprintf(text, size, "%#lx", (unsigned long)v->n);
	}
}

static size_t print_op(const struct op *op, char *text, size_t size)
{
	const struct op_type *type = &op_types[op->type];
	unsigned int i, n = fields_of(type);
	char word[64];
	int at = snprintf(text, size, "s%u %s", op->session, type->name);

	for (i = 0; i < n; i++) {
		const struct value *v = &op->v[i];

		if (v->kind == V_NUMBER && !v->n)
			continue;
		print_value(v, word, sizeof(word));
		at += snprintf(text + at, size - (size_t)at, " %s=%s", type->field[i].name, word);
	}
	at += snprintf(text + at, size - (size_t)at, "\n");
	return (size_t)at;
}

size_t input_print(const struct input *in, char *text, size_t size)
{
	unsigned int i;
	size_t at = 0;

	for (i = 0; i < in->n && size - at > 512; i++)
		at += print_op(&in->op[i], text + at, size - at);
	return at;
}

/* ---- from text ---- */

static bool read_number(const char *text, uint64_t *n)
{
	char *end;

	*n = strtoull(text, &end, 0);
	return *text && !*end;
}

/* Cuts "+0x10" off. */
static bool read_plus(char *text, uint64_t *n)
{
	char *plus = strchr(text, '+');

	*n = 0;
	if (!plus)
		return true;
	*plus = 0;
	return read_number(plus + 1, n);
}

static bool read_made(char *text, struct value *v)
{
	uint64_t index;
	char *dot;

	if (!read_plus(text, &v->n))
		return false;
	dot = strchr(text, '.');
	v->kind = !dot ? V_MADE : !strcmp(dot, ".map") ? V_MAP : V_BUFFER;
	if (dot)
		*dot = 0;
	if (!read_number(text, &index) || index >= OPS_MAX)
		return false;
	v->index = (uint8_t)index;
	return true;
}

static bool read_area(char *text, struct value *v)
{
	if (!read_plus(text, &v->n))
		return false;
	v->kind = V_ADDRESS;
	for (v->index = 0; v->index < AREAS; v->index++)
		if (!strcmp(text, area_names[v->index]))
			return true;
	return false;
}

static bool read_value(char *text, struct value *v)
{
	switch (*text) {
	case '@':
		return read_made(text + 1, v);
	case '&':
		return read_area(text + 1, v);
	case 's':
		v->kind = V_SESSION;
		v->index = (uint8_t)(text[1] - '0');
		return v->index < SESSIONS;
	case '+':
		v->kind = V_LATER;
		return read_number(text + 1, &v->n);
	default:
		v->kind = V_NUMBER;
		return read_number(text, &v->n);
	}
}

static bool read_field(char *word, struct op *op)
{
	const struct op_type *type = &op_types[op->type];
	unsigned int i, n = fields_of(type);
	char *equals = strchr(word, '=');

	if (!equals)
		return false;
	*equals = 0;
	for (i = 0; i < n; i++)
		if (!strcmp(word, type->field[i].name))
			return read_value(equals + 1, &op->v[i]);
	return false;
}

static bool read_op(char *line, struct op *op)
{
	char *save, *word = strtok_r(line, " \n", &save);

	memset(op, 0, sizeof(*op));
	if (!word || word[0] != 's' || (unsigned int)(word[1] - '0') >= SESSIONS)
		return false;
	op->session = (uint8_t)(word[1] - '0');
	word = strtok_r(NULL, " \n", &save);
	while (word && op->type < op_types_n && strcmp(word, op_types[op->type].name))
		op->type++;
	if (!word || op->type == op_types_n)
		return false;
	while ((word = strtok_r(NULL, " \n", &save)))
		if (!read_field(word, op))
			return false;
	return true;
}

int input_read(FILE *file, struct input *in, unsigned int *line)
{
	char text[1024];

	in->n = 0;
	while (fgets(text, sizeof(text), file)) {
		++*line;
		if (*text == '#')
			continue;
		if (*text == '\n') {
			if (in->n)
				return 1;
			continue;
		}
		if (in->n == OPS_MAX || !read_op(text, &in->op[in->n]))
			return -1;
		in->n++;
	}
	return in->n > 0;
}

void input_remove(struct input *in, unsigned int i)
{
	unsigned int j, k;

	in->n--;
	for (j = i; j < in->n; j++)
		in->op[j] = in->op[j + 1];
	for (j = i; j < in->n; j++) {
		for (k = 0; k < FIELDS_MAX; k++) {
			struct value *v = &in->op[j].v[k];

			if (v->kind != V_MADE && v->kind != V_MAP && v->kind != V_BUFFER)
				continue;
			if (v->index == i)
				*v = (struct value){ .kind = V_NUMBER };
			else if (v->index > i)
				v->index--;
		}
	}
}
