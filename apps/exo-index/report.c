// SPDX-License-Identifier: MIT
/*
 * What the out-of-core job found, for people and for programs.
 */
#include <inttypes.h>
#include <stdio.h>

#include "json.h"
#include "report.h"

static double mib(uint64_t bytes)
{
	return bytes / 1048576.0;
}

static void row(const struct job_phase *p)
{
	double us = p->ns / 1e3;

	printf("%-8s%12" PRIu64 "%10.3f%12.0f%10.2f%10" PRIu64 "%12.1f%14.1f\n", p->name,
	       p->operations, us / 1e6, us ? p->operations * 1e6 / us : 0,
	       p->operations ? us / p->operations : 0, p->did.misses, mib(p->did.read_bytes),
	       mib(p->did.written_bytes));
}

static struct job_phase total(const struct job *j)
{
	struct job_phase all = { .name = "all" };

	for (int i = 0; i < JOB_PHASES; i++) {
		const struct job_phase *p = &j->phases[i];

		all.operations += p->operations;
		all.ns += p->ns;
		all.did.misses += p->did.misses;
		all.did.read_bytes += p->did.read_bytes;
		all.did.written_bytes += p->did.written_bytes;
	}
	return all;
}

static void report_text(const struct options *o, const struct job *j)
{
	struct job_phase all = total(j);

	printf("%s: %" PRIu64 " pages (%.1f MiB) with %.1f MiB of memory, %" PRIu64 " keys\n",
	       o->store, j->ix->mask + 1, mib((j->ix->mask + 1) * PAGE_BYTES), mib(o->memory),
	       j->keys);
	printf("%-8s%12s%10s%12s%10s%10s%12s%14s\n", "phase", "operations", "seconds", "a second",
	       "us each", "misses", "read MiB", "written MiB");
	for (int i = 0; i < JOB_PHASES; i++)
		row(&j->phases[i]);
	row(&all);
	printf("every value was as written; their sum is %016" PRIx64 "\n", j->sum);
}

static void phase_json(const struct job_phase *p, const char *comma)
{
	printf("%s{\"name\": \"%s\", \"operations\": %" PRIu64 ", \"seconds\": %.6f, "
	       "\"misses\": %" PRIu64 ", \"read_bytes\": %" PRIu64 ", \"written_bytes\": %" PRIu64
	       "}",
	       comma, p->name, p->operations, p->ns / 1e9, p->did.misses, p->did.read_bytes,
	       p->did.written_bytes);
}

static void report_json(const struct options *o, const struct job *j)
{
	struct job_phase all = total(j);

	printf("{\"store\": ");
	json_string(stdout, o->store);
	printf(", \"pages\": %" PRIu64 ", \"memory\": %" PRIu64 ", \"keys\": %" PRIu64
	       ", \"seed\": %" PRIu64 ", \"batch\": %" PRIu64 ", \"seconds\": %.6f, \"sum\": "
	       "\"%016" PRIx64 "\", \"phases\": [",
	       j->ix->mask + 1, o->memory, j->keys, j->seed, j->batch, all.ns / 1e9, j->sum);
	for (int i = 0; i < JOB_PHASES; i++)
		phase_json(&j->phases[i], i ? ", " : "");
	printf("]}\n");
}

void report(const struct options *o, const struct job *j)
{
	if (o->json)
		report_json(o, j);
	else
		report_text(o, j);
}
