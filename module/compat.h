/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Everything that depends on the kernel's version, and nothing else. The code
 * around it is written for the newest interface; older kernels are dressed up.
 */
#ifndef EXO_COMPAT_H
#define EXO_COMPAT_H

#include <linux/huge_mm.h>
#include <linux/mm.h>
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

#endif
