// SPDX-License-Identifier: MIT
/*
 * Draws what report-memory -v json=1 wrote:
 *
 *	plot-memory MEMORY.json DIR	pictures (SVG) to DIR, which is made if there is none
 */
#include <stdio.h>

#include "memory-bars.h"

int main(int argc, char **argv)
{
	struct memory_run run;
	int ret;

	if (argc != 3) {
		fprintf(stderr, "usage: plot-memory MEMORY.json DIR\n");
		return 2;
	}
	ret = memory_run_read(&run, argv[1]) || memory_bars_write(&run, argv[2]);
	memory_run_free(&run);
	return ret;
}
