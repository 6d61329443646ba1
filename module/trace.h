/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: what an administrator may watch. Each costs a no-op while nobody does.
 *
 * Names are those of the ABI: PCI address, queue identifier, numbers of sessions, objects
 * and capabilities. No token, no kernel pointer, no frame number and no DMA address is
 * ever shown. Values of a refusal are what the program itself wrote.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM exo

#if !defined(EXO_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define EXO_TRACE_H

#include <linux/tracepoint.h>

#include "cap.h"
#include "ioctl.h"
#include "nvme.h"
#include "queue.h"
#include "session.h"

/* clang-format off */

/* enum exo_reason, all of it: selftests/trace.c counts. */
#define EXO_TRACE_REASONS            \
	EXO_TR(NONE)                 \
	EXO_TR(SIZE)                 \
	EXO_TR(FLAGS)                \
	EXO_TR(RESERVED)             \
	EXO_TR(NO_CAP)               \
	EXO_TR(WRONG_TYPE)           \
	EXO_TR(RIGHT)                \
	EXO_TR(STALE)                \
	EXO_TR(RANGE)                \
	EXO_TR(OVERFLOW)             \
	EXO_TR(VALUE)                \
	EXO_TR(PRIVILEGE)            \
	EXO_TR(SESSION)              \
	EXO_TR(DEPTH)                \
	EXO_TR(TABLE_FULL)           \
	EXO_TR(BUDGET)               \
	EXO_TR(MEMORY)               \
	EXO_TR(NO_DEVICE)            \
	EXO_TR(NO_NAMESPACE)         \
	EXO_TR(FORMAT)               \
	EXO_TR(ATTACHED)             \
	EXO_TR(NOT_ATTACHED)         \
	EXO_TR(OTHER_CONTROLLER)     \
	EXO_TR(DEVICE)               \
	EXO_TR(COHERENCE)            \
	EXO_TR(POLLED)               \
	EXO_TR(EVENTFD)              \
	EXO_TR(REVOKING)             \
	EXO_TR(NOT_TAKEN)            \
	EXO_TR(EVENTS)               \
	EXO_TR(TOKEN)                \
	EXO_TR(NO_NODE)              \
	EXO_TR(RING_INDEX)           \
	EXO_TR(CQ_HEAD)              \
	EXO_TR(QUEUE_FULL)           \
	EXO_TR(OPCODE)               \
	EXO_TR(BITS)                 \
	EXO_TR(NSID)                 \
	EXO_TR(LBA)                  \
	EXO_TR(LBA_OVERFLOW)         \
	EXO_TR(LBA_RIGHT)            \
	EXO_TR(CID)                  \
	EXO_TR(CID_IN_FLIGHT)        \
	EXO_TR(TRANSFER)             \
	EXO_TR(BUFFER_ALIGN)         \
	EXO_TR(BUFFER)               \
	EXO_TR(BUFFER_RIGHT)         \
	EXO_TR(RANGES)               \
	EXO_TR(RANGE_BITS)           \
	EXO_TR(PAGE)                 \
	EXO_TR(EXCLUSIVE)            \
	EXO_TR(MODE)                 \
	EXO_TR(UNTRANSLATED)         \
	EXO_TR(INTERRUPTS)           \
	EXO_TR(DOORBELLS)            \
	EXO_TR(SHARED_NAMESPACE)     \
	EXO_TR(ZONE)                 \
	EXO_TR(ZONE_ACTION)          \
	EXO_TR(ZONE_REPORT)          \
	EXO_TR(ZONE_QUOTA)           \
	EXO_TR(PLACEMENT)            \
	EXO_TR(ARBITRATION)         \
	EXO_TR(MEMLOCK)              \
	EXO_TR(PIN)                  \
	EXO_TR(UNSHARED)             \
	EXO_TR(NO_WINDOW)            \
	EXO_TR(EMPTY)                \
	EXO_TR(LARGE)                \
	EXO_TR(ENTRY_RIGHT)          \
	EXO_TR(UPCALL)               \
	EXO_TR_LAST(DESCRIPTORS)

#define EXO_TRACE_TYPES         \
	EXO_TT(POOL)            \
	EXO_TT(FRAMES)          \
	EXO_TT(CONTROLLER)      \
	EXO_TT(EXTENT)          \
	EXO_TT(QUEUE)           \
	EXO_TT_LAST(MEMORY)

/* So that programs that read the format see numbers. */
#undef EXO_TR
#undef EXO_TR_LAST
#undef EXO_TT
#undef EXO_TT_LAST
#define EXO_TR(name) TRACE_DEFINE_ENUM(EXO_REASON_##name);
#define EXO_TR_LAST(name) TRACE_DEFINE_ENUM(EXO_REASON_##name);
#define EXO_TT(name) TRACE_DEFINE_ENUM(EXO_TYPE_##name);
#define EXO_TT_LAST(name) TRACE_DEFINE_ENUM(EXO_TYPE_##name);
EXO_TRACE_REASONS
EXO_TRACE_TYPES

#undef EXO_TR
#undef EXO_TR_LAST
#undef EXO_TT
#undef EXO_TT_LAST
#define EXO_TR(name) { EXO_REASON_##name, #name },
#define EXO_TR_LAST(name) { EXO_REASON_##name, #name }
#define EXO_TT(name) { EXO_TYPE_##name, #name },
#define EXO_TT_LAST(name) { EXO_TYPE_##name, #name }

#define exo_show_reason(reason) __print_symbolic(reason, EXO_TRACE_REASONS)
#define exo_show_type(type) __print_symbolic(type, EXO_TRACE_TYPES)

/* A PCI address as people write it. */
#define EXO_BDF_FORMAT "%04x:%02x:%02x.%u"
#define EXO_BDF(address) \
	(address) >> 16, (address) >> 8 & 0xff, (address) >> 3 & 0x1f, (address)&7

#ifndef EXO_TRACE_BLOCKS
#define EXO_TRACE_BLOCKS
static inline bool exo_trace_names_blocks(const struct nvme_command *cmd)
{
	return cmd->common.opcode != nvme_cmd_flush && cmd->common.opcode != nvme_cmd_dsm;
}

/* Blocks at @slba; 0 where the command does not say: Flush, and lists of ranges. */
static inline u32 exo_trace_nlb(const struct nvme_command *cmd)
{
	switch (cmd->common.opcode) {
	case nvme_cmd_write:
	case nvme_cmd_read:
	case nvme_cmd_compare:
	case nvme_cmd_write_zeroes:
	case nvme_cmd_zone_append:
		return (le32_to_cpu(cmd->common.cdw12) & 0xffff) + 1;
	default:
		return 0;
	}
}
#endif

/* A command that passed the check, as the device gets it; before the doorbell of its batch. */
TRACE_EVENT(exo_submit,
	TP_PROTO(const struct exo_queue *q, const struct nvme_command *cmd),
	TP_ARGS(q, cmd),
	TP_STRUCT__entry(
		__field(u64, slba)
		__field(u32, address)
		__field(u32, qid)
		__field(u32, nsid)
		__field(u32, nlb)
		__field(u16, cid)
		__field(u8, opcode)
	),
	TP_fast_assign(
		__entry->slba = exo_trace_names_blocks(cmd) ? le64_to_cpu(cmd->rw.slba) : 0;
		__entry->address = q->nvme->address;
		__entry->qid = q->qid;
		__entry->nsid = le32_to_cpu(cmd->common.nsid);
		__entry->nlb = exo_trace_nlb(cmd);
		__entry->cid = cmd->common.command_id;
		__entry->opcode = cmd->common.opcode;
	),
	TP_printk(EXO_BDF_FORMAT " qid=%u cid=%u opcode=0x%02x nsid=%u slba=%llu nlb=%u",
		  EXO_BDF(__entry->address), __entry->qid, __entry->cid, __entry->opcode,
		  __entry->nsid, __entry->slba, __entry->nlb)
);

/*
 * A completion the kernel comes across: at the next submission, wait or detaching, not
 * when the device posts it. The numbers are the device's.
 */
TRACE_EVENT(exo_complete,
	TP_PROTO(const struct exo_queue *q, u32 dword3),
	TP_ARGS(q, dword3),
	TP_STRUCT__entry(
		__field(u32, address)
		__field(u32, qid)
		__field(u16, cid)
		__field(u16, status)
	),
	TP_fast_assign(
		__entry->address = q->nvme->address;
		__entry->qid = q->qid;
		__entry->cid = dword3 & 0xffff;
		__entry->status = dword3 >> 17;
	),
	TP_printk(EXO_BDF_FORMAT " qid=%u cid=%u status=0x%x",
		  EXO_BDF(__entry->address), __entry->qid, __entry->cid, __entry->status)
);

/* A command, or what the program says of its ring, refused in a call or by a queue's thread. */
TRACE_EVENT(exo_refuse,
	TP_PROTO(const struct exo_queue *q, int error, const struct exo_detail *detail),
	TP_ARGS(q, error, detail),
	TP_STRUCT__entry(
		__field(u64, value)
		__field(u64, limit)
		__field(u32, address)
		__field(u32, qid)
		__field(u32, index)
		__field(int, error)
		__field(u32, reason)
		__field(u32, field)
	),
	TP_fast_assign(
		__entry->value = detail->value;
		__entry->limit = detail->limit;
		__entry->address = q->nvme->address;
		__entry->qid = q->qid;
		__entry->index = detail->index;
		__entry->error = error;
		__entry->reason = detail->reason;
		__entry->field = detail->field;
	),
	TP_printk(EXO_BDF_FORMAT " qid=%u index=%u error=%d reason=%s field=%u value=%llu limit=%llu",
		  EXO_BDF(__entry->address), __entry->qid, __entry->index, __entry->error,
		  exo_show_reason(__entry->reason), __entry->field, __entry->value,
		  __entry->limit)
);

/* Any call that fails with a reason; @nr: its number in <linux/exo.h>. */
TRACE_EVENT(exo_refuse_call,
	TP_PROTO(const struct exo_session *session, u32 nr, int error,
		 const struct exo_detail *detail),
	TP_ARGS(session, nr, error, detail),
	TP_STRUCT__entry(
		__field(u64, session)
		__field(u64, value)
		__field(u64, limit)
		__field(u32, nr)
		__field(int, error)
		__field(u32, reason)
		__field(u32, field)
	),
	TP_fast_assign(
		__entry->session = session->object.serial;
		__entry->value = detail->value;
		__entry->limit = detail->limit;
		__entry->nr = nr;
		__entry->error = error;
		__entry->reason = detail->reason;
		__entry->field = detail->field;
	),
	TP_printk("session=%llu nr=0x%02x error=%d reason=%s field=%u value=%llu limit=%llu",
		  __entry->session, __entry->nr, __entry->error,
		  exo_show_reason(__entry->reason), __entry->field, __entry->value,
		  __entry->limit)
);

/*
 * Frames attached to a function (qid 0), an extent to a queue. Attached: from now on commands
 * may use it. Detached: whatever ended it, and no command in flight does.
 */
DECLARE_EVENT_CLASS(exo_binding,
	TP_PROTO(u32 address, u32 qid, u32 nsid, const struct exo_cap *cap),
	TP_ARGS(address, qid, nsid, cap),
	TP_STRUCT__entry(
		__field(u64, session)
		__field(u64, object)
		__field(u64, start)
		__field(u64, len)
		__field(u32, address)
		__field(u32, qid)
		__field(u32, nsid)
		__field(u32, type)
		__field(u32, cap)
		__field(u32, rights)
	),
	TP_fast_assign(
		__entry->session = cap->session->object.serial;
		__entry->object = cap->object->serial;
		__entry->start = cap->start;
		__entry->len = cap->len;
		__entry->address = address;
		__entry->qid = qid;
		__entry->nsid = nsid;
		__entry->type = cap->object->ops->type;
		__entry->cap = cap->id;
		__entry->rights = cap->rights;
	),
	TP_printk(EXO_BDF_FORMAT
		  " qid=%u type=%s session=%llu cap=%u object=%llu nsid=%u start=%llu len=%llu rights=0x%x",
		  EXO_BDF(__entry->address), __entry->qid, exo_show_type(__entry->type),
		  __entry->session, __entry->cap, __entry->object, __entry->nsid,
		  __entry->start, __entry->len, __entry->rights)
);

DEFINE_EVENT(exo_binding, exo_attach,
	TP_PROTO(u32 address, u32 qid, u32 nsid, const struct exo_cap *cap),
	TP_ARGS(address, qid, nsid, cap)
);

DEFINE_EVENT(exo_binding, exo_detach,
	TP_PROTO(u32 address, u32 qid, u32 nsid, const struct exo_cap *cap),
	TP_ARGS(address, qid, nsid, cap)
);

/* EXO_REVOKE begins; @frames: so many of a pool, 0: everything below. */
TRACE_EVENT(exo_revoke_begin,
	TP_PROTO(const struct exo_session *session, const struct exo_revoke *cmd,
		 const struct exo_object *object),
	TP_ARGS(session, cmd, object),
	TP_STRUCT__entry(
		__field(u64, session)
		__field(u64, node)
		__field(u64, object)
		__field(u64, frames)
		__field(u32, cap)
		__field(u32, type)
		__field(u32, timeout_ms)
	),
	TP_fast_assign(
		__entry->session = session->object.serial;
		__entry->node = cmd->node;
		__entry->object = object->serial;
		__entry->frames = cmd->frames;
		__entry->cap = cmd->cap;
		__entry->type = object->ops->type;
		__entry->timeout_ms = cmd->timeout_ms;
	),
	TP_printk("session=%llu cap=%u node=%llu type=%s object=%llu frames=%llu timeout_ms=%u",
		  __entry->session, __entry->cap, __entry->node, exo_show_type(__entry->type),
		  __entry->object, __entry->frames, __entry->timeout_ms)
);

/* It ends. @error: a signal withdrew it; @frames: by how much less the pool has allocated. */
TRACE_EVENT(exo_revoke_end,
	TP_PROTO(const struct exo_session *session, u32 cap, int error, u32 asked, u32 taken,
		 u64 frames),
	TP_ARGS(session, cap, error, asked, taken, frames),
	TP_STRUCT__entry(
		__field(u64, session)
		__field(u64, frames)
		__field(u32, cap)
		__field(int, error)
		__field(u32, asked)
		__field(u32, taken)
	),
	TP_fast_assign(
		__entry->session = session->object.serial;
		__entry->frames = frames;
		__entry->cap = cap;
		__entry->error = error;
		__entry->asked = asked;
		__entry->taken = taken;
	),
	TP_printk("session=%llu cap=%u error=%d asked=%u taken=%u frames=%llu",
		  __entry->session, __entry->cap, __entry->error, __entry->asked,
		  __entry->taken, __entry->frames)
);

/* What a revocation does to one capability: session and cap are its holder's. */
DECLARE_EVENT_CLASS(exo_revoked,
	TP_PROTO(const struct exo_cap *cap),
	TP_ARGS(cap),
	TP_STRUCT__entry(
		__field(u64, session)
		__field(u64, object)
		__field(u64, start)
		__field(u64, len)
		__field(u32, cap)
		__field(u32, type)
	),
	TP_fast_assign(
		__entry->session = cap->session->object.serial;
		__entry->object = cap->object->serial;
		__entry->start = cap->start;
		__entry->len = cap->len;
		__entry->cap = cap->id;
		__entry->type = cap->object->ops->type;
	),
	TP_printk("session=%llu cap=%u type=%s object=%llu start=%llu len=%llu",
		  __entry->session, __entry->cap, exo_show_type(__entry->type),
		  __entry->object, __entry->start, __entry->len)
);

/* Its holder is asked to give it up. */
DEFINE_EVENT(exo_revoked, exo_revoke_ask,
	TP_PROTO(const struct exo_cap *cap),
	TP_ARGS(cap)
);

/* Its holder drops it, or closes its session, while it is asked back. */
DEFINE_EVENT(exo_revoked, exo_revoke_comply,
	TP_PROTO(const struct exo_cap *cap),
	TP_ARGS(cap)
);

/* It was taken by force: by EXO_REVOKE, or by the kernel short of memory. */
DEFINE_EVENT(exo_revoked, exo_revoke_force,
	TP_PROTO(const struct exo_cap *cap),
	TP_ARGS(cap)
);

/* A controller is reset and its queues are no more: at bind, at unbind, or as it failed. */
TRACE_EVENT(exo_reset,
	TP_PROTO(const struct exo_nvme *nvme, const char *why),
	TP_ARGS(nvme, why),
	TP_STRUCT__entry(
		__field(u32, address)
		__field(u32, generation)
		__string(why, why)
	),
	TP_fast_assign(
		__entry->address = nvme->address;
		__entry->generation = nvme->generation;
		__assign_str(why);
	),
	TP_printk(EXO_BDF_FORMAT " generation=%u why=\"%s\"",
		  EXO_BDF(__entry->address), __entry->generation, __get_str(why))
);

#endif

/* Beside this file, wherever that is: module/Kbuild says. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
