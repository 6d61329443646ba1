/* SPDX-License-Identifier: MIT */
/*
 * The kernel's trace of exo's events, in an instance of its own, so that nobody else's is
 * disturbed: switched on and off, and what it told.
 */
#ifndef EXO_SELFTESTS_TRACEFS_H
#define EXO_SELFTESTS_TRACEFS_H

#include <limits.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "lib.h"

#define TRACING "/sys/kernel/tracing"
#define INSTANCE TRACING "/instances/exo-trace"
#define EVENTS INSTANCE "/events/exo"

static int trace_open(void)
{
	if (mount("tracefs", TRACING, "tracefs", 0, NULL) && errno != EBUSY)
		return -errno;
	if (mkdir(INSTANCE, 0700) && errno != EEXIST)
		return -errno;
	return access(EVENTS "/enable", W_OK) ? -errno : 0;
}

static int trace_switch(bool on)
{
	return write_file(EVENTS "/enable", on ? "1" : "0");
}

static void trace_close(void)
{
	trace_switch(false);
	rmdir(INSTANCE);
}

static void trace_clear(void)
{
	int fd = open(INSTANCE "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
}

static unsigned int told_by_va(const char *who, const char *format, va_list args)
{
	FILE *file = fopen(INSTANCE "/trace", "re");
	char wanted[512], line[1024];
	unsigned int n = 0;

	vsnprintf(wanted, sizeof(wanted), format, args);
	while (file && fgets(line, sizeof(line), file))
		n += line[0] != '#' && strstr(line, wanted) && strstr(line, who);
	if (file)
		fclose(file);
	return n;
}

/* How many lines have this text, of those that begin with a task of that name. */
static unsigned int told_by(const char *who, const char *format, ...)
{
	unsigned int n;
	va_list args;

	va_start(args, format);
	n = told_by_va(who, format, args);
	va_end(args);
	return n;
}

static unsigned int told(const char *format, ...)
{
	unsigned int n;
	va_list args;

	va_start(args, format);
	n = told_by_va("", format, args);
	va_end(args);
	return n;
}

/* What was told, for who wonders why a test failed. */
static void show_trace(struct __test_metadata *_metadata)
{
	FILE *file = fopen(INSTANCE "/trace", "re");
	unsigned int n = 0;
	char line[512];

	while (file && n < 60 && fgets(line, sizeof(line), file)) {
		if (line[0] == '#')
			continue;
		line[strcspn(line, "\n")] = 0;
		TH_LOG("%s", line);
		n++;
	}
	if (file)
		fclose(file);
}

#define EXPECT_TOLD(n, ...)                             \
	EXPECT_EQ((unsigned int)(n), told(__VA_ARGS__)) \
	{                                               \
		TH_LOG(__VA_ARGS__);                    \
		show_trace(_metadata);                  \
	}

/* All that the ring buffers hold, as they hold it. Its size. */
static size_t trace_raw(char **out)
{
	char path[PATH_MAX];
	size_t size = 0;
	unsigned int cpu;
	ssize_t n;
	int fd;

	*out = NULL;
	for (cpu = 0;; cpu++) {
		snprintf(path, sizeof(path), INSTANCE "/per_cpu/cpu%u/trace_pipe_raw", cpu);
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			return size;
		do {
			*out = realloc(*out, size + PAGE);
			n = *out ? read(fd, *out + size, PAGE) : 0;
			size += n > 0 ? n : 0;
		} while (n > 0);
		close(fd);
	}
}

/* Whole: one read gives a page of it. */
static void read_format(const char *event, char *text, size_t size)
{
	char path[PATH_MAX];
	size_t n = 0;
	FILE *file;

	snprintf(path, sizeof(path), EVENTS "/%s/format", event);
	file = fopen(path, "re");
	if (file) {
		n = fread(text, 1, size - 1, file);
		fclose(file);
	}
	text[n] = 0;
}

#endif
