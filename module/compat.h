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
 * Invalidates the translation of a page on all CPUs. flush_tlb_page() calls on arm64 what is not
 * exported: devices that share the page tables (SVA) are told, and workarounds wait for
 * accesses under the old translation. Later kernels (7.3) hide the instructions, but can be asked.
 */
#ifdef CONFIG_ARM64
#include <asm/tlbflush.h>
static inline void exo_flush_tlb_page(struct vm_area_struct *vma, unsigned long addr)
{
#ifdef TLBF_NONOTIFY
	__flush_tlb_page(vma, addr, TLBF_NONOTIFY | TLBF_NOSYNC);
#else
	unsigned long page = __TLBI_VADDR(addr, ASID(vma->vm_mm));

	dsb(ishst);
	__tlbi(vale1is, page);
	__tlbi_user(vale1is, page);
#endif
	dsb(ish);
}
#else
#define exo_flush_tlb_page flush_tlb_page
#endif

#endif
