/* SPDX-License-Identifier: MIT */
/*
 * Output for programs.
 */
#ifndef EXO_COMMON_JSON_H
#define EXO_COMMON_JSON_H

#include <stdio.h>

/*
 * A JSON string (RFC 8259, section 7) in ASCII. What a device calls itself, or somebody a file, need
 * not be UTF-8: each byte is a character, U+0001 to U+00FF.
 */
void json_string(FILE *out, const char *text);

#endif
