// SPDX-License-Identifier: MIT
/*
 * Which engine a name means.
 */
#include <stdio.h>
#include <string.h>

#include "pages.h"

static const char *behind(const char *name, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(name, prefix, n) ? NULL : name + n;
}

int pages_open(const struct pages_options *o, struct pages **out, char *why, size_t size)
{
	const char *rest;

	*out = NULL;
	if ((rest = behind(o->name, "mmap:")))
		return pages_open_mmap(o, rest, out, why, size);
	if ((rest = behind(o->name, "direct:")))
		return pages_open_direct(o, rest, out, why, size);
	if (behind(o->name, "exo:") || behind(o->name, "nvme:") || behind(o->name, "token:"))
		return pages_open_exo(o, out, why, size);
	snprintf(why, size,
		 "STORE is exo:NAME, nvme:BDF/NSID, token:TEXT,TEXT,TEXT, mmap:FILE or "
		 "direct:FILE, not %s",
		 o->name);
	return -EINVAL;
}
