// SPDX-License-Identifier: MIT
/*
 * See kallsyms.h.
 */
#define _GNU_SOURCE
#include <err.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kallsyms.h"

struct symbol *symbols;
size_t symbols_nr;

FILE *open_or_die(const char *path)
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
void read_symbols(const char *path)
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

struct symbol *symbol_of(uint64_t address)
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
