/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A cache, shared read-only with other processes.
 *
 * The owner of a cache gives a token away. Who redeems it (a *reader*) sees which pages the cache
 * has, a registry of device and LBA to frame, and reads them from the frames they are in, without a
 * command to the device and without the owner doing anything. What a reader has is a capability to read, and nothing else: it
 * cannot write, pin, or hold up the owner; a page that it reads may go meanwhile, or change: then it
 * reads again, or is told. So there are copies, and no pointers: nothing that the owner must not change
 * is ever in a reader's hands.
 *
 *	exo_cache_share(c, 1, 60000, uid, text);	the owner; the text goes to the reader
 *
 *	exo_cache_join(x, text, &reader);
 *	r = exo_reader_read(reader, 7, buf);
 *	if (r == -ENOENT || r == -EAGAIN)		not cached, or being changed
 *		r = exo_read(q, buf, ...);		if the reader holds these blocks too
 *
 * What a reader finds out: the pages that are cached, and those that were since they were shared,
 * for memory is shared in slabs; how often each is changed; the process that owns them; the device
 * and the place of the extent on it. Not what is not cached: for that it needs an extent of its own. A
 * dirty page is newer in the cache than on the device.
 *
 * What it must trust: what it reads is what the owner says the blocks hold. Nothing that the owner does,
 * not even dying, does more to a reader than wrong data and errors.
 *
 * When the owner's process ends, the cache is destroyed, or its memory is taken back, reads end with
 * -ESTALE; there is no SIGBUS. Memory that readers have after the owner died stays allocated from its pool
 * until they leave: so leave when you are told -ESTALE. An owner that executes another program has not
 * ended, and what it left is read as if it were up to date: it calls exo_cache_unshare() before.
 *
 * An owner has exo_cache_comply() called when memory is asked back, which ends sharing if it has to.
 * If that is not done in time and the directory is taken by force, the owner's next call that changes
 * what readers see is SIGBUS, as a touch of a page is. Only exo_cache_unshare() and
 * exo_cache_destroy() touch neither.
 *
 * Needs the module.
 */
#ifndef LIBEXO_SHARE_H
#define LIBEXO_SHARE_H

#include <stdint.h>
#include <libexo/token.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo;
struct exo_cache;
struct exo_reader;

/**
 * exo_cache_share - let another process read a cache
 * @c: the cache
 * @uses: how often the token can be redeemed; 0: any number of times
 * @lifetime_ms: until when, ms from now; 0: until sharing ends
 * @uid: who alone may redeem it, or EXO_TOKEN_ANYBODY
 * @text: the token, for exo_cache_join(). Treat it as a password; who has joined can let others join
 *
 * Any number of times: each makes a token. What is cached is seen from the first on. Takes a
 * buffer of the handle: about 64 bytes for each page of the cache's limit.
 *
 * Returns 0, or -EINVAL @uid, -ESTALE the memory was given up or taken, -EOPNOTSUPP the handle is
 * emulated, -ENOMEM, or what exo_buf_alloc() returns. Threads: safe.
 */
int exo_cache_share(struct exo_cache *c, uint32_t uses, uint32_t lifetime_ms, uint32_t uid,
		    char text[EXO_TOKEN_TEXT]);

/**
 * exo_cache_unshare - let nobody read it any more
 * @c: the cache
 *
 * Tokens end, and what was redeemed is taken back at once: when this returns, no reader has any of the
 * memory. (It waits for commands in which a reader has named it, at most the I/O timeout.) So
 * does exo_cache_destroy(). Threads: safe.
 */
void exo_cache_unshare(struct exo_cache *c);

/**
 * exo_cache_join - become a reader
 * @x: a handle, of any extent; its session gets the capabilities. It must outlive the reader
 * @text: of exo_cache_share()
 * @out: the reader, for exo_reader_leave(); NULL on failure
 *
 * Returns 0, or -EINVAL @text is no token, -ENOENT it cannot be redeemed, -EPROTO what it is redeemed
 * for is no cache, or one of another version, -ESTALE its owner is gone, or in a PID namespace that
 * cannot be seen from here, -EOPNOTSUPP the handle is emulated, -ENOMEM, or what
 * exo_window_create() and pidfd_open() fail with.
 */
int exo_cache_join(struct exo *x, const char *text, struct exo_reader **out);

/* What was redeemed is dropped. NULL: nothing to do. */
void exo_reader_leave(struct exo_reader *r);

/**
 * exo_reader_read - copy a page that is cached
 * @r: the reader
 * @page: its number
 * @buf: where to; about().page bytes. Written to whatever comes of it
 *
 * The copy is of one moment: never half of a change between the owner's exo_cache_dirty() and
 * exo_cache_put(). The owner lived when it was made.
 *
 * Returns 0, or -ENOENT it is not cached, -ERANGE there is no such page, -EAGAIN it is being
 * changed, over and over again, -ESTALE the owner is gone, or its memory is, -EPROTO it
 * writes nonsense, -ENOMEM, -ENOSPC no room for the capability of a slab.
 * Threads: a reader belongs to one at a time; a process may have several readers.
 */
int exo_reader_read(struct exo_reader *r, uint64_t page, void *buf);

/**
 * struct exo_reader_about - what a reader reads, by its owner's word
 * @size: sizeof(struct exo_reader_about), set by the caller; it grows at the end
 * @page: bytes of a page
 * @pages: pages that the cache may have
 * @first: LBA, on the namespace, of the first block of page 0
 * @block: bytes of a block
 * @nsid: namespace
 * @pid: the owner's process
 * @address: PCI address of the device, "0000:01:00.0"
 * @serial: its serial number
 */
struct exo_reader_about {
	uint32_t size;
	uint32_t page;
	uint64_t pages;
	uint64_t first;
	uint32_t block;
	uint32_t nsid;
	uint32_t pid;
	char address[16];
	char serial[24];
};

/* What a reader reads. Threads: safe. */
void exo_reader_about(const struct exo_reader *r, struct exo_reader_about *about);

/**
 * exo_reader_find - the page that a block of an extent lies on
 * @r: the reader
 * @x: a handle of an extent; it may overlap with the owner's
 * @block: a block of it, counted from its start
 * @page: set to the page
 * @offset: set to the byte of the page at which the block begins
 *
 * Returns 0, or -ERANGE the block is on no page, -ENODEV the extent is on another device or
 * namespace, by the owner's word. Threads: safe.
 */
int exo_reader_find(const struct exo_reader *r, const struct exo *x, uint64_t block, uint64_t *page,
		    uint32_t *offset);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_SHARE_H */
