// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Events as sentences.
 */
#include "private.h"
#include "tap.h"

static const char *print(uint32_t type, uint64_t value)
{
	static char text[256];
	const struct exo_event event = { .type = type, .cap = 7, .value = value };

	return exo_event_print(&event, text, sizeof(text));
}

static void every_event(void)
{
	CHECK_STRING(print(EXO_EVENT_REVOKE, 0), "capability 7 is asked back");
	CHECK_STRING(print(EXO_EVENT_REVOKE, 12), "12 frames of pool 7 are asked back");
	CHECK_STRING(print(EXO_EVENT_REVOKE_END, 0), "capability 7 is asked back no more");
	CHECK_STRING(print(EXO_EVENT_TAKEN, 0), "capability 7 was taken");
	CHECK_STRING(print(EXO_EVENT_QUEUE_DEAD, 0), "queue 7 died");
	CHECK_STRING(print(EXO_EVENT_PRESSURE, 3),
		     "memory is short: 3 frames of pool 7 would help");
	CHECK_STRING(print(EXO_EVENT_NAMESPACE, EXO_NAMESPACE_DETACHED),
		     "the namespace of extent 7 was detached");
	CHECK_STRING(print(EXO_EVENT_NAMESPACE, EXO_NAMESPACE_CHANGED),
		     "the namespace of extent 7 was formatted, resized or replaced");
}

static void every_device_event(void)
{
	CHECK_STRING(print(EXO_EVENT_DEVICE, 0x010000),
		     "the device behind controller 7 met an error (event 0x10000)");
	CHECK_STRING(print(EXO_EVENT_DEVICE, 0x020001),
		     "the device behind controller 7 has become less reliable (event 0x20001)");
	CHECK_STRING(print(EXO_EVENT_DEVICE, 0x020101),
		     "the device behind controller 7 is too hot, or too cold (event 0x20101)");
	CHECK_STRING(print(EXO_EVENT_DEVICE, 0x020201),
		     "the device behind controller 7 runs out of spare blocks (event 0x20201)");
	CHECK_STRING(print(EXO_EVENT_DEVICE, 0x040002),
		     "the device behind controller 7 has other namespaces, or they have changed "
		     "(event 0x40002)");
	CHECK_STRING(print(EXO_EVENT_DEVICE, 0x030102),
		     "the device behind controller 7 activates another firmware (event 0x30102)");
}

static void unknown_events(void)
{
	CHECK_STRING(print(99, 0), "event 99 about capability 7, which this library does not know");
	for (uint64_t value = 0; value < 0x10000; value++)
		CHECK(strlen(print(EXO_EVENT_DEVICE, value)) > 40);
}

static void small_buffers(void)
{
	const struct exo_event event = { .type = EXO_EVENT_TAKEN, .cap = 7 };
	char text[32];

	for (size_t size = 1; size < sizeof(text); size++) {
		memset(text, 'x', sizeof(text));
		exo_event_print(&event, text, size);
		CHECK(strlen(text) < size);
		CHECK_EQUAL(text[size], 'x');
	}
}

static const struct tap_test tests[] = {
	TEST(every_event, "every event has a sentence"),
	TEST(every_device_event, "what devices tell has words"),
	TEST(unknown_events, "what is unknown is told as such"),
	TEST(small_buffers, "a sentence that does not fit is cut, and terminated"),
};

TAP_MAIN(tests)
