// SPDX-License-Identifier: LGPL-2.1-only
/*
 * The bytes of a store: what is written is read back, and what was touched since, or never fitted,
 * is refused.
 */
#include <endian.h>
#include <errno.h>
#include <stdint.h>

#include <libexo.h>

#include "crc32c.h"
#include "store-disk.h"
#include "tap.h"

/* RFC 3720, appendix B.4 */
static void checksums(void)
{
	uint8_t data[32];

	CHECK_EQUAL(exo_crc32c("", 0), 0);
	CHECK_EQUAL(exo_crc32c("123456789", 9), 0xe3069283);
	memset(data, 0, sizeof(data));
	CHECK_EQUAL(exo_crc32c(data, sizeof(data)), 0x8a9136aa);
	memset(data, 0xff, sizeof(data));
	CHECK_EQUAL(exo_crc32c(data, sizeof(data)), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		data[i] = i;
	CHECK_EQUAL(exo_crc32c(data, sizeof(data)), 0x46dd794e);
}

static void shapes(void)
{
	struct exo_store_shape shape;

	CHECK(exo_store_shape(&shape, 4096, 1));
	CHECK_EQUAL(shape.map_blocks, 1);
	CHECK_EQUAL(shape.places, 4 * 4096);
	CHECK_EQUAL(shape.bytes, 6 * 4096);
	CHECK(exo_store_shape(&shape, 4096, EXO_STORE_MAP_PAGES));
	CHECK_EQUAL(shape.map_blocks, 1);
	CHECK(exo_store_shape(&shape, 4096, EXO_STORE_MAP_PAGES + 1));
	CHECK_EQUAL(shape.map_blocks, 2);
	CHECK_EQUAL(exo_store_map_at(&shape, 1, 1), 5 * 4096);
	CHECK_EQUAL(shape.places, 6 * 4096);
	CHECK(exo_store_shape(&shape, 2u << 20, 3));
	CHECK_EQUAL(shape.places, 2u << 20);
	CHECK_EQUAL(shape.bytes, 7ull * (2u << 20));
}

static void no_shapes(void)
{
	static const uint32_t pages[] = { 0, 1, 512, 2048, 4095, 4097, 12288, 4u << 20, ~0u };
	struct exo_store_shape shape;

	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		CHECK(!exo_store_shape(&shape, pages[i], 8));
	CHECK(!exo_store_shape(&shape, 4096, 0));
	for (unsigned int bit = 0; bit < 64; bit++)
		for (uint32_t page = 4096; page <= EXO_PAGE_MAX; page *= 2)
			if (exo_store_shape(&shape, page, 1ull << bit))
				CHECK(shape.bytes > shape.places &&
				      shape.bytes / page / 2 >= 1ull << bit);
			else
				CHECK(bit >= 39);
	CHECK(!exo_store_shape(&shape, 4096, ~0ull));
	CHECK(!exo_store_shape(&shape, 4096, ~0ull / 4096));
}

static const struct exo_store_root some_root = {
	.page = 65536,
	.pages = 1234567,
	.generation = 77,
	.id = 0x1122334455667788,
	.map_crc = 0xdeadbeef,
};

static void root_round_trip(void)
{
	struct exo_store_root_block block;
	struct exo_store_root root;

	exo_store_root_write(&block, &some_root);
	CHECK(!memcmp(&block, "exostore\1\0\0\0\0\0\1\0", 16));
	CHECK_EQUAL(exo_store_root_read(&block, 1, &root), 0);
	CHECK(root.page == some_root.page && root.pages == some_root.pages);
	CHECK(root.generation == some_root.generation && root.id == some_root.id);
	CHECK_EQUAL(root.map_crc, some_root.map_crc);
	CHECK_EQUAL(exo_store_root_read(&block, 0, &root), -EILSEQ);
}

/* As whoever knows how would write it. */
static int read_sealed(struct exo_store_root_block *block, unsigned int side)
{
	struct exo_store_root root;

	block->crc = htole32(exo_crc32c(block, 4092));
	return exo_store_root_read(block, side, &root);
}

static void odd_roots(void)
{
	struct exo_store_root_block block;

	exo_store_root_write(&block, &some_root);
	CHECK_EQUAL(read_sealed(&block, 1), 0);
	block.version = htole32(2);
	CHECK_EQUAL(read_sealed(&block, 1), -EPROTO);
	block.version = htole32(~0u);
	CHECK_EQUAL(read_sealed(&block, 0), -EPROTO);
	block.version = 0;
	CHECK_EQUAL(read_sealed(&block, 1), -EILSEQ);
	block.version = htole32(1);
	block.generation = htole64(EXO_STORE_GENERATION_MAX + 1);
	CHECK_EQUAL(read_sealed(&block, 1), -EILSEQ);
	block.generation = htole64(EXO_STORE_GENERATION_MAX);
	CHECK_EQUAL(read_sealed(&block, 0), 0);
	block.magic[7] = 'E';
	CHECK_EQUAL(read_sealed(&block, 0), -EILSEQ);
	memset(&block, 0, sizeof(block));
	CHECK_EQUAL(read_sealed(&block, 0), -EILSEQ);
}

static void touched_roots(void)
{
	struct exo_store_root_block block;
	struct exo_store_root root;

	exo_store_root_write(&block, &some_root);
	for (unsigned int i = 0; i < 4096; i++) {
		((uint8_t *)&block)[i] ^= 1u << i % 8;
		CHECK_EQUAL(exo_store_root_read(&block, 1, &root), -EILSEQ);
		((uint8_t *)&block)[i] ^= 1u << i % 8;
	}
	CHECK_EQUAL(exo_store_root_read(&block, 1, &root), 0);
}

static void touched_maps(void)
{
	struct exo_store_map_block block = { .states = { 0x24, 0x99 } };

	exo_store_map_seal(&block, 5, 6, 7);
	for (unsigned int i = 0; i < 4096; i++) {
		((uint8_t *)&block)[i] ^= 1u << i % 8;
		CHECK(!exo_store_map_valid(&block, 5, 6, 7));
		((uint8_t *)&block)[i] ^= 1u << i % 8;
	}
	CHECK(exo_store_map_valid(&block, 5, 6, 7));
	CHECK(exo_store_map_valid(&block, 5, 6, 8));
	CHECK(!exo_store_map_valid(&block, 4, 6, 7));
	CHECK(!exo_store_map_valid(&block, 5, 5, 7));
	CHECK(!exo_store_map_valid(&block, 5, 6, 6));
}

static void odd_states(void)
{
	struct exo_store_map_block block;

	for (unsigned int i = 0; i < EXO_STORE_MAP_PAGES; i += 97) {
		memset(&block, 0, sizeof(block));
		block.states[i / 4] = 3u << 2 * (i % 4);
		exo_store_map_seal(&block, 5, 6, 7);
		CHECK(!exo_store_map_valid(&block, 5, 6, 7));
	}
	memset(&block, 0xaa, sizeof(block));
	exo_store_map_seal(&block, 5, 6, 7);
	CHECK(exo_store_map_valid(&block, 5, 6, 7));
}

static const struct tap_test tests[] = {
	TEST(checksums, "the checksum is CRC32C"),
	TEST(shapes, "roots, maps and places lie where the documentation says"),
	TEST(no_shapes, "sizes that cannot be, or would overflow, are no store"),
	TEST(root_round_trip, "a root is read as it was written, on its side"),
	TEST(odd_roots, "a root of another version, or that cannot be, is told apart"),
	TEST(touched_roots, "every byte of a root counts"),
	TEST(touched_maps, "every byte of a map block counts, and whose it is"),
	TEST(odd_states, "a page has no fourth state"),
};

TAP_MAIN(tests)
