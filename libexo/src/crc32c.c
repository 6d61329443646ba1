// SPDX-License-Identifier: LGPL-2.1-only
/*
 * CRC32C, as iSCSI has it (RFC 3720, section 12.1): the polynomial 1EDC6F41h, reflected. A byte at
 * a time: what is checked here has 4 KiB and is on its way to or from a disk.
 */
#include "crc32c.h"

/* The remainder of a byte is the sum of those of its bits. */
#define BYTE(n)                                                                                    \
	(((n)&0x01 ? 0xf26b8303 : 0) ^ ((n)&0x02 ? 0xe13b70f7 : 0) ^ ((n)&0x04 ? 0xc79a971f : 0) ^ \
	 ((n)&0x08 ? 0x8ad958cf : 0) ^ ((n)&0x10 ? 0x105ec76f : 0) ^ ((n)&0x20 ? 0x20bd8ede : 0) ^ \
	 ((n)&0x40 ? 0x417b1dbc : 0) ^ ((n)&0x80 ? 0x82f63b78 : 0))
#define BYTES_4(n) BYTE(n), BYTE((n) + 1), BYTE((n) + 2), BYTE((n) + 3)
#define BYTES_16(n) BYTES_4(n), BYTES_4((n) + 4), BYTES_4((n) + 8), BYTES_4((n) + 12)
#define BYTES_64(n) BYTES_16(n), BYTES_16((n) + 16), BYTES_16((n) + 32), BYTES_16((n) + 48)

static const uint32_t remainders[256] = { BYTES_64(0), BYTES_64(64), BYTES_64(128), BYTES_64(192) };

uint32_t exo_crc32c(const void *data, size_t bytes)
{
	const uint8_t *at = data;
	uint32_t crc = ~0u;

	for (const uint8_t *end = at + bytes; at < end; at++)
		crc = crc >> 8 ^ remainders[(crc ^ *at) & 0xff];
	return ~crc;
}
