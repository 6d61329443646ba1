/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C (Castagnoli; RFC 3720, appendix B.4), reflected, as iSCSI, NVMe over TCP and ext4 have it.
 */
#ifndef EXO_CP_CRC_H
#define EXO_CP_CRC_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *data, size_t bytes);

#endif
