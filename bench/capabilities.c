// SPDX-License-Identifier: MIT
/*
 * capabilities: what granting and taking back cost. For each row of capability-rows.c a
 * line with the latency (p50, p99, max), or, for a boot with the insncount plugin, the
 * number of rounds, which is the number of lines that the plugin wrote for it.
 */
#include <err.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "capabilities.h"

#define ROUNDS_MAX 100000u
#define WARM_UP 3u

struct place place;
__u64 latency;

void need(int ret, const char *what)
{
	if (ret < 0)
		errx(1, "%s: %s (reason %u)", what, strerror(-ret), last.reason);
}

void settle(int cpu, int urgency)
{
	struct sched_param param = { .sched_priority = urgency };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "pinning to CPU %d", cpu);
	if (!place.together)
		return;
	if (sched_setscheduler(0, urgency ? SCHED_FIFO : SCHED_OTHER, &param))
		err(1, "setting the scheduler");
}

static int by_value(const void *a, const void *b)
{
	__u64 x = *(const __u64 *)a, y = *(const __u64 *)b;

	return x < y ? -1 : x > y;
}

static __u64 percentile(const __u64 *sorted, unsigned int n, unsigned int percent)
{
	return sorted[(__u64)(n - 1) * percent / 100];
}

static void print_row(const struct row *row, __u64 *ns, unsigned int n)
{
	qsort(ns, n, sizeof(*ns), by_value);
	if (place.together)
		printf("CAPINSNS row=%s how=%s warm=%u rounds=%u\n", row->name, row->how, WARM_UP,
		       n);
	else
		printf("CAPTIME row=%s how=%s rounds=%u min=%llu p50=%llu p99=%llu max=%llu\n",
		       row->name, row->how, n, ns[0], percentile(ns, n, 50), percentile(ns, n, 99),
		       ns[n - 1]);
	fflush(stdout);
}

/* The first rounds warm up caches, and under emulation the translator. */
static void run_row(const struct row *row, unsigned int rounds, unsigned int seconds)
{
	static __u64 ns[ROUNDS_MAX];
	__u64 until = now_ns() + seconds * 1000000000ull;
	unsigned int n = 0, warm = 0;

	row->begin(row);
	while (warm < WARM_UP)
		warm += row->round(row);
	while (n < rounds && (!n || now_ns() < until))
		if (row->round(row))
			ns[n++] = latency;
	row->end(row);
	print_row(row, ns, n);
}

static unsigned int number(const char *text, unsigned int max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || end == text || !value || value > max)
		errx(2, "%s: a number from 1 to %u is needed", text, max);
	return value;
}

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr, "usage: capabilities [-r ROUNDS] [-s SECONDS] [-n NAME] [-c]\n"
			"       capabilities -l\n"
			"  -r  rounds of each row (1000)   -s  but at most so long for each (60)\n"
			"  -n  only rows of this name\n"
			"  -c  for counting instructions: everything on one CPU\n"
			"  -l  once what holds the lock of the trees for long, for bench/holds\n");
	exit(2);
}

int main(int argc, char **argv)
{
	unsigned int rounds = 1000, seconds = 60, i;
	const char *name = NULL;
	int opt;

	while ((opt = getopt(argc, argv, "r:s:n:cl")) != -1) {
		switch (opt) {
		case 'r':
			rounds = number(optarg, ROUNDS_MAX);
			break;
		case 's':
			seconds = number(optarg, 3600);
			break;
		case 'n':
			name = optarg;
			break;
		case 'c':
			place.together = true;
			break;
		case 'l':
			settle(REVOKER_CPU, 1);
			lock_exercise();
			return 0;
		default:
			usage();
		}
	}
	if (optind != argc)
		usage();
	settle(REVOKER_CPU, 1);
	for (i = 0; i < rows_count; i++)
		if (!name || !strcmp(name, rows[i].name))
			run_row(&rows[i], rounds, seconds);
	return 0;
}
