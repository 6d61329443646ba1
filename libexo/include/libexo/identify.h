/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the device says of itself: Identify data and log pages, in the bytes of the NVMe
 * base specification (little endian).
 *
 * What <linux/exo.h> says of EXO_IDENTIFY and EXO_LOG holds: Identify data cost the device
 * nothing; a log page is at most a second old; what tells of neighbours reads as zero.
 *
 * Threads: any, like exo_read() on queues of their own.
 */
#ifndef LIBEXO_IDENTIFY_H
#define LIBEXO_IDENTIFY_H

#include <stdint.h>
#include <linux/exo.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo;

/**
 * exo_identify_controller - Identify data of the controller below the extent
 * @x: the handle
 * @cns: EXO_CNS_CONTROLLER, or EXO_CNS_CONTROLLER_NVM
 * @data: EXO_IDENTIFY_BYTES bytes, written
 *
 * Returns 0, or -EOPNOTSUPP the controller has no such data, or @cns is another,
 * -ESTALE the controller was unbound or taken back, -EFAULT @data, -ENOMEM.
 */
int exo_identify_controller(struct exo *x, uint32_t cns, void *data);

/**
 * exo_identify_namespace - Identify data of the extent's namespace
 * @x: the handle
 * @cns: EXO_CNS_NAMESPACE, or EXO_CNS_NAMESPACE_NVM
 * @data: EXO_IDENTIFY_BYTES bytes, written
 *
 * Returns 0, or -EOPNOTSUPP the namespace has no such data, or @cns is another,
 * -ESTALE the extent was taken back, or its namespace detached or formatted, -EFAULT
 * @data, -ENOMEM.
 */
int exo_identify_namespace(struct exo *x, uint32_t cns, void *data);

/**
 * exo_log_page - the beginning of a log page of the controller
 * @x: the handle
 * @lid: EXO_LOG_HEALTH, EXO_LOG_FIRMWARE or EXO_LOG_EFFECTS
 * @data: @len bytes, written
 * @len: bytes
 * @time: set to when the device was asked (CLOCK_MONOTONIC, ns); may be NULL
 *
 * Returns 0, or -EINVAL @len is 0 or more than the page has, -EOPNOTSUPP the controller
 * has no such page, or programs may not read it, -ENODEV it has failed, -ETIMEDOUT it fails
 * now, -ESTALE it was unbound or taken back, -EFAULT @data, -ENOMEM.
 */
int exo_log_page(struct exo *x, uint32_t lid, void *data, uint32_t len, uint64_t *time);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_IDENTIFY_H */
