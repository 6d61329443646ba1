/* SPDX-License-Identifier: LGPL-2.1-only */
/* CRC32C of some bytes. */
#ifndef LIBEXO_CRC32C_H
#define LIBEXO_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t exo_crc32c(const void *data, size_t bytes);

#endif /* LIBEXO_CRC32C_H */
