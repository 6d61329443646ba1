/* SPDX-License-Identifier: MIT */
/*
 * What /dev/exo tells root about the module and a bound function.
 */
#ifndef EXO_DAEMON_CLAIM_H
#define EXO_DAEMON_CLAIM_H

#include <linux/exo.h>

#include "function.h"

/* Each returns 0 or a negative errno. */
int claim_open(const struct machine *m, struct exo_info *info); /* the session's fd */
int claim_controller(int session, const char *address, struct exo_controller_query *query);

/**
 * struct health - the beginning of a health log, as a person would have it
 * @celsius: temperature
 * @warnings: critical warnings, NVMe base 2.0 figure 207; 0: none
 */
struct health {
	int celsius;
	unsigned int warnings;
};

int claim_health(int session, const char *address, struct health *health);
/* Namespaces there are, or a negative errno. */
int claim_count_namespaces(int session, const char *address);

/* A space padded field of Identify as text; size counts the terminator. */
void claim_text(const __u8 *field, size_t length, char *text);

#endif
