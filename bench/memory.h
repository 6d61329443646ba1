/* SPDX-License-Identifier: MIT */
/*
 * Systems of memory whose pages a program protects, maps, and asks about; see memory.c.
 */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include <err.h>
#include <stdbool.h>
#include <string.h>
#include <linux/types.h>

/**
 * struct memory_system - a way to protect pages and to be told of touches
 * @name: in the table
 * @begin: makes an area of so many pages, all of them written. False: this kernel has it not, and
 *	it was said why
 * @end: undoes that
 * @area: its first byte
 * @protect, @unprotect: pages from the first on are not, or may be, written; NULL: not its business
 * @traps: memory_touched() is called for touches
 * @cannot_skip: the handler cannot step over a store
 * @dirty: how many pages from the first on were written since it was last asked, or the beginning;
 *	NULL: not its business
 */
struct memory_system {
	const char *name;
	bool (*begin)(unsigned int pages);
	void (*end)(void);
	char *(*area)(void);
	void (*protect)(__u64 first, unsigned int pages);
	void (*unprotect)(__u64 first, unsigned int pages);
	bool traps;
	bool cannot_skip;
	unsigned int (*dirty)(unsigned int pages);
};

/**
 * struct memory_mapper - a way to give pages to addresses and to take them away
 * @name: in the table
 * @large: of 2 MiB
 * @begin: room for so many pages at once, for so many threads. False: as above
 * @end: undoes that
 * @map_unmap: maps, touches each page, unmaps, for thread @number
 */
struct memory_mapper {
	const char *name;
	bool large;
	bool (*begin)(unsigned int pages, unsigned int threads);
	void (*end)(void);
	void (*map_unmap)(unsigned int number, unsigned int pages);
};

extern const struct memory_system *const memory_systems[];
extern const struct memory_mapper *const memory_mappers[];

/* What a call of exo's returned may be no error. */
static inline void exo_must(int ret, const char *what)
{
	if (ret < 0)
		errx(1, "exo: %s: %s", what, strerror(-ret));
}

/* What a system calls for a touch. True: go on memory_skip() bytes further, else try again. */
bool memory_touched(const char *address);
unsigned int memory_skip(void);

#endif
