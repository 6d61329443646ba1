// SPDX-License-Identifier: MIT
/*
 * What the user asked exo-run for; see request.h.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request.h"

/* Where the number ended is in *end; false: there was none or it is too large. */
static bool parse_amount(const char *text, const char **end, struct amount *amount)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *stop;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	amount->value = strtoull(text, &stop, 10);
	if (errno)
		return false;
	unit = *stop ? strchr(units, toupper((unsigned char)*stop)) : NULL;
	amount->bytes = unit;
	if (unit) {
		unsigned int shift = 10 * (unit - units + 1);

		if (amount->value > UINT64_MAX >> shift)
			return false;
		amount->value <<= shift;
		stop++;
	}
	*end = stop;
	return true;
}

const char *request_bytes(const char *text, uint64_t *bytes)
{
	struct amount amount;
	const char *end;

	if (!parse_amount(text, &end, &amount) || *end)
		return "not a number of bytes (like 64M)";
	if (!amount.value)
		return "must be more than 0";
	*bytes = amount.value;
	return NULL;
}

static const char *parse_name(const char **text, struct request *request)
{
	const char *equals = strchr(*text, '=');
	size_t length = equals ? equals - *text : 0;

	if (!equals)
		return NULL;
	if (!length || length >= sizeof(request->name))
		return "NAME must have 1 to 31 characters";
	memcpy(request->name, *text, length);
	if (strspn(request->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				  "0123456789_.-") != length)
		return "NAME may have letters, digits, '_', '.' and '-'";
	*text = equals + 1;
	return NULL;
}

static const char *parse_namespace(const char **text, struct request *request)
{
	const char *slash = strchr(*text, '/');
	char address[32];
	unsigned long nsid;
	char *end;

	if (!slash || (size_t)(slash - *text) >= sizeof(address))
		return "wanted BDF/NSID:START+LENGTH, like 0000:01:00.0/1:0+1G";
	snprintf(address, sizeof(address), "%.*s", (int)(slash - *text), *text);
	if (address_parse(address, request->address))
		return "BDF must be a PCI address, like 0000:01:00.0";
	errno = 0;
	nsid = strtoul(slash + 1, &end, 10);
	if (!isdigit((unsigned char)slash[1]) || errno || !nsid || nsid >= UINT32_MAX)
		return "NSID must be a namespace's number, from 1";
	request->nsid = nsid;
	*text = end;
	return NULL;
}

static const char *parse_range(const char **text, struct request *request)
{
	const char *at = *text;

	request->whole = *at != ':' || !strcmp(at, ":ro");
	if (request->whole)
		return NULL;
	if (!parse_amount(at + 1, &at, &request->start) || *at != '+' ||
	    !parse_amount(at + 1, &at, &request->length))
		return "wanted START+LENGTH, in blocks or with K, M, G or T in bytes";
	if (!request->length.value)
		return "LENGTH must be more than 0";
	*text = at;
	return NULL;
}

const char *request_parse(const char *text, struct request *request)
{
	const char *why;

	*request = (struct request){};
	why = parse_name(&text, request);
	if (!why)
		why = parse_namespace(&text, request);
	if (!why)
		why = parse_range(&text, request);
	if (why)
		return why;
	request->readonly = !strcmp(text, ":ro");
	return *text && !request->readonly ? "nothing but :ro may follow START+LENGTH" : NULL;
}

static const char *to_blocks(struct amount amount, unsigned int block_shift, uint64_t *blocks)
{
	*blocks = amount.value;
	if (!amount.bytes)
		return NULL;
	if (amount.value & ((1ull << block_shift) - 1))
		return "START and LENGTH must be multiples of the block size";
	*blocks = amount.value >> block_shift;
	return NULL;
}

const char *request_resolve(const struct request *request, unsigned int block_shift,
			    uint64_t blocks, struct range *range)
{
	const char *why;

	if (request->whole) {
		*range = (struct range){ .length = blocks };
		return NULL;
	}
	why = to_blocks(request->start, block_shift, &range->start);
	if (!why)
		why = to_blocks(request->length, block_shift, &range->length);
	if (why)
		return why;
	if (range->start >= blocks || range->length > blocks - range->start)
		return "it ends behind the end of the namespace";
	return NULL;
}

const char *request_check_zones(const struct range *range, uint64_t zone_blocks)
{
	if (zone_blocks && (range->start % zone_blocks || range->length % zone_blocks))
		return "START and LENGTH must be multiples of the zone size";
	return NULL;
}

const char *request_placement(const char *text, uint64_t *identifiers)
{
	*identifiers = 0;
	for (;;) {
		struct amount amount;

		if (!parse_amount(text, &text, &amount) || amount.bytes || amount.value > 63)
			return "wanted placement identifiers from 0 to 63, like 1,2";
		*identifiers |= 1ull << amount.value;
		if (!*text)
			return NULL;
		if (*text++ != ',')
			return "commas stand between placement identifiers";
	}
}
