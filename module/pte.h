/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Page table entries of frames in a program, as each architecture has them set: a new one, and one
 * that is made writable in place. Both under the page table's lock; all are special.
 */
#ifndef EXO_PTE_H
#define EXO_PTE_H

#include <linux/mm.h>

#include "compat.h"

/*
 * What set_pte_at() does besides on arm64 is not for special entries (tags of memory and
 * instructions are synchronized, neighbours folded into one), and calls what is not exported. The
 * kernel's check of page tables is not passed, either: where that is built in there are no windows
 * (Kbuild).
 */
static inline void exo_pte_set(struct vm_area_struct *vma, unsigned long addr, pte_t *pte,
			       pte_t new)
{
#ifdef CONFIG_ARM64
	set_pte(pte, new);
#else
	set_pte_at(vma->vm_mm, addr, pte, new);
#endif
}

/*
 * Makes an entry that is present and read-only writable. The mark of a write tracker (userfaultfd)
 * is not left on what can be written. CPUs that have the old translation look again
 * before they fault, on x86; others have to be told, or would fault for ever. Nobody need wait for
 * accesses under the old translation: it allowed less.
 */
static inline void exo_pte_allow_write(struct vm_area_struct *vma, unsigned long addr, pte_t *pte,
				       pte_t old)
{
	pte_t new = pte_mkwrite_novma(pte_clear_uffd(old));

#ifdef CONFIG_X86
	exo_pte_set(vma, addr, pte, pte_clear_saveddirty(new));
#else
	exo_pte_set(vma, addr, pte, new);
	exo_flush_tlb_page(vma, addr);
#endif
}

#endif
