/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One call of a program: its argument, copied once, and its answer.
 */
#ifndef EXO_IOCTL_H
#define EXO_IOCTL_H

#include <linux/fs.h>
#include <linux/types.h>
#include <linux/exo.h>

struct exo_session;
struct exo_op;

union exo_arg {
	struct {
		u32 size;
		u32 flags;
		u64 detail;
	} head;
	struct exo_info info;
	struct exo_claim claim;
	struct exo_cap_derive cap_derive;
	struct exo_cap_query cap_query;
	struct exo_cap_list cap_list;
	struct exo_cap_drop cap_drop;
	struct exo_pool_create pool_create;
	struct exo_pool_query pool_query;
	struct exo_frames_alloc frames_alloc;
	struct exo_frames_names frames_names;
	struct exo_frames_export frames_export;
	struct exo_mem_adopt mem_adopt;
	struct exo_controller_create controller_create;
	struct exo_controller_query controller_query;
	struct exo_namespace_query namespace_query;
	struct exo_extent_create extent_create;
	struct exo_identify identify;
	struct exo_log log;
	struct exo_dma_attach dma_attach;
	struct exo_dma_detach dma_detach;
	struct exo_queue_create queue_create;
	struct exo_queue_query queue_query;
	struct exo_queue_attach queue_attach;
	struct exo_queue_detach queue_detach;
	struct exo_queue_submit queue_submit;
	struct exo_queue_eventfd queue_eventfd;
	struct exo_wait wait;
	struct exo_token_create token_create;
	struct exo_token_redeem token_redeem;
	struct exo_token_cancel token_cancel;
	struct exo_events_create events_create;
	struct exo_window_set window_set;
	struct exo_window_dirty window_dirty;
	struct exo_window_handler window_handler;
	struct exo_revoke revoke;
	struct exo_cap_taken cap_taken;
	struct exo_tree_list tree_list;
};

/**
 * struct exo_call - a call under way
 * @session: who calls
 * @file: the session's file
 * @op: what is called
 * @uarg: where the argument came from and the answer goes
 * @usize: the size the program gave, read once
 * @detail: why it is refused, if it is
 * @arg: the kernel's copy of the argument
 */
struct exo_call {
	struct exo_session *session;
	struct file *file;
	const struct exo_op *op;
	void __user *uarg;
	u32 usize;
	struct exo_detail detail;
	union exo_arg arg;
};

long exo_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* Copies the argument back, outputs included. Nothing may be visible to others before it succeeded. */
int exo_call_respond(struct exo_call *call);

/* Says why a call fails; returns @err (negative), so that it can end a function. */
static inline int exo_refuse(struct exo_call *call, int err, u32 reason, u32 field, u64 value,
			     u64 limit)
{
	call->detail = (struct exo_detail){
		.reason = reason,
		.field = field,
		.value = value,
		.limit = limit,
	};
	return err;
}

/* For a field of the argument: EXO_FIELD(call, cap_derive, rights) is its byte offset. */
#define EXO_FIELD(type, member) offsetof(struct exo_##type, member)

#endif
