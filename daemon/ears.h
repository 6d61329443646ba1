/* SPDX-License-Identifier: MIT */
/*
 * The event ring of a session, for who asks now and then.
 */
#ifndef EXO_DAEMON_EARS_H
#define EXO_DAEMON_EARS_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/exo.h>

struct ears {
	struct exo_event_control *control;
	const struct exo_event_status *status;
	const struct exo_event *ring;
	size_t rw_size, ro_size;
	__u32 mask;
};

/* 0 or a negative errno; then it hears nothing, and can be used all the same. */
int ears_open(int session, struct ears *ears);
bool ears_next(struct ears *ears, struct exo_event *event);
void ears_close(struct ears *ears);

#endif
