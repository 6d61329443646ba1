/* SPDX-License-Identifier: MIT */
/*
 * Coverage by kcov: which places of the module's code this thread has passed since
 * cover_begin(). Places are offsets in the module's .text. Only a module that was built with
 * KCOV_INSTRUMENT=y has any (selftests/vm/fuzz builds one).
 */
#ifndef EXO_FUZZ_COVER_H
#define EXO_FUZZ_COVER_H

#include <stdint.h>

#define COVER_PLACES (1u << 20)

struct places {
	uint8_t seen[COVER_PLACES]; /* bytes: workers share it without a lock */
};

/* For the calling thread. 0 or a negative errno, -ENOENT: the kernel has no kcov. */
int cover_init(void);
void cover_begin(void);
/*
 * How many of the places passed since are not in @known, which has them then. Up to @max of
 * them go to @fresh.
 */
unsigned int cover_end(struct places *known, uint32_t *fresh, unsigned int max);

#endif
