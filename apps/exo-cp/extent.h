/* SPDX-License-Identifier: MIT */
/*
 * Extents: handles, queues, and the one buffer that both sides use.
 *
 * Two extents of one NVMe function need one queue: DESTINATION's, to which SOURCE's extent is
 * attached as well. Then a command may name blocks of either, and a Copy both. Otherwise each has
 * a queue, and the buffer lies in the buffer space of both.
 */
#ifndef EXO_CP_EXTENT_H
#define EXO_CP_EXTENT_H

#include "side.h"

int extent_open(struct side *s, unsigned int rights);

/* DESTINATION is the same emulated file as SOURCE: one handle for both. */
void extent_borrow_handle(struct side *from, struct side *to);

/* Blocks of one namespace, or of one emulated file. */
bool extent_same_namespace(const struct side *a, const struct side *b);

/* Queues for those of the two that are extents; a command of each piece fits in. */
int extent_open_queues(struct side *from, struct side *to, unsigned int pieces);

/* Memory that both reach: its address, or NULL after saying why. */
void *extent_alloc(struct side *from, struct side *to, size_t bytes);

/*
 * Prepare a command that moves @bytes, rounded up to blocks, between byte @at of the copy and
 * byte @offset of the buffer. @piece comes back with the completion.
 */
void extent_prep_read(struct side *s, uint64_t offset, uint64_t at, uint32_t bytes,
		      unsigned int piece);
void extent_prep_write(struct side *s, uint64_t offset, uint64_t at, uint32_t bytes,
		       unsigned int piece);

/* Bytes that a Copy of one range moves; 0: there is no Copy. */
uint32_t extent_copy_max(const struct side *to);

/* @list: EXTENT_LIST_BYTES in the buffer, where the range is told. */
#define EXTENT_LIST_BYTES ((uint32_t)sizeof(struct exo_nvme_copy_range))
void extent_prep_copy(struct side *from, struct side *to, void *list, uint64_t at, uint32_t bytes,
		      unsigned int piece);

/*
 * @data: of @bytes, which end within a block on @s: what that block has behind them is put behind
 * them. The queue must be idle.
 */
int extent_keep_rest(struct side *s, uint64_t at, uint32_t bytes, char *data);

int extent_flush(struct side *s);
void extent_close(struct side *s);

#endif
