/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Native unit tests that speak TAP: a table of sentences and functions. A test
 * fails if one of its CHECKs does; the others run all the same.
 */
#ifndef LIBEXO_TESTS_TAP_H
#define LIBEXO_TESTS_TAP_H

#include <stdio.h>
#include <string.h>

struct tap_test {
	const char *name;
	void (*run)(void);
};

static int tap_failed;

#define CHECK(condition)                                                                  \
	do {                                                                              \
		if (!(condition)) {                                                       \
			printf("# %s:%d: %s is false\n", __FILE__, __LINE__, #condition); \
			tap_failed = 1;                                                   \
		}                                                                         \
	} while (0)

#define CHECK_EQUAL(a, b)                                                                    \
	do {                                                                                 \
		long long tap_a = (long long)(a), tap_b = (long long)(b);                    \
		if (tap_a != tap_b) {                                                        \
			printf("# %s:%d: %s is %lld and not %lld\n", __FILE__, __LINE__, #a, \
			       tap_a, tap_b);                                                \
			tap_failed = 1;                                                      \
		}                                                                            \
	} while (0)

#define CHECK_STRING(a, b)                                                                   \
	do {                                                                                 \
		const char *tap_a = (a), *tap_b = (b);                                       \
		if (strcmp(tap_a, tap_b)) {                                                  \
			printf("# %s:%d: \"%s\" is not \"%s\"\n", __FILE__, __LINE__, tap_a, \
			       tap_b);                                                       \
			tap_failed = 1;                                                      \
		}                                                                            \
	} while (0)

#define TEST(function, sentence)   \
	{                          \
		sentence, function \
	}

static inline int tap_run(const struct tap_test *tests, int n)
{
	int any = 0;

	printf("TAP version 13\n1..%d\n", n);
	for (int i = 0; i < n; i++) {
		tap_failed = 0;
		tests[i].run();
		printf("%s %d - %s\n", tap_failed ? "not ok" : "ok", i + 1, tests[i].name);
		fflush(stdout);
		any |= tap_failed;
	}
	return any;
}

#define TAP_MAIN(tests)                                                         \
	int main(void)                                                          \
	{                                                                       \
		return tap_run(tests, (int)(sizeof(tests) / sizeof(tests[0]))); \
	}

#endif
