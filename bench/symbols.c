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
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct symbol {
	uint64_t address;
	uint64_t count;
	char *name;
};

static struct symbol *symbols;
static size_t symbols_nr;

static FILE *open_or_die(const char *path)
{
	FILE *file = fopen(path, "r");

	if (!file)
		err(1, "%s", path);
	return file;
}

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

static int by_count(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return x->count > y->count ? -1 : x->count < y->count;
}

static void add_symbol(uint64_t address, const char *name, const char *module)
{
	static size_t room;
	struct symbol *s;

	if (symbols_nr == room) {
		room = room ? room * 2 : 65536;
		symbols = reallocarray(symbols, room, sizeof(*symbols));
		if (!symbols)
			err(1, "symbols");
	}
	s = &symbols[symbols_nr++];
	*s = (struct symbol){ .address = address };
	if (asprintf(&s->name, "%s%s%s", name, *module ? " " : "", module) < 0)
		err(1, "symbols");
}

/* "ffffffff81000000 T _text [module]"; only what can be code. */
static void read_symbols(const char *path)
{
	FILE *file = open_or_die(path);
	char line[1024], name[512], module[128], type;
	uint64_t address;

	while (fgets(line, sizeof(line), file)) {
		module[0] = '\0';
		if (sscanf(line, "%" SCNx64 " %c %511s %127s", &address, &type, name, module) < 3)
			continue;
		if (strchr("tTwW", type) && address >> 63)
			add_symbol(address, name, module);
	}
	fclose(file);
	if (!symbols_nr)
		errx(1, "%s: no kernel addresses in it; it must be read by root", path);
	qsort(symbols, symbols_nr, sizeof(*symbols), by_address);
}

static struct symbol *symbol_of(uint64_t address)
{
	size_t low = 0, high = symbols_nr;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (symbols[middle].address <= address)
			low = middle;
		else
			high = middle;
	}
	/* Of several names for one address, always the first. */
	while (low && symbols[low - 1].address == symbols[low].address)
		low--;
	return &symbols[low];
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
