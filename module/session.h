/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sessions: one open of /dev/exo. All state of a program hangs off it.
 */
#ifndef EXO_SESSION_H
#define EXO_SESSION_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/xarray.h>

struct exo_call;

/**
 * struct exo_session - a capability space
 * @caps: its capabilities by number
 * @count: how many
 * @spaces_lock: guards @spaces; taken before any lock of a space
 * @spaces: its buffer spaces, one per NVMe function it uses
 */
struct exo_session {
	struct xarray caps;
	atomic_t count;
	struct mutex spaces_lock;
	struct list_head spaces;
};

extern const struct file_operations exo_session_fops;

static inline bool exo_is_session(struct file *file)
{
	return file->f_op == &exo_session_fops;
}

int exo_session_info(struct exo_call *call);
int exo_session_claim(struct exo_call *call);
int exo_session_list(struct exo_call *call);
int exo_session_drop(struct exo_call *call);

#endif
