/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Direct queues: the program writes the device's submission queue and rings its
 * doorbells. Nobody checks its commands; what they reach is bounded by the IOMMU and
 * by the function being its holder's alone. Of unsafe queues it is bounded by nothing.
 */
#ifndef EXO_DIRECT_H
#define EXO_DIRECT_H

#include <linux/types.h>

struct exo_call;
struct exo_controller;
struct exo_nvme;
struct exo_pfn;
struct exo_queue;
struct exo_queue_create;

#define EXO_DOORBELL_PAGES 2u /* the submission queue's, then the completion queue's */

/* Is all there that keeps such a queue in its bounds? 0 or the refusal, each with its reason. */
int exo_direct_check(struct exo_call *call, const struct exo_controller *controller);

/* There is an unsafe queue: the kernel is tainted, and its log has who began. */
void exo_direct_confess(struct exo_nvme *nvme);

/* Doorbell page 0 or 1 of the queue: registers, or once it is dead a page of all ones. */
void exo_direct_doorbell(const struct exo_queue *q, u32 which, struct exo_pfn *at);

/* For the answer to EXO_QUEUE_CREATE. */
void exo_direct_describe(const struct exo_queue *q, struct exo_queue_create *cmd);

/* The queue is dead, and so are its doorbells in every mapping when this returns. */
void exo_direct_withdraw(struct exo_queue *q);

#endif
