/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The PCI driver.
 */
#ifndef EXO_PCI_H
#define EXO_PCI_H

int exo_pci_init(void);
void exo_pci_exit(void);

#endif
