/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The directory of a shared cache, as it lies in frames: its owner writes it, readers have it
 * read-only. One behind the other:
 *
 *	struct exo_share_head	a page of 4096 bytes
 *	buckets			struct exo_share_bucket, 1 << head.bucket_bits
 *	entries			struct exo_share_entry, one a slot of the cache
 *	slabs			struct exo_share_slab, one a slab
 *
 * An entry says what page a slot holds, and where. Entries whose pages fall in the same bucket
 * (exo_cache_bucket()) are a chain. Each of the three has a sequence number, odd while it
 * changes: what was read is good if the number was even before and is the same afterwards. That of a
 * bucket covers its chain; that of an entry the entry and the bytes of its page, and is odd, too,
 * while the page is open or the slot holds nothing; that of a slab its token, and is odd
 * while there is none.
 *
 * A reader believes nothing: the owner may write anything, at any time. Each number is copied
 * once, then checked, then used; every loop has an end.
 */
#ifndef LIBEXO_SHARE_PRIVATE_H
#define LIBEXO_SHARE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXO_SHARE_MAGIC 0x0131656863616378ull /* "xcache1", 1 */
#define EXO_SHARE_NONE (~0u)		      /* the end of a chain */
#define EXO_SHARE_HEAD 4096u		      /* bytes before the buckets */

/**
 * struct exo_share_head - what the cache is; does not change
 * @magic: EXO_SHARE_MAGIC
 * @page_shift: log2 of the bytes of a page
 * @block_shift: log2 of the bytes of a block
 * @pages: pages of the extent
 * @first: LBA of the first block
 * @nsid: namespace
 * @bucket_bits: log2 of the buckets
 * @slots: entries
 * @slabs: slabs
 * @per_slab: pages of a slab
 * @pid: process of the owner
 * @process: its number in pidfs, which no other process ever has
 * @address: PCI address, ends with 0
 * @serial: serial number, likewise
 */
struct exo_share_head {
	uint64_t magic;
	uint32_t page_shift;
	uint32_t block_shift;
	uint64_t pages;
	uint64_t first;
	uint32_t nsid;
	uint32_t bucket_bits;
	uint32_t slots;
	uint32_t slabs;
	uint32_t per_slab;
	uint32_t pid;
	uint64_t process;
	char address[16];
	char serial[24];
};

struct exo_share_bucket {
	uint64_t seq;
	uint32_t first; /* slot, or EXO_SHARE_NONE */
	uint32_t reserved;
};

/**
 * struct exo_share_entry - what a slot holds
 * @seq: see above
 * @page: number of the page
 * @slab: where it is
 * @index: which page of the slab
 * @next: slot, or EXO_SHARE_NONE
 */
struct exo_share_entry {
	uint64_t seq;
	uint64_t page;
	uint32_t slab;
	uint32_t index;
	uint32_t next;
	uint32_t reserved;
};

struct exo_share_slab {
	uint64_t seq;
	uint8_t token[16];
};

/* Where the parts are, in bytes from the beginning, and where the last ends. */
struct exo_share_layout {
	uint64_t buckets;
	uint64_t entries;
	uint64_t slabs;
	uint64_t end;
};

/* For any head whose bucket_bits is below 32. */
static inline struct exo_share_layout exo_share_lay_out(const struct exo_share_head *h)
{
	struct exo_share_layout l = { .buckets = EXO_SHARE_HEAD };

	l.entries = l.buckets + (sizeof(struct exo_share_bucket) << h->bucket_bits);
	l.slabs = l.entries + (uint64_t)h->slots * sizeof(struct exo_share_entry);
	l.end = l.slabs + (uint64_t)h->slabs * sizeof(struct exo_share_slab);
	return l;
}

/* Of this process, or of that behind a pidfd: 0 on a kernel that does not number them (6.9 does). */
uint64_t exo_share_process(int pidfd);
int exo_share_pidfd(uint32_t pid);

#endif /* LIBEXO_SHARE_PRIVATE_H */
