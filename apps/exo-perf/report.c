// SPDX-License-Identifier: MIT
/*
 * The figures of a run, for a person or for a program.
 */
#include <stdio.h>

#include "json.h"
#include "measure.h"

static const struct {
	const char *name;
	const char *key;
	double percent;
} percentiles[] = {
	{ "p50", "p50", 50 },	    { "p90", "p90", 90 },	   { "p99", "p99", 99 },
	{ "p99.9", "p99_9", 99.9 }, { "p99.99", "p99_99", 99.99 }, { "max", "max", 100 },
};

#define PERCENTILES (sizeof(percentiles) / sizeof(percentiles[0]))

static double microseconds(const struct result *r, uint64_t ticks)
{
	return ticks * r->ns_per_tick / 1000;
}

static double percent_of_run(const struct result *r, uint64_t ns)
{
	return r->ns ? 100.0 * ns / r->ns : 0;
}

static double mean(const struct result *r)
{
	return r->latency.count ? microseconds(r, 1) * r->latency.sum / r->latency.count : 0;
}

static double per_second(const struct result *r, uint64_t n)
{
	return r->ns ? n * 1e9 / r->ns : 0;
}

static void print_size(uint64_t bytes)
{
	if (bytes % (1 << 20) == 0)
		printf("%llu MiB", (unsigned long long)bytes >> 20);
	else if (bytes % (1 << 10) == 0)
		printf("%llu KiB", (unsigned long long)bytes >> 10);
	else
		printf("%llu bytes", (unsigned long long)bytes);
}

/* Of a queue of a device's. */
static void report_place(const struct result *r)
{
	if (r->node < 0)
		return;
	printf("  queue       memory on node %d, ", r->node);
	if (r->irq_cpu >= 0)
		printf("interrupts to processor %d", r->irq_cpu);
	else
		printf("no interrupt");
	printf(", priority %s\n", options_priority(r->priority));
}

static void report_text(struct exo *x, const struct options *o, const struct result *r)
{
	uint64_t ios = r->reads + r->writes;

	printf("%s of ", o->rw);
	print_size(o->bs);
	printf(", depth %u, batch %u, %u queue%s (%s), %.1f s\n", o->depth, o->batch, o->queues,
	       o->queues == 1 ? "" : "s", r->mode, r->ns / 1e9);
	printf("  device      %s, %s (%s), namespace %u, %llu blocks of %u bytes from LBA %llu\n",
	       exo_address(x), exo_model(x), exo_serial(x), exo_nsid(x),
	       (unsigned long long)exo_blocks(x), exo_block_size(x),
	       (unsigned long long)exo_first_block(x));
	report_place(r);
	printf("  rate        %.0f IOPS", per_second(r, ios));
	if (r->reads && r->writes)
		printf(" (%.0f read, %.0f written)", per_second(r, r->reads),
		       per_second(r, r->writes));
	printf(", %.1f MiB/s, %llu I/Os in all, %.1f per submit\n",
	       per_second(r, ios) * o->bs / (1 << 20), (unsigned long long)ios,
	       r->submits ? (double)ios / r->submits : 0);
	printf("  latency us  mean %.1f", mean(r));
	for (size_t i = 0; i < PERCENTILES; i++)
		printf("  %s %.1f", percentiles[i].name,
		       microseconds(r, histogram_percentile(&r->latency, percentiles[i].percent)));
	printf("\n  processor   %.0f%% user, %.0f%% system (100%% is one processor)\n",
	       percent_of_run(r, r->user_ns), percent_of_run(r, r->system_ns));
}

static void report_json(struct exo *x, const struct options *o, const struct result *r)
{
	uint64_t ios = r->reads + r->writes;

	printf("{\"rw\": \"%s\", \"bs\": %llu, \"depth\": %u, \"batch\": %u, \"queues\": %u, "
	       "\"mode\": \"%s\", \"irq_cpu\": %d, \"node\": %d, \"priority\": "
	       "\"%s\", \"address\": \"%s\", \"nsid\": %u, \"serial\": ",
	       o->rw, (unsigned long long)o->bs, o->depth, o->batch, o->queues, r->mode, r->irq_cpu,
	       r->node, options_priority(r->priority), exo_address(x), exo_nsid(x));
	json_string(stdout, exo_serial(x));
	printf(", \"model\": ");
	json_string(stdout, exo_model(x));
	printf(", \"seconds\": %.6f, \"ios\": %llu, \"reads\": %llu, \"writes\": %llu, "
	       "\"submits\": %llu, \"iops\": %.1f, \"bytes_per_second\": %.0f, "
	       "\"latency_us\": {\"mean\": %.3f",
	       r->ns / 1e9, (unsigned long long)ios, (unsigned long long)r->reads,
	       (unsigned long long)r->writes, (unsigned long long)r->submits, per_second(r, ios),
	       per_second(r, ios) * o->bs, mean(r));
	for (size_t i = 0; i < PERCENTILES; i++)
		printf(", \"%s\": %.3f", percentiles[i].key,
		       microseconds(r, histogram_percentile(&r->latency, percentiles[i].percent)));
	printf("}, \"cpu_user_seconds\": %.6f, \"cpu_system_seconds\": %.6f}\n", r->user_ns / 1e9,
	       r->system_ns / 1e9);
}

void report(struct exo *x, const struct options *o, const struct result *r)
{
	if (o->json)
		report_json(x, o, r);
	else
		report_text(x, o, r);
}
