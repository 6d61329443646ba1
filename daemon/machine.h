/* SPDX-License-Identifier: MIT */
/*
 * The machine as its file system shows it: attributes below /sys, /proc and
 * /dev, all reached through one root directory so that a test can hand in a
 * tree of its own. Paths are printf formats without a leading slash.
 */
#ifndef EXO_DAEMON_MACHINE_H
#define EXO_DAEMON_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

#define printf_like(text, first) __attribute__((format(printf, text, first)))

struct machine {
	int root;
};

/* Names in a directory, sorted, without those that begin with a dot. */
struct names {
	char **name;
	size_t count;
};

int machine_open(struct machine *m, const char *root);
void machine_close(struct machine *m);

/* Each returns a negative errno on failure. machine_read() gives the length of
 * what it read (at most size - 1 bytes), blanks at the end removed;
 * machine_link() the last component of a symbolic link's target. */
int machine_fd(const struct machine *m, int flags, const char *path, ...) printf_like(3, 4);
int machine_read(const struct machine *m, char *buf, size_t size, const char *path, ...)
	printf_like(4, 5);
int machine_write(const struct machine *m, const char *text, const char *path, ...)
	printf_like(3, 4);
int machine_link(const struct machine *m, char *buf, size_t size, const char *path, ...)
	printf_like(4, 5);
bool machine_has(const struct machine *m, const char *path, ...) printf_like(2, 3);

/* A directory that is not there has no names. */
struct names machine_list(const struct machine *m, const char *path, ...) printf_like(2, 3);
bool names_have(const struct names *list, const char *name);
void names_add(struct names *list, const char *name);
void names_free(struct names *list);

/* What was found, and what the user can do about it. */
struct finding {
	char *what;
	char *cure;
};

struct findings {
	struct finding *at;
	size_t count;
};

void findings_add(struct findings *list, const char *cure, const char *what, ...) printf_like(3, 4);
void findings_free(struct findings *list);

/* Memory that cannot be had ends the program. */
void *must_alloc(void *old, size_t size);
char *must_print(const char *format, ...) printf_like(1, 2);

#endif
