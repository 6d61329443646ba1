// SPDX-License-Identifier: MIT
/*
 * holds: for how many instructions the lock of the derivation trees was held.
 *
 *   holds KALLSYMS TRACE
 *
 * KALLSYMS is /proc/kallsyms of the guest, read by root; TRACE what the insncount plugin
 * wrote to trace=FILE in the same boot. Of the spinlocks, the functions of module/tree.c
 * call for exo_tree_lock alone: a hold is what is executed from the return of their
 * _raw_spin_lock() to the return of their _raw_spin_unlock(), with all that is called
 * between. A hold in which an interrupt came is counted apart: what the interrupt takes
 * is not the lock's. Prints a line for each function.
 */
#include <err.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kallsyms.h"

#define FUNCTIONS_MAX 64

struct function {
	const char *name;
	uint64_t holds, interrupted, sum, max;
};

static struct function functions[FUNCTIONS_MAX];
static unsigned int functions_nr;

static struct function *function_of(const char *name)
{
	unsigned int i;

	for (i = 0; i < functions_nr; i++)
		if (!strcmp(functions[i].name, name))
			return &functions[i];
	if (i == FUNCTIONS_MAX)
		errx(1, "more than %u functions take the lock", FUNCTIONS_MAX);
	functions[functions_nr++].name = name;
	return &functions[i];
}

static bool starts(const char *name, const char *with)
{
	return !strncmp(name, with, strlen(with));
}

static bool is_tree(const char *name)
{
	return strstr(name, "[exo]") && (starts(name, "exo_tree_") || starts(name, "exo_walk_"));
}

static bool is_interrupt(const char *name)
{
	return starts(name, "asm_sysvec_") || starts(name, "asm_common_interrupt") ||
	       starts(name, "asm_exc_");
}

enum state { FREE, TAKING, HELD, GIVING };

/* Where the processor is: the function, and since when the lock is held, and by whom. */
struct tracer {
	enum state state;
	const struct symbol *in, *holder;
	uint64_t count;
	bool interrupted;
};

static void hold_ends(struct tracer *t)
{
	struct function *f = function_of(t->holder->name);

	f->holds++;
	f->interrupted += t->interrupted;
	if (!t->interrupted) {
		f->sum += t->count;
		if (t->count > f->max)
			f->max = t->count;
	}
	t->state = FREE;
}

static void step_free(struct tracer *t, const struct symbol *to)
{
	if (to == t->in || !is_tree(t->in->name) || strcmp(to->name, "_raw_spin_lock"))
		return;
	t->state = TAKING;
	t->holder = t->in;
	t->interrupted = false;
	t->count = 0;
}

/* One instruction, of the function @to. */
static void step(struct tracer *t, const struct symbol *to)
{
	if (t->state == TAKING && to == t->holder)
		t->state = HELD;
	else if (t->state == HELD && t->in == t->holder && !strcmp(to->name, "_raw_spin_unlock"))
		t->state = GIVING;
	else if (t->state == GIVING && to != t->in)
		hold_ends(t);
	if (t->state == HELD || t->state == GIVING) {
		t->count++;
		t->interrupted |= is_interrupt(to->name);
	}
	if (t->state == FREE && t->in)
		step_free(t, to);
	t->in = to;
}

static uint64_t read_trace(const char *path)
{
	static uint64_t addresses[65536];
	FILE *file = open_or_die(path);
	struct tracer t = { .state = FREE };
	uint64_t total = 0;
	size_t n, i;

	while ((n = fread(addresses, sizeof(*addresses), 65536, file))) {
		for (i = 0; i < n; i++) {
			if (addresses[i])
				step(&t, symbol_of(addresses[i]));
			else
				t = (struct tracer){ .state = FREE };
		}
		total += n;
	}
	fclose(file);
	return total;
}

static int by_max(const void *a, const void *b)
{
	const struct function *x = a, *y = b;

	return x->max > y->max ? -1 : x->max < y->max;
}

int main(int argc, char **argv)
{
	unsigned int i;

	if (argc != 3)
		errx(2, "usage: holds KALLSYMS TRACE");
	read_symbols(argv[1]);
	if (!read_trace(argv[2]))
		errx(1, "%s: it is empty", argv[2]);
	qsort(functions, functions_nr, sizeof(*functions), by_max);
	for (i = 0; i < functions_nr; i++) {
		const struct function *f = &functions[i];
		uint64_t clean = f->holds - f->interrupted;

		printf("HOLD function=%.*s holds=%" PRIu64 " interrupted=%" PRIu64
		       " mean=%.0f max=%" PRIu64 "\n",
		       (int)strcspn(f->name, " "), f->name, f->holds, f->interrupted,
		       clean ? (double)f->sum / clean : 0.0, f->max);
	}
	if (!functions_nr)
		errx(1, "no hold in the trace");
	return 0;
}
