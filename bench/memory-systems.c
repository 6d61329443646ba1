// SPDX-License-Identifier: MIT
/* Ways to protect pages, to be told of touches, and to be told what was written; see memory.h. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "../libexo/src/upcall.h"
#include "../selftests/lib.h"
#include "memory.h"

#define RW (EXO_RIGHT_READ | EXO_RIGHT_WRITE)
#define WORDS 64 /* of a bitmap: enough for any area */

static char *at;
static unsigned int size; /* pages */

static char *area(void)
{
	return at;
}

static void must(int ret, const char *what)
{
	if (ret < 0)
		err(1, "%s", what);
}

static void write_all(void)
{
	for (unsigned int i = 0; i < size; i++)
		*(volatile char *)(at + (size_t)i * PAGE) = 1;
}

/* ---- exo ---- */

static int session = -1;
static __u32 pool;
static struct exo_upcall_target target;

static void on_upcall(void *arg, struct exo_upcall *touch)
{
	(void)arg;
	if (memory_touched((char *)(uintptr_t)touch->address))
		touch->ip += memory_skip();
}

static bool exo_begin(unsigned int pages)
{
	struct exo_frames_alloc frames;

	session = session_open();
	exo_must(session, "/dev/exo");
	exo_must(claim_pool(session, &pool), "claim");
	exo_must(frames_alloc(session, pool, EXO_ORDER_4K, pages, ANY_NODE, &frames), "frames");
	size = pages;
	at = window_create(session, (size_t)pages * PAGE);
	if (at == MAP_FAILED)
		err(1, "window");
	exo_must(window_map(session, at, 0, pages, frames.out_cap, 0, RW), "map");
	target.function = on_upcall;
	exo_must(window_handler(session, at, exo_upcall_handler(0), &target), "handler");
	write_all();
	return true;
}

static void exo_end(void)
{
	munmap(at, (size_t)size * PAGE);
	close(session);
}

static void exo_protect(__u64 first, unsigned int pages)
{
	exo_must(window_protect(session, at, first, pages, EXO_RIGHT_READ), "protect");
}

static void exo_unprotect(__u64 first, unsigned int pages)
{
	exo_must(window_protect(session, at, first, pages, RW), "unprotect");
}

static unsigned int exo_dirty(unsigned int pages)
{
	__u64 bits[WORDS];
	int n = window_dirty(session, at, 0, pages, bits);

	exo_must(n, "dirty");
	return n;
}

static const struct memory_system exo = {
	.name = "exo",
	.begin = exo_begin,
	.end = exo_end,
	.area = area,
	.protect = exo_protect,
	.unprotect = exo_unprotect,
	.traps = true,
	.dirty = exo_dirty,
};

/* ---- memory of the kernel's own, and signals ---- */

static void on_signal(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)signal;
	if (memory_touched(info->si_addr))
		uc->uc_mcontext.gregs[REG_RIP] += memory_skip();
}

static void catch_signal(int signal)
{
	const struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	must(sigaction(signal, &action, NULL), "sigaction");
}

static void anonymous_begin(unsigned int pages)
{
	size = pages;
	at = anonymous((size_t)pages * PAGE);
	if (at == MAP_FAILED)
		err(1, "mmap");
	madvise(at, (size_t)pages * PAGE, MADV_NOHUGEPAGE);
	write_all();
}

static void anonymous_end(void)
{
	munmap(at, (size_t)size * PAGE);
}

static bool mprotect_begin(unsigned int pages)
{
	anonymous_begin(pages);
	catch_signal(SIGSEGV);
	return true;
}

static void mprotect_protect(__u64 first, unsigned int pages)
{
	must(mprotect(at + first * PAGE, (size_t)pages * PAGE, PROT_READ), "mprotect");
}

static void mprotect_unprotect(__u64 first, unsigned int pages)
{
	must(mprotect(at + first * PAGE, (size_t)pages * PAGE, PROT_READ | PROT_WRITE), "mprotect");
}

static const struct memory_system mprotect_sigsegv = {
	.name = "mprotect",
	.begin = mprotect_begin,
	.end = anonymous_end,
	.area = area,
	.protect = mprotect_protect,
	.unprotect = mprotect_unprotect,
	.traps = true,
};

/* ---- userfaultfd ---- */

#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

static int uffd = -1;

static bool uffd_begin(unsigned int pages, __u64 features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_WP };

	anonymous_begin(pages);
	uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api)) {
		warn("userfaultfd");
		return false;
	}
	range.range.start = (uintptr_t)at;
	range.range.len = (size_t)pages * PAGE;
	must(ioctl(uffd, UFFDIO_REGISTER, &range), "UFFDIO_REGISTER");
	return true;
}

static void uffd_set(__u64 first, unsigned int pages, __u64 how)
{
	struct uffdio_writeprotect arg = {
		.range = { (uintptr_t)at + first * PAGE, (size_t)pages * PAGE },
		.mode = how,
	};

	must(ioctl(uffd, UFFDIO_WRITEPROTECT, &arg), "UFFDIO_WRITEPROTECT");
}

static void uffd_protect(__u64 first, unsigned int pages)
{
	uffd_set(first, pages, UFFDIO_WRITEPROTECT_MODE_WP);
}

/* Also wakes who waits there. */
static void uffd_unprotect(__u64 first, unsigned int pages)
{
	uffd_set(first, pages, 0);
}

static void uffd_end(void)
{
	close(uffd);
	anonymous_end();
}

static bool uffd_sigbus_begin(unsigned int pages)
{
	catch_signal(SIGBUS);
	return uffd_begin(pages, UFFD_FEATURE_SIGBUS | UFFD_FEATURE_PAGEFAULT_FLAG_WP);
}

static const struct memory_system uffd_sigbus = {
	.name = "uffd-sigbus",
	.begin = uffd_sigbus_begin,
	.end = uffd_end,
	.area = area,
	.protect = uffd_protect,
	.unprotect = uffd_unprotect,
	.traps = true,
};

static void *uffd_serve(void *arg)
{
	struct uffd_msg message;

	(void)arg;
	while (read(uffd, &message, sizeof(message)) == sizeof(message))
		memory_touched((char *)(uintptr_t)message.arg.pagefault.address);
	return NULL;
}

/* On the processor of who touches: then all that it costs is counted there. */
static bool uffd_thread_begin(unsigned int pages)
{
	cpu_set_t here;
	pthread_t thread;

	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	sched_setaffinity(0, sizeof(here), &here);
	if (!uffd_begin(pages, UFFD_FEATURE_PAGEFAULT_FLAG_WP))
		return false;
	if (pthread_create(&thread, NULL, uffd_serve, NULL))
		errx(1, "no thread");
	pthread_detach(thread);
	return true;
}

static const struct memory_system uffd_thread = {
	.name = "uffd-thread",
	.begin = uffd_thread_begin,
	.end = uffd_end,
	.area = area,
	.protect = uffd_protect,
	.unprotect = uffd_unprotect,
	.traps = true,
	.cannot_skip = true,
};

/* ---- PAGEMAP_SCAN ---- */

#define PM_SCAN_WP_MATCHING_ (1 << 0)
#define PM_SCAN_CHECK_WPASYNC_ (1 << 1)
#define PAGE_IS_WRITTEN_ (1 << 1)

/* As in <linux/fs.h> of 6.7, which older headers lack. */
struct scan {
	__u64 size, flags, start, end, walk_end, vec, vec_len, max_pages;
	__u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};

struct scan_region {
	__u64 start, end, categories;
};

#define PAGEMAP_SCAN_ _IOWR('f', 16, struct scan)

static int pagemap = -1;

static unsigned int scan_dirty(unsigned int pages)
{
	struct scan_region regions[WORDS];
	struct scan arg = {
		.size = sizeof(arg),
		.flags = PM_SCAN_WP_MATCHING_ | PM_SCAN_CHECK_WPASYNC_,
		.start = (uintptr_t)at,
		.end = (uintptr_t)at + (size_t)pages * PAGE,
		.vec = (uintptr_t)regions,
		.vec_len = WORDS,
		.category_mask = PAGE_IS_WRITTEN_,
		.return_mask = PAGE_IS_WRITTEN_,
	};
	unsigned int n = 0;
	int found = ioctl(pagemap, PAGEMAP_SCAN_, &arg);

	must(found, "PAGEMAP_SCAN");
	for (int i = 0; i < found; i++)
		n += (regions[i].end - regions[i].start) / PAGE;
	return n;
}

static bool scan_begin(unsigned int pages)
{
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	must(pagemap, "/proc/self/pagemap");
	if (!uffd_begin(pages, UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED))
		return false;
	uffd_protect(0, pages);
	return true;
}

static void scan_end(void)
{
	close(pagemap);
	uffd_end();
}

static const struct memory_system pagemap_scan = {
	.name = "pagemap-scan",
	.begin = scan_begin,
	.end = scan_end,
	.area = area,
	.dirty = scan_dirty,
};

const struct memory_system *const memory_systems[] = {
	&exo, &mprotect_sigsegv, &uffd_sigbus, &uffd_thread, &pagemap_scan, NULL,
};
