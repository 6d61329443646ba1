// SPDX-License-Identifier: MIT
/*
 * The event ring of a session; see ears.h.
 */
#include <errno.h>
#include <sys/mman.h>

#include <libexo/sys.h>

#include "ears.h"

#define ENTRIES 256
#define STATUS_PAGE 4096 /* before the events */

int ears_open(int session, struct ears *ears)
{
	struct exo_events_create arg = { .entries = ENTRIES };
	int ret = exo_sys_events_create(session, &arg);
	void *rw, *ro;

	*ears = (struct ears){};
	if (ret)
		return ret;
	rw = mmap(NULL, arg.out_rw_size, PROT_READ | PROT_WRITE, MAP_SHARED, session,
		  arg.out_mmap_offset);
	if (rw == MAP_FAILED)
		return -errno;
	ro = mmap(NULL, arg.out_ro_size, PROT_READ, MAP_SHARED, session,
		  arg.out_mmap_offset + arg.out_rw_size);
	if (ro == MAP_FAILED) {
		ret = -errno;
		munmap(rw, arg.out_rw_size);
		return ret;
	}
	*ears = (struct ears){
		.control = rw,
		.status = ro,
		.ring = (const void *)((const char *)ro + STATUS_PAGE),
		.rw_size = arg.out_rw_size,
		.ro_size = arg.out_ro_size,
		.mask = ENTRIES - 1,
	};
	return 0;
}

bool ears_next(struct ears *ears, struct exo_event *event)
{
	__u32 head;

	if (!ears->control)
		return false;
	head = ears->control->head;
	if (head == __atomic_load_n(&ears->status->tail, __ATOMIC_ACQUIRE))
		return false;
	*event = ears->ring[head & ears->mask];
	__atomic_store_n(&ears->control->head, head + 1, __ATOMIC_RELEASE);
	return true;
}

void ears_close(struct ears *ears)
{
	if (!ears->control)
		return;
	munmap(ears->control, ears->rw_size);
	munmap((void *)ears->status, ears->ro_size);
	*ears = (struct ears){};
}
