// SPDX-License-Identifier: MIT
/*
 * From execve(2) to the first completed read; see first-read.h. The program that is started
 * is this one, again: it is told the time at which it was, opens the name, makes a queue and
 * a buffer, reads one block and prints how long ago that time is, and was when it began.
 */
#define _GNU_SOURCE
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <libexo.h>

#include "../apps/common/clock.h"
#include "first-read.h"
#include "loop.h"
#include "results.h"

static int read_one(const char *name, const char *since)
{
	uint64_t began = strtoull(since, NULL, 10), in_main = clock_ns() - began, ns;
	struct exo_queue *q;
	struct exo *x;
	void *buf;
	int r;

	if ((r = exo_open(name, EXO_READ, &x)) || (r = exo_queue_create(x, NULL, &q)) ||
	    (r = exo_buf_alloc(q, 4096, &buf)) || (r = exo_read(q, buf, 0, 1)))
		errx(LOOP_CANNOT, "%s", exo_strerror(x, r));
	ns = clock_ns() - began;
	printf("%" PRIu64 " %" PRIu64 "\n", ns, in_main);
	exo_close(x);
	return 0;
}

static void __attribute__((noreturn)) become_reader(const char *name, int out)
{
	char since[32];

	dup2(out, STDOUT_FILENO);
	snprintf(since, sizeof(since), "%" PRIu64, clock_ns());
	execl("/proc/self/exe", "exo-bench", "first-read", name, since, NULL);
	err(LOOP_BROKE, "/proc/self/exe");
}

static void measure_once(const char *name, double *ms, double *main_ms)
{
	char text[64];
	ssize_t length;
	int ends[2], status;
	pid_t pid;

	if (pipe2(ends, 0))
		err(LOOP_BROKE, "pipe");
	pid = fork();
	if (pid < 0)
		err(LOOP_BROKE, "fork");
	if (!pid)
		become_reader(name, ends[1]);
	close(ends[1]);
	length = read(ends[0], text, sizeof(text) - 1);
	text[length > 0 ? length : 0] = '\0';
	close(ends[0]);
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		errx(LOOP_BROKE, "the program that reads crashed");
	if (WEXITSTATUS(status))
		exit(WEXITSTATUS(status)); /* it said why */
	if (sscanf(text, "%lf %lf", ms, main_ms) != 2)
		errx(LOOP_BROKE, "the program that reads said \"%s\"", text);
	*ms /= 1e6;
	*main_ms /= 1e6;
}

/* The first is not counted: it may have to read the program from a disk. */
void first_read_measure(const void *arg, void *answer)
{
	struct first_read *first = answer;

	for (unsigned int i = 0; i < FIRST_READ_RUNS + 1; i++)
		measure_once(arg, &first->ms[i ? i - 1 : 0], &first->main_ms[i ? i - 1 : 0]);
}

void first_read_print(const struct first_read *first, const char *name)
{
	const struct series ms = { (double *)first->ms, FIRST_READ_RUNS };
	const struct series main_ms = { (double *)first->main_ms, FIRST_READ_RUNS };

	printf("FIRST-READ %s%s%sruns=%u median_ms=%.3f min_ms=%.3f max_ms=%.3f main_ms=%.3f\n",
	       name ? "name=" : "", name ? name : "", name ? " " : "", FIRST_READ_RUNS,
	       series_median(&ms), series_min(&ms), series_max(&ms), series_median(&main_ms));
}

int first_read_command(int argc, char **argv)
{
	struct first_read first;

	if (argc == 3)
		return read_one(argv[1], argv[2]);
	if (argc != 2)
		errx(2, "usage: exo-bench first-read NAME   (\"exo:\" under exo-run, "
			"\"nvme:BDF/NSID\" as root)");
	first_read_measure(argv[1], &first);
	first_read_print(&first, argv[1]);
	return 0;
}
