// SPDX-License-Identifier: MIT
/*
 * Who a program runs as; see identity.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "identity.h"

static void take_entry(const struct passwd *entry, struct identity *identity)
{
	identity->user = entry->pw_uid;
	identity->group = entry->pw_gid;
	identity->all_groups = true;
	snprintf(identity->name, sizeof(identity->name), "%s", entry->pw_name);
	snprintf(identity->home, sizeof(identity->home), "%s", entry->pw_dir);
}

static bool parse_id(const char *text, char **end, unsigned int *id)
{
	unsigned long value;

	errno = 0;
	value = strtoul(text, end, 10);
	*id = value;
	return text[0] >= '0' && text[0] <= '9' && !errno && value < (unsigned int)-1;
}

static const char *find_number(const char *text, struct identity *identity)
{
	unsigned int user, group;
	struct passwd *entry;
	char *end;

	if (!parse_id(text, &end, &user) || (*end && *end != ':'))
		return "not a user name, a UID or UID:GID";
	entry = getpwuid(user);
	if (entry)
		take_entry(entry, identity);
	identity->user = user;
	if (!*end)
		return entry ? NULL : "this UID is unknown: give UID:GID";
	if (!parse_id(end + 1, &end, &group) || *end)
		return "GID must be a number";
	identity->all_groups = false;
	identity->group = group;
	return NULL;
}

static const char *find_default(struct identity *identity)
{
	const char *uid = getenv("SUDO_UID");
	struct passwd *nobody;

	if (uid && strcmp(uid, "0"))
		return find_number(uid, identity);
	nobody = getpwnam("nobody");
	if (nobody)
		take_entry(nobody, identity);
	else
		*identity = (struct identity){ .user = 65534, .group = 65534 };
	return NULL;
}

const char *identity_find(const char *text, struct identity *identity)
{
	struct passwd *entry = text ? getpwnam(text) : NULL;
	const char *why = NULL;

	*identity = (struct identity){};
	if (!text)
		why = find_default(identity);
	else if (entry)
		take_entry(entry, identity);
	else
		why = find_number(text, identity);
	if (!why && (!identity->user || !identity->group))
		why = "that is root, who needs no exo-run: start the program itself and let it "
		      "open "
		      "\"nvme:BDF/NSID:START+LENGTH\"";
	return why;
}

static const char *set_ids(const struct identity *identity)
{
	if (identity->all_groups ? initgroups(identity->name, identity->group) : setgroups(0, NULL))
		return "supplementary groups";
	if (setresgid(identity->group, identity->group, identity->group))
		return "group";
	if (setresuid(identity->user, identity->user, identity->user))
		return "user";
	return NULL;
}

static const char *drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = {};

	if (syscall(SYS_capset, &header, none))
		return "capabilities";
	return NULL;
}

const char *identity_become(const struct identity *identity)
{
	const char *failed;

	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0))
		return "PR_SET_KEEPCAPS";
	/* EINVAL: behind the last capability that this kernel knows. */
	for (int cap = 0; !prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);)
		cap++;
	if (errno != EINVAL)
		return "capability bounding set";
	failed = set_ids(identity);
	if (!failed)
		failed = drop_capabilities();
	if (failed)
		return failed;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return "PR_SET_NO_NEW_PRIVS";
	/* Until execve(): other processes of the user must not take our files,
	 * whatever fs.suid_dumpable says. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return "PR_SET_DUMPABLE";
	errno = EPERM;
	return setuid(0) ? NULL : "root came back";
}
