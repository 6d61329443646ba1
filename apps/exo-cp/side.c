// SPDX-License-Identifier: MIT
/*
 * SOURCE and DESTINATION: an extent or a file, by its name.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "extent.h"
#include "file.h"
#include "report.h"
#include "side.h"

#define EMULATED "uring:"

/* What is behind "uring:"; of other extents nothing is known. */
static struct identity extent_identity(const char *name)
{
	if (strncmp(name, EMULATED, strlen(EMULATED)))
		return (struct identity){ 0 };
	return file_identity(name + strlen(EMULATED));
}

bool side_same_file(const struct side *a, const struct side *b)
{
	return a->identity.known && b->identity.known && a->identity.device == b->identity.device &&
	       a->identity.inode == b->identity.inode;
}

int side_open_source(struct side *s, const struct options *o)
{
	s->name = o->source;
	s->fd = -1;
	if (!options_is_extent(s->name))
		return file_open_source(s);
	s->identity = extent_identity(s->name);
	return extent_open(s, EXO_READ);
}

/* To keep the rest of a block it must be read; so must what is verified. */
static unsigned int rights_to_destination(const struct options *o, bool both)
{
	return both || o->verify || !o->pad ? EXO_READ | EXO_WRITE : EXO_WRITE;
}

int side_open_destination(struct side *s, const struct options *o, struct side *from)
{
	bool both;

	s->name = o->destination;
	s->fd = -1;
	if (!options_is_extent(s->name))
		return file_open_destination(s, o);
	s->identity = extent_identity(s->name);
	both = from->kind == SIDE_EXTENT && side_same_file(from, s);
	if (extent_open(s, rights_to_destination(o, both)))
		return -1;
	if (both)
		extent_borrow_handle(from, s);
	return 0;
}

int side_replace(struct side *s, const struct options *o)
{
	if (s->absent)
		return file_make(s, o);
	if (!s->truncate || !ftruncate(s->fd, 0))
		return 0;
	return fail("cannot empty %s: %s", s->name, strerrordesc_np(errno));
}

int side_sync(struct side *s)
{
	return s->kind == SIDE_EXTENT ? extent_flush(s) : file_sync(s);
}

/* The standard streams stay; who writes to them may not have ended. */
void side_close(struct side *s)
{
	extent_close(s);
	if (s->fd > STDERR_FILENO)
		close(s->fd);
}
