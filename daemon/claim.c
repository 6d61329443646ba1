// SPDX-License-Identifier: MIT
/*
 * What /dev/exo tells root; see claim.h.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <libexo/sys.h>

#include "claim.h"

int claim_open(const struct machine *m, struct exo_info *info)
{
	int fd = machine_fd(m, O_RDWR, "dev/exo"), ret;

	if (fd < 0)
		return fd;
	*info = (struct exo_info){};
	ret = exo_sys_info(fd, info);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

static int claim(int session, const char *address, __u32 *cap)
{
	struct exo_claim arg = {
		.type = EXO_TYPE_CONTROLLER,
		.address = address_number(address),
	};
	int ret = exo_sys_claim(session, &arg);

	*cap = arg.out_cap;
	return ret;
}

static void drop(int session, __u32 cap)
{
	struct exo_cap_drop arg = { .cap = cap };

	exo_sys_cap_drop(session, &arg);
}

int claim_controller(int session, const char *address, struct exo_controller_query *query)
{
	__u32 cap;
	int ret = claim(session, address, &cap);

	if (ret)
		return ret;
	*query = (struct exo_controller_query){ .controller = cap };
	ret = exo_sys_controller_query(session, query);
	drop(session, cap);
	return ret;
}

int claim_health(int session, const char *address, struct health *health)
{
	__u8 page[3];
	struct exo_log arg = {
		.lid = EXO_LOG_HEALTH,
		.len = sizeof(page),
		.data = exo_sys_address(page),
	};
	int ret = claim(session, address, &arg.cap);

	if (ret)
		return ret;
	ret = exo_sys_log(session, &arg);
	drop(session, arg.cap);
	if (ret)
		return ret;
	health->warnings = page[0];
	health->celsius = (page[1] | page[2] << 8) - 273;
	return 0;
}

int claim_count_namespaces(int session, const char *address)
{
	struct exo_namespace_query arg = { .flags = EXO_NAMESPACE_NEXT };
	int count = 0, ret = claim(session, address, &arg.controller);

	if (ret)
		return ret;
	while (!(ret = exo_sys_namespace_query(session, &arg))) {
		arg.nsid = arg.out_nsid;
		count++;
	}
	drop(session, arg.controller);
	return ret == -ENOENT ? count : ret;
}

void claim_text(const __u8 *field, size_t length, char *text)
{
	while (length && (field[length - 1] == ' ' || !field[length - 1]))
		length--;
	for (size_t i = 0; i < length; i++)
		text[i] = isprint(field[i]) ? field[i] : '?';
	text[length] = '\0';
}
