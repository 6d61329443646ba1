// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Events as sentences.
 */
#include <stdio.h>

#include "private.h"

/* Dword 0 of the completion: NVMe base specification 2.0 figures 147 to 150. */
static const char *device_event(uint64_t value)
{
	unsigned int type = value & 7, info = value >> 8 & 0xff;

	if (type == 0)
		return "met an error";
	if (type == 1 && info == 1)
		return "is too hot, or too cold";
	if (type == 1 && info == 2)
		return "runs out of spare blocks";
	if (type == 1)
		return "has become less reliable";
	if (type == 2 && info == 0)
		return "has other namespaces, or they have changed";
	if (type == 2 && info == 1)
		return "activates another firmware";
	return "tells something that this library does not know";
}

static void print_device(const struct exo_event *e, char *buf, size_t size)
{
	snprintf(buf, size, "the device behind controller %u %s (event %#llx)", e->cap,
		 device_event(e->value), (unsigned long long)e->value);
}

static void print_revoke(const struct exo_event *e, char *buf, size_t size)
{
	if (e->value)
		snprintf(buf, size, "%llu frames of pool %u are asked back",
			 (unsigned long long)e->value, e->cap);
	else
		snprintf(buf, size, "capability %u is asked back", e->cap);
}

const char *exo_event_print(const struct exo_event *e, char *buf, size_t size)
{
	switch (e->type) {
	case EXO_EVENT_REVOKE:
		print_revoke(e, buf, size);
		break;
	case EXO_EVENT_REVOKE_END:
		snprintf(buf, size, "capability %u is asked back no more", e->cap);
		break;
	case EXO_EVENT_TAKEN:
		snprintf(buf, size, "capability %u was taken", e->cap);
		break;
	case EXO_EVENT_QUEUE_DEAD:
		snprintf(buf, size, "queue %u died", e->cap);
		break;
	case EXO_EVENT_PRESSURE:
		snprintf(buf, size, "memory is short: %llu frames of pool %u would help",
			 (unsigned long long)e->value, e->cap);
		break;
	case EXO_EVENT_NAMESPACE:
		snprintf(buf, size, "the namespace of extent %u was %s", e->cap,
			 e->value == EXO_NAMESPACE_DETACHED ? "detached"
							    : "formatted, resized or replaced");
		break;
	case EXO_EVENT_DEVICE:
		print_device(e, buf, size);
		break;
	default:
		snprintf(buf, size,
			 "event %u about capability %u, which this library does not know", e->type,
			 e->cap);
	}
	return buf;
}
