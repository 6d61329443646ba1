// SPDX-License-Identifier: MIT
/*
 * Entries as lines of text.
 */
#include <errno.h>
#include <string.h>

#include "text.h"

static int digit(int c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* The byte at @at, of @n characters: how many it takes, or -EILSEQ. */
static int byte_at(const char *at, size_t n, char *byte)
{
	int high, low;

	*byte = *at;
	if (*at != '\\')
		return 1;
	if (n >= 2 && at[1] == '\\')
		return 2;
	if (n < 4 || at[1] != 'x')
		return -EILSEQ;
	high = digit(at[2]);
	low = digit(at[3]);
	*byte = high << 4 | low;
	return high < 0 || low < 0 ? -EILSEQ : 4;
}

static int unescape(const char *text, size_t n, char *bytes, size_t max, size_t *count)
{
	char byte;
	int took;

	for (*count = 0; n; text += took, n -= took) {
		took = byte_at(text, n, &byte);
		if (took < 0)
			return took;
		if (*count == max)
			return -EMSGSIZE;
		bytes[(*count)++] = byte;
	}
	return 0;
}

int text_key(const char *text, size_t n, struct record *r)
{
	int error = unescape(text, n, r->key, sizeof(r->key), &r->key_bytes);

	r->value_bytes = 0;
	return error ? error : r->key_bytes ? 0 : -EMSGSIZE;
}

static int parse(const char *line, size_t n, struct record *r)
{
	size_t key = 0;
	int error;

	while (key < n && line[key] != ' ' && line[key] != '\t')
		key++;
	error = text_key(line, key, r);
	if (error || key == n)
		return error;
	return unescape(line + key + 1, n - key - 1, r->value, sizeof(r->value), &r->value_bytes);
}

int text_read(FILE *f, struct record *r)
{
	char line[TEXT_LINE_MAX];
	size_t n = 0;
	int c;

	while ((c = getc_unlocked(f)) != EOF && c != '\n') {
		if (n == sizeof(line))
			return -EMSGSIZE;
		line[n++] = c;
	}
	if (c == EOF && ferror(f))
		return -errno;
	if (c == EOF && !n)
		return 0;
	return parse(line, n, r) ?: 1;
}

static void escape(FILE *f, const unsigned char *bytes, size_t n, int least)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '\\')
			fputs("\\\\", f);
		else if (bytes[i] < least || bytes[i] == 0x7f)
			fprintf(f, "\\x%02x", bytes[i]);
		else
			putc_unlocked(bytes[i], f);
	}
}

void text_print(FILE *f, const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
	escape(f, key, key_bytes, '!');
	putc_unlocked(' ', f);
	escape(f, value, value_bytes, ' ');
	putc_unlocked('\n', f);
}
