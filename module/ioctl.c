// SPDX-License-Identifier: GPL-2.0
/*
 * The dispatch table: what each command is, once. The table knows the size of a
 * command's argument, its flags and its reserved field, so that no handler can
 * forget to check them.
 */
#include <linux/nospec.h>
#include <linux/uaccess.h>

#include "adopt.h"
#include "cap.h"
#include "controller.h"
#include "events.h"
#include "export.h"
#include "extent.h"
#include "frames.h"
#include "identify.h"
#include "ioctl.h"
#include "listing.h"
#include "pool.h"
#include "queue.h"
#include "revoke.h"
#include "session.h"
#include "space.h"
#include "token.h"
#include "trace.h"
#include "wait.h"
#include "window.h"

/**
 * struct exo_op - a command
 * @cmd: its number
 * @size: of its argument
 * @flags: flags it knows
 * @reserved: offset of its __reserved field; 0: it has none
 * @run: the handler
 */
struct exo_op {
	u32 cmd;
	u16 size;
	u16 reserved;
	u32 flags;
	int (*run)(struct exo_call *call);
};

/* A call sees a union, so that no argument can be larger than what is copied. */
#define EXO_OP_FULL(_cmd, _type, _flags, _reserved, _run)                                \
	[_IOC_NR(_cmd)] = {                                                              \
		.cmd = _cmd,                                                             \
		.size = sizeof(struct _type) +                                           \
			BUILD_BUG_ON_ZERO(sizeof(struct _type) > sizeof(union exo_arg)), \
		.reserved = _reserved,                                                   \
		.flags = _flags,                                                         \
		.run = _run,                                                             \
	}
#define EXO_OP(_cmd, _type, _run) EXO_OP_FULL(_cmd, _type, 0, 0, _run)
#define EXO_OP_RESERVED(_cmd, _type, _run) \
	EXO_OP_FULL(_cmd, _type, 0, offsetof(struct _type, __reserved), _run)

static const struct exo_op exo_ops[] = {
	EXO_OP(EXO_INFO, exo_info, exo_session_info),
	EXO_OP_RESERVED(EXO_CLAIM, exo_claim, exo_session_claim),
	EXO_OP(EXO_CAP_DERIVE, exo_cap_derive, exo_cap_derive),
	EXO_OP(EXO_CAP_QUERY, exo_cap_query, exo_cap_query),
	EXO_OP_FULL(EXO_CAP_LIST, exo_cap_list, EXO_LIST_ASKED | EXO_LIST_TAKEN,
		    offsetof(struct exo_cap_list, __reserved), exo_session_list),
	EXO_OP_RESERVED(EXO_CAP_DROP, exo_cap_drop, exo_session_drop),
	EXO_OP_RESERVED(EXO_REVOKE, exo_revoke, exo_revoke),
	EXO_OP_RESERVED(EXO_CAP_TAKEN, exo_cap_taken, exo_cap_taken),
	EXO_OP_RESERVED(EXO_TREE_LIST, exo_tree_list, exo_tree_list),
	EXO_OP_RESERVED(EXO_POOL_CREATE, exo_pool_create, exo_pool_create),
	EXO_OP_RESERVED(EXO_POOL_QUERY, exo_pool_query, exo_pool_query),
	EXO_OP_RESERVED(EXO_FRAMES_ALLOC, exo_frames_alloc, exo_frames_alloc),
	EXO_OP_RESERVED(EXO_FRAMES_NAMES, exo_frames_names, exo_frames_names),
#ifdef EXO_EXPORTS
	EXO_OP(EXO_FRAMES_EXPORT, exo_frames_export, exo_frames_export),
#endif
	EXO_OP_RESERVED(EXO_MEM_ADOPT, exo_mem_adopt, exo_mem_adopt),
	EXO_OP_FULL(EXO_CONTROLLER_CREATE, exo_controller_create, EXO_CONTROLLER_EXCLUSIVE, 0,
		    exo_controller_create),
	EXO_OP_RESERVED(EXO_CONTROLLER_QUERY, exo_controller_query, exo_controller_query),
	EXO_OP_FULL(EXO_NAMESPACE_QUERY, exo_namespace_query, EXO_NAMESPACE_NEXT,
		    offsetof(struct exo_namespace_query, __reserved), exo_namespace_query),
	EXO_OP(EXO_EXTENT_CREATE, exo_extent_create, exo_extent_create),
	EXO_OP_RESERVED(EXO_IDENTIFY, exo_identify, exo_identify),
	EXO_OP_RESERVED(EXO_LOG, exo_log, exo_log),
	EXO_OP(EXO_DMA_ATTACH, exo_dma_attach, exo_space_attach),
	EXO_OP(EXO_DMA_DETACH, exo_dma_detach, exo_space_detach),
	EXO_OP_FULL(EXO_QUEUE_CREATE, exo_queue_create,
		    EXO_QUEUE_POLLED | EXO_QUEUE_THREAD | EXO_QUEUE_IRQ_CPU | EXO_QUEUE_NODE,
		    offsetof(struct exo_queue_create, __reserved), exo_queue_create),
	EXO_OP_RESERVED(EXO_QUEUE_QUERY, exo_queue_query, exo_queue_query),
	EXO_OP(EXO_QUEUE_ATTACH, exo_queue_attach, exo_queue_attach),
	EXO_OP(EXO_QUEUE_DETACH, exo_queue_detach, exo_queue_detach),
	EXO_OP(EXO_QUEUE_SUBMIT, exo_queue_submit, exo_queue_submit),
	EXO_OP(EXO_QUEUE_EVENTFD, exo_queue_eventfd, exo_queue_eventfd),
	EXO_OP_FULL(EXO_WAIT, exo_wait, EXO_WAIT_EVENTS, 0, exo_wait),
	EXO_OP_FULL(EXO_TOKEN_CREATE, exo_token_create, EXO_TOKEN_UID,
		    offsetof(struct exo_token_create, __reserved), exo_token_create),
	EXO_OP(EXO_TOKEN_REDEEM, exo_token_redeem, exo_token_redeem),
	EXO_OP(EXO_TOKEN_CANCEL, exo_token_cancel, exo_token_cancel),
	EXO_OP_RESERVED(EXO_EVENTS_CREATE, exo_events_create, exo_events_create),
#ifdef EXO_WINDOWS
	EXO_OP_RESERVED(EXO_WINDOW_SET, exo_window_set, exo_window_set),
	EXO_OP(EXO_WINDOW_DIRTY, exo_window_dirty, exo_window_dirty),
	EXO_OP(EXO_WINDOW_HANDLER, exo_window_handler, exo_window_handler),
#endif
};

int exo_call_respond(struct exo_call *call)
{
	u32 size = min_t(u32, call->usize, call->op->size);

	return copy_to_user(call->uarg, &call->arg, size) ? -EFAULT : 0;
}

/* The detail is a courtesy: that it cannot be written changes no result. */
static noinline void exo_call_explain(struct exo_call *call, int ret)
{
	void __user *to = u64_to_user_ptr(call->arg.head.detail);

	if (ret < 0)
		trace_exo_refuse_call(call->session, _IOC_NR(call->op->cmd), ret, &call->detail);
	if (!to)
		return;
	if (copy_to_user(to, &call->detail, sizeof(call->detail)))
		return;
}

/* Size errors come before the argument is copied: fetch the address of the detail alone. */
static int exo_call_refuse_size(struct exo_call *call, int err)
{
	call->arg.head.detail = 0;
	if (call->usize >= sizeof(call->arg.head) &&
	    copy_from_user(&call->arg.head, call->uarg, sizeof(call->arg.head)))
		return -EFAULT;
	return exo_refuse(call, err, EXO_REASON_SIZE, offsetof(typeof(call->arg.head), size),
			  call->usize, call->op->size);
}

/* Of a size that the compiler knows, what it copies needs no look at where it lies. */
static __always_inline int exo_call_copy(struct exo_call *call, const struct exo_op *op)
{
	int ret;

	if (likely(call->usize == op->size))
		return copy_from_user(&call->arg, call->uarg, op->size) ? -EFAULT : 0;
	if (call->usize < op->size)
		return exo_call_refuse_size(call, -EINVAL);
	if (call->usize > PAGE_SIZE)
		return exo_call_refuse_size(call, -E2BIG);
	ret = copy_struct_from_user(&call->arg, op->size, call->uarg, call->usize);
	return ret == -E2BIG ? exo_call_refuse_size(call, ret) : ret;
}

static __always_inline int exo_call_fetch(struct exo_call *call, const struct exo_op *op)
{
	u32 flags, reserved;
	int ret;

	call->arg.head.detail = 0;
	if (get_user(call->usize, (u32 __user *)call->uarg))
		return -EFAULT;
	ret = exo_call_copy(call, op);
	if (ret)
		return ret;
	/* The program may have changed it between the two reads. */
	call->arg.head.size = call->usize;

	flags = call->arg.head.flags & ~op->flags;
	if (flags)
		return exo_refuse(call, -EOPNOTSUPP, EXO_REASON_FLAGS,
				  offsetof(typeof(call->arg.head), flags), flags, op->flags);
	if (!op->reserved)
		return 0;
	reserved = *(u32 *)((void *)&call->arg + op->reserved);
	if (reserved)
		return exo_refuse(call, -EOPNOTSUPP, EXO_REASON_RESERVED, op->reserved, reserved,
				  0);
	return 0;
}

static __always_inline int exo_call_run(struct exo_call *call, struct file *file, unsigned long arg,
					const struct exo_op *op)
{
	int ret;

	call->session = file->private_data;
	call->file = file;
	call->op = op;
	call->uarg = (void __user *)arg;
	call->detail.reason = EXO_REASON_NONE;
	ret = exo_call_fetch(call, op);
	if (!ret)
		ret = op->run(call);
	if (unlikely(call->detail.reason != EXO_REASON_NONE))
		exo_call_explain(call, ret);
	return ret;
}

static noinline int exo_call_any(struct file *file, unsigned long arg, const struct exo_op *op)
{
	struct exo_call call;

	return exo_call_run(&call, file, arg, op);
}

long exo_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	/*
	 * For the hot path, which writes all of it that it reads: to zero the rest, room for
	 * the largest argument, as the kernel is built to, is a good part of that path.
	 */
	struct exo_call call __uninitialized;
	u32 nr = _IOC_NR(cmd);

	/* Its line of the table is a constant here. */
	if (likely(cmd == EXO_QUEUE_SUBMIT))
		return exo_call_run(&call, file, arg, &exo_ops[_IOC_NR(EXO_QUEUE_SUBMIT)]);
	if (nr >= ARRAY_SIZE(exo_ops))
		return -ENOTTY;
	nr = array_index_nospec(nr, ARRAY_SIZE(exo_ops));
	if (exo_ops[nr].cmd != cmd)
		return -ENOTTY;
	return exo_call_any(file, arg, &exo_ops[nr]);
}
