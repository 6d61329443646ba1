/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Thin wrappers: one function per command of exo.ko, nothing more.
 *
 *	int exo_sys_COMMAND(int fd, struct exo_COMMAND *arg);
 *
 * @fd is a session: an open file descriptor of EXO_DEVICE. @arg is the
 * command's argument as <linux/exo.h> documents it, zero where not said
 * otherwise; the wrapper fills in its size. The result is 0 or a negative errno
 * of that page. To learn why a command was refused, point arg->detail at a
 * struct exo_detail whose reason is EXO_REASON_NONE, and hand both to
 * exo_explain() of <libexo/error.h>.
 *
 * Nothing is retried, allocated or remembered. Safe from any thread.
 */
#ifndef LIBEXO_SYS_H
#define LIBEXO_SYS_H

#include <errno.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <linux/exo.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXO_SYS(command, number)                                               \
	static inline int exo_sys_##command(int fd, struct exo_##command *arg) \
	{                                                                      \
		arg->size = sizeof(*arg);                                      \
		return ioctl(fd, number, arg) ? -errno : 0;                    \
	}

EXO_SYS(info, EXO_INFO)
EXO_SYS(claim, EXO_CLAIM)
EXO_SYS(cap_derive, EXO_CAP_DERIVE)
EXO_SYS(cap_query, EXO_CAP_QUERY)
EXO_SYS(cap_list, EXO_CAP_LIST)
EXO_SYS(cap_drop, EXO_CAP_DROP)
EXO_SYS(revoke, EXO_REVOKE)
EXO_SYS(cap_taken, EXO_CAP_TAKEN)
EXO_SYS(tree_list, EXO_TREE_LIST)
EXO_SYS(pool_create, EXO_POOL_CREATE)
EXO_SYS(pool_query, EXO_POOL_QUERY)
EXO_SYS(frames_alloc, EXO_FRAMES_ALLOC)
EXO_SYS(frames_names, EXO_FRAMES_NAMES)
EXO_SYS(frames_export, EXO_FRAMES_EXPORT)
EXO_SYS(mem_adopt, EXO_MEM_ADOPT)
EXO_SYS(controller_create, EXO_CONTROLLER_CREATE)
EXO_SYS(controller_query, EXO_CONTROLLER_QUERY)
EXO_SYS(namespace_query, EXO_NAMESPACE_QUERY)
EXO_SYS(extent_create, EXO_EXTENT_CREATE)
EXO_SYS(identify, EXO_IDENTIFY)
EXO_SYS(log, EXO_LOG)
EXO_SYS(dma_attach, EXO_DMA_ATTACH)
EXO_SYS(dma_detach, EXO_DMA_DETACH)
EXO_SYS(queue_create, EXO_QUEUE_CREATE)
EXO_SYS(queue_query, EXO_QUEUE_QUERY)
EXO_SYS(queue_attach, EXO_QUEUE_ATTACH)
EXO_SYS(queue_detach, EXO_QUEUE_DETACH)
EXO_SYS(queue_submit, EXO_QUEUE_SUBMIT)
EXO_SYS(queue_eventfd, EXO_QUEUE_EVENTFD)
EXO_SYS(token_create, EXO_TOKEN_CREATE)
EXO_SYS(token_redeem, EXO_TOKEN_REDEEM)
EXO_SYS(token_cancel, EXO_TOKEN_CANCEL)
EXO_SYS(wait, EXO_WAIT)
EXO_SYS(events_create, EXO_EVENTS_CREATE)
EXO_SYS(window_set, EXO_WINDOW_SET)
EXO_SYS(window_dirty, EXO_WINDOW_DIRTY)
EXO_SYS(window_handler, EXO_WINDOW_HANDLER)

#undef EXO_SYS

/* What goes into the detail field of an argument. */
static inline uint64_t exo_sys_address(const void *address)
{
	return (uint64_t)(uintptr_t)address;
}

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_SYS_H */
