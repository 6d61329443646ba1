/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Buffer space: the memory that a session's commands on one NVMe function may
 * name. A command says an offset; the table here says which frame that is and
 * whether the device may read or write it.
 */
#ifndef EXO_SPACE_H
#define EXO_SPACE_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/maple_tree.h>
#include <linux/mutex.h>
#include <linux/nospec.h>
#include <linux/types.h>

struct exo_call;
struct exo_nvme;
struct exo_queue;
struct exo_session;

#define EXO_SPACE_CHUNK_SHIFT 11 /* entries of a chunk: 8 MiB of buffers */
#define EXO_SPACE_CHUNK (1u << EXO_SPACE_CHUNK_SHIFT)
#define EXO_SPACE_CHUNKS (1u << 12)
#define EXO_SPACE_PAGES (EXO_SPACE_CHUNKS * EXO_SPACE_CHUNK) /* 32 GiB */

/* An entry is a page's address for the device, with these in the low bits. 0: not attached. */
#define EXO_SPACE_VALID BIT_ULL(0)
#define EXO_SPACE_DEVICE_READS BIT_ULL(1)
#define EXO_SPACE_DEVICE_WRITES BIT_ULL(2)
#define EXO_SPACE_FLAGS 0xfffull

/**
 * struct exo_space - buffer space of one session on one function
 * @ref: the session's, each queue's and each attachment's
 * @nvme: the function; a reference
 * @on_session: in session->spaces, under its spaces_lock
 * @lock: guards @pages, @queues and the making of chunks; after a capability's
 *	lock, before a queue's
 * @pages: which page indexes are taken
 * @queues: exo_queue.on_space
 * @chunks: the table: entries are read by submissions without a lock, and
 *	chunks stay until the space is freed
 */
struct exo_space {
	struct kref ref;
	struct exo_nvme *nvme;
	struct list_head on_session;
	struct mutex lock;
	struct maple_tree pages;
	struct list_head queues;
	u64 *chunks[EXO_SPACE_CHUNKS];
};

struct exo_space *exo_space_get(struct exo_session *session, struct exo_nvme *nvme);
void exo_space_put(struct exo_space *space);
void exo_space_put_all(struct exo_session *session);
void exo_space_sever_all(struct exo_nvme *nvme);
void exo_space_add_queue(struct exo_space *space, struct exo_queue *queue);
void exo_space_remove_queue(struct exo_space *space, struct exo_queue *queue);

int exo_space_attach(struct exo_call *call);
int exo_space_detach(struct exo_call *call);

/* The entry of page @page, which may be any number; 0: not attached. */
static inline u64 exo_space_entry(const struct exo_space *space, u64 page)
{
	const u64 *chunk;
	u32 index;

	if (unlikely(page >= EXO_SPACE_PAGES))
		return 0;
	index = array_index_nospec(page, EXO_SPACE_PAGES);
	chunk = READ_ONCE(space->chunks[index >> EXO_SPACE_CHUNK_SHIFT]);
	if (unlikely(!chunk))
		return 0;
	return READ_ONCE(chunk[index & (EXO_SPACE_CHUNK - 1)]);
}

/*
 * Copies from the buffer at *offset. The caller holds the lock of a queue of the space, so
 * that what is attached stays. False: not all of it is attached for the device to read;
 * *offset and *entry say where.
 */
bool exo_space_read(struct exo_space *space, u64 *offset, void *to, u32 bytes, u64 *entry);

#endif
