// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Structures of options grow: an older program passes a shorter one, a newer
 * program a longer one. Both are fine as long as nothing is asked for that this
 * library has never heard of.
 */
#include <errno.h>
#include <string.h>

#include "private.h"

/*
 * Copy an options structure that begins with its size into one of @known bytes.
 * What the program does not know of becomes 0; what we do not know of must be 0.
 */
int exo_options_copy(void *to, uint32_t known, const void *from)
{
	const unsigned char *bytes = from;
	uint32_t size;

	memcpy(&size, from, sizeof(size));
	if (size < sizeof(size) || size > 4096)
		return -EINVAL;
	for (uint32_t i = known; i < size; i++)
		if (bytes[i])
			return -E2BIG;
	memset(to, 0, known);
	memcpy(to, from, size < known ? size : known);
	return 0;
}
