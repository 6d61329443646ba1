// SPDX-License-Identifier: MIT
/*
 * The operations: all commands of the ABI, from one table of their fields, and the system
 * calls by which a program reaches the module otherwise.
 */
#include <string.h>
#include <linux/exo.h>

#include "input.h"

#define F(type, name, kind, hint)                                                                \
	{                                                                                        \
#name, offsetof(struct type, name), sizeof(((struct type *)0)->name), kind, hint \
	}
/* Every command: its head, and where the argument lies. */
#define HEAD(type, flags_)                                                                        \
	F(type, size, F_SIZE, 0), F(type, flags, F_FLAGS, flags_), F(type, detail, F_ADDRESS, 0), \
	{                                                                                         \
		"at", 0, 0, F_ADDRESS, 0                                                          \
	}
#define CALL(name_, type, flags_, ...)                                   \
	.name = #name_, .cmd = EXO_##name_, .size = sizeof(struct type), \
	.field = { HEAD(type, flags_), __VA_ARGS__ }
#define OUT(type, name) offsetof(struct type, name)
#define ARG(name, kind, hint)          \
	{                              \
		name, 0, 8, kind, hint \
	}
#define SPECIAL(name_, special_, ...)                                        \
	{                                                                    \
		.name = name_, .special = special_, .field = { __VA_ARGS__ } \
	}

#define POOL EXO_TYPE_POOL
#define FRAMES EXO_TYPE_FRAMES
#define CONTROLLER EXO_TYPE_CONTROLLER
#define EXTENT EXO_TYPE_EXTENT
#define QUEUE EXO_TYPE_QUEUE

const struct op_type op_types[] = {
	{ CALL(INFO, exo_info, 0, { NULL, 0, 0, 0, 0 }) },
	{ CALL(CLAIM, exo_claim, 0, F(exo_claim, type, F_NUMBER, 5),
	       F(exo_claim, address, F_NUMBER, 0), F(exo_claim, __reserved, F_NUMBER, 0)),
	  .makes = CONTROLLER, .out_cap = OUT(exo_claim, out_cap) },
	{ CALL(CAP_DERIVE, exo_cap_derive, 0, F(exo_cap_derive, cap, F_CAP, 0),
	       F(exo_cap_derive, rights, F_RIGHTS, 0), F(exo_cap_derive, session_fd, F_SESSION, 0),
	       F(exo_cap_derive, start, F_BLOCK, 0), F(exo_cap_derive, len, F_BLOCK, 0),
	       F(exo_cap_derive, placement, F_NUMBER, 3),
	       F(exo_cap_derive, open_zones, F_NUMBER, 4),
	       F(exo_cap_derive, active_zones, F_NUMBER, 6)),
	  .makes = MAKES_CHILD, .out_cap = OUT(exo_cap_derive, out_cap) },
	{ CALL(CAP_QUERY, exo_cap_query, 0, F(exo_cap_query, cap, F_CAP, 0)) },
	{ CALL(CAP_LIST, exo_cap_list, 3, F(exo_cap_list, after, F_NUMBER, 8),
	       F(exo_cap_list, count, F_NUMBER, 64), F(exo_cap_list, caps, F_ADDRESS, 0),
	       F(exo_cap_list, __reserved, F_NUMBER, 0)) },
	{ CALL(CAP_DROP, exo_cap_drop, 0, F(exo_cap_drop, cap, F_CAP, 0),
	       F(exo_cap_drop, __reserved, F_NUMBER, 0)) },
	{ CALL(REVOKE, exo_revoke, 0, F(exo_revoke, cap, F_CAP, 0),
	       F(exo_revoke, timeout_ms, F_NUMBER, 20), F(exo_revoke, frames, F_NUMBER, 64),
	       F(exo_revoke, records, F_ADDRESS, 0), F(exo_revoke, count, F_NUMBER, 16),
	       F(exo_revoke, node, F_NUMBER, 0), F(exo_revoke, __reserved, F_NUMBER, 0)) },
	{ CALL(CAP_TAKEN, exo_cap_taken, 0, F(exo_cap_taken, cap, F_CAP, 0),
	       F(exo_cap_taken, first, F_NUMBER, 8), F(exo_cap_taken, count, F_NUMBER, 8),
	       F(exo_cap_taken, names, F_ADDRESS, 0), F(exo_cap_taken, __reserved, F_NUMBER, 0)) },
	{ CALL(TREE_LIST, exo_tree_list, 0, F(exo_tree_list, cap, F_CAP, 0),
	       F(exo_tree_list, count, F_NUMBER, 64), F(exo_tree_list, skip, F_NUMBER, 8),
	       F(exo_tree_list, entries, F_ADDRESS, 0),
	       F(exo_tree_list, __reserved, F_NUMBER, 0)) },
	{ CALL(POOL_CREATE, exo_pool_create, 0, F(exo_pool_create, pool, F_CAP, POOL),
	       F(exo_pool_create, rights, F_RIGHTS, 0), F(exo_pool_create, frames, F_NUMBER, 64),
	       F(exo_pool_create, minimum, F_NUMBER, 64),
	       F(exo_pool_create, __reserved, F_NUMBER, 0)),
	  .makes = POOL, .out_cap = OUT(exo_pool_create, out_cap) },
	{ CALL(POOL_QUERY, exo_pool_query, 0, F(exo_pool_query, pool, F_CAP, POOL),
	       F(exo_pool_query, __reserved, F_NUMBER, 0)) },
	{ CALL(FRAMES_ALLOC, exo_frames_alloc, 0, F(exo_frames_alloc, pool, F_CAP, POOL),
	       F(exo_frames_alloc, order, F_NUMBER, 9), F(exo_frames_alloc, count, F_NUMBER, 16),
	       F(exo_frames_alloc, node, F_NUMBER, 1),
	       F(exo_frames_alloc, __reserved, F_NUMBER, 0)),
	  .makes = FRAMES, .out_cap = OUT(exo_frames_alloc, out_cap),
	  .out_map = OUT(exo_frames_alloc, out_mmap_offset) },
	{ CALL(FRAMES_NAMES, exo_frames_names, 0, F(exo_frames_names, frames, F_CAP, FRAMES),
	       F(exo_frames_names, first, F_NUMBER, 8), F(exo_frames_names, count, F_NUMBER, 16),
	       F(exo_frames_names, names, F_ADDRESS, 0),
	       F(exo_frames_names, __reserved, F_NUMBER, 0)) },
	{ CALL(FRAMES_EXPORT, exo_frames_export, 0, F(exo_frames_export, frames, F_CAP, FRAMES)) },
	{ CALL(MEM_ADOPT, exo_mem_adopt, 0, F(exo_mem_adopt, controller, F_CAP, CONTROLLER),
	       F(exo_mem_adopt, rights, F_RIGHTS, 0), F(exo_mem_adopt, address, F_ADDRESS, 0),
	       F(exo_mem_adopt, bytes, F_NUMBER, 8192), F(exo_mem_adopt, __reserved, F_NUMBER, 0)),
	  .makes = FRAMES, .out_cap = OUT(exo_mem_adopt, out_cap) },
	{ CALL(CONTROLLER_CREATE, exo_controller_create, EXO_CONTROLLER_EXCLUSIVE,
	       F(exo_controller_create, controller, F_CAP, CONTROLLER),
	       F(exo_controller_create, rights, F_RIGHTS, 0),
	       F(exo_controller_create, queues, F_NUMBER, 3)),
	  .makes = CONTROLLER, .out_cap = OUT(exo_controller_create, out_cap) },
	{ CALL(CONTROLLER_QUERY, exo_controller_query, 0,
	       F(exo_controller_query, controller, F_CAP, CONTROLLER),
	       F(exo_controller_query, __reserved, F_NUMBER, 0)) },
	{ CALL(NAMESPACE_QUERY, exo_namespace_query, EXO_NAMESPACE_NEXT,
	       F(exo_namespace_query, controller, F_CAP, CONTROLLER),
	       F(exo_namespace_query, nsid, F_NUMBER, 6),
	       F(exo_namespace_query, __reserved, F_NUMBER, 0)) },
	{ CALL(EXTENT_CREATE, exo_extent_create, 0,
	       F(exo_extent_create, controller, F_CAP, CONTROLLER),
	       F(exo_extent_create, nsid, F_NUMBER, 6), F(exo_extent_create, rights, F_RIGHTS, 0),
	       F(exo_extent_create, start, F_BLOCK, 0), F(exo_extent_create, len, F_BLOCK, 0),
	       F(exo_extent_create, open_zones, F_NUMBER, 4),
	       F(exo_extent_create, active_zones, F_NUMBER, 6),
	       F(exo_extent_create, placement, F_NUMBER, 3)),
	  .makes = EXTENT, .out_cap = OUT(exo_extent_create, out_cap) },
	{ CALL(IDENTIFY, exo_identify, 0, F(exo_identify, cap, F_CAP, 0),
	       F(exo_identify, cns, F_NUMBER, 6), F(exo_identify, nsid, F_NUMBER, 6),
	       F(exo_identify, data, F_ADDRESS, 0), F(exo_identify, __reserved, F_NUMBER, 0)) },
	{ CALL(LOG, exo_log, 0, F(exo_log, cap, F_CAP, CONTROLLER), F(exo_log, lid, F_NUMBER, 5),
	       F(exo_log, len, F_NUMBER, 4096), F(exo_log, data, F_ADDRESS, 0),
	       F(exo_log, __reserved, F_NUMBER, 0)) },
	{ CALL(DMA_ATTACH, exo_dma_attach, 0, F(exo_dma_attach, controller, F_CAP, CONTROLLER),
	       F(exo_dma_attach, frames, F_CAP, FRAMES)),
	  .out_buffer = OUT(exo_dma_attach, out_offset) },
	{ CALL(DMA_DETACH, exo_dma_detach, 0, F(exo_dma_detach, controller, F_CAP, CONTROLLER),
	       F(exo_dma_detach, frames, F_CAP, FRAMES)) },
	{ CALL(QUEUE_CREATE, exo_queue_create,
	       EXO_QUEUE_POLLED | EXO_QUEUE_THREAD | EXO_QUEUE_IRQ_CPU | EXO_QUEUE_NODE,
	       F(exo_queue_create, controller, F_CAP, CONTROLLER),
	       F(exo_queue_create, mode, F_NUMBER, 1), F(exo_queue_create, depth, F_NUMBER, 16),
	       F(exo_queue_create, thread_cpu, F_NUMBER, 1),
	       F(exo_queue_create, thread_percent, F_NUMBER, 100),
	       F(exo_queue_create, thread_idle_us, F_NUMBER, 1000),
	       F(exo_queue_create, irq_cpu, F_NUMBER, 1), F(exo_queue_create, node, F_NUMBER, 1),
	       F(exo_queue_create, priority, F_NUMBER, 4)),
	  .makes = QUEUE, .out_cap = OUT(exo_queue_create, out_cap),
	  .out_map = OUT(exo_queue_create, out_mmap_offset) },
	{ CALL(QUEUE_QUERY, exo_queue_query, 0, F(exo_queue_query, queue, F_CAP, QUEUE),
	       F(exo_queue_query, __reserved, F_NUMBER, 0)) },
	{ CALL(QUEUE_ATTACH, exo_queue_attach, 0, F(exo_queue_attach, queue, F_CAP, QUEUE),
	       F(exo_queue_attach, extent, F_CAP, EXTENT)) },
	{ CALL(QUEUE_DETACH, exo_queue_detach, 0, F(exo_queue_detach, queue, F_CAP, QUEUE),
	       F(exo_queue_detach, extent, F_CAP, EXTENT)) },
	{ CALL(QUEUE_SUBMIT, exo_queue_submit, 0, F(exo_queue_submit, queue, F_CAP, QUEUE)) },
	{ CALL(QUEUE_EVENTFD, exo_queue_eventfd, 0, F(exo_queue_eventfd, queue, F_CAP, QUEUE),
	       F(exo_queue_eventfd, eventfd, F_SESSION, 900)) },
	{ CALL(TOKEN_CREATE, exo_token_create, EXO_TOKEN_UID, F(exo_token_create, cap, F_CAP, 0),
	       F(exo_token_create, rights, F_RIGHTS, 0), F(exo_token_create, start, F_BLOCK, 0),
	       F(exo_token_create, len, F_BLOCK, 0), F(exo_token_create, uses, F_NUMBER, 2),
	       F(exo_token_create, lifetime_ms, F_NUMBER, 20),
	       F(exo_token_create, uid, F_NUMBER, 1000),
	       F(exo_token_create, __reserved, F_NUMBER, 0)),
	  .makes = MAKES_TOKEN, .out_token = OUT(exo_token_create, out_token) },
	{ CALL(TOKEN_REDEEM, exo_token_redeem, 0, F(exo_token_redeem, token, F_TOKEN, 0)),
	  .makes = MAKES_CHILD, .out_cap = OUT(exo_token_redeem, out_cap) },
	{ CALL(TOKEN_CANCEL, exo_token_cancel, 0, F(exo_token_cancel, token, F_TOKEN, 0)) },
	{ CALL(WAIT, exo_wait, EXO_WAIT_EVENTS, F(exo_wait, queues, F_ADDRESS, 0),
	       F(exo_wait, count, F_NUMBER, 3), F(exo_wait, deadline, F_TIME, 0)) },
	{ CALL(EVENTS_CREATE, exo_events_create, 0, F(exo_events_create, entries, F_NUMBER, 64),
	       F(exo_events_create, __reserved, F_NUMBER, 0)),
	  .makes = MAKES_EVENTS, .out_map = OUT(exo_events_create, out_mmap_offset) },
	{ CALL(WINDOW_SET, exo_window_set, 0, F(exo_window_set, window, F_ADDRESS, 0),
	       F(exo_window_set, ops, F_ADDRESS, 0), F(exo_window_set, count, F_NUMBER, 4),
	       F(exo_window_set, __reserved, F_NUMBER, 0)) },
	{ CALL(WINDOW_DIRTY, exo_window_dirty, 0, F(exo_window_dirty, window, F_ADDRESS, 0),
	       F(exo_window_dirty, first, F_NUMBER, 1024),
	       F(exo_window_dirty, bitmap, F_ADDRESS, 0),
	       F(exo_window_dirty, count, F_NUMBER, 1024)) },
	/* Without one: a worker would go there. */
	{ CALL(WINDOW_HANDLER, exo_window_handler, 0, F(exo_window_handler, window, F_ADDRESS, 0),
	       F(exo_window_handler, context, F_NUMBER, 1024)) },

	SPECIAL("command", OP_COMMAND_PUSH, ARG("queue", F_CAP, QUEUE), ARG("opcode", F_NUMBER, 9),
		ARG("cid", F_NUMBER, 8), ARG("nsid", F_NUMBER, 2), ARG("slba", F_BLOCK, 0),
		ARG("nlb", F_NUMBER, 16), ARG("prp1", F_BUFFER, 0), ARG("high", F_NUMBER, 4),
		ARG("word", F_NUMBER, 15), ARG("value", F_NUMBER, 64), ARG("more", F_NUMBER, 3)),
	SPECIAL("poke", OP_POKE, ARG("queue", F_CAP, QUEUE), ARG("word", F_NUMBER, 2),
		ARG("value", F_NUMBER, 16)),
	SPECIAL("fill", OP_FILL, ARG("frames", F_CAP, FRAMES), ARG("word", F_NUMBER, 16),
		ARG("value", F_NUMBER, 64)),
	SPECIAL("range", OP_RANGE, ARG("frames", F_CAP, FRAMES), ARG("index", F_NUMBER, 4),
		ARG("block", F_BLOCK, 0), ARG("blocks", F_NUMBER, 8), ARG("copy", F_NUMBER, 1)),
	SPECIAL("reap", OP_REAP, ARG("queue", F_CAP, QUEUE), ARG("count", F_NUMBER, 4)),
	SPECIAL("mmap", OP_MMAP, ARG("offset", F_MAP, 0), ARG("length", F_NUMBER, 16384),
		ARG("prot", F_NUMBER, 3), ARG("flags", F_NUMBER, 1), ARG("slot", F_SLOT, 0)),
	SPECIAL("munmap", OP_MUNMAP, ARG("slot", F_SLOT, 0), ARG("from", F_NUMBER, 8192),
		ARG("length", F_NUMBER, 16384)),
	SPECIAL("mprotect", OP_MPROTECT, ARG("slot", F_SLOT, 0), ARG("from", F_NUMBER, 8192),
		ARG("length", F_NUMBER, 16384), ARG("prot", F_NUMBER, 3)),
	SPECIAL("mremap", OP_MREMAP, ARG("slot", F_SLOT, 0), ARG("from", F_NUMBER, 8192),
		ARG("length", F_NUMBER, 16384), ARG("to", F_NUMBER, 32768),
		ARG("flags", F_NUMBER, 1)),
	SPECIAL("madvise", OP_MADVISE, ARG("slot", F_SLOT, 0), ARG("from", F_NUMBER, 8192),
		ARG("length", F_NUMBER, 16384), ARG("advice", F_NUMBER, 25)),
	/* The slot becomes a window, if it is none, and of it so many entries are set. */
	SPECIAL("window", OP_WINDOW, ARG("slot", F_SLOT, 0), ARG("op", F_NUMBER, 3),
		ARG("first", F_NUMBER, 1024), ARG("count", F_NUMBER, 512),
		ARG("access", F_NUMBER, 3), ARG("order", F_NUMBER, 9), ARG("frames", F_CAP, FRAMES),
		ARG("page", F_NUMBER, 16), ARG("more", F_NUMBER, 3)),
	SPECIAL("dirty", OP_WINDOW_DIRTY, ARG("slot", F_SLOT, 0), ARG("first", F_NUMBER, 1024),
		ARG("count", F_NUMBER, 1024)),
	SPECIAL("touch", OP_TOUCH, ARG("slot", F_SLOT, 0), ARG("from", F_NUMBER, 16384),
		ARG("write", F_NUMBER, 1)),
	SPECIAL("copy", OP_COPY_BYTES, ARG("slot", F_SLOT, 0), ARG("from", F_NUMBER, 16384),
		ARG("length", F_NUMBER, 8192), ARG("way", F_NUMBER, 5)),
	SPECIAL("noise", OP_NOISE, ARG("number", F_NUMBER, 90), ARG("size", F_NUMBER, 200),
		ARG("seed", F_NUMBER, 1000), ARG("at", F_ADDRESS, 0)),
	SPECIAL("open", OP_OPEN, { NULL, 0, 0, 0, 0 }),
	SPECIAL("close", OP_CLOSE, { NULL, 0, 0, 0, 0 }),
	SPECIAL("dup", OP_DUP, { NULL, 0, 0, 0, 0 }),
	SPECIAL("poll", OP_POLL, { NULL, 0, 0, 0, 0 }),
	SPECIAL("rw", OP_RW, { NULL, 0, 0, 0, 0 }),
	SPECIAL("pass", OP_PASS, { NULL, 0, 0, 0, 0 }),
	SPECIAL("fork", OP_FORK, { NULL, 0, 0, 0, 0 }),
	SPECIAL("both", OP_BOTH, { NULL, 0, 0, 0, 0 }),
	SPECIAL("pause", OP_PAUSE, ARG("us", F_NUMBER, 1000)),
};
const unsigned int op_types_n = sizeof(op_types) / sizeof(op_types[0]);

unsigned int fields_of(const struct op_type *type)
{
	unsigned int n = 0;

	while (n < FIELDS_MAX && type->field[n].name)
		n++;
	return n;
}

unsigned int op_type_of(enum special special)
{
	unsigned int i;

	for (i = 0; op_types[i].cmd || op_types[i].special != special; i++)
		;
	return i;
}
