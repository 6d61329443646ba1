// SPDX-License-Identifier: MIT
/*
 * Strings for programs.
 */
#include <stdlib.h>

#include "json.h"
#include "tap.h"

/* What json_string() makes of it; to be freed. */
static char *quoted(const char *text)
{
	char *bytes = NULL;
	size_t size;
	FILE *f = open_memstream(&bytes, &size);

	if (!f)
		abort();
	json_string(f, text);
	fclose(f);
	return bytes;
}

static void becomes(const char *text, const char *want)
{
	char *got = quoted(text);

	CHECK_STRING(got, want);
	free(got);
}

static void plain(void)
{
	becomes("", "\"\"");
	becomes("QEMU NVMe Ctrl /~", "\"QEMU NVMe Ctrl /~\"");
}

static void escapes(void)
{
	becomes("a\"b\\c", "\"a\\\"b\\\\c\"");
	becomes("\n\x1f\x7f\xff", "\"\\u000a\\u001f\\u007f\\u00ff\"");
}

static void every_byte(void)
{
	for (int c = 1; c < 256; c++) {
		char text[] = { (char)c, 0 };
		char *got = quoted(text);

		for (const char *at = got; *at; at++)
			CHECK(*at >= 0x20 && *at < 0x7f);
		CHECK(strlen(got) == 3 || got[1] == '\\');
		free(got);
	}
}

static const struct tap_test tests[] = {
	TEST(plain, "what is printable stays as it is"),
	TEST(escapes, "quotes, backslashes and what is not printable are escaped"),
	TEST(every_byte, "no byte breaks the string, or the line"),
};

TAP_MAIN(tests)
