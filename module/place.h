/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a program may call a CPU or a NUMA node.
 */
#ifndef EXO_PLACE_H
#define EXO_PLACE_H

#include <linux/cpumask.h>
#include <linux/nodemask.h>
#include <linux/nospec.h>
#include <linux/sched.h>

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

#endif
