/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Reading from a window whose frames may be taken at any moment: an error instead of SIGBUS.
 */
#ifndef LIBEXO_TOUCH_H
#define LIBEXO_TOUCH_H

#include <stddef.h>
#include <stdint.h>

struct exo_window;

/*
 * Have touches of the window by the two functions below fail. Others are SIGBUS; or, as there
 * is nothing to call for them, the end of the process. 0, or what exo_window_on_fault() returns.
 */
int exo_touch_arm(struct exo_window *w);

/*
 * 0, or -EFAULT: part of it may have been copied. What is read is no older than what earlier
 * calls have read, and no newer than what later ones will.
 */
int exo_touch_copy(void *to, const void *from, size_t bytes);

/* The same of a number, which is not torn. */
int exo_touch_load(uint64_t *to, const uint64_t *from);

/* The same as exo_touch_copy(), of any window, by a file that nobody else uses; or -errno. */
int exo_touch_copy_by(int file, void *to, const void *from, size_t bytes);

#endif /* LIBEXO_TOUCH_H */
