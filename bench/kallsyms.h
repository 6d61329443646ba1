/* SPDX-License-Identifier: MIT */
/*
 * The kernel's functions by address: /proc/kallsyms of the guest, read by root. For the
 * tools that explain what the insncount plugin wrote; what they cannot read ends them.
 */
#ifndef BENCH_KALLSYMS_H
#define BENCH_KALLSYMS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* @name: "function", or "function [module]"; @count is the tool's. */
struct symbol {
	uint64_t address;
	uint64_t count;
	char *name;
};

extern struct symbol *symbols; /* by address */
extern size_t symbols_nr;

FILE *open_or_die(const char *path);
void read_symbols(const char *path);
struct symbol *symbol_of(uint64_t address);

#endif
