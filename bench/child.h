/* SPDX-License-Identifier: MIT */
/*
 * A measurement is a process: if it hangs, crashes or is to stop, it is killed, and what it
 * had open goes with it.
 */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <stddef.h>

/**
 * enum child_end - how it ended
 * @CHILD_DONE: with an answer
 * @CHILD_CANNOT: this cannot be measured here
 * @CHILD_BROKE: it failed, crashed, or took too long
 * @CHILD_STOPPED: exo-bench is to end
 */
enum child_end { CHILD_DONE, CHILD_CANNOT, CHILD_BROKE, CHILD_STOPPED };

/**
 * struct child - what is to run, and what came of it
 * @run: writes its answer to @answer; may as well end the process: LOOP_CANNOT, or any other
 *	status that is not 0, is why; the first line on stderr says more
 * @arg: for it
 * @answer: room for its answer
 * @size: of it
 * @seconds: that it may take
 * @why: why there is no answer
 */
struct child {
	void (*run)(const void *arg, void *answer);
	const void *arg;
	void *answer;
	size_t size;
	double seconds;
	char why[256];
};

enum child_end child_run(struct child *child);

#endif
