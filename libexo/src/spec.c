// SPDX-License-Identifier: LGPL-2.1-only
/*
 * The names that exo_open() understands, and the environment that exo-run
 * leaves. All of it is text from outside, so every function here takes any
 * string and says yes or no; none of them touches the kernel.
 */
#define _GNU_SOURCE 1
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

/* The value of a digit, or -1 if @c is not one in @base. */
static int digit(char c, int base)
{
	int value = -1;

	if (c >= '0' && c <= '9')
		value = c - '0';
	else if (c >= 'a' && c <= 'f')
		value = c - 'a' + 10;
	else if (c >= 'A' && c <= 'F')
		value = c - 'A' + 10;
	return value < base ? value : -1;
}

/*
 * Digits at *@at, at least one, no sign and no space, as a number up to @max.
 * Moves *@at behind them. (strtoull() would take "-1" and " 1".)
 */
static bool number(const char **at, int base, uint64_t max, uint64_t *out)
{
	const char *p = *at;
	uint64_t n = 0;
	int d;

	for (; (d = digit(*p, base)) >= 0; p++) {
		if ((uint64_t)d > max || n > (max - d) / base)
			return false;
		n = n * base + d;
	}
	if (p == *at)
		return false;
	*at = p;
	*out = n;
	return true;
}

/* The same in decimal; with K, M, G or T behind it, it counts bytes. */
static bool count(const char **at, uint64_t *out, bool *bytes)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	int shift;

	if (!number(at, 10, UINT64_MAX, out))
		return false;
	suffix = **at ? strchr(suffixes, toupper((unsigned char)**at)) : NULL;
	*bytes = suffix;
	if (!suffix)
		return true;
	shift = 10 * (suffix - suffixes + 1);
	if (*out > UINT64_MAX >> shift)
		return false;
	*out <<= shift;
	(*at)++;
	return true;
}

static bool skip(const char **at, const char *prefix)
{
	size_t len = strlen(prefix);

	if (strncmp(*at, prefix, len))
		return false;
	*at += len;
	return true;
}

/* [DDDD:]BB:DD.F, hexadecimal, as lspci writes it. */
static bool pci_address(const char **at, uint32_t *address)
{
	uint64_t part[3] = { 0 }, function;
	int n = 0;

	do {
		if (n == 3 || !number(at, 16, 0xffff, &part[n++]))
			return false;
	} while (skip(at, ":"));
	if (n < 2 || !skip(at, ".") || !number(at, 16, 7, &function))
		return false;
	if (n == 2) {
		part[2] = part[1];
		part[1] = part[0];
		part[0] = 0;
	}
	if (part[1] > 0xff || part[2] > 0x1f)
		return false;
	*address = EXO_PCI_ADDRESS(part[0], part[1], part[2] << 3 | function);
	return true;
}

/* START+LENGTH */
static const char *parse_range(const char **at, struct exo_spec *spec)
{
	if (!count(at, &spec->start, &spec->start_bytes))
		return "the first block is not a number";
	if (!skip(at, "+"))
		return "between first block and length there must be a +";
	if (!count(at, &spec->len, &spec->len_bytes))
		return "the length is not a number";
	if (!spec->len)
		return "the length is 0";
	if (spec->start_bytes == spec->len_bytes && spec->start + spec->len < spec->start)
		return "first block plus length is more than 64 bits hold";
	spec->ranged = true;
	return NULL;
}

/* BDF/NSID[:START+LENGTH][:ro] */
static const char *parse_nvme(const char *at, struct exo_spec *spec)
{
	const char *problem;
	uint64_t nsid;

	spec->kind = EXO_SPEC_NVME;
	if (!pci_address(&at, &spec->address))
		return "nvme: must be followed by a PCI address such as 0000:01:00.0";
	if (!skip(&at, "/") || !number(&at, 10, UINT_MAX - 1, &nsid) || !nsid)
		return "the PCI address must be followed by / and a namespace, such as /1";
	spec->nsid = nsid;
	if (*at == ':' && digit(at[1], 10) >= 0) {
		at++;
		problem = parse_range(&at, spec);
		if (problem)
			return problem;
	}
	spec->read_only = skip(&at, ":ro");
	return *at ? "what follows the namespace must be :START+LENGTH, :ro, or both" : NULL;
}

/* What exo-run lets an extent be called. */
static bool good_name(const char *name)
{
	size_t len = strlen(name);

	if (len >= EXO_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isgraph((unsigned char)name[i]) || name[i] == ',' || name[i] == '=')
			return false;
	return true;
}

static const char *parse_session(const char *at, struct exo_spec *spec)
{
	spec->kind = EXO_SPEC_SESSION;
	if (!good_name(at))
		return "an extent's name is at most 63 printable characters without , = or spaces";
	strcpy(spec->name, at);
	return NULL;
}

/* TEXT,TEXT,TEXT */
static const char *parse_tokens(const char *at, struct exo_spec *spec)
{
	char text[EXO_TOKEN_TEXT];
	const char *problem;

	spec->kind = EXO_SPEC_TOKENS;
	for (;;) {
		size_t len = strcspn(at, ",");

		if (spec->token_count == EXO_TOKENS_MAX)
			return "there are more than 3 tokens: an extent, a controller and a pool";
		if (len >= sizeof(text))
			return "a token is too long: it has 32 characters";
		memcpy(text, at, len);
		text[len] = 0;
		if (exo_token_parse(text, spec->tokens[spec->token_count], &problem))
			return problem;
		spec->token_count++;
		if (!at[len])
			return NULL;
		at += len + 1;
	}
}

/* Whatever a file may be called. */
static const char *parse_uring(const char *at, struct exo_spec *spec)
{
	spec->kind = EXO_SPEC_URING;
	spec->path = at;
	return *at ? NULL : "uring: must be followed by the path of a file or block device";
}

/*
 * Take apart a name given to exo_open(). On failure *@problem says what is
 * wrong with it.
 */
int exo_spec_parse(const char *text, struct exo_spec *spec, const char **problem)
{
	memset(spec, 0, sizeof(*spec));
	if (skip(&text, "exo:"))
		*problem = parse_session(text, spec);
	else if (skip(&text, "nvme:"))
		*problem = parse_nvme(text, spec);
	else if (skip(&text, "token:"))
		*problem = parse_tokens(text, spec);
	else if (skip(&text, "uring:"))
		*problem = parse_uring(text, spec);
	else
		*problem = "it must begin with exo:, nvme:, token: or uring:";
	return *problem ? -EINVAL : 0;
}

/*
 * Find @name in the list "name=number,name=number" of EXO_NAMES. -ENOENT if it
 * is not there, -EINVAL if the list makes no sense where it matters.
 */
int exo_names_find(const char *names, const char *name, uint32_t *cap)
{
	size_t len = strlen(name);

	while (names && *names) {
		const char *end = strchrnul(names, ',');
		const char *equals = memchr(names, '=', end - names);
		uint64_t n;

		if (equals && (size_t)(equals - names) == len && !memcmp(names, name, len)) {
			equals++;
			if (!number(&equals, 10, UINT_MAX, &n) || equals != end || !n)
				return -EINVAL;
			*cap = n;
			return 0;
		}
		names = *end ? end + 1 : end;
	}
	return -ENOENT;
}

/* The file descriptor in EXO_FD. */
int exo_fd_parse(const char *text, int *fd)
{
	uint64_t n;

	if (!text || !number(&text, 10, INT_MAX, &n) || *text)
		return -EINVAL;
	*fd = n;
	return 0;
}
