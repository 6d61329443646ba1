/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Time stamps: when each command was submitted, and when its completion was seen. For
 * a queue that was made with the option "times"; the others have one branch for each
 * submit and each reap that took something.
 *
 * The clock is CLOCK_MONOTONIC, the "mono" of the kernel's trace.
 */
#ifndef LIBEXO_TIMES_H
#define LIBEXO_TIMES_H

#include <stdint.h>
#include <libexo/nvme.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo_queue;

/**
 * struct exo_times - of one command, CLOCK_MONOTONIC in ns
 * @submitted_ns: when the exo_submit() began by which it was accepted
 * @seen_ns: when exo_reap(), exo_consume() or a wait took its completion; 0: not yet
 */
struct exo_times {
	uint64_t submitted_ns;
	uint64_t seen_ns;
};

/**
 * exo_completion_times - when a command was submitted and seen to be complete
 * @q: its queue
 * @raw: its completion
 * @times: filled in
 *
 * They are kept with the command's identifier: ask before the next exo_submit(), which may
 * have it used again. Those of one exo_reap() have the same @seen_ns, those of one
 * exo_submit() the same @submitted_ns.
 *
 * Returns 0, -ENODATA the queue was made without the option, or -EINVAL @raw names no
 * command that was submitted. Threads: as all of a queue.
 */
int exo_completion_times(const struct exo_queue *q, const struct exo_nvme_completion *raw,
			 struct exo_times *times);

/* For the inline functions of queue.h alone: of the last @count identifiers freed. */
void exo_stamp_seen(struct exo_queue *q, unsigned int count) __attribute__((cold));

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_TIMES_H */
