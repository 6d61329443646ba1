/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Module parameters, and the flags of every allocation that a program causes.
 */
#ifndef EXO_PARAMS_H
#define EXO_PARAMS_H

#include <linux/gfp.h>
#include <linux/types.h>

/*
 * For what a program makes the kernel allocate: charged to it; -ENOMEM at its limit
 * rather than an OOM kill; and no line in the log.
 */
#define EXO_GFP (GFP_KERNEL_ACCOUNT | __GFP_HARDWALL | __GFP_NORETRY | __GFP_NOWARN)

struct workqueue_struct;
extern struct workqueue_struct *exo_workqueue; /* for what must not wait where it is noticed */

u32 exo_io_timeout_ms(void);
u32 exo_admin_timeout_ms(void);
u32 exo_event_pause_ms(void);
u64 exo_frames_limit(void);
u32 exo_dma_bits(void);

#endif
