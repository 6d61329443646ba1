/* SPDX-License-Identifier: GPL-2.0 */
/*
 * NVMe functions: the hardware behind controllers, extents and queues. The kernel
 * keeps the registers and the admin queue; this is what it knows and does there.
 */
#ifndef EXO_NVME_H
#define EXO_NVME_H

#include <linux/cleanup.h>
#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/nvme.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#include "admin.h"
#include "async.h"
#include "dma.h"
#include "doorbell.h"
#include "identify.h"

struct exo_cap;
struct exo_controller;
struct exo_object;
struct pci_dev;

#define EXO_NVME_PAGE 4096u /* CC.MPS = 0 */
#define EXO_NVME_QUEUES_MAX 255u
#define EXO_NVME_DEPTH_MAX 16383u /* its rings are contiguous */

/* NVM command set specification 1.0 section 3.2.2 and figure 100; not in the kernel's header */
#define EXO_NVME_COPY 0x19
#define EXO_NVME_ONCS_COPY BIT(8)
#define EXO_NVME_OCFS_0 BIT(0) /* source descriptor format 0h */

/* NVMe base 2.1 figure 328; likewise */
#define EXO_NVME_CTRATT_PLACEMENT BIT(19)

/* CAP.AMS: weighted round robin with urgent priority class; NVMe base 2.0 section 3.1.3.1 */
#define EXO_NVME_CAP_WEIGHTED BIT_ULL(17)

/* CAP.CSS bit 6: I/O command sets beside NVM, chosen by CC.CSS; NVMe base 2.0 section 3.1.3.1 */
#define EXO_NVME_CAP_CSI BIT_ULL(43)

/* enum: bits of exo_nvme.state */
#define EXO_NVME_DYING 0  /* unbind or shutdown has begun: nothing new */
#define EXO_NVME_FAILED 1 /* no answer or fatal status: nothing new until bound again */
#define EXO_NVME_QUIET 2  /* disabled or gone: it starts no DMA any more */
#define EXO_NVME_UNSAFE 3 /* there is, or was since its last reset, an unsafe queue */

/**
 * struct exo_nvme - one bound function
 * @ref: the driver's, and each object of it
 * @node: in the list of bound functions
 * @pdev: the function; a reference
 * @address: EXO_PCI_ADDRESS()
 * @generation: number of this bind, never reused
 * @state: EXO_NVME_* bits
 * @regs: BAR 0
 * @regs_size: bytes
 * @cap: the CAP register
 * @version: the VS register
 * @depth_max: commands that fit the largest queue
 * @transfer_max: bytes of the largest transfer
 * @append_max: bytes of the largest Zone Append
 * @queues: I/O queue pairs there are
 * @vectors: MSI-X vectors there are, the admin queue's (0) included
 * @features: EXO_CONTROLLER_*
 * @arbitration: burst and weights, if it has priorities
 * @serial, @model, @firmware: from Identify Controller; @firmware under the lock of @identity
 * @nn: largest namespace number
 * @notices: asynchronous notices that it can send (OAES)
 * @identity: what it says of itself
 * @async: what it tells unasked
 * @cntlid: controller identifier
 * @cmic: what the subsystem may have several of
 * @has_shadows: it has Doorbell Buffer Config
 * @doorbells: those of its queues
 * @dma: the way to memory
 * @admin: the admin queue
 * @root: root of the derivation tree
 * @controller: the object that root claims name: all queues
 * @exclusive: what has the function to itself, or NULL. Written with @busy held for writing
 * @direct: since it is, there was a direct or an unsafe queue; likewise
 * @exclusive_uses: controller objects and queues that keep it so
 * @busy: read: a call is using the hardware and what it makes is on no list yet;
 *	write: unbind waits for such calls. Nothing of a program is touched under it
 * @lock: guards @qids, @vectors_used and @namespaces; taken inside @busy
 * @qids: queue identifiers in use
 * @vectors_used: vectors in use
 * @namespaces: by nsid
 * @list_lock: guards @live_queues, @looks and @attachments; a leaf
 * @looks: passes over @live_queues (exo_queue_kill_users())
 * @live_queues: exo_queue.on_nvme
 * @attachments: exo_attachment.on_nvme
 * @fail_lock: makes later callers of exo_nvme_fail() wait for the first; keeps @regs
 *	for exo_nvme_check()
 */
struct exo_nvme {
	struct kref ref;
	struct list_head node;
	struct pci_dev *pdev;
	u32 address;
	u32 generation;
	unsigned long state;

	void __iomem *regs;
	u64 regs_size;
	u64 cap;
	u32 version;
	u32 depth_max;
	u32 transfer_max;
	u32 append_max;
	u32 queues;
	u32 vectors;
	u32 features;
	u32 arbitration;
	char serial[20];
	char model[40];
	char firmware[8];
	u32 nn;
	u32 notices;
	struct exo_identity identity;
	struct exo_async async;
	u16 cntlid;
	u8 cmic;
	bool has_shadows;
	struct exo_doorbells doorbells;

	struct exo_dma dma;
	struct exo_admin admin;

	struct exo_cap *root;
	struct exo_controller *controller;
	struct exo_controller *exclusive;
	bool direct;
	atomic_t exclusive_uses;

	struct rw_semaphore busy;
	struct mutex lock;
	DECLARE_BITMAP(qids, EXO_NVME_QUEUES_MAX + 1);
	DECLARE_BITMAP(vectors_used, EXO_NVME_QUEUES_MAX + 1);
	struct xarray namespaces;

	spinlock_t list_lock;
	struct list_head live_queues;
	u32 looks;
	struct list_head attachments;

	struct mutex fail_lock;
};

/* The bound functions. */
void exo_nvme_publish(struct exo_nvme *nvme);
void exo_nvme_unpublish(struct exo_nvme *nvme);
struct exo_nvme *exo_nvme_find(u32 address);
u32 exo_nvme_count(void);

struct exo_nvme *exo_nvme_alloc(struct pci_dev *pdev);
void exo_nvme_get(struct exo_nvme *nvme);
void exo_nvme_put(struct exo_nvme *nvme);
DEFINE_FREE(exo_nvme_put, struct exo_nvme *, if (!IS_ERR_OR_NULL(_T)) exo_nvme_put(_T))

/* Reset, enable, identify. After exo_nvme_disable() it is quiet, or state does not say so. */
int exo_nvme_start(struct exo_nvme *nvme);
/* Identify Controller; also later, when what it says may have changed. */
int exo_nvme_identify(struct exo_nvme *nvme);
void exo_nvme_disable(struct exo_nvme *nvme);
void exo_nvme_shutdown(struct exo_nvme *nvme);

/*
 * Reset and enabled again: all that was made in it is gone. With busy held for writing. If it
 * does not come back it has failed.
 */
void exo_nvme_restart(struct exo_nvme *nvme);

/* It did not answer, or reports fatal status: all its queues die, and it is disabled. */
void exo_nvme_fail(struct exo_nvme *nvme, const char *why);

/* Does it still process commands? Notices fatal status and removal, and waits for a failure to end. */
bool exo_nvme_check(struct exo_nvme *nvme);
/* What is wrong with it, or NULL; a glance at the registers, by who knows them mapped. */
const char *exo_nvme_ailment(struct exo_nvme *nvme);

/* It failed, was not silenced, and nothing stands between it and memory. */
bool exo_nvme_may_write(struct exo_nvme *nvme);

/* Unmaps kernel memory, and frees it unless the device may still write to it. */
void exo_nvme_buf_free(struct exo_nvme *nvme, struct exo_dma_buf *buf);

/* The last of unbind: whoever looks later finds no registers. */
void exo_nvme_unmap_regs(struct exo_nvme *nvme);

static inline bool exo_nvme_usable(struct exo_nvme *nvme)
{
	return !(READ_ONCE(nvme->state) & (BIT(EXO_NVME_DYING) | BIT(EXO_NVME_FAILED)));
}

/* Commands that name anything may be under way: not when the device is silent. */
static inline bool exo_nvme_is_unsafe(struct exo_nvme *nvme)
{
	return (READ_ONCE(nvme->state) & (BIT(EXO_NVME_UNSAFE) | BIT(EXO_NVME_QUIET))) ==
	       BIT(EXO_NVME_UNSAFE);
}

static inline bool exo_nvme_is_quiet(struct exo_nvme *nvme)
{
	return test_bit(EXO_NVME_QUIET, &nvme->state);
}

/* NVMe over PCIe Transport 1.0 section 3.1.2: SQyTDBL, CQyHDBL */
static inline u32 exo_nvme_sq_offset(const struct exo_nvme *nvme, u32 qid)
{
	return NVME_REG_DBS + 2 * qid * (4u << NVME_CAP_STRIDE(nvme->cap));
}

static inline u32 exo_nvme_cq_offset(const struct exo_nvme *nvme, u32 qid)
{
	return NVME_REG_DBS + (2 * qid + 1) * (4u << NVME_CAP_STRIDE(nvme->cap));
}

static inline void __iomem *exo_nvme_sq_doorbell(struct exo_nvme *nvme, u32 qid)
{
	return nvme->regs + exo_nvme_sq_offset(nvme, qid);
}

static inline void __iomem *exo_nvme_cq_doorbell(struct exo_nvme *nvme, u32 qid)
{
	return nvme->regs + exo_nvme_cq_offset(nvme, qid);
}

#endif
