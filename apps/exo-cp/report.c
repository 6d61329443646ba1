// SPDX-License-Identifier: MIT
/*
 * What exo-cp says. On a terminal, progress is a line that is written over and over.
 */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "clock.h"
#include "report.h"

#define SECOND 1000000000ull

static struct {
	bool progress; /* wanted */
	bool quiet;
	bool terminal;
	bool line; /* there is one on the terminal that is not finished */
	const char *doing;
	uint64_t total;
	uint64_t done;
	uint64_t begun;
	uint64_t told;
} report;

void report_begin(const struct options *o)
{
	report.terminal = isatty(STDERR_FILENO);
	report.progress = report.terminal || o->progress;
	report.quiet = o->quiet;
}

static void wipe(void)
{
	if (report.line)
		fputs("\r\033[K", stderr);
	report.line = false;
}

static void print(const char *format, va_list args)
{
	wipe();
	fputs("exo-cp: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

int fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print(format, args);
	va_end(args);
	return -1;
}

int say(const char *format, ...)
{
	va_list args;

	if (report.quiet)
		return 0;
	va_start(args, format);
	print(format, args);
	va_end(args);
	return 0;
}

struct amount amount(double bytes)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	struct amount a;
	int unit = 0;

	while (bytes >= 1024 && unit < 6) {
		bytes /= 1024;
		unit++;
	}
	snprintf(a.text, sizeof(a.text), "%.*f %s", unit ? 1 : 0, bytes, units[unit]);
	return a;
}

void report_phase(const char *doing, uint64_t total)
{
	report.doing = doing;
	report.total = total;
	report.done = 0;
	report.begun = report.told = clock_ns();
}

static void print_progress(uint64_t bytes, double seconds)
{
	if (report.terminal)
		fputs("\r\033[K", stderr);
	report.line = report.terminal;
	fprintf(stderr, "exo-cp: %s %s", report.doing, amount(bytes).text);
	if (report.total && report.total != UINT64_MAX)
		fprintf(stderr, " of %s, %.0f%%", amount(report.total).text,
			bytes * 100.0 / report.total);
	fprintf(stderr, ", %s/s", amount(bytes / seconds).text);
	if (!report.terminal)
		fputc('\n', stderr);
	fflush(stderr);
}

void report_progress(uint64_t bytes)
{
	uint64_t now;

	report.done = bytes;
	if (!report.progress)
		return;
	now = clock_ns();
	if (now - report.told < SECOND)
		return;
	report.told = now;
	print_progress(bytes, (now - report.begun) / 1e9);
}

void report_lost_buffer(void)
{
	fail("not finished: the buffer was taken back after the first %llu bytes were %s",
	     (unsigned long long)report.done, report.doing);
}
