/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A function in one holder's hands alone. While a controller object has it to itself,
 * what is made on the function is made through that object or what was derived from it:
 * so commands that nobody checks reach nothing of anybody else's.
 *
 * It begins only when nobody has anything there, and lasts as long as a controller object
 * or a queue of its own lives. A controller whose doorbells have shadows is reset when it begins, to
 * be without, and when it ends. If a direct queue was among them the controller is reset then, too,
 * and what it said of its namespaces is forgotten, with the extents that rest on it: their
 * holder could have it say anything.
 */
#ifndef EXO_EXCLUSIVE_H
#define EXO_EXCLUSIVE_H

#include <linux/types.h>

struct exo_controller;
struct exo_nvme;

/* May something be made through @controller? Asked with nvme->busy held. */
bool exo_exclusive_admits(const struct exo_controller *controller);

/*
 * The same for what keeps the function exclusive: *joined says whether it does. -EBUSY: it
 * may not be made. With nvme->busy held; the reverse without.
 */
int exo_exclusive_join(const struct exo_controller *controller, bool *joined);
void exo_exclusive_leave(struct exo_nvme *nvme);

/* From now on @controller has its function alone; -EBUSY: somebody has something there. */
int exo_exclusive_begin(struct exo_controller *controller);

#endif
