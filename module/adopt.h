/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Adopted memory: pages of a program's own, pinned for devices, as one object.
 */
#ifndef EXO_ADOPT_H
#define EXO_ADOPT_H

#include "object.h"

struct exo_call;
struct exo_session;
struct mm_struct;
struct page;
struct user_struct;

/**
 * struct exo_memory - adopted memory
 * @object: attachments hold references
 * @session: adopted it, and is told of it in its info page; a reference
 * @user: charged with @count pages; a reference. NULL: CAP_IPC_LOCK
 * @mm: where they are counted as pinned; a reference to the struct, not to what is mapped
 * @written: the device may write them
 * @count: pages wanted
 * @pinned: the first so many of @pages
 * @pages: they
 */
struct exo_memory {
	struct exo_object object;
	struct exo_session *session;
	struct user_struct *user;
	struct mm_struct *mm;
	bool written;
	u32 count;
	u32 pinned;
	struct page **pages;
};

static inline struct exo_memory *exo_memory_of(struct exo_object *obj)
{
	return container_of(obj, struct exo_memory, object);
}

/* Pages that are pinned for whoever adopted them. */
u64 exo_memory_adopted(void);

int exo_mem_adopt(struct exo_call *call);

#endif
