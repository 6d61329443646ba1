/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Errors as sentences.
 *
 * Every call of libexo returns 0 (or a count) or a negative errno. The errno
 * alone seldom says what stood in the way, so the kernel's struct exo_detail is
 * kept with the handle it belongs to and turned into a sentence on demand.
 * There is no global state: a sentence belongs to a handle or to your buffer.
 */
#ifndef LIBEXO_ERROR_H
#define LIBEXO_ERROR_H

#include <stddef.h>
#include <stdint.h>
#include <linux/exo.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo;
struct exo_queue;

/**
 * exo_strerror - why a call on a handle failed, as a sentence
 * @x: the handle, or NULL if exo_open() could not even make one
 * @result: what the call returned; the sign does not matter
 *
 * The sentence names what stood in the way if @result is that of the latest
 * failure on @x, its queues included; else it is what the errno means in
 * general. It stays valid until the next exo_strerror() on @x or exo_close().
 *
 * Threads: may run beside other calls on @x, but two threads should not ask the
 * same handle at once; with several queues at work, exo_queue_strerror() is
 * certain to speak of yours.
 */
const char *exo_strerror(struct exo *x, int result);

/**
 * exo_queue_strerror - the same for the latest failure on one queue
 * @q: the queue
 * @result: what the call returned; the sign does not matter
 *
 * The sentence stays valid until the next exo_queue_strerror() on @q or
 * exo_queue_destroy(). Threads: whoever uses the queue.
 */
const char *exo_queue_strerror(struct exo_queue *q, int result);

/**
 * exo_last_detail - what the kernel said about the latest failure on a handle
 * @x: the handle
 * @detail: filled in; reason is EXO_REASON_NONE if the kernel said nothing
 */
void exo_last_detail(struct exo *x, struct exo_detail *detail);

/**
 * exo_explain - a sentence from an errno and a detail, for users of sys.h
 * @buf: where to put it
 * @size: bytes there; the sentence is cut to fit and always terminated
 * @result: errno of the command; the sign does not matter
 * @detail: what the kernel wrote, or NULL
 *
 * Returns @buf. Safe from any thread.
 */
const char *exo_explain(char *buf, size_t size, int result, const struct exo_detail *detail);

/**
 * exo_reason_name - "RANGE" for EXO_REASON_RANGE, and so on
 * @reason: enum exo_reason
 *
 * Returns a constant; "unknown" for a number this library does not know.
 */
const char *exo_reason_name(uint32_t reason);

/**
 * exo_errno_meaning - what an errno means when exo returns it
 * @result: the errno; the sign does not matter
 *
 * Returns a constant, as the table at the top of <linux/exo.h> has it.
 */
const char *exo_errno_meaning(int result);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_ERROR_H */
