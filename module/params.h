/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Module parameters, the flags of every allocation that a program causes, and what a program
 * may call a CPU or a NUMA node.
 */
#ifndef EXO_PARAMS_H
#define EXO_PARAMS_H

#include <linux/cpumask.h>
#include <linux/gfp.h>
#include <linux/nodemask.h>
#include <linux/nospec.h>
#include <linux/sched.h>
#include <linux/types.h>

/*
 * For what a program makes the kernel allocate: charged to it; -ENOMEM at its limit
 * rather than an OOM kill; and no line in the log.
 */
#define EXO_GFP (GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN)

struct workqueue_struct;
extern struct workqueue_struct *exo_workqueue; /* for what must not wait where it is noticed */

/* One that the caller itself may run on: what it has happen elsewhere would disturb others. */
static inline bool exo_cpu_is_callers(u32 cpu)
{
	if (cpu >= nr_cpu_ids)
		return false;
	cpu = array_index_nospec(cpu, nr_cpu_ids);
	return cpu_online(cpu) && cpumask_test_cpu(cpu, current->cpus_ptr);
}

static inline bool exo_node_exists(s32 node)
{
	return node >= 0 && node < MAX_NUMNODES &&
	       node_online(array_index_nospec(node, MAX_NUMNODES));
}

u32 exo_io_timeout_ms(void);
u32 exo_admin_timeout_ms(void);
u64 exo_frames_limit(void);
u32 exo_dma_bits(void);

#endif
