// SPDX-License-Identifier: GPL-2.0
/*
 * The rules of every VMA that exo makes, in one place; the last is of views, of windows see
 * window.c:
 *
 *  - shared only: a private writable mapping of page frames cannot be;
 *  - VM_IO | VM_PFNMAP: no get_user_pages(), no MADV_DOFORK, no core dump;
 *  - not inherited by fork, not expanded, not split, not moved, not re-protected;
 *  - never executable; writable only with the right, and VM_MAYWRITE cleared
 *    without it, so that nobody can make it writable later;
 *  - entries are inserted by faults only, under the view's lock for reading, and
 *    withdrawn by unmap_mapping_range() after the view was marked dead under it
 *    for writing: no entry appears after that.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rwsem.h>
#include <linux/slab.h>

#include "cap.h"
#include "compat.h"
#include "params.h"
#include "session.h"
#include "view.h"
#include "window.h"

#define EXO_VIEW_PAGE_BITS (EXO_VIEW_SHIFT - PAGE_SHIFT)
#define EXO_FAULT_AROUND 16 /* entries filled at most by one 4 KiB fault */

/**
 * struct exo_view - the mapping of one capability
 * @lock: read: an entry is being inserted; write: the view ends
 * @object: what is mapped; a reference; NULL: the view has ended
 * @file: its address_space holds the VMAs; the view is the file's
 * @insert: one insertion at a time, so that 4 KiB and 2 MiB entries do not meet
 * @on_object: in object->views, under its lock
 * @outlives: stays when the capability ends because its object died
 */
struct exo_view {
	struct rw_semaphore lock;
	struct mutex insert;
	struct exo_object *object;
	struct file *file;
	struct list_head on_object;
	bool outlives;
};

/* ---- faults ---- */

static bool exo_view_pfn(struct exo_view *view, pgoff_t page, struct exo_pfn *at)
{
	lockdep_assert_held(&view->lock);
	*at = (struct exo_pfn){ .order = EXO_ORDER_4K };
	return view->object && view->object->ops->map_pfn(view->object, page, at);
}

static vm_fault_t exo_view_insert(struct vm_area_struct *vma, unsigned long addr,
				  const struct exo_pfn *at)
{
	pgprot_t prot = vm_get_page_prot(vma->vm_flags);

	return vmf_insert_pfn_prot(vma, addr, at->pfn,
				   at->registers ? pgprot_decrypted(pgprot_noncached(prot)) : prot);
}

/* The faulting entry, then its neighbours within a naturally aligned group. */
static vm_fault_t exo_view_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct exo_view *view = vma->vm_private_data;
	unsigned long addr = vmf->address & PAGE_MASK;
	unsigned long end = ALIGN(addr + 1, EXO_FAULT_AROUND * PAGE_SIZE);
	pgoff_t page = vmf->pgoff;
	struct exo_pfn at;
	vm_fault_t ret;

	guard(rwsem_read)(&view->lock);
	if (!exo_view_pfn(view, page, &at))
		return VM_FAULT_SIGBUS;
	guard(mutex)(&view->insert);
	/* Another thread's 2 MiB entry came first. */
	if (pmd_trans_huge(pmdp_get(vmf->pmd)))
		return VM_FAULT_NOPAGE;
	ret = exo_view_insert(vma, addr, &at);
	end = min(end, vma->vm_end);
	while (ret == VM_FAULT_NOPAGE && (addr += PAGE_SIZE) < end) {
		if (!exo_view_pfn(view, ++page, &at))
			break;
		if (exo_view_insert(vma, addr, &at) != VM_FAULT_NOPAGE)
			break;
	}
	return ret;
}

#ifdef CONFIG_TRANSPARENT_HUGEPAGE
static vm_fault_t exo_view_huge_fault(struct vm_fault *vmf, unsigned int fault_order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct exo_view *view = vma->vm_private_data;
	unsigned long addr = vmf->address & PMD_MASK;
	pgoff_t page = vma->vm_pgoff + ((addr - vma->vm_start) >> PAGE_SHIFT);
	struct exo_pfn at;

	if (fault_order != PMD_ORDER || addr < vma->vm_start || addr + PMD_SIZE > vma->vm_end)
		return VM_FAULT_FALLBACK;
	guard(rwsem_read)(&view->lock);
	if (!exo_view_pfn(view, page, &at))
		return view->object ? VM_FAULT_FALLBACK : VM_FAULT_SIGBUS;
	if (at.order != EXO_ORDER_2M)
		return VM_FAULT_FALLBACK;
	guard(mutex)(&view->insert);
	/* Another thread's 4 KiB entries came first. */
	if (!pmd_none(pmdp_get(vmf->pmd)) && !pmd_trans_huge(pmdp_get(vmf->pmd)))
		return VM_FAULT_FALLBACK;
	return exo_insert_pfn_pmd(vmf, at.pfn, vmf->flags & FAULT_FLAG_WRITE);
}
#endif

/* Keeps faults on the per-VMA lock: there is nothing to map around from a page cache. */
vm_fault_t exo_vma_map_pages(struct vm_fault *vmf, pgoff_t start, pgoff_t end)
{
	return 0;
}

/* An entry that was inserted read-only becomes writable, if the VMA may and the view lives. */
static vm_fault_t exo_view_pfn_mkwrite(struct vm_fault *vmf)
{
	struct exo_view *view = vmf->vma->vm_private_data;

	guard(rwsem_read)(&view->lock);
	return view->object ? 0 : VM_FAULT_SIGBUS;
}

/* For .access, which gives its own memory and not the program's. */
void exo_vma_copy(unsigned long pfn, unsigned long offset, void *buf, int len, bool write)
{
	void *va = kmap_local_pfn(pfn);

	if (write)
		memcpy(va + offset, buf, len);
	else
		memcpy(buf, va + offset, len);
	kunmap_local(va);
}

/* ---- what may not be done to such a VMA ---- */

int exo_vma_may_split(struct vm_area_struct *vma, unsigned long addr)
{
	return -EINVAL;
}

int exo_vma_mremap(struct vm_area_struct *vma)
{
	return -EINVAL;
}

int exo_vma_mprotect(struct vm_area_struct *vma, unsigned long start, unsigned long end,
		     unsigned long flags)
{
	return -EACCES;
}

/* ptrace and /proc/PID/mem: as far as the mapping itself allows, within one page. */
static int exo_view_access(struct vm_area_struct *vma, unsigned long addr, void *buf, int len,
			   int write)
{
	struct exo_view *view = vma->vm_private_data;
	pgoff_t page = vma->vm_pgoff + ((addr - vma->vm_start) >> PAGE_SHIFT);
	unsigned long offset = offset_in_page(addr);
	struct exo_pfn at;

	if (write && !(vma->vm_flags & VM_WRITE))
		return -EACCES;
	len = min_t(unsigned long, len, PAGE_SIZE - offset);
	guard(rwsem_read)(&view->lock);
	/* Registers are written by whoever means it, not by a debugger. */
	if (!exo_view_pfn(view, page, &at) || at.registers)
		return -EFAULT;
	exo_vma_copy(at.pfn, offset, buf, len, write);
	return len;
}

static const struct vm_operations_struct exo_view_vm_ops = {
	.fault = exo_view_fault,
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	.huge_fault = exo_view_huge_fault,
#endif
	.map_pages = exo_vma_map_pages,
	.pfn_mkwrite = exo_view_pfn_mkwrite,
	.may_split = exo_vma_may_split,
	.mremap = exo_vma_mremap,
	.mprotect = exo_vma_mprotect,
	.access = exo_view_access,
};

/* ---- life ---- */

static void exo_view_enlist(struct exo_view *view, struct exo_object *object)
{
	guard(mutex)(&object->views_lock);
	list_add(&view->on_object, &object->views);
}

/* What it shows can be reached through it no more. */
static void exo_view_let_go(struct exo_view *view, struct exo_object *object)
{
	scoped_guard(mutex, &object->views_lock)
		list_del(&view->on_object);
	exo_object_unuse(object);
	exo_object_put(object);
}

static int exo_view_release(struct inode *inode, struct file *file)
{
	struct exo_view *view = file->private_data;

	if (view->object)
		exo_view_let_go(view, view->object);
	mutex_destroy(&view->insert);
	kfree(view);
	return 0;
}

static const struct file_operations exo_view_fops = {
	.owner = THIS_MODULE,
	.release = exo_view_release,
};

static struct exo_view *exo_view_create(struct exo_object *object)
{
	struct exo_view *view = kzalloc(sizeof(*view), EXO_GFP);
	struct file *file;

	if (!view)
		return ERR_PTR(-ENOMEM);
	init_rwsem(&view->lock);
	mutex_init(&view->insert);
	/* An inode of its own, hence an address_space of its own. */
	file = anon_inode_create_getfile("[exo]", &exo_view_fops, view, O_RDWR, NULL);
	if (IS_ERR(file)) {
		kfree(view);
		return ERR_CAST(file);
	}
	exo_object_get(object);
	exo_object_use(object);
	view->object = object;
	view->outlives = object->ops->map_outlives;
	view->file = file;
	exo_view_enlist(view, object);
	return view;
}

/* Called once. What is left of a dead queue stays readable. */
static void exo_view_end(struct exo_view *view)
{
	struct exo_object *object = NULL;

	if (!view->outlives || !READ_ONCE(view->object->dead)) {
		scoped_guard(rwsem_write, &view->lock)
			swap(object, view->object);
		unmap_mapping_range(view->file->f_mapping, 0, 0, 1);
		exo_view_let_go(view, object);
	}
	fput(view->file);
}

/* A view on the list stays: its release waits for the list's lock. */
void exo_view_withdraw(struct exo_object *obj, pgoff_t first, pgoff_t pages)
{
	struct exo_view *view;

	guard(mutex)(&obj->views_lock);
	list_for_each_entry(view, &obj->views, on_object) {
		/* Faults that saw what was there have inserted it when this is passed. */
		down_write(&view->lock);
		up_write(&view->lock);
		unmap_mapping_range(view->file->f_mapping, (loff_t)first << PAGE_SHIFT,
				    (loff_t)pages << PAGE_SHIFT, 1);
	}
}

void exo_view_slot_init(struct exo_view_slot *slot)
{
	mutex_init(&slot->lock);
	slot->view = NULL;
	slot->dead = false;
	spin_lock_init(&slot->windows_lock);
	INIT_LIST_HEAD(&slot->windows);
	slot->windows_dead = false;
}

static int exo_view_slot_fill(struct exo_view_slot *slot, struct exo_object *object)
{
	struct exo_view *view;

	lockdep_assert_held(&slot->lock);
	if (slot->dead)
		return -ESTALE;
	if (slot->view)
		return 0;
	view = exo_view_create(object);
	if (IS_ERR(view))
		return PTR_ERR(view);
	slot->view = view;
	return 0;
}

void exo_view_slot_end(struct exo_view_slot *slot)
{
	struct exo_view *view;

	scoped_guard(mutex, &slot->lock) {
		view = slot->view;
		slot->view = NULL;
		slot->dead = true;
	}
	if (view)
		exo_view_end(view);
	if (IS_ENABLED(EXO_WINDOWS))
		exo_window_end_sources(slot);
}

/* ---- mmap ---- */

static int exo_view_check_flags(struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EACCES;
	return 0;
}

void exo_vma_attach(struct vm_area_struct *vma, struct file *file,
		    const struct vm_operations_struct *ops, void *data)
{
	vma_set_file(vma, file);
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	vm_flags_clear(vma, VM_MAYEXEC);
	if (!(vma->vm_flags & VM_WRITE))
		vm_flags_clear(vma, VM_MAYWRITE);
	vma->vm_ops = ops;
	vma->vm_private_data = data;
}

static int exo_view_map(struct exo_view_slot *slot, struct exo_object *object,
			const struct exo_cap *cap, struct vm_area_struct *vma)
{
	int ret = object->ops->map_check(object, cap, vma);

	if (ret)
		return ret;
	guard(mutex)(&slot->lock);
	ret = exo_view_slot_fill(slot, object);
	if (!ret)
		exo_vma_attach(vma, slot->view->file, &exo_view_vm_ops, slot->view);
	return ret;
}

int exo_view_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct exo_session *session = file->private_data;
	u64 id = vma->vm_pgoff >> EXO_VIEW_PAGE_BITS;
	pgoff_t page = vma->vm_pgoff & GENMASK_ULL(EXO_VIEW_PAGE_BITS - 1, 0);
	int ret = exo_view_check_flags(vma);

	if (ret)
		return ret;
	if (IS_ENABLED(EXO_WINDOWS) && !id && page == EXO_WINDOW_PAGE)
		return exo_window_mmap(session, vma);
	if (id > EXO_CAPS_MAX || page + vma_pages(vma) > BIT_ULL(EXO_VIEW_PAGE_BITS))
		return -EINVAL;
	vma->vm_pgoff = page;
	if (!id)
		return exo_view_map(&session->slot, &session->object, NULL, vma);
	struct exo_cap *cap __free(exo_cap_put) = exo_cap_lookup(session, id);
	if (IS_ERR(cap))
		return PTR_ERR(cap);
	if (exo_cap_gone(cap))
		return -ESTALE;
	if (!cap->object->ops->map_check)
		return -EINVAL;
	return exo_view_map(&cap->slot, cap->object, cap, vma);
}
