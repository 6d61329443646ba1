/* SPDX-License-Identifier: MIT */
/*
 * Entries as lines of text: the key, a space or a tab, the value to the end of the line.
 *
 * Of bytes that would be misread, a key's and a value's: \\ is a backslash, \x0a (two hexadecimal
 * digits) any byte. So what is printed is read again as it was.
 */
#ifndef EXO_INDEX_TEXT_H
#define EXO_INDEX_TEXT_H

#include <stdio.h>

#include "bucket.h"

#define TEXT_LINE_MAX (4 * (KEY_MAX_BYTES + VALUE_MAX_BYTES) + 2)

/**
 * struct record - a line that was read
 * @key: @key_bytes of it
 * @value: @value_bytes of it; a line without one has the empty value
 */
struct record {
	char key[KEY_MAX_BYTES];
	char value[VALUE_MAX_BYTES];
	size_t key_bytes;
	size_t value_bytes;
};

/**
 * text_read - the next line
 * @f: from where
 * @r: filled in
 *
 * Returns 1, 0 the end, or -EMSGSIZE it is too long for an entry, or has no key, -EILSEQ a
 * backslash before something else, or the errno of a read.
 */
int text_read(FILE *f, struct record *r);

/* A key alone, as on a command line: 0 or as above. */
int text_key(const char *text, size_t n, struct record *r);

void text_print(FILE *f, const void *key, size_t key_bytes, const void *value, size_t value_bytes);

#endif
