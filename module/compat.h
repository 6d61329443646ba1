/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Everything that depends on the kernel's version, and nothing else. The code
 * around it is written for the newest interface; older kernels are dressed up.
 */
#ifndef EXO_COMPAT_H
#define EXO_COMPAT_H

#include <linux/dma-buf.h>
#include <linux/huge_mm.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#error "exo needs Linux 6.12 or newer"
#endif

/* vmf_insert_pfn_pmd() took a pfn_t until that type was removed in 6.17. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#include <linux/pfn_t.h>
static inline vm_fault_t exo_insert_pfn_pmd(struct vm_fault *vmf, unsigned long pfn, bool write)
{
	return vmf_insert_pfn_pmd(vmf, pfn_to_pfn_t(pfn), write);
}
#else
static inline vm_fault_t exo_insert_pfn_pmd(struct vm_fault *vmf, unsigned long pfn, bool write)
{
	return vmf_insert_pfn_pmd(vmf, pfn, write);
}
#endif

/* The name of a namespace became a string in 6.13. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define EXO_IMPORT_DMA_BUF MODULE_IMPORT_NS(DMA_BUF)
#else
#define EXO_IMPORT_DMA_BUF MODULE_IMPORT_NS("DMA_BUF")
#endif

/* What tells importers that memory is taken back got its present name in 7.1. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 1, 0)
#define invalidate_mappings move_notify
#define dma_buf_invalidate_mappings dma_buf_move_notify
#endif

/* The mark of a write tracker is that of others, too, from 7.3 on. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 3, 0)
#define pte_clear_uffd pte_clear_uffd_wp
#endif

/*
 * Later kernels need not export it (7.2 does not). A page table that is made to be looked into has
 * nothing in it.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#define apply_to_existing_page_range apply_to_page_range
#endif

/*
 * Makes an entry that is present and read-only writable, under the page table's lock. That
 * of a write tracker (userfaultfd) is not left on what can be written. CPUs that have the old one
 * look again before they fault, on x86; others have to be told.
 */
static inline void exo_pte_allow_write(struct vm_area_struct *vma, unsigned long addr, pte_t *pte,
				       pte_t old)
{
	pte_t new = pte_mkwrite_novma(pte_clear_uffd(old));

#ifdef CONFIG_X86
	set_pte_at(vma->vm_mm, addr, pte, pte_clear_saveddirty(new));
#else
	set_pte_at(vma->vm_mm, addr, pte, new);
	flush_tlb_page(vma, addr);
#endif
}

#endif
