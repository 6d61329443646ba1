// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine as fio sees it: its options, and the table of its functions.
 */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>

static struct fio_option options[] = {
	{
		.name = "exo",
		.lname = "Name of the extent",
		.type = FIO_OPT_STR_STORE,
		.off1 = offsetof(struct options, name),
		.help = "exo:[NAME] of exo-run; token:, nvme: and uring: as for exo_open(3)",
		.def = "exo:",
		.category = FIO_OPT_C_ENGINE,
		.group = FIO_OPT_G_INVALID,
	},
	{
		.name = "exo_mode",
		.lname = "Mode of the queue",
		.type = FIO_OPT_STR,
		.off1 = offsetof(struct options, mode),
		.help = "Who looks at the commands",
		.def = "checked",
		.posval = {
			{ .ival = "checked", .oval = MODE_CHECKED, .help = "The kernel, in a call" },
			{ .ival = "thread", .oval = MODE_THREAD, .help = "A thread of the kernel's" },
			{ .ival = "direct", .oval = MODE_DIRECT, .help = "Nobody: the IOMMU bounds them" },
		},
		.category = FIO_OPT_C_ENGINE,
		.group = FIO_OPT_G_INVALID,
	},
	{
		.name = "exo_spin_us",
		.lname = "Microseconds to look before sleeping",
		.type = FIO_OPT_INT,
		.off1 = offsetof(struct options, spin_us),
		.help = "How long a wait looks for a completion before it sleeps",
		.def = "30",
		.maxval = 4000000,
		.category = FIO_OPT_C_ENGINE,
		.group = FIO_OPT_G_INVALID,
	},
	{
		.name = NULL,
	},
};

/* The number of an I/O and what is known of it, which fio keeps in the same place. */
static int io_u_init(struct thread_data *td, struct io_u *io_u)
{
	struct job *job = td->io_ops_data;

	io_u->engine_data = &job->slots[io_u->index];
	return 0;
}

static struct io_u *event(struct thread_data *td, int number)
{
	struct job *job = td->io_ops_data;

	return job->events[number];
}

/* For fio to print and free. */
static char *errdetails(struct io_u *io_u)
{
	struct slot *slot = io_u->engine_data;
	char *text = slot->why;

	slot->why = NULL;
	if (!text && asprintf(&text, "exo: the device says: %s (status %#x)",
			      exo_nvme_status_text(slot->status), slot->status) < 0)
		text = NULL;
	return text;
}

static char *errdetails_of(struct thread_data *td __attribute__((unused)), struct io_u *io_u)
{
	return errdetails(io_u);
}

/* fio goes on if it got no buffers. */
static int post_init(struct thread_data *td)
{
	return td->error;
}

/* A file of fio's is a name, and no file. */
static int no_file(struct thread_data *td __attribute__((unused)),
		   struct fio_file *f __attribute__((unused)))
{
	return 0;
}

__attribute__((visibility("default"))) struct ioengine_ops ioengine = {
	.name = "exo",
	.version = FIO_IOOPS_VERSION,
	.flags = FIO_DISKLESSIO | FIO_NODISKUTIL | FIO_NOEXTEND | FIO_RAWIO | FIO_NO_OFFLOAD |
		 FIO_ASYNCIO_SETS_ISSUE_TIME,
	.setup = exo_fio_setup,
	.init = exo_fio_job_open,
	.post_init = post_init,
	.cleanup = exo_fio_job_close,
	.io_u_init = io_u_init,
	.iomem_alloc = exo_fio_buffer_alloc,
	.iomem_free = exo_fio_buffer_free,
	.queue = exo_fio_queue,
	.commit = exo_fio_commit,
	.getevents = exo_fio_getevents,
	.event = event,
	.errdetails = EXO_FIO_ERRDETAILS(errdetails_of, errdetails),
	.open_file = no_file,
	.close_file = no_file,
	.invalidate = no_file,
	.unlink_file = no_file,
	.options = options,
	.option_struct_size = sizeof(struct options),
};
