// SPDX-License-Identifier: LGPL-2.1-only
/*
 * What the device says of itself, asked through the handle's capabilities.
 */
#include "backend.h"

static int identify(struct exo *x, uint32_t cap, uint32_t cns, void *data, const char *what)
{
	struct exo_detail detail = { 0 };
	struct exo_identify arg = {
		.detail = exo_sys_address(&detail),
		.cap = cap,
		.cns = cns,
		.data = exo_sys_address(data),
	};
	int r = exo_check_module(x, "Identify data");

	if (r)
		return r;
	r = exo_sys_identify(x->fd, &arg);
	if (r)
		return exo_fail(x, r, &detail, "cannot identify the %s %s (CNS %#x)", what,
				x->address, cns);
	return 0;
}

int exo_identify_controller(struct exo *x, uint32_t cns, void *data)
{
	return identify(x, x->controller, cns, data, "controller");
}

int exo_identify_namespace(struct exo *x, uint32_t cns, void *data)
{
	return identify(x, x->extent, cns, data, "namespace of the extent on");
}

int exo_log_page(struct exo *x, uint32_t lid, void *data, uint32_t len, uint64_t *time)
{
	struct exo_detail detail = { 0 };
	struct exo_log arg = {
		.detail = exo_sys_address(&detail),
		.cap = x->controller,
		.lid = lid,
		.len = len,
		.data = exo_sys_address(data),
	};
	int r = exo_check_module(x, "log pages");

	if (r)
		return r;
	r = exo_sys_log(x->fd, &arg);
	if (r)
		return exo_fail(x, r, &detail, "cannot read log page %#x of %s", lid, x->address);
	if (time)
		*time = arg.out_time;
	return 0;
}
