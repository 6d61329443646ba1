// SPDX-License-Identifier: MIT
/*
 * symbols: where the kernel instructions between the marks were spent.
 *
 *   symbols KALLSYMS HISTOGRAM REPORT READS
 *
 * KALLSYMS is /proc/kallsyms of the guest, read by root; HISTOGRAM what the
 * insncount plugin wrote to hist=FILE in the same boot; REPORT the number, from
 * 1, of the report in it; READS what to divide by. Prints a line for each kernel
 * function, those that cost most first.
 */
#define _GNU_SOURCE
#include <err.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kallsyms.h"

static int by_count(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return x->count > y->count ? -1 : x->count < y->count;
}

static uint64_t read_histogram(const char *path, unsigned long report)
{
	FILE *file = open_or_die(path);
	uint64_t address, count, total = 0;
	unsigned long at = 0;
	char line[128];

	while (fgets(line, sizeof(line), file)) {
		if (!strcmp(line, "REPORT\n")) {
			at++;
		} else if (at == report &&
			   sscanf(line, "%" SCNx64 " %" SCNu64, &address, &count) == 2) {
			symbol_of(address)->count += count;
			total += count;
		}
	}
	fclose(file);
	if (at < report)
		errx(1, "%s: it has %lu reports, not %lu", path, at, report);
	return total;
}

int main(int argc, char **argv)
{
	uint64_t total, reads;

	if (argc != 5 || !(reads = strtoull(argv[4], NULL, 10)))
		errx(2, "usage: symbols KALLSYMS HISTOGRAM REPORT READS");
	read_symbols(argv[1]);
	total = read_histogram(argv[2], strtoul(argv[3], NULL, 10));
	qsort(symbols, symbols_nr, sizeof(*symbols), by_count);

	printf("%10s %6s  kernel function\n", "insns/read", "share");
	for (size_t i = 0; i < symbols_nr && symbols[i].count; i++)
		printf("%10.2f %5.1f%%  %s\n", (double)symbols[i].count / reads,
		       100.0 * symbols[i].count / total, symbols[i].name);
	printf("%10.2f 100.0%%  all\n", (double)total / reads);
	return 0;
}
