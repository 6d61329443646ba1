/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Events: what a session is told without having asked.
 */
#ifndef EXO_EVENTS_H
#define EXO_EVENTS_H

#include <linux/poll.h>
#include <linux/types.h>

struct exo_call;
struct exo_cap;
struct exo_event;
struct exo_nvme;
struct exo_object;
struct exo_session;
struct file;
struct vm_area_struct;

void exo_events_init(struct exo_session *session);
void exo_events_free(struct exo_session *session);

/* To the holder of @cap, also one that is closing. Takes no lock that is held over anything. */
void exo_event_post(struct exo_cap *cap, u32 type, u64 value, u64 deadline);

/* To all who hold a capability of the queue, each once. */
void exo_event_queue_died(struct exo_object *obj);

/* To all who hold an extent of the namespace, each once. */
void exo_event_namespace(struct exo_object *obj, u64 how);

/* To all who hold a controller of the function with these rights (0: any). */
void exo_event_device(struct exo_nvme *nvme, u32 rights, u64 event);

/* How many a session has not consumed. */
u32 exo_events_pending(struct exo_session *session);

int exo_events_create(struct exo_call *call);
__poll_t exo_events_poll(struct file *file, struct poll_table_struct *table);
int exo_events_map_check(struct exo_object *obj, struct vm_area_struct *vma);
bool exo_events_map_pfn(struct exo_object *obj, pgoff_t page, struct exo_pfn *at);

#endif
