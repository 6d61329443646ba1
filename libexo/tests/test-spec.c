// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Names given to exo_open(), and the environment: text from outside.
 */
#include <errno.h>

#include "private.h"
#include "tap.h"

static int parse(const char *text, struct exo_spec *spec)
{
	const char *problem = NULL;
	int r = exo_spec_parse(text, spec, &problem);

	if (r)
		CHECK(problem && strlen(problem) > 10);
	return r;
}

static void session_names(void)
{
	struct exo_spec spec;

	CHECK_EQUAL(parse("exo:", &spec), 0);
	CHECK_EQUAL(spec.kind, EXO_SPEC_SESSION);
	CHECK_STRING(spec.name, "");
	CHECK_EQUAL(parse("exo:data", &spec), 0);
	CHECK_STRING(spec.name, "data");
}

static void whole_namespaces(void)
{
	struct exo_spec spec;

	CHECK_EQUAL(parse("nvme:0000:01:00.0/1", &spec), 0);
	CHECK_EQUAL(spec.kind, EXO_SPEC_NVME);
	CHECK_EQUAL(spec.address, EXO_PCI_ADDRESS(0, 1, 0));
	CHECK_EQUAL(spec.nsid, 1);
	CHECK(!spec.ranged && !spec.read_only);
	CHECK_EQUAL(parse("nvme:ab:1f.7/4294967294", &spec), 0);
	CHECK_EQUAL(spec.address, EXO_PCI_ADDRESS(0, 0xab, 0x1f << 3 | 7));
	CHECK_EQUAL(spec.nsid, 4294967294u);
	CHECK_EQUAL(parse("nvme:FFFF:ff:00.1/1", &spec), 0);
	CHECK_EQUAL(spec.address, EXO_PCI_ADDRESS(0xffff, 0xff, 1));
}

static void ranges(void)
{
	struct exo_spec spec;

	CHECK_EQUAL(parse("nvme:01:00.0/2:2048+4096", &spec), 0);
	CHECK(spec.ranged && !spec.read_only && !spec.start_bytes && !spec.len_bytes);
	CHECK_EQUAL(spec.start, 2048);
	CHECK_EQUAL(spec.len, 4096);
	CHECK_EQUAL(parse("nvme:01:00.0/2:1M+2K:ro", &spec), 0);
	CHECK(spec.read_only && spec.start_bytes && spec.len_bytes);
	CHECK_EQUAL(spec.start, 1 << 20);
	CHECK_EQUAL(spec.len, 2 << 10);
	CHECK_EQUAL(parse("nvme:01:00.0/2:1g+1t", &spec), 0);
	CHECK_EQUAL(spec.start, 1ll << 30);
	CHECK_EQUAL(spec.len, 1ll << 40);
	CHECK_EQUAL(parse("nvme:01:00.0/2:18446744073709551614+1", &spec), 0);
	CHECK_EQUAL(spec.start, -2);
	CHECK_EQUAL(parse("nvme:01:00.0/2:8+1M", &spec), 0);
	CHECK(!spec.start_bytes && spec.len_bytes);
	CHECK_EQUAL(parse("nvme:01:00.0/2:ro", &spec), 0);
	CHECK(!spec.ranged && spec.read_only);
}

static void hostile(void)
{
	static const char *const names[] = {
		"",
		"e",
		"exo",
		"EXO:",
		" exo:",
		"exo: ",
		"exo:a,b",
		"exo:a=b",
		"exo:\n",
		"exo:\x7f",
		"exo:0123456789012345678901234567890123456789012345678901234567890123",
		"nvme:",
		"nvme:/",
		"nvme:1",
		"nvme:01:00.0",
		"nvme:01:00.0/",
		"nvme:01:00.0/0",
		"nvme:01:00.0/-1",
		"nvme:01:00.0/+1",
		"nvme:01:00.0/ 1",
		"nvme:01:00.0/4294967295",
		"nvme:01:00.0/4294967296",
		"nvme:01:00.0/18446744073709551617",
		"nvme:01:00.0/0x1",
		"nvme:01:00.8/1",
		"nvme:01:20.0/1",
		"nvme:100:00.0/1",
		"nvme:10000:01:00.0/1",
		"nvme:0:0000:01:00.0/1",
		"nvme:01.0/1",
		"nvme::00.0/1",
		"nvme:01:.0/1",
		"nvme:01:00./1",
		"nvme:01:00.0/1:",
		"nvme:01:00.0/1:r",
		"nvme:01:00.0/1ro",
		"nvme:01:00.0/1:1",
		"nvme:01:00.0/1:1+",
		"nvme:01:00.0/1:+1",
		"nvme:01:00.0/1:1-1",
		"nvme:01:00.0/1:1+0",
		"nvme:01:00.0/1:-1+1",
		"nvme:01:00.0/1:1+1:",
		"nvme:01:00.0/1:1+1:rw",
		"nvme:01:00.0/1:1+1:ro ",
		"nvme:01:00.0/1:1+1:ro:ro",
		"nvme:01:00.0/1:1KK+1",
		"nvme:01:00.0/1:1+1P",
		"nvme:01:00.0/1:18446744073709551615+1",
		"nvme:01:00.0/1:18446744073709551616+1",
		"nvme:01:00.0/1:16777216T+1",
		"nvme:01:00.0/1:1+99999999999999999999999999999999",
	};
	struct exo_spec spec;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int r = parse(names[i], &spec);

		if (r != -EINVAL)
			printf("# %s gave %d\n", names[i], r);
		CHECK_EQUAL(r, -EINVAL);
	}
}

/* Every prefix of a good name, and every byte in every place of it. */
static void mutations(void)
{
	static const char good[] = "nvme:0000:01:00.0/12:345+678:ro";
	char text[sizeof(good)];
	struct exo_spec spec;

	for (size_t at = 0; at < sizeof(good) - 1; at++) {
		memcpy(text, good, sizeof(good));
		text[at] = 0;
		parse(text, &spec);
		for (int byte = 1; byte < 256; byte++) {
			memcpy(text, good, sizeof(good));
			text[at] = byte;
			if (!parse(text, &spec) && spec.kind == EXO_SPEC_NVME && spec.ranged)
				CHECK(spec.len);
		}
	}
}

static void paths(void)
{
	struct exo_spec spec;

	CHECK_EQUAL(parse("uring:/dev/nvme0n1", &spec), 0);
	CHECK_EQUAL(spec.kind, EXO_SPEC_URING);
	CHECK_STRING(spec.path, "/dev/nvme0n1");
	CHECK_EQUAL(parse("uring:a b:ro,exo:", &spec), 0);
	CHECK_STRING(spec.path, "a b:ro,exo:");
	CHECK_EQUAL(parse("uring:", &spec), -EINVAL);
}

#define TOKEN "exo10000000000000000000000000101"

static void tokens(void)
{
	struct exo_spec spec;

	CHECK_EQUAL(parse("token:" TOKEN, &spec), 0);
	CHECK_EQUAL(spec.kind, EXO_SPEC_TOKENS);
	CHECK_EQUAL(spec.token_count, 1);
	CHECK_EQUAL(spec.tokens[0][15], 1);
	CHECK_EQUAL(parse("token:" TOKEN ",exo1x," TOKEN, &spec), -EINVAL);
	CHECK_EQUAL(spec.token_count, 1);
	CHECK_EQUAL(parse("token:" TOKEN "," TOKEN "," TOKEN, &spec), 0);
	CHECK_EQUAL(spec.token_count, 3);
	CHECK_EQUAL(parse("token:" TOKEN "," TOKEN "," TOKEN "," TOKEN, &spec), -EINVAL);
	CHECK_EQUAL(parse("token:", &spec), -EINVAL);
	CHECK_EQUAL(parse("token:" TOKEN ",", &spec), -EINVAL);
	CHECK_EQUAL(parse("token:," TOKEN, &spec), -EINVAL);
	CHECK_EQUAL(parse("token: " TOKEN, &spec), -EINVAL);
	CHECK_EQUAL(parse("token:" TOKEN ":ro", &spec), -EINVAL);
}

static void names(void)
{
	uint32_t cap = 0;

	CHECK_EQUAL(exo_names_find("data=3,log=12", "data", &cap), 0);
	CHECK_EQUAL(cap, 3);
	CHECK_EQUAL(exo_names_find("data=3,log=12", "log", &cap), 0);
	CHECK_EQUAL(cap, 12);
	CHECK_EQUAL(exo_names_find("data=3,log=12", "lo", &cap), -ENOENT);
	CHECK_EQUAL(exo_names_find("data=3,log=12", "log2", &cap), -ENOENT);
	CHECK_EQUAL(exo_names_find("", "data", &cap), -ENOENT);
	CHECK_EQUAL(exo_names_find(NULL, "data", &cap), -ENOENT);
}

static void hostile_names(void)
{
	uint32_t cap;

	CHECK_EQUAL(exo_names_find("data", "data", &cap), -ENOENT);
	CHECK_EQUAL(exo_names_find("data=", "data", &cap), -EINVAL);
	CHECK_EQUAL(exo_names_find("data=0", "data", &cap), -EINVAL);
	CHECK_EQUAL(exo_names_find("data=-1", "data", &cap), -EINVAL);
	CHECK_EQUAL(exo_names_find("data=1x,log=2", "data", &cap), -EINVAL);
	CHECK_EQUAL(exo_names_find("data=4294967296", "data", &cap), -EINVAL);
	CHECK_EQUAL(exo_names_find("data=1=2", "data", &cap), -EINVAL);
	CHECK_EQUAL(exo_names_find(",,,=1,data=5,", "data", &cap), 0);
	CHECK_EQUAL(cap, 5);
	CHECK_EQUAL(exo_names_find("====", "", &cap), -EINVAL);
}

static void descriptors(void)
{
	int fd = -1;

	CHECK_EQUAL(exo_fd_parse("17", &fd), 0);
	CHECK_EQUAL(fd, 17);
	CHECK_EQUAL(exo_fd_parse(NULL, &fd), -EINVAL);
	CHECK_EQUAL(exo_fd_parse("", &fd), -EINVAL);
	CHECK_EQUAL(exo_fd_parse("-1", &fd), -EINVAL);
	CHECK_EQUAL(exo_fd_parse("3 ", &fd), -EINVAL);
	CHECK_EQUAL(exo_fd_parse("2147483648", &fd), -EINVAL);
	CHECK_EQUAL(fd, 17);
}

static const struct tap_test tests[] = {
	TEST(session_names, "exo: and exo:NAME name an extent of the session"),
	TEST(whole_namespaces, "nvme:BDF/NSID names a whole namespace"),
	TEST(ranges, "START+LENGTH with suffixes, and :ro, are understood"),
	TEST(hostile, "names that make no sense are refused with a sentence"),
	TEST(mutations, "no byte in any place of a name does harm"),
	TEST(paths, "uring: is followed by a path, whatever it is"),
	TEST(tokens, "token: is followed by up to three tokens"),
	TEST(names, "EXO_NAMES leads from a name to its number"),
	TEST(hostile_names, "an EXO_NAMES that makes no sense gives no number"),
	TEST(descriptors, "EXO_FD is a file descriptor or is refused"),
};

TAP_MAIN(tests)
