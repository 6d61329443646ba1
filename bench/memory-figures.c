// SPDX-License-Identifier: MIT
/* The figures of a run, read; see memory-figures.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../daemon/machine.h"
#include "json.h"
#include "memory-figures.h"

/* What is less or more has no room in a picture, and was not measured either. */
#define VALUE_LEAST 1e-3
#define US_MOST 1e6
#define INSTRUCTIONS_MOST 1e9

typedef bool (*read_fn)(struct memory_figure *figure, const struct json *from);

static bool read_name(char *name, const struct json *from, const char *key)
{
	const char *text = json_text(from, key);

	if (!text || !*text || strlen(text) > MEMORY_NAME_MAX)
		return false;
	strcpy(name, text);
	return true;
}

static bool read_count(unsigned int *count, const struct json *from, const char *key)
{
	const double number = json_number(from, key, 0);

	if (!(number >= 1 && number <= 1e6))
		return false;
	*count = number;
	return true;
}

static bool read_time(struct memory_figure *f, const struct json *from)
{
	f->least = json_number(from, "min", 0) / 1000;
	f->median = json_number(from, "median", 0) / 1000;
	f->most = json_number(from, "max", 0) / 1000;
	return read_count(&f->threads, from, "threads") && f->least >= VALUE_LEAST &&
	       f->least <= f->median && f->median <= f->most && f->most <= US_MOST;
}

static bool read_instructions(struct memory_figure *f, const struct json *from)
{
	const double kernel = json_number(from, "kernel", -1);

	f->threads = 1;
	f->user = json_number(from, "user", -1);
	f->least = f->median = f->most = f->user + kernel;
	return f->user >= 0 && kernel >= 0 && f->median >= VALUE_LEAST &&
	       f->median <= INSTRUCTIONS_MOST;
}

static bool read_figure(struct memory_figures *figures, const struct json *from, read_fn read)
{
	struct memory_figure *f = &figures->at[figures->count];
	char tag[sizeof(figures->tag)];

	if (!read_name(f->operation, from, "operation") || !read_name(f->system, from, "system") ||
	    !read_count(&f->pages, from, "pages") || !read_name(tag, from, "tag") || !read(f, from))
		return false;
	if (figures->count && strcmp(tag, figures->tag))
		return false;
	strcpy(figures->tag, tag);
	figures->count++;
	return true;
}

/* NULL, or what is wrong with them. */
static char *read_figures(struct memory_figures *figures, const struct json *root, const char *key,
			  read_fn read)
{
	const struct json *list = json_find(root, key, JSON_ARRAY);
	size_t count = 0;

	if (!list)
		return must_print("it is not what report-memory wrote: there is no \"%s\"", key);
	for (const struct json *one = list->first; one; one = one->next)
		count++;
	figures->at = must_alloc(NULL, (count + 1) * sizeof(*figures->at));
	memset(figures->at, 0, (count + 1) * sizeof(*figures->at));
	for (const struct json *one = list->first; one; one = one->next)
		if (!read_figure(figures, one, read))
			return must_print("number %zu of \"%s\" is no figure, or of another "
					  "machine",
					  figures->count + 1, key);
	return NULL;
}

static char *read_run(struct memory_run *run, const struct json *root)
{
	char *wrong = read_figures(&run->times, root, "times", read_time);

	if (!wrong)
		wrong = read_figures(&run->instructions, root, "instructions", read_instructions);
	if (!wrong && !run->times.count && !run->instructions.count)
		wrong = must_print("there is no figure in it");
	return wrong;
}

int memory_run_parse(struct memory_run *run, const char *text, size_t length, const char *name)
{
	unsigned int line;
	struct json *root = json_parse(text, length, &line);
	char *wrong;

	*run = (struct memory_run){ 0 };
	wrong = root ? read_run(run, root) : must_print("line %u is no JSON", line);
	if (wrong)
		fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, name, wrong);
	json_free(root);
	free(wrong);
	return wrong ? -1 : 0;
}

int memory_run_read(struct memory_run *run, const char *path)
{
	size_t length;
	char *text = json_file(path, &length);
	int ret;

	*run = (struct memory_run){ 0 };
	ret = text ? memory_run_parse(run, text, length, path) : -1;
	free(text);
	return ret;
}

void memory_run_free(struct memory_run *run)
{
	free(run->times.at);
	free(run->instructions.at);
	*run = (struct memory_run){ 0 };
}
