/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The info page: what a session can read about itself without a call.
 */
#ifndef EXO_PAGE_H
#define EXO_PAGE_H

#include <linux/types.h>
#include <linux/exo.h>

struct exo_cap;
struct exo_session;

int exo_page_init(struct exo_session *session);
void exo_page_free(struct exo_session *session);

/* Adds to one counter; @offset is its place in struct exo_info_page. */
void exo_page_count(struct exo_session *session, size_t offset, s64 delta);
#define EXO_PAGE_COUNT(session, field, delta) \
	exo_page_count(session, offsetof(struct exo_info_page, field), delta)

/* A capability came to its session, or left its table; or its queue died. */
void exo_page_enter(struct exo_cap *cap);
void exo_page_leave(struct exo_cap *cap);
void exo_page_queue_dead(struct exo_cap *cap);

#endif
