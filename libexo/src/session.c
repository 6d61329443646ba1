// SPDX-License-Identifier: LGPL-2.1-only
/*
 * A handle: finding or making the session, and in it the three capabilities
 * that storage needs: an extent, the controller below it, a pool of frames.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend.h"

#define RIGHTS (EXO_READ | EXO_WRITE | EXO_TRIM)

/* Identify data are padded with spaces and not terminated. */
static void copy_padded(char *to, const void *from, size_t len)
{
	while (len && (((const char *)from)[len - 1] == ' ' || !((const char *)from)[len - 1]))
		len--;
	memcpy(to, from, len);
	to[len] = 0;
}

static void write_address(struct exo *x, uint32_t address)
{
	snprintf(x->address, sizeof(x->address), "%04x:%02x:%02x.%x", address >> 16 & 0xffff,
		 address >> 8 & 0xff, address >> 3 & 0x1f, address & 7);
}

/* Is it a session at all? Everything else would only say so less clearly. */
static int greet(struct exo *x, const char *where)
{
	struct exo_detail detail = { 0 };
	struct exo_info info = { .detail = exo_sys_address(&detail) };
	int r = exo_sys_info(x->fd, &info);

	if (r == -ENOTTY || r == -EBADF)
		return exo_fail(x, -EBADF, NULL, "%s is not a session, that is an open %s", where,
				EXO_DEVICE);
	if (r)
		return exo_fail(x, r, &detail, "cannot ask %s what it is", where);
	if (info.out_version_major != EXO_VERSION_MAJOR)
		return exo_fail(
			x, -EOPNOTSUPP, NULL,
			"the loaded module speaks version %u of the interface and libexo %d: "
			"build both from one tree",
			info.out_version_major, EXO_VERSION_MAJOR);
	x->io_timeout_ms = info.out_io_timeout_ms;
	return 0;
}

/* The session that exo-run left us; a descriptor of our own to it. */
static int join_session(struct exo *x)
{
	const char *text = getenv("EXO_FD");
	int fd;

	if (!text)
		return exo_fail(
			x, -ENOENT, NULL,
			"there is no session in the environment (EXO_FD): start the program "
			"with exo-run, or name a device with nvme:BDF/NSID as root");
	if (exo_fd_parse(text, &fd))
		return exo_fail(x, -EINVAL, NULL,
				"EXO_FD=%.64s in the environment is not a file descriptor", text);
	x->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (x->fd < 0)
		return exo_fail(x, -errno, NULL, "file descriptor %d of EXO_FD is not open", fd);
	return greet(x, "the file descriptor in EXO_FD");
}

/* A session of our own. */
static int open_session(struct exo *x)
{
	x->fd = open(EXO_DEVICE, O_RDWR | O_CLOEXEC);
	if (x->fd < 0 && (errno == ENOENT || errno == ENXIO || errno == ENODEV))
		return exo_fail(x, -ENODEV, NULL,
				"there is no %s: the module is not loaded (modprobe exo)",
				EXO_DEVICE);
	if (x->fd < 0)
		return exo_fail(x, -errno, NULL, "cannot open %s: %s", EXO_DEVICE,
				strerrordesc_np(errno));
	x->own_session = true;
	return greet(x, EXO_DEVICE);
}

static int claim(struct exo *x, uint32_t type, uint32_t address, uint32_t *cap)
{
	struct exo_detail detail = { 0 };
	struct exo_claim arg = {
		.detail = exo_sys_address(&detail),
		.type = type,
		.address = address,
	};
	int r = exo_sys_claim(x->fd, &arg);

	if (r && type == EXO_TYPE_POOL)
		return exo_fail(x, r, &detail, "cannot claim the machine's frames");
	if (r)
		return exo_fail(x, r, &detail, "cannot claim the controller %s", x->address);
	*cap = arg.out_cap;
	return 0;
}

/* A number of bytes as a number of blocks. */
static int to_blocks(struct exo *x, uint64_t *n, bool bytes, unsigned int shift)
{
	if (!bytes)
		return 0;
	if (*n & ((1ull << shift) - 1))
		return exo_fail(x, -EINVAL, NULL,
				"%llu bytes are no whole number of blocks, which have %u bytes",
				(unsigned long long)*n, 1u << shift);
	*n >>= shift;
	return 0;
}

/* The range of a name in blocks of the namespace; without one, all of them. */
static int resolve_range(struct exo *x, struct exo_spec *spec)
{
	struct exo_detail detail = { 0 };
	struct exo_namespace_query arg = {
		.detail = exo_sys_address(&detail),
		.controller = x->controller,
		.nsid = spec->nsid,
	};
	int r = exo_sys_namespace_query(x->fd, &arg);

	if (r)
		return exo_fail(x, r, &detail, "cannot open namespace %u of %s", spec->nsid,
				x->address);
	if (!spec->ranged) {
		spec->len = arg.out_blocks;
		return 0;
	}
	r = to_blocks(x, &spec->start, spec->start_bytes, arg.out_block_shift);
	return r ? r : to_blocks(x, &spec->len, spec->len_bytes, arg.out_block_shift);
}

static int make_extent(struct exo *x, struct exo_spec *spec, unsigned int rights)
{
	struct exo_detail detail = { 0 };
	struct exo_extent_create arg = { .detail = exo_sys_address(&detail) };
	int r;

	if (spec->read_only && rights & ~(unsigned int)EXO_READ)
		return exo_fail(x, -EACCES, NULL,
				"writing was asked for, and the name ends in :ro");
	r = resolve_range(x, spec);
	if (r)
		return r;
	arg.controller = x->controller;
	arg.nsid = spec->nsid;
	arg.rights = rights;
	arg.start = spec->start;
	arg.len = spec->len;
	r = exo_sys_extent_create(x->fd, &arg);
	if (r)
		return exo_fail(x, r, &detail, "cannot make an extent on namespace %u of %s",
				spec->nsid, x->address);
	x->extent = arg.out_cap;
	return 0;
}

/* The function for this handle alone, as long as it lasts. */
static int take_alone(struct exo *x)
{
	struct exo_detail detail = { 0 };
	struct exo_controller_query about = { .controller = x->controller };
	struct exo_controller_create arg = {
		.flags = EXO_CONTROLLER_EXCLUSIVE,
		.detail = exo_sys_address(&detail),
		.controller = x->controller,
		.rights = EXO_RIGHT_QUEUE | EXO_RIGHT_EXTENT | EXO_RIGHT_THREAD | EXO_RIGHT_DIRECT |
			  EXO_RIGHT_PRIORITY,
	};
	int r = exo_sys_controller_query(x->fd, &about);

	arg.queues = about.out_queues - about.out_queues_used;
	if (!r)
		r = exo_sys_controller_create(x->fd, &arg);
	if (r)
		return exo_fail(x, r, &detail, "cannot have the controller %s alone", x->address);
	x->controller = arg.out_cap;
	return 0;
}

static int open_nvme(struct exo *x, struct exo_spec *spec, unsigned int rights)
{
	int r = open_session(x);

	write_address(x, spec->address);
	if (!r)
		r = claim(x, EXO_TYPE_CONTROLLER, spec->address, &x->controller);
	if (!r && x->direct)
		r = take_alone(x);
	if (!r)
		r = claim(x, EXO_TYPE_POOL, 0, &x->pool);
	if (!r)
		r = make_extent(x, spec, rights);
	return r;
}

static int query(struct exo *x, uint32_t cap, struct exo_cap_query *arg)
{
	memset(arg, 0, sizeof(*arg));
	arg->cap = cap;
	return exo_sys_cap_query(x->fd, arg);
}

/*
 * The first capability of @type in the session that has all of @rights and, if
 * @address is not NULL, lies on that function. 0 if there is none.
 */
static uint32_t find_cap(struct exo *x, uint32_t type, uint32_t rights, const uint32_t *address)
{
	struct exo_cap_query found;
	uint32_t caps[64];
	struct exo_cap_list list = {
		.caps = exo_sys_address(caps),
		.count = sizeof(caps) / sizeof(caps[0]),
	};

	do {
		if (exo_sys_cap_list(x->fd, &list))
			return 0;
		for (uint32_t i = 0; i < list.out_count; i++) {
			if (query(x, caps[i], &found) || found.out_type != type)
				continue;
			if ((found.out_rights & rights) != rights)
				continue;
			if (!address || found.out_address == *address)
				return caps[i];
		}
		if (list.out_count)
			list.after = caps[list.out_count - 1];
	} while (list.out_count == list.count);
	return 0;
}

static int find_extent(struct exo *x, const struct exo_spec *spec)
{
	int r;

	if (!*spec->name) {
		x->extent = find_cap(x, EXO_TYPE_EXTENT, 0, NULL);
		return x->extent ? 0 : exo_fail(x, -ENOENT, NULL, "the session holds no extent");
	}
	r = exo_names_find(getenv("EXO_NAMES"), spec->name, &x->extent);
	if (r == -ENOENT)
		return exo_fail(x, r, NULL,
				"the session has no extent called %s (EXO_NAMES=%.128s)",
				spec->name, getenv("EXO_NAMES") ? getenv("EXO_NAMES") : "");
	if (r)
		return exo_fail(x, r, NULL, "EXO_NAMES gives %s no capability number", spec->name);
	return 0;
}

static void drop_cap(struct exo *x, uint32_t cap)
{
	struct exo_cap_drop drop = { .cap = cap };

	exo_sys_cap_drop(x->fd, &drop);
}

/* Give up what the program does not mean to use, so that a mistake cannot. */
static int weaken_extent(struct exo *x, uint32_t held, uint32_t rights)
{
	struct exo_detail detail = { 0 };
	struct exo_cap_derive arg = {
		.detail = exo_sys_address(&detail),
		.cap = x->extent,
		.rights = rights,
		.session_fd = EXO_SESSION_SELF,
	};
	int r;

	if (held == rights)
		return 0;
	r = exo_sys_cap_derive(x->fd, &arg);
	if (r)
		return exo_fail(x, r, &detail, "cannot derive an extent with fewer rights");
	if (x->own_session)
		drop_cap(x, x->extent);
	x->extent = arg.out_cap;
	x->own_extent = true;
	return 0;
}

/* What opening for reading and writing is called when it was not granted. */
static int check_rights(struct exo *x, const char *kind, const char *name, uint32_t held,
			uint32_t rights)
{
	struct exo_detail detail = { .reason = EXO_REASON_LBA_RIGHT };

	if (!(rights & ~held))
		return 0;
	detail.value = rights & ~held;
	detail.limit = held;
	return exo_fail(x, -EACCES, &detail, "cannot open %s%s", kind, name);
}

static uint32_t controller_rights(const struct exo *x)
{
	return EXO_RIGHT_QUEUE | (x->direct ? EXO_RIGHT_DIRECT : 0);
}

static int open_named(struct exo *x, struct exo_spec *spec, unsigned int rights)
{
	struct exo_cap_query extent;
	int r = join_session(x);

	if (!r)
		r = find_extent(x, spec);
	if (r)
		return r;
	r = query(x, x->extent, &extent);
	if (r || extent.out_type != EXO_TYPE_EXTENT)
		return exo_fail(
			x, r ? r : -EINVAL, NULL,
			"capability %u, which exo:%s stands for, is no living extent of this "
			"session",
			x->extent, spec->name);
	write_address(x, extent.out_address);
	x->controller = find_cap(x, EXO_TYPE_CONTROLLER, controller_rights(x), &extent.out_address);
	if (!x->controller)
		return exo_fail(x, -ENOENT, NULL,
				"the session holds no controller %s with the right QUEUE%s, on "
				"which the extent lies",
				x->address, x->direct ? " and DIRECT" : "");
	x->pool = find_cap(x, EXO_TYPE_POOL, EXO_RIGHT_ALLOC, NULL);
	if (!x->pool)
		return exo_fail(x, -ENOENT, NULL,
				"the session holds no pool of frames: exo-run --mem gives one");
	r = check_rights(x, "exo:", spec->name, extent.out_rights, rights);
	if (!r)
		r = weaken_extent(x, extent.out_rights, rights);
	return r;
}

static int open_tokens(struct exo *x, struct exo_spec *spec, unsigned int rights)
{
	struct exo_cap_query extent;
	int r = open_session(x);

	if (!r)
		r = exo_redeem(x, spec);
	if (r)
		return r;
	r = query(x, x->extent, &extent);
	if (r)
		return exo_fail(x, r, NULL, "the extent of the token is gone: %s",
				exo_errno_meaning(r));
	write_address(x, extent.out_address);
	r = check_rights(x, "the extent of a token", "", extent.out_rights, rights);
	return r ? r : weaken_extent(x, extent.out_rights, rights);
}

static int open_spec(struct exo *x, struct exo_spec *spec, unsigned int rights)
{
	switch (spec->kind) {
	case EXO_SPEC_NVME:
		return open_nvme(x, spec, rights);
	case EXO_SPEC_TOKENS:
		return open_tokens(x, spec, rights);
	case EXO_SPEC_URING:
		return exo_uring_open(x, spec->path, rights);
	case EXO_SPEC_SESSION:
		break;
	}
	return open_named(x, spec, rights);
}

static int learn_extent(struct exo *x)
{
	struct exo_cap_query extent;
	int r = query(x, x->extent, &extent);

	if (r)
		return exo_fail(x, r, NULL, "cannot query the extent: %s", exo_errno_meaning(r));
	x->rights = extent.out_rights;
	x->nsid = extent.out_nsid;
	x->start = extent.out_start;
	x->blocks = extent.out_len;
	x->block_shift = extent.out_unit_shift;
	x->copy = (struct exo_copy_limits){
		.ranges = extent.out_copy_ranges,
		.range_blocks = extent.out_copy_range_blocks,
		.blocks = extent.out_copy_blocks,
	};
	x->zones = (struct exo_zone_limits){
		.blocks = extent.out_zone_blocks,
		.append_max = extent.out_append_max,
		.open = extent.out_open_zones,
		.active = extent.out_active_zones,
	};
	x->placement = extent.out_placement;
	return 0;
}

static int learn_controller(struct exo *x)
{
	struct exo_detail detail = { 0 };
	struct exo_controller_query arg = {
		.detail = exo_sys_address(&detail),
		.controller = x->controller,
	};
	int r = exo_sys_controller_query(x->fd, &arg);

	if (r)
		return exo_fail(x, r, &detail, "cannot query the controller %s", x->address);
	if (arg.out_state != EXO_CONTROLLER_LIVE)
		return exo_fail(
			x, -ENODEV, NULL,
			"the controller %s has failed: unbind it and bind it again with exoctl",
			x->address);
	x->transfer_max = arg.out_transfer_max;
	x->depth_max = arg.out_depth_max;
	x->controller_flags = arg.out_features;
	copy_padded(x->serial, arg.out_serial, sizeof(arg.out_serial));
	copy_padded(x->model, arg.out_model, sizeof(arg.out_model));
	return 0;
}

static int open_by_name(struct exo *x, const char *name, unsigned int rights)
{
	struct exo_spec spec;
	const char *problem;
	int r;

	x->direct = rights & EXO_DIRECT;
	rights &= ~(unsigned int)EXO_DIRECT;
	if (!rights || rights & ~(unsigned int)RIGHTS)
		return exo_fail(x, -EINVAL, NULL,
				"the rights must be one or more of EXO_READ, EXO_WRITE, EXO_TRIM");
	if (!name)
		return exo_fail(x, -EINVAL, NULL, "no name was given: \"exo:\" is the shortest");
	r = exo_spec_parse(name, &spec, &problem);
	/* Nor is a token that cannot be read for anybody's log. */
	if (r && spec.kind == EXO_SPEC_TOKENS)
		return exo_fail(x, r, NULL, "cannot understand token %u of the name: %s",
				spec.token_count + 1, problem);
	if (r)
		return exo_fail(x, r, NULL, "cannot understand \"%.128s\": %s", name, problem);
	r = open_spec(x, &spec, rights);
	/* An emulation has been told all there is to learn. */
	if (r || spec.kind == EXO_SPEC_URING)
		return r;
	r = learn_extent(x);
	if (!r)
		r = learn_controller(x);
	return r;
}

static void close_session(struct exo *x)
{
	if (x->own_extent && x->extent)
		drop_cap(x, x->extent);
	if (x->fd >= 0)
		close(x->fd);
}

const struct exo_backend exo_backend_module = {
	.queue_open = exo_module_queue_open,
	.queue_close = exo_module_queue_close,
	.buf_alloc = exo_module_buf_alloc,
	.buf_release = exo_module_buf_release,
	.mem_register = exo_module_mem_register,
	.mem_unregister = exo_module_mem_unregister,
	.sleep = exo_module_sleep,
	.close = close_session,
};

int exo_check_module(struct exo *x, const char *what)
{
	if (!x->uring)
		return 0;
	return exo_fail(x, -EOPNOTSUPP, NULL,
			"%s need the module, and this handle is emulated with io_uring", what);
}

int exo_open(const char *name, unsigned int rights, struct exo **out)
{
	struct exo *x = calloc(1, sizeof(*x));

	*out = x;
	if (!x)
		return -ENOMEM;
	x->fd = -1;
	x->backend = &exo_backend_module;
	pthread_mutex_init(&x->lock, NULL);
	return open_by_name(x, name, rights);
}

void exo_close(struct exo *x)
{
	if (!x)
		return;
	while (x->queues)
		exo_queue_destroy(&x->queues->q);
	exo_mem_release_all(x);
	exo_buf_release_all(x);
	exo_events_close(x);
	x->backend->close(x);
	pthread_mutex_destroy(&x->lock);
	free(x);
}

uint64_t exo_blocks(const struct exo *x)
{
	return x->blocks;
}

uint32_t exo_block_size(const struct exo *x)
{
	return 1u << x->block_shift;
}

uint64_t exo_first_block(const struct exo *x)
{
	return x->start;
}

uint32_t exo_nsid(const struct exo *x)
{
	return x->nsid;
}

uint32_t exo_rights(const struct exo *x)
{
	return x->rights;
}

struct exo_copy_limits exo_copy_limits(const struct exo *x)
{
	return x->copy;
}

uint64_t exo_placement(const struct exo *x)
{
	return x->placement;
}

uint32_t exo_transfer_max(const struct exo *x)
{
	return x->transfer_max;
}

uint32_t exo_depth_max(const struct exo *x)
{
	return x->depth_max;
}

uint32_t exo_controller_flags(const struct exo *x)
{
	return x->controller_flags;
}

const char *exo_address(const struct exo *x)
{
	return x->address;
}

const char *exo_serial(const struct exo *x)
{
	return x->serial;
}

const char *exo_model(const struct exo *x)
{
	return x->model;
}

int exo_fd(const struct exo *x)
{
	return x->fd;
}

uint32_t exo_extent_cap(const struct exo *x)
{
	return x->extent;
}

uint32_t exo_controller_cap(const struct exo *x)
{
	return x->controller;
}

uint32_t exo_pool_cap(const struct exo *x)
{
	return x->pool;
}
