/* SPDX-License-Identifier: MIT */
/*
 * What exo-perf was asked to do.
 */
#ifndef EXO_PERF_OPTIONS_H
#define EXO_PERF_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEPTH_MAX 65535
#define QUEUES_MAX 256
#define PLACE_MAX 65535 /* number of a processor or NUMA node */

enum action {
	ACTION_MEASURE,
	ACTION_VERIFY_WRITE,
	ACTION_VERIFY_READ,
	ACTION_SHOW_REFUSAL,
	ACTION_HELP,
	ACTION_VERSION,
};

/**
 * struct options - the command line
 * @action: what to do
 * @name: for exo_open()
 * @rw: name of the access pattern, as given
 * @random: places are random, else sequential
 * @reads: percent of the I/Os that read; 100: nothing is written
 * @bs: bytes of one I/O
 * @depth: I/Os in flight per queue
 * @batch: commands per submit, 1 to @depth
 * @queues: queues, each with a thread of its own
 * @runtime: seconds
 * @ios: I/Os per queue, in place of @runtime, or 0
 * @size: bytes of the extent to use, from its start, or 0: all
 * @seed: of places and pattern
 * @serial: --write: serial number of the controller that may be written to
 * @json: output for programs
 * @marks: mark submit and successful reap for an instruction counter
 * @progress: even if stderr is no terminal
 * @direct: through direct queues, or unsafe ones
 * @unsafe: through unsafe ones
 * @irq_cpu: where interrupts of the queues go, as struct exo_queue_options has it
 * @node: NUMA node of their memory, likewise
 * @priority: EXO_PRIORITY_* of the queues
 * @pin: run thread n on the nth processor that is allowed
 */
struct options {
	enum action action;
	const char *name;
	const char *rw;
	bool random;
	unsigned int reads;
	uint64_t bs;
	unsigned int depth;
	unsigned int batch;
	unsigned int queues;
	double runtime;
	uint64_t ios;
	uint64_t size;
	uint64_t seed;
	const char *serial;
	bool json;
	bool marks;
	bool progress;
	bool direct;
	bool unsafe;
	unsigned int irq_cpu;
	unsigned int node;
	unsigned int priority;
	bool pin;
};

int options_parse(int argc, char **argv, struct options *o, char *why, size_t size);
/* EXO_QUEUE_* */
unsigned int options_mode(const struct options *o);
bool options_write(const struct options *o);
void options_help(void);
/* EXO_PRIORITY_* in a word; "none" for others. */
const char *options_priority(int priority);

#endif
