// SPDX-License-Identifier: MIT
/*
 * CRC-32C, eight bytes at a time ("slicing by 8"): table[k] is what a byte does that k
 * others follow.
 */
#include <string.h>

#include "crc.h"

#define POLYNOMIAL 0x82f63b78u

static uint32_t table[8][256];

static void fill(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
		table[0][i] = crc;
	}
	for (int k = 1; k < 8; k++)
		for (uint32_t i = 0; i < 256; i++)
			table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 0xff];
}

static uint32_t eight(uint32_t crc, const unsigned char *at)
{
	uint64_t word;
	uint32_t next = 0;

	/* Little-endian, as libexo. */
	memcpy(&word, at, sizeof(word));
	word ^= crc;
	for (int k = 0; k < 8; k++)
		next ^= table[7 - k][word >> 8 * k & 0xff];
	return next;
}

uint32_t crc32c(const void *data, size_t bytes)
{
	const unsigned char *at = data;
	uint32_t crc = ~0u;

	if (!table[0][1])
		fill();
	for (; bytes >= 8; at += 8, bytes -= 8)
		crc = eight(crc, at);
	for (; bytes; at++, bytes--)
		crc = crc >> 8 ^ table[0][(crc ^ *at) & 0xff];
	return ~crc;
}
