// SPDX-License-Identifier: LGPL-2.1-only
/*
 * Errors as sentences: what an errno and a struct exo_detail say, and the
 * record of the latest failure that each handle and each queue keeps.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

/* A sentence under construction; too long is cut, never overrun. */
struct text {
	char *at;
	size_t left;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->at, t->left, format, args);
	va_end(args);
	if (n < 0)
		return;
	if ((size_t)n >= t->left)
		n = t->left ? t->left - 1 : 0;
	t->at += n;
	t->left -= n;
}

static void add_rights(struct text *t, uint64_t rights)
{
	static const char *const names[] = { "READ",   "WRITE",	 "TRIM",    "NAMES",
					     "ALLOC",  "QUEUE",	 "EXTENT",  "SUBMIT",
					     "THREAD", "DIRECT", "PRIORITY" };
	const char *comma = "";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(rights & 1ull << i))
			continue;
		add(t, "%s%s", comma, names[i]);
		comma = ", ";
	}
	if (rights & ~(uint64_t)EXO_RIGHTS_ALL)
		add(t, "%sunknown bits %#llx", comma,
		    (unsigned long long)(rights & ~(uint64_t)EXO_RIGHTS_ALL));
	else if (!rights)
		add(t, "none");
}

/* CAP_SYS_RAWIO is the privilege of unsafe queues; see EXO_REASON_PRIVILEGE. */
static void add_privilege(struct text *t, const struct exo_detail *d)
{
	if (d->value == 2) {
		add(t, "the kernel is locked down, which forbids unsafe queues");
		return;
	}
	add(t, "%s lacks %s in the initial user namespace: run as root",
	    d->value ? "whoever opened the session" : "the caller",
	    d->limit == 17 ? "CAP_SYS_RAWIO" : "CAP_SYS_ADMIN");
	if (d->limit != 17)
		add(t, ", or let exo-run grant what is needed");
}

static void add_type(struct text *t, uint64_t type)
{
	static const char *const names[] = { "nothing",	      "a pool",	   "frames",
					     "a controller",  "an extent", "a queue",
					     "adopted memory" };

	if (type < sizeof(names) / sizeof(names[0]))
		add(t, "%s", names[type]);
	else
		add(t, "type %llu", (unsigned long long)type);
}

static void add_pci(struct text *t, uint64_t address)
{
	add(t, "%04x:%02x:%02x.%x", (unsigned int)(address >> 16 & 0xffff),
	    (unsigned int)(address >> 8 & 0xff), (unsigned int)(address >> 3 & 0x1f),
	    (unsigned int)(address & 7));
}

/* "blocks 8 to 15", without being fooled by a length of 0 or by overflow. */
static void add_range(struct text *t, const char *unit, uint64_t first, uint64_t n)
{
	if (n == 1)
		add(t, "%s %llu", unit, (unsigned long long)first);
	else if (n && first + (n - 1) >= first)
		add(t, "%ss %llu to %llu", unit, (unsigned long long)first,
		    (unsigned long long)(first + n - 1));
	else
		add(t, "%llu %ss from %llu", (unsigned long long)n, unit,
		    (unsigned long long)first);
}

static const char *opcode_name(uint64_t opcode)
{
	switch (opcode) {
	case EXO_NVME_FLUSH:
		return "Flush";
	case EXO_NVME_WRITE:
		return "Write";
	case EXO_NVME_READ:
		return "Read";
	case EXO_NVME_COMPARE:
		return "Compare";
	case EXO_NVME_WRITE_ZEROES:
		return "Write Zeroes";
	case EXO_NVME_DSM:
		return "Dataset Management";
	case EXO_NVME_COPY:
		return "Copy";
	case EXO_NVME_ZONE_SEND:
		return "Zone Management Send";
	case EXO_NVME_ZONE_RECEIVE:
		return "Zone Management Receive";
	case EXO_NVME_ZONE_APPEND:
		return "Zone Append";
	}
	return NULL;
}

/*
 * One sentence per reason. In braces: parts of the detail, and how to write
 * them. Each says what stood in the way and, where there is one, the way out.
 */
static const struct {
	const char *name;
	const char *sentence;
} reasons[EXO_REASON_MAX + 1] = {
#define REASON(name, sentence) [EXO_REASON_##name] = { #name, sentence }
	REASON(NONE, ""),
	REASON(SIZE, "the argument is {value} bytes and the module knows {limit}: program and "
		     "module are of different versions; build both from one tree"),
	REASON(FLAGS, "flag bits {xvalue} (argument byte {field}) are unknown to this module: it "
		      "may be older than the program"),
	REASON(RESERVED,
	       "the reserved field at argument byte {field} holds {xvalue} and must be 0"),
	REASON(NO_CAP, "this session holds no capability number {value} (argument byte {field})"),
	REASON(WRONG_TYPE, "the capability at argument byte {field} is {type}, and {wanted} is "
			   "needed there"),
	REASON(RIGHT, "the capability at argument byte {field} lacks the right {rights} (it has "
		      "{held}): ask its grantor for more"),
	REASON(STALE, "what capability {value} named is gone: dropped, taken back, its device "
		      "failed or was unbound, or its namespace detached or formatted"),
	REASON(RANGE, "{value} lies outside the capability's range, which ends before {limit}"),
	REASON(OVERFLOW, "{value} plus the length {limit} is more than 64 bits hold"),
	REASON(VALUE, "the value {value} at argument byte {field} can never be right{largest}"),
	REASON(PRIVILEGE, "{privilege}"),
	REASON(SESSION, "file descriptor {value} is not a session, that is an open " EXO_DEVICE),
	REASON(DEPTH, "the capability is {value} derivations from its root and the limit is "
		      "{limit}: derive from one nearer to the root"),
	REASON(TABLE_FULL, "all {limit} entries of the table are taken: drop or detach something"),
	REASON(BUDGET, "{value} wanted and {limit} left in the budget: free some, or ask the "
		       "grantor for more"),
	REASON(MEMORY, "memory ended after {value} units: the machine or the memory cgroup is at "
		       "its limit"),
	REASON(NO_DEVICE, "no NVMe function at {pci} is bound to exo: exoctl bind {pci}"),
	REASON(NO_NAMESPACE, "the controller has no active namespace {value}"),
	REASON(FORMAT, "the namespace is formatted with {value} bytes of metadata per block and "
		       "exo needs 0: choose another LBA format (nvme format)"),
	REASON(ATTACHED, "capability {value} is attached there already"),
	REASON(NOT_ATTACHED, "capability {value} is not attached there"),
	REASON(OTHER_CONTROLLER, "extent and queue belong to different NVMe functions"),
	REASON(DEVICE, "the device {device}"),
	REASON(COHERENCE, "no IOMMU stands before the device, and it cannot reach this memory "
			  "without copies"),
	REASON(POLLED, "queue {value} has no interrupt: the function had no vector left, or it "
		       "was created to be polled"),
	REASON(REVOKING, "what was derived from capability {value}, or from one above it, is "
			 "being taken back: try again"),
	REASON(NOT_TAKEN, "capability {value} was not taken back by force"),
	REASON(TOKEN, "the token is unknown, used up, expired, cancelled, or somebody else's"),
	REASON(NO_NODE, "there is no node {value} below the capability"),
	REASON(EVENTS, "the session has an event ring already"),
	REASON(EVENTFD, "file descriptor {value} is not an eventfd"),
	REASON(RING_INDEX, "the submission tail {value} is not within the ring behind its head "
			   "{limit}: the control page was overwritten"),
	REASON(CQ_HEAD, "{value} completions are claimed as consumed and the device has posted "
			"{limit}: the control page was overwritten"),
	REASON(QUEUE_FULL, "{value} commands are in the queue and its depth is {limit}: reap "
			   "completions, then submit again"),
	REASON(OPCODE,
	       "opcode {opcode} is not permitted in a checked queue, or the controller has no "
	       "such command"),
	REASON(BITS, "the bits {xvalue} of dword {field} must be 0 in a checked queue"),
	REASON(NSID, "namespace {xvalue} is not that of an extent attached to the queue"),
	REASON(LBA, "no extent attached to the queue holds {lbas}"),
	REASON(LBA_OVERFLOW, "first block {value} plus length {limit} is more than 64 bits hold"),
	REASON(LBA_RIGHT, "the extent is held without the right {rights} (with {held})"),
	REASON(CID, "command identifier {value} is not below the queue's depth of {limit}"),
	REASON(CID_IN_FLIGHT, "command identifier {value} is that of a command in flight"),
	REASON(TRANSFER, "{value} bytes are more than the controller moves in one command, which "
			 "is {limit}: split the request"),
	REASON(BUFFER_ALIGN, "buffer offset {xvalue} is not a multiple of 4"),
	REASON(BUFFER, "buffer offset {xvalue} is not attached: use memory of exo_buf_alloc() or "
		       "exo_mem_register(), to its end and no further"),
	REASON(BUFFER_RIGHT, "the frames at buffer offset {xvalue} are attached without the right "
			     "{held}"),
	REASON(RANGES, "{value} ranges are more than a checked queue takes in one command, which "
		       "is {limit}: split the list"),
	REASON(RANGE_BITS, "the range from block {value} on has bits other than its place and "
			   "length"),
	REASON(PAGE, "page {xvalue} (argument byte {field}) is none of those that programs may "
		     "read, or the device does not have it"),
	REASON(EXCLUSIVE,
	       "the function is not this holder's alone: others have queues, frames or "
	       "extents there, or it is somebody else's alone (exoctl list shows whose)"),
	REASON(MODE, "{mode}"),
	REASON(UNTRANSLATED, "no IOMMU stands before the device, so nothing would bound what a "
			     "direct queue reaches: boot with one, or use a checked queue "
			     "(or, as root, an unsafe one)"),
	REASON(INTERRUPTS, "the IOMMU does not remap interrupts, so a direct queue could raise "
			   "those of others: enable interrupt remapping, or use a checked queue"),
	REASON(DOORBELLS, "the device has more than doorbells on the pages of its doorbells: use "
			  "a checked queue"),
	REASON(SHARED_NAMESPACE, "another controller reaches namespace {value} too: detach it from "
				 "one of them, or use a checked queue"),
	REASON(ZONE, "{value} is no whole number of zones, which have {limit} blocks, or a write "
		     "from there reaches across the end of its zone"),
	REASON(ZONE_ACTION, "{xvalue} is no action on one zone that a checked queue takes: close, "
			    "finish, open, reset; or report zones of all states, partially"),
	REASON(ZONE_REPORT, "a report of {value} bytes would tell of more zones than the extent "
			    "has from there on, or be larger than a transfer: at most {limit}"),
	REASON(ZONE_QUOTA, "it would make more zones {kind} than the quota of the extent, which "
			   "is {limit}: reset or finish some, or close them; or ask for more"),
	REASON(PLACEMENT, "placement identifier {value} is none of those held (bits {xlimit}): ask "
			  "the grantor for it"),
	REASON(ARBITRATION,
	       "the device has no priorities among its queues: leave the priority out"),
	REASON(MEMLOCK,
	       "{value} bytes are to be pinned and RLIMIT_MEMLOCK leaves the user {limit}: "
	       "raise it (ulimit -l, LimitMEMLOCK=), or register less"),
	REASON(PIN,
	       "the memory at {xvalue} cannot be pinned for {held}: nothing is there, the program "
	       "may not do that itself, it belongs to a device, or it is a file on a disk, "
	       "which can be registered for READ alone"),
	REASON(UNSHARED, "capability {value} is to memory of the program's own, which cannot be "
			 "given to others"),
	REASON(NO_WINDOW, "no window of this session begins at {xvalue} in this process"),
	REASON(EMPTY, "entry {value} of the window is empty: map a frame there first"),
	REASON(LARGE, "a part of the 2 MiB entry {value} of the window would be cut out: it is "
		      "changed, and asked about, as a whole"),
	REASON(ENTRY_RIGHT, "the capability that entry {value} of the window was mapped with has "
			    "not the right to WRITE"),
	REASON(UPCALL, "the kernel calls no function of a program's on this architecture, or for a "
		       "thread with a shadow stack: catch SIGBUS"),
	REASON(DESCRIPTORS,
	       "no file descriptor is left: close some, or raise the limit (ulimit -n, "
	       "LimitNOFILE=)"),
#undef REASON
};

static void add_device(struct text *t, int result, const struct exo_detail *d)
{
	if (result == ETIMEDOUT)
		add(t, "did not answer within %llu ms: exoctl status tells whether it has failed",
		    (unsigned long long)d->value);
	else
		add(t, "refused an admin command: %s (status %#llx)",
		    exo_nvme_status_text(d->value), (unsigned long long)d->value);
}

/* Write what stands between the braces. */
static void add_token(struct text *t, const char *token, size_t len, int result,
		      const struct exo_detail *d)
{
#define IS(word) (len == sizeof(word) - 1 && !memcmp(token, word, len))
	if (IS("value"))
		add(t, "%llu", (unsigned long long)d->value);
	else if (IS("xvalue"))
		add(t, "%#llx", (unsigned long long)d->value);
	else if (IS("limit"))
		add(t, "%llu", (unsigned long long)d->limit);
	else if (IS("xlimit"))
		add(t, "%#llx", (unsigned long long)d->limit);
	else if (IS("field"))
		add(t, "%u", d->field);
	else if (IS("rights"))
		add_rights(t, d->value);
	else if (IS("held"))
		add_rights(t, d->limit);
	else if (IS("type"))
		add_type(t, d->value);
	else if (IS("wanted"))
		add_type(t, d->limit);
	else if (IS("pci"))
		add_pci(t, d->value);
	else if (IS("privilege"))
		add_privilege(t, d);
	else if (IS("mode"))
		add(t,
		    d->limit == EXO_QUEUE_DIRECT
			    ? "an IOMMU stands before the device: use a direct queue"
			    : "the queue is %s: its commands go to the device without a call",
		    d->value == EXO_QUEUE_UNSAFE ? "unsafe" : "direct");
	else if (IS("largest") && d->limit)
		add(t, ": at most %llu", (unsigned long long)d->limit);
	else if (IS("lbas"))
		add_range(t, "LBA", d->value, d->limit);
	else if (IS("opcode"))
		add(t, "%#llx%s%s%s", (unsigned long long)d->value,
		    opcode_name(d->value) ? " (" : "",
		    opcode_name(d->value) ? opcode_name(d->value) : "",
		    opcode_name(d->value) ? ")" : "");
	else if (IS("kind"))
		add(t, d->field ? "active" : "open");
	else if (IS("device"))
		add_device(t, result, d);
#undef IS
}

static void add_reason(struct text *t, int result, const struct exo_detail *d)
{
	const char *p = reasons[d->reason].sentence;

	while (*p) {
		size_t plain = strcspn(p, "{"), token;

		add(t, "%.*s", (int)plain, p);
		p += plain;
		if (!*p)
			break;
		token = strcspn(p, "}");
		add_token(t, p + 1, token - 1, result, d);
		p += token + 1;
	}
}

const char *exo_errno_meaning(int result)
{
	switch (abs(result)) {
	case 0:
		return "nothing failed";
	case ENOTTY:
		return "the file is no session of exo, or its module does not know the command";
	case EFAULT:
		return "an address cannot be read or written, or memory not pinned, or a buffer "
		       "is not attached";
	case E2BIG:
		return "a structure is larger than is known, and uses what is not";
	case EINVAL:
		return "a value that can never be right";
	case EOPNOTSUPP:
		return "a flag, command or feature that is not offered here";
	case EPERM:
		return "CAP_SYS_ADMIN in the initial user namespace is needed";
	case EBADF:
		return "the file descriptor is not a session of exo";
	case ENOENT:
		return "no such capability, extent or namespace, or it is not attached";
	case ENODEV:
		return "no such controller is bound to exo, or it has failed";
	case EACCES:
		return "a right is missing";
	case ERANGE:
		return "outside the extent";
	case EOVERFLOW:
		return "first plus length overflows";
	case EDQUOT:
		return "the budget of the pool or the controller, a quota of zones, or "
		       "RLIMIT_MEMLOCK "
		       "is used up";
	case ENOMEM:
		return "no memory, or the memory cgroup is at its limit";
	case ENOSPC:
		return "no number, offset, entry or address is left";
	case ELOOP:
		return "too many derivations from the root";
	case EEXIST:
		return "already attached, or the command identifier is in flight";
	case EMSGSIZE:
		return "more than the controller moves in one command";
	case EAGAIN:
		return "the queue has no room: reap completions and submit again";
	case ESTALE:
		return "taken back, or the device was unbound or has failed, or the namespace "
		       "detached or formatted";
	case ETIMEDOUT:
		return "the device did not answer in time";
	case EIO:
		return "the device reported an error";
	case EINTR:
		return "interrupted by a fatal signal";
	case EBUSY:
		return "the queue has commands prepared or in flight";
	}
	return strerrordesc_np(abs(result)) ? strerrordesc_np(abs(result)) : "an unknown error";
}

const char *exo_reason_name(uint32_t reason)
{
	if (reason > EXO_REASON_MAX || !reasons[reason].name)
		return "unknown";
	return reasons[reason].name;
}

const char *exo_explain(char *buf, size_t size, int result, const struct exo_detail *detail)
{
	struct text t = { buf, size };

	if (size)
		*buf = 0;
	if (!detail || detail->reason == EXO_REASON_NONE)
		add(&t, "%s", exo_errno_meaning(result));
	else if (detail->reason > EXO_REASON_MAX || !reasons[detail->reason].sentence)
		add(&t, "%s (reason %u, which this library does not know)",
		    exo_errno_meaning(result), detail->reason);
	else
		add_reason(&t, abs(result), detail);
	return buf;
}

/* "Read of extent blocks 8 to 15", counted from @first, the extent's LBA. */
void exo_describe_command(char *buf, size_t size, const struct exo_nvme_command *command,
			  uint64_t first)
{
	const char *name = opcode_name(command->opcode);
	struct text t = { buf, size };

	if (name)
		add(&t, "%s", name);
	else
		add(&t, "command with opcode %#x", command->opcode);
	if (!name || command->opcode == EXO_NVME_FLUSH || command->opcode == EXO_NVME_DSM)
		return;
	if (command->opcode == EXO_NVME_COPY) {
		add(&t, " to extent block %llu", (unsigned long long)(command->slba - first));
		return;
	}
	if (command->opcode == EXO_NVME_ZONE_SEND || command->opcode == EXO_NVME_ZONE_RECEIVE) {
		add(&t, " of the zone at extent block %llu",
		    (unsigned long long)(command->slba - first));
		return;
	}
	add(&t, " of extent ");
	add_range(&t, "block", command->slba - first, (command->cdw12 & 0xffff) + 1ull);
}

/*
 * Record a failure. With a detail the sentence is "@format: what the detail
 * says", without one it is @format alone. Returns @result.
 */
int exo_error_set(struct exo_error *error, int result, const struct exo_detail *detail,
		  const char *format, ...)
{
	struct text t = { error->text, sizeof(error->text) };
	char doing[EXO_SENTENCE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(doing, sizeof(doing), format, args);
	va_end(args);

	error->set = true;
	error->result = result;
	memset(&error->detail, 0, sizeof(error->detail));
	add(&t, "%s", doing);
	if (detail) {
		error->detail = *detail;
		add(&t, ": ");
		exo_explain(t.at, t.left, result, detail);
	}
	return result;
}

/* The recorded sentence if it is about @result, else the general meaning. */
const char *exo_error_sentence(const struct exo_error *error, int result)
{
	if (error->set && abs(error->result) == abs(result))
		return error->text;
	return exo_errno_meaning(result);
}

const char *exo_strerror(struct exo *x, int result)
{
	if (!x)
		return exo_errno_meaning(result);
	pthread_mutex_lock(&x->lock);
	snprintf(x->sentence, sizeof(x->sentence), "%s", exo_error_sentence(&x->error, result));
	pthread_mutex_unlock(&x->lock);
	return x->sentence;
}

const char *exo_queue_strerror(struct exo_queue *q, int result)
{
	struct exo_queue_private *p = exo_queue_private(q);

	snprintf(p->sentence, sizeof(p->sentence), "%s", exo_error_sentence(&p->error, result));
	return p->sentence;
}

void exo_last_detail(struct exo *x, struct exo_detail *detail)
{
	pthread_mutex_lock(&x->lock);
	*detail = x->error.detail;
	pthread_mutex_unlock(&x->lock);
}

/* Record a failure of the handle; the caller does not hold its lock. */
int exo_fail(struct exo *x, int result, const struct exo_detail *detail, const char *format, ...)
{
	char doing[EXO_SENTENCE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(doing, sizeof(doing), format, args);
	va_end(args);
	pthread_mutex_lock(&x->lock);
	exo_error_set(&x->error, result, detail, "%s", doing);
	pthread_mutex_unlock(&x->lock);
	return result;
}

/* Record a failure of a queue, and of its handle with it. */
int exo_queue_fail(struct exo_queue *q, int result, const struct exo_detail *detail,
		   const char *format, ...)
{
	struct exo_queue_private *p = exo_queue_private(q);
	char doing[EXO_SENTENCE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(doing, sizeof(doing), format, args);
	va_end(args);
	exo_error_set(&p->error, result, detail, "%s", doing);
	pthread_mutex_lock(&p->x->lock);
	p->x->error = p->error;
	pthread_mutex_unlock(&p->x->lock);
	return result;
}
