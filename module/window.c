// SPDX-License-Identifier: GPL-2.0
/*
 * The VMA of a window: how it is made, what a touch does, how it ends. For what else may
 * be done to it the rules of view.c hold. It is always readable and writable as a VMA; what
 * its entries allow is decided by the table.
 *
 * A touch that the table allows finds no page table entry, or one that allows less, where a
 * page table could not be allocated before, where an entry is of 2 MiB, or while the table is
 * being changed. It fills the entry under the window's lock, and says so
 * (VM_FAULT_NOPAGE): that the kernel raised it later, without the lock, is never asked.
 */
#include <linux/anon_inodes.h>
#include <linux/bitops.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "compat.h"
#include "ioctl.h"
#include "params.h"
#include "session.h"
#include "view.h"
#include "window.h"

/* ---- faults ---- */

/* The program's business. */
static vm_fault_t exo_window_missed(const struct exo_window *window, u64 entry,
				    struct exo_missed *missed)
{
	missed->handler = window->handler;
	missed->context = window->context;
	missed->entry = entry;
	return VM_FAULT_SIGBUS;
}

static bool exo_window_allows(const struct vm_fault *vmf, u64 entry)
{
	return entry & (vmf->flags & FAULT_FLAG_WRITE ? EXO_ENTRY_WRITE : EXO_ENTRY_READ);
}

static vm_fault_t exo_window_filled(int err)
{
	if (!err)
		return VM_FAULT_NOPAGE;
	return err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}

/* Others look at the entry meanwhile, and set the same bit. */
static void exo_window_mark(struct exo_window *window, u64 at)
{
	u64 *chunk = exo_window_chunk(window, at);
	u32 index = exo_chunk_large(chunk) ? 0 : at & (EXO_CHUNK - 1);

	BUILD_BUG_ON(sizeof(*chunk) != sizeof(unsigned long));
	set_bit(const_ilog2(EXO_ENTRY_DIRTY), (unsigned long *)&chunk[index]);
}

/* 2 MiB for which the kernel wants entries of 4 KiB: all of them. */
static vm_fault_t exo_window_fault_large(struct vm_fault *vmf, struct exo_window *window)
{
	u64 first = round_down(vmf->pgoff, EXO_CHUNK);

	guard(mutex)(&window->insert);
	/* Another thread's 2 MiB entry came first. */
	if (pmd_trans_huge(pmdp_get(vmf->pmd)))
		return VM_FAULT_NOPAGE;
	if (vmf->flags & FAULT_FLAG_WRITE)
		exo_window_mark(window, first);
	return exo_window_filled(exo_window_fill(window, vmf->vma, first, first + EXO_CHUNK));
}

static vm_fault_t exo_window_touch(struct vm_fault *vmf, struct exo_missed *missed)
{
	struct exo_window *window = vmf->vma->vm_private_data;
	u64 entry;

	guard(rwsem_read)(&window->lock);
	entry = exo_window_entry(window, vmf->pgoff);
	if (!exo_window_allows(vmf, entry))
		return exo_window_missed(window, entry, missed);
	if (entry & EXO_ENTRY_LARGE)
		return exo_window_fault_large(vmf, window);
	return exo_window_filled(exo_window_fill(window, vmf->vma, vmf->pgoff, vmf->pgoff + 1));
}

/* An entry that is not there; or, asked through .pfn_mkwrite, one that cannot be written. */
static vm_fault_t exo_window_fault(struct vm_fault *vmf)
{
	struct exo_missed missed = {};
	vm_fault_t ret = exo_window_touch(vmf, &missed);

	return missed.handler ? exo_upcall(vmf, &missed) : ret;
}

#ifdef CONFIG_TRANSPARENT_HUGEPAGE
/* That it was written is known before it can be. */
static vm_fault_t exo_window_insert_large(struct vm_fault *vmf, struct exo_window *window,
					  u64 first)
{
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	struct exo_pfn at;

	if (!exo_window_pfn(window, exo_window_entry(window, first), &at) ||
	    at.order != EXO_ORDER_2M)
		return VM_FAULT_FALLBACK;
	guard(mutex)(&window->insert);
	/* Entries of 4 KiB were there before: their page table stays. */
	if (!pmd_none(pmdp_get(vmf->pmd)) && !pmd_trans_huge(pmdp_get(vmf->pmd)))
		return VM_FAULT_FALLBACK;
	if (write)
		exo_window_mark(window, first);
	return exo_insert_pfn_pmd(vmf, at.pfn, write);
}

static vm_fault_t exo_window_touch_large(struct vm_fault *vmf, u64 first, struct exo_missed *missed)
{
	struct exo_window *window = vmf->vma->vm_private_data;
	u64 entry;

	guard(rwsem_read)(&window->lock);
	entry = exo_window_entry(window, vmf->pgoff);
	if (!exo_window_allows(vmf, entry))
		return exo_window_missed(window, entry, missed);
	if (!(entry & EXO_ENTRY_LARGE))
		return VM_FAULT_FALLBACK;
	return exo_window_insert_large(vmf, window, first);
}

static vm_fault_t exo_window_huge_fault(struct vm_fault *vmf, unsigned int fault_order)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long addr = vmf->address & PMD_MASK;
	struct exo_missed missed = {};
	vm_fault_t ret;

	if (fault_order != PMD_ORDER || addr < vma->vm_start || addr + PMD_SIZE > vma->vm_end)
		return VM_FAULT_FALLBACK;
	ret = exo_window_touch_large(vmf, (addr - vma->vm_start) >> PAGE_SHIFT, &missed);
	return missed.handler ? exo_upcall(vmf, &missed) : ret;
}
#endif

/* ptrace and /proc/PID/mem: as far as the entry allows, within one page. */
static int exo_window_access(struct vm_area_struct *vma, unsigned long addr, void *buf, int len,
			     int write)
{
	struct exo_window *window = vma->vm_private_data;
	u64 entry, page = (addr - vma->vm_start) >> PAGE_SHIFT;
	unsigned long offset = offset_in_page(addr);
	struct exo_pfn at;

	len = min_t(unsigned long, len, PAGE_SIZE - offset);
	guard(rwsem_read)(&window->lock);
	entry = exo_window_entry(window, page);
	if (!(entry & (write ? EXO_ENTRY_WRITE : EXO_ENTRY_READ)) ||
	    !exo_window_pfn(window, entry, &at))
		return -EFAULT;
	exo_vma_copy(at.pfn, offset, buf, len, write);
	if (write)
		exo_window_mark(window, page);
	return len;
}

static const struct vm_operations_struct exo_window_vm_ops = {
	.fault = exo_window_fault,
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	.huge_fault = exo_window_huge_fault,
#endif
	.map_pages = exo_vma_map_pages,
	.pfn_mkwrite = exo_window_fault,
	.may_split = exo_vma_may_split,
	.mremap = exo_vma_mremap,
	.mprotect = exo_vma_mprotect,
	.access = exo_window_access,
};

/* ---- life ---- */

static void exo_window_free(struct kref *ref)
{
	struct exo_window *window = container_of(ref, struct exo_window, ref);

	exo_window_free_chunks(window);
	xa_destroy(&window->sources);
	xa_destroy(&window->by_cap);
	mutex_destroy(&window->insert);
	exo_object_put(&window->session->object);
	kfree(window);
}

void exo_window_put(struct exo_window *window)
{
	kref_put(&window->ref, exo_window_free);
}

/* Its VMA is gone, or never was. */
static int exo_window_release(struct inode *inode, struct file *file)
{
	struct exo_window *window = file->private_data;

	scoped_guard(rwsem_write, &window->lock)
		window->closed = true;
	exo_window_drop_sources(window);
	exo_window_put(window);
	return 0;
}

static const struct file_operations exo_window_fops = {
	.owner = THIS_MODULE,
	.release = exo_window_release,
};

static struct exo_window *exo_window_create(struct exo_session *session, u64 pages)
{
	struct exo_window *window = kzalloc(sizeof(*window), EXO_GFP);
	struct file *file;

	if (!window)
		return ERR_PTR(-ENOMEM);
	/* An inode of its own, hence an address_space of its own. */
	file = anon_inode_create_getfile("[exo-window]", &exo_window_fops, window, O_RDWR, NULL);
	if (IS_ERR(file)) {
		kfree(window);
		return ERR_CAST(file);
	}
	kref_init(&window->ref);
	init_rwsem(&window->lock);
	mutex_init(&window->insert);
	xa_init_flags(&window->chunks, XA_FLAGS_ACCOUNT);
	xa_init_flags(&window->sources, XA_FLAGS_ALLOC1 | XA_FLAGS_ACCOUNT);
	xa_init_flags(&window->by_cap, XA_FLAGS_ACCOUNT);
	exo_object_get(&session->object);
	window->session = session;
	window->pages = pages;
	window->file = file;
	return window;
}

/* The file is the VMA's: whatever becomes of that, the window goes with it. */
int exo_window_mmap(struct exo_session *session, struct vm_area_struct *vma)
{
	struct exo_window *window;

	if (!(vma->vm_flags & VM_READ) || !(vma->vm_flags & VM_WRITE))
		return -EACCES;
	if (vma_pages(vma) > EXO_WINDOW_BYTES_MAX >> PAGE_SHIFT)
		return -EINVAL;
	window = exo_window_create(session, vma_pages(vma));
	if (IS_ERR(window))
		return PTR_ERR(window);
	vma->vm_pgoff = 0;
	exo_vma_attach(vma, window->file, &exo_window_vm_ops, window);
	fput(window->file);
	return 0;
}

/* ---- calls ---- */

static struct vm_area_struct *exo_window_find(struct exo_call *call, u64 address)
{
	struct vm_area_struct *vma = vma_lookup(current->mm, address);
	struct exo_window *window;

	mmap_assert_locked(current->mm);
	if (!vma || vma->vm_ops != &exo_window_vm_ops || vma->vm_start != address)
		return NULL;
	window = vma->vm_private_data;
	return window->session == call->session ? vma : NULL;
}

static struct vm_area_struct *exo_window_get(struct exo_call *call, u32 field, u64 address)
{
	struct vm_area_struct *vma = exo_window_find(call, address);

	if (vma)
		return vma;
	return ERR_PTR(exo_refuse(call, -ENOENT, EXO_REASON_NO_WINDOW, field, address, 0));
}

static void exo_window_entered(struct exo_window *window)
{
	window->since = jiffies;
}

struct vm_area_struct *exo_window_enter(struct exo_call *call, u32 field, u64 address)
{
	struct vm_area_struct *vma;
	struct exo_window *window;

	if (mmap_read_lock_killable(current->mm))
		return ERR_PTR(-EINTR);
	vma = exo_window_get(call, field, address);
	if (IS_ERR(vma))
		goto out_unlock;
	window = vma->vm_private_data;
	if (!down_write_killable(&window->lock)) {
		exo_window_entered(window);
		return vma;
	}
	vma = ERR_PTR(-EINTR);
out_unlock:
	mmap_read_unlock(current->mm);
	return vma;
}

struct vm_area_struct *exo_window_reenter(struct exo_call *call, u32 field, u64 address)
{
	struct vm_area_struct *vma;
	struct exo_window *window;

	mmap_read_lock(current->mm);
	vma = exo_window_get(call, field, address);
	if (IS_ERR(vma)) {
		mmap_read_unlock(current->mm);
		return vma;
	}
	window = vma->vm_private_data;
	down_write(&window->lock);
	exo_window_entered(window);
	return vma;
}

void exo_window_leave(struct vm_area_struct *vma)
{
	struct exo_window *window = vma->vm_private_data;

	up_write(&window->lock);
	mmap_read_unlock(vma->vm_mm);
}
