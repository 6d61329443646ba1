/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Where the kernel continues for a touch that is not allowed: saves what a function may change,
 * calls it, and goes on with the touch.
 */
#ifndef LIBEXO_UPCALL_H
#define LIBEXO_UPCALL_H

#include <libexo/window.h>

/* What is called: the context that the kernel hands over. Its layout is known to upcall.c. */
struct exo_upcall_target {
	exo_fault_fn function;
	void *arg;
	struct exo_upcall_target *next; /* of the same window, set before */
};

/*
 * The code for EXO_WINDOW_HANDLER, for a function with these flags (EXO_FAULT_*). 0: this processor
 * has no way to save all registers.
 */
uint64_t exo_upcall_handler(unsigned int flags);

#endif
