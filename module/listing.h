/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Listings of derivation trees.
 */
#ifndef EXO_LISTING_H
#define EXO_LISTING_H

struct exo_call;

int exo_tree_list(struct exo_call *call);

#endif
