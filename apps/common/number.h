/* SPDX-License-Identifier: MIT */
/*
 * Numbers of a command line. Decimal, and nothing but digits and what is said here: no sign, no
 * space, no prefix. What is too large is refused and not cut.
 */
#ifndef EXO_COMMON_NUMBER_H
#define EXO_COMMON_NUMBER_H

#include <stdint.h>

/**
 * number_digits - the digits that a text begins with
 * @text: where; on success behind the last of them
 * @n: the number
 *
 * Returns 0, or -1: there are none, or they are more than 64 bits hold.
 */
int number_digits(const char **text, uint64_t *n);

/* Digits alone, @least to @most. 0 and @n, or -1. */
int number_whole(const char *text, uint64_t least, uint64_t most, uint64_t *n);

/* Likewise, with K, M, G or T behind it: times 2^10, 2^20, 2^30, 2^40. */
int number_bytes(const char *text, uint64_t least, uint64_t most, uint64_t *n);

#endif
