/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * libexo: page frames and NVMe queues in a program's own hands.
 *
 * Read in this order; each header mirrors the source file of its name:
 *
 *	<libexo/session.h>  exo_open(): a session and an extent to work on, or, without the
 *	                    module, a file: "uring:FILE"
 *	<libexo/queue.h>    prepare, submit, reap; raw commands and completions
 *	<libexo/times.h>    when each command was submitted and seen to be complete
 *	<libexo/wait.h>     wait for completions: one queue, or any of several
 *	<libexo/buf.h>      memory that the device reaches
 *	<libexo/frame.h>    frames, a page at a time
 *	<libexo/mem.h>      memory of the program's own, so that the device reaches it
 *	<libexo/window.h>   addresses whose page table entries the program sets
 *	<libexo/policy.h>   which page goes next, when room is needed
 *	<libexo/io.h>       synchronous reads and writes
 *	<libexo/store.h>    numbered pages on an extent, which become valid all at once
 *	<libexo/pager.h>    addresses for more than fits into memory
 *	<libexo/checkpoint.h> what a window shows at one instant, in a store
 *	<libexo/cache.h>    a buffer cache of the extent
 *	<libexo/share.h>    a cache, shared read-only with other processes
 *	<libexo/identify.h> what the device says of itself
 *	<libexo/zone.h>     zoned namespaces
 *	<libexo/events.h>   what the kernel tells
 *	<libexo/revoke.h>   give up what is asked back
 *	<libexo/token.h>    pass on what a handle has, as text
 *	<libexo/error.h>    exo_strerror(): what stood in the way
 *	<libexo/nvme.h>     the NVMe structures
 *	<libexo/sys.h>      one thin wrapper for each command of exo.ko
 *
 * What holds everywhere: a call returns 0 or a count, or a negative errno; a
 * handle is opaque unless the hot path needs its fields; structures of options
 * begin with their size. The library has no constructors, threads, signal
 * handlers or global state.
 */
#ifndef LIBEXO_H
#define LIBEXO_H

#include <libexo/session.h>
#include <libexo/queue.h>
#include <libexo/times.h>
#include <libexo/wait.h>
#include <libexo/buf.h>
#include <libexo/frame.h>
#include <libexo/mem.h>
#include <libexo/window.h>
#include <libexo/policy.h>
#include <libexo/io.h>
#include <libexo/store.h>
#include <libexo/pager.h>
#include <libexo/checkpoint.h>
#include <libexo/cache.h>
#include <libexo/share.h>
#include <libexo/identify.h>
#include <libexo/zone.h>
#include <libexo/events.h>
#include <libexo/revoke.h>
#include <libexo/token.h>
#include <libexo/error.h>
#include <libexo/nvme.h>
#include <libexo/sys.h>

#endif /* LIBEXO_H */
