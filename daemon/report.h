/* SPDX-License-Identifier: MIT */
/*
 * exoctl status and doctor: what is, and what is missing.
 */
#ifndef EXO_DAEMON_REPORT_H
#define EXO_DAEMON_REPORT_H

#include <stdio.h>

#include "machine.h"

/* One line of the doctor's. */
enum check_result { CHECK_OK, CHECK_WARN, CHECK_FAIL };

struct check {
	enum check_result result;
	char *what;
	char *cure; /* empty: none needed */
};

struct checks {
	struct check *at;
	size_t count;
};

/* release: as uname -r has it. */
void doctor_examine(const struct machine *m, const char *release, struct checks *checks);
void checks_free(struct checks *checks);

/* Exit codes. device: NULL for all. */
int status_command(const struct machine *m, const char *device, bool json);
int doctor_command(const struct machine *m, bool json);

/* A JSON string with its quotes. */
void json_string(FILE *out, const char *text);

#endif
