// SPDX-License-Identifier: MIT
/*
 * The machine as its file system shows it; see machine.h.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine.h"

void *must_alloc(void *old, size_t size)
{
	void *new = realloc(old, size);

	if (!new)
		err(EXIT_FAILURE, "no memory");
	return new;
}

char *must_print(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		err(EXIT_FAILURE, "no memory");
	va_end(args);
	return text;
}

int machine_open(struct machine *m, const char *root)
{
	m->root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return m->root < 0 ? -errno : 0;
}

void machine_close(struct machine *m)
{
	close(m->root);
}

static int format_path(char *path, const char *format, va_list args)
{
	int len = vsnprintf(path, PATH_MAX, format, args);

	return len < 0 || len >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* Fills the array `full` from the variable arguments behind `path`. */
#define FORMAT_PATH(full, path)                            \
	({                                                 \
		va_list args_;                             \
		int ret_;                                  \
		va_start(args_, path);                     \
		ret_ = format_path((full), (path), args_); \
		va_end(args_);                             \
		ret_;                                      \
	})

int machine_fd(const struct machine *m, int flags, const char *path, ...)
{
	char full[PATH_MAX];
	int fd = FORMAT_PATH(full, path);

	if (fd)
		return fd;
	fd = openat(m->root, full, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int machine_read(const struct machine *m, char *buf, size_t size, const char *path, ...)
{
	char full[PATH_MAX];
	ssize_t got, len = 0;
	int fd;

	buf[0] = '\0';
	fd = FORMAT_PATH(full, path);
	if (fd)
		return fd;
	fd = openat(m->root, full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while ((got = read(fd, buf + len, size - 1 - len)) > 0)
		len += got;
	if (got < 0)
		len = -errno;
	close(fd);
	if (len < 0)
		return len;
	while (len > 0 && isspace((unsigned char)buf[len - 1]))
		len--;
	buf[len] = '\0';
	return len;
}

int machine_write(const struct machine *m, const char *text, const char *path, ...)
{
	char full[PATH_MAX];
	int fd, ret = FORMAT_PATH(full, path);

	if (ret)
		return ret;
	fd = openat(m->root, full, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

int machine_link(const struct machine *m, char *buf, size_t size, const char *path, ...)
{
	char full[PATH_MAX], target[PATH_MAX];
	const char *last;
	ssize_t len;
	int ret;

	buf[0] = '\0';
	ret = FORMAT_PATH(full, path);
	if (ret)
		return ret;
	len = readlinkat(m->root, full, target, sizeof(target) - 1);
	if (len < 0)
		return -errno;
	target[len] = '\0';
	last = strrchr(target, '/');
	last = last ? last + 1 : target;
	if (strlen(last) >= size)
		return -ENAMETOOLONG;
	strcpy(buf, last);
	return 0;
}

bool machine_has(const struct machine *m, const char *path, ...)
{
	char full[PATH_MAX];

	return !FORMAT_PATH(full, path) && !faccessat(m->root, full, F_OK, 0);
}

static int compare_names(const void *a, const void *b)
{
	return strverscmp(*(char *const *)a, *(char *const *)b);
}

struct names machine_list(const struct machine *m, const char *path, ...)
{
	struct names list = {};
	char full[PATH_MAX];
	struct dirent *entry;
	DIR *dir;
	int fd;

	if (FORMAT_PATH(full, path))
		return list;
	fd = openat(m->root, full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return list;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			names_add(&list, entry->d_name);
	closedir(dir);
	if (list.count)
		qsort(list.name, list.count, sizeof(*list.name), compare_names);
	return list;
}

bool names_have(const struct names *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (!strcmp(list->name[i], name))
			return true;
	return false;
}

void names_add(struct names *list, const char *name)
{
	list->name = must_alloc(list->name, (list->count + 1) * sizeof(*list->name));
	list->name[list->count++] = must_print("%s", name);
}

void names_free(struct names *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->name[i]);
	free(list->name);
	*list = (struct names){};
}

void findings_add(struct findings *list, const char *cure, const char *what, ...)
{
	struct finding *new;
	va_list args;

	list->at = must_alloc(list->at, (list->count + 1) * sizeof(*list->at));
	new = &list->at[list->count++];
	va_start(args, what);
	if (vasprintf(&new->what, what, args) < 0)
		err(EXIT_FAILURE, "no memory");
	va_end(args);
	new->cure = must_print("%s", cure);
}

void findings_free(struct findings *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->at[i].what);
		free(list->at[i].cure);
	}
	free(list->at);
	*list = (struct findings){};
}
