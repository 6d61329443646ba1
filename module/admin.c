// SPDX-License-Identifier: GPL-2.0
/*
 * The admin queue. The interrupt says that a completion is there; a command whose
 * interrupt was lost is found by a look every second; one that has none at its deadline
 * means that the controller has failed, and whether it is there at all is looked at as often.
 */
#include <linux/exo.h>
#include <linux/interrupt.h>
#include <linux/pci.h>

#include "nvme.h"
#include "params.h"

#define EXO_ADMIN_ENTRIES 32u
#define EXO_ADMIN_NOBODY 0xffffu    /* a command identifier that is never used */
#define EXO_ADMIN_CID_EVENT 0xfffeu /* of the request for an event; others are below */
#define EXO_ADMIN_NOTHING (EXO_ADMIN_NOBODY << 16 | 0x03) /* dword 0: an opcode that is reserved */

int exo_admin_init(struct exo_nvme *nvme)
{
	struct exo_admin *admin = &nvme->admin;
	int ret;

	mutex_init(&admin->lock);
	spin_lock_init(&admin->irq_lock);
	init_completion(&admin->done);
	/* An interrupt before exo_admin_reset() finds nothing. */
	admin->phase = 1;
	admin->cid = -1;
	ret = exo_dma_buf_alloc(&nvme->dma, &admin->sq,
				EXO_ADMIN_ENTRIES * sizeof(struct nvme_command),
				EXO_DMA_DEVICE_READS);
	if (ret)
		return ret;
	ret = exo_dma_buf_alloc(&nvme->dma, &admin->cq,
				EXO_ADMIN_ENTRIES * sizeof(struct nvme_completion),
				EXO_DMA_DEVICE_WRITES);
	if (ret)
		goto out_sq;
	ret = exo_dma_buf_alloc(&nvme->dma, &admin->page, EXO_NVME_PAGE, EXO_DMA_DEVICE_WRITES);
	if (ret)
		goto out_cq;
	return 0;

out_cq:
	exo_dma_buf_unmap(&nvme->dma, &admin->cq);
	exo_dma_buf_free(&admin->cq);
out_sq:
	exo_dma_buf_unmap(&nvme->dma, &admin->sq);
	exo_dma_buf_free(&admin->sq);
	return ret;
}

void exo_admin_exit(struct exo_nvme *nvme)
{
	struct exo_admin *admin = &nvme->admin;

	exo_nvme_buf_free(nvme, &admin->sq);
	exo_nvme_buf_free(nvme, &admin->cq);
	exo_nvme_buf_free(nvme, &admin->page);
	mutex_destroy(&admin->lock);
}

/*
 * Who has a direct queue can have the device look here at any time, and at what was done
 * once more. So an entry is NOTHING but while its command is wanted: what says what it is
 * is written last, and goes first.
 */
static void exo_admin_put(struct nvme_command *entry, const struct nvme_command *cmd)
{
	const u32 *from = (const u32 *)cmd;
	u32 *to = (u32 *)entry, i;

	for (i = 1; i < sizeof(*cmd) / sizeof(u32); i++)
		to[i] = from[i];
	dma_wmb();
	WRITE_ONCE(to[0], from[0]);
}

static void exo_admin_scrub(struct nvme_command *entry)
{
	u32 *to = (u32 *)entry;

	WRITE_ONCE(to[0], EXO_ADMIN_NOTHING);
	dma_wmb();
	memset(to + 1, 0, sizeof(*entry) - sizeof(u32));
}

/* Before the controller is enabled: NVMe base 2.0 section 3.5.1, AQA, ASQ, ACQ. */
void exo_admin_reset(struct exo_nvme *nvme)
{
	struct exo_admin *admin = &nvme->admin;
	u32 aqa = (EXO_ADMIN_ENTRIES - 1) << 16 | (EXO_ADMIN_ENTRIES - 1);
	struct nvme_command *sq = admin->sq.va;
	u32 i;

	guard(spinlock_irqsave)(&admin->irq_lock);
	memset(admin->cq.va, 0, admin->cq.size);
	for (i = 0; i < EXO_ADMIN_ENTRIES; i++)
		exo_admin_scrub(&sq[i]);
	WRITE_ONCE(admin->resets, admin->resets + 1);
	admin->sq_tail = 0;
	admin->cq_head = 0;
	admin->phase = 1;
	admin->cid = -1;
	admin->asked = NULL;
	nvme->async.armed = false;
	writel(aqa, nvme->regs + NVME_REG_AQA);
	lo_hi_writeq(exo_dma_addr(&admin->sq.map, 0, 0), nvme->regs + NVME_REG_ASQ);
	lo_hi_writeq(exo_dma_addr(&admin->cq.map, 0, 0), nvme->regs + NVME_REG_ACQ);
}

static void exo_admin_complete(struct exo_nvme *nvme, const struct nvme_completion *cqe, u32 status)
{
	struct exo_admin *admin = &nvme->admin;
	u32 result = le32_to_cpu(READ_ONCE(cqe->result.u32));
	u16 cid = READ_ONCE(cqe->command_id);

	lockdep_assert_held(&admin->irq_lock);
	if (cid == EXO_ADMIN_CID_EVENT) {
		exo_async_answer(nvme, result, status);
	} else if (admin->cid == cid) {
		admin->answer.result = result;
		admin->answer.status = status;
		admin->cid = -1;
		/* In this order they were fetched. */
		if (admin->asked)
			exo_admin_scrub(admin->asked);
		admin->asked = NULL;
		exo_admin_scrub(admin->sent);
		complete(&admin->done);
	}
}

/*
 * Takes every completion that is there, and no more than the ring holds, whatever the device
 * writes meanwhile. True if there was one.
 */
static bool exo_admin_poll(struct exo_nvme *nvme)
{
	struct exo_admin *admin = &nvme->admin;
	struct nvme_completion *cq = admin->cq.va;
	bool any = false;
	u32 i;

	guard(spinlock_irqsave)(&admin->irq_lock);
	for (i = 0; i < EXO_ADMIN_ENTRIES; i++) {
		struct nvme_completion *cqe = &cq[admin->cq_head];
		u16 status = le16_to_cpu(READ_ONCE(cqe->status));

		if ((status & 1) != admin->phase)
			break;
		dma_rmb();
		exo_admin_complete(nvme, cqe, status >> 1);
		if (++admin->cq_head == EXO_ADMIN_ENTRIES) {
			admin->cq_head = 0;
			admin->phase ^= 1;
		}
		any = true;
	}
	if (any)
		exo_doorbell_ring_admin_cq(nvme, admin->cq_head);
	return any;
}

static irqreturn_t exo_admin_irq(int irq, void *data)
{
	return exo_admin_poll(data) ? IRQ_HANDLED : IRQ_NONE;
}

int exo_admin_request_irq(struct exo_nvme *nvme)
{
	nvme->admin.irq = pci_irq_vector(nvme->pdev, 0);
	return request_irq(nvme->admin.irq, exo_admin_irq, 0, "exo", nvme);
}

void exo_admin_free_irq(struct exo_nvme *nvme)
{
	free_irq(nvme->admin.irq, nvme);
}

static struct nvme_command *exo_admin_next(struct exo_admin *admin)
{
	return (struct nvme_command *)admin->sq.va + admin->sq_tail;
}

/* Two at most are with the device, which fetches them at once: there is always room. */
static void exo_admin_place(struct exo_nvme *nvme, struct nvme_command *cmd, u16 cid)
{
	struct exo_admin *admin = &nvme->admin;
	struct nvme_command *entry = exo_admin_next(admin);

	lockdep_assert_held(&admin->lock);
	cmd->common.command_id = cid;
	exo_admin_put(entry, cmd);
	if (++admin->sq_tail == EXO_ADMIN_ENTRIES)
		admin->sq_tail = 0;
	dma_wmb();
	exo_doorbell_ring_admin_sq(nvme, admin->sq_tail);
}

static void exo_admin_submit(struct exo_nvme *nvme, struct nvme_command *cmd)
{
	struct exo_admin *admin = &nvme->admin;
	u32 cid = ++admin->cids % EXO_ADMIN_CID_EVENT;

	lockdep_assert_held(&admin->lock);
	reinit_completion(&admin->done);
	scoped_guard(spinlock_irqsave, &admin->irq_lock) {
		admin->sent = exo_admin_next(admin);
		admin->cid = cid;
	}
	exo_admin_place(nvme, cmd, cid);
}

static int exo_admin_wait(struct exo_nvme *nvme)
{
	struct exo_admin *admin = &nvme->admin;
	unsigned long end = jiffies + msecs_to_jiffies(exo_admin_timeout_ms());
	int ret = 0;

	while (!ret) {
		long left = end - jiffies;

		if (wait_for_completion_timeout(&admin->done, clamp(left, 1L, (long)HZ)))
			return 0;
		exo_admin_poll(nvme);
		if (try_wait_for_completion(&admin->done))
			return 0;
		if (time_after_eq(jiffies, end))
			ret = -ETIMEDOUT;
		else if (exo_nvme_ailment(nvme))
			ret = -ENODEV;
	}
	scoped_guard(spinlock_irqsave, &admin->irq_lock)
		admin->cid = -1;
	return ret;
}

int exo_admin_run(struct exo_nvme *nvme, struct nvme_command *cmd, struct exo_admin_answer *answer)
{
	struct exo_admin *admin = &nvme->admin;
	int ret;

	*answer = (struct exo_admin_answer){};
	scoped_guard(mutex, &admin->lock) {
		if (test_bit(EXO_NVME_FAILED, &nvme->state) || exo_nvme_is_quiet(nvme))
			return -ENODEV;
		exo_admin_submit(nvme, cmd);
		ret = exo_admin_wait(nvme);
		*answer = admin->answer;
	}
	if (ret) {
		exo_nvme_fail(nvme, exo_nvme_ailment(nvme)
					    ?: "an admin command was not answered in time");
		return ret;
	}
	return answer->status & 0x7ff ? -EIO : 0;
}

void exo_admin_request_event(struct exo_nvme *nvme)
{
	struct exo_admin *admin = &nvme->admin;
	struct nvme_command cmd = {
		.common.opcode = nvme_admin_async_event,
	};

	guard(mutex)(&admin->lock);
	if (test_bit(EXO_NVME_FAILED, &nvme->state) || exo_nvme_is_quiet(nvme))
		return;
	scoped_guard(spinlock_irqsave, &admin->irq_lock) {
		if (nvme->async.armed)
			return;
		nvme->async.armed = true;
		if (admin->asked)
			exo_admin_scrub(admin->asked);
		admin->asked = exo_admin_next(admin);
	}
	exo_admin_place(nvme, &cmd, EXO_ADMIN_CID_EVENT);
}

/* ---- the commands ---- */

int exo_admin_identify_csi(struct exo_nvme *nvme, u32 nsid, u8 cns, u8 csi, struct exo_dma_buf *buf)
{
	struct exo_admin_answer answer;
	struct nvme_command cmd = {
		.identify = {
			.opcode = nvme_admin_identify,
			.nsid = cpu_to_le32(nsid),
			.cns = cns,
			.csi = csi,
			.dptr.prp1 = cpu_to_le64(exo_dma_addr(&buf->map, 0, 0)),
		},
	};

	return exo_admin_run(nvme, &cmd, &answer);
}

int exo_admin_identify(struct exo_nvme *nvme, u32 nsid, u8 cns, struct exo_dma_buf *buf)
{
	return exo_admin_identify_csi(nvme, nsid, cns, NVME_CSI_NVM, buf);
}

int exo_admin_log(struct exo_nvme *nvme, u8 lid, u32 bytes, bool retain, struct exo_dma_buf *buf)
{
	struct exo_admin_answer answer;
	struct nvme_command cmd = {
		.get_log_page = {
			.opcode = nvme_admin_get_log_page,
			.nsid = cpu_to_le32(NVME_NSID_ALL),
			.lid = lid,
			.lsp = retain ? BIT(7) : 0,
			.numdl = cpu_to_le16(bytes / 4 - 1),
			.dptr.prp1 = cpu_to_le64(exo_dma_addr(&buf->map, 0, 0)),
		},
	};

	return exo_admin_run(nvme, &cmd, &answer);
}

int exo_admin_set_events(struct exo_nvme *nvme, u32 events)
{
	struct exo_admin_answer answer;
	struct nvme_command cmd = {
		.features = {
			.opcode = nvme_admin_set_features,
			.fid = cpu_to_le32(NVME_FEAT_ASYNC_EVENT),
			.dword11 = cpu_to_le32(events),
		},
	};

	return exo_admin_run(nvme, &cmd, &answer);
}

int exo_admin_get_features(struct exo_nvme *nvme, u32 feature, u32 dword11,
			   struct exo_admin_answer *answer)
{
	struct nvme_command cmd = {
		.features = {
			.opcode = nvme_admin_get_features,
			.fid = cpu_to_le32(feature),
			.dword11 = cpu_to_le32(dword11),
		},
	};

	return exo_admin_run(nvme, &cmd, answer);
}

int exo_admin_set_doorbells(struct exo_nvme *nvme, u64 shadows, u64 events)
{
	struct exo_admin_answer answer;
	struct nvme_command cmd = {
		.dbbuf = {
			.opcode = nvme_admin_dbbuf,
			.prp1 = cpu_to_le64(shadows),
			.prp2 = cpu_to_le64(events),
		},
	};

	return exo_admin_run(nvme, &cmd, &answer);
}

/* Asks for pairs; the device answers how many of each kind there are. */
int exo_admin_set_queues(struct exo_nvme *nvme, u32 wanted, u32 *got)
{
	struct exo_admin_answer answer;
	struct nvme_command cmd = {
		.features = {
			.opcode = nvme_admin_set_features,
			.fid = cpu_to_le32(NVME_FEAT_NUM_QUEUES),
			.dword11 = cpu_to_le32((wanted - 1) << 16 | (wanted - 1)),
		},
	};
	int ret = exo_admin_run(nvme, &cmd, &answer);

	if (ret)
		return ret;
	*got = min3(answer.result & 0xffff, answer.result >> 16, wanted - 1) + 1;
	return 0;
}

/* @vector 0: no interrupts. */
int exo_admin_create_cq(struct exo_nvme *nvme, u32 qid, u32 entries, u64 addr, u32 vector,
			struct exo_admin_answer *answer)
{
	u16 flags = NVME_QUEUE_PHYS_CONTIG | (vector ? NVME_CQ_IRQ_ENABLED : 0);
	struct nvme_command cmd = {
		.create_cq = {
			.opcode = nvme_admin_create_cq,
			.prp1 = cpu_to_le64(addr),
			.cqid = cpu_to_le16(qid),
			.qsize = cpu_to_le16(entries - 1),
			.cq_flags = cpu_to_le16(flags),
			.irq_vector = cpu_to_le16(vector),
		},
	};

	return exo_admin_run(nvme, &cmd, answer);
}

/* NVMe base 2.0 section 5.5, QPRIO, where 0 is urgent. */
static u16 exo_admin_priority(u32 priority)
{
	switch (priority) {
	case EXO_PRIORITY_LOW:
		return NVME_SQ_PRIO_LOW;
	case EXO_PRIORITY_HIGH:
		return NVME_SQ_PRIO_HIGH;
	case EXO_PRIORITY_URGENT:
		return NVME_SQ_PRIO_URGENT;
	default:
		return NVME_SQ_PRIO_MEDIUM;
	}
}

int exo_admin_create_sq(struct exo_nvme *nvme, u32 qid, u32 entries, u64 addr, u32 priority,
			struct exo_admin_answer *answer)
{
	u16 flags = NVME_QUEUE_PHYS_CONTIG | exo_admin_priority(priority);
	struct nvme_command cmd = {
		.create_sq = {
			.opcode = nvme_admin_create_sq,
			.prp1 = cpu_to_le64(addr),
			.sqid = cpu_to_le16(qid),
			.qsize = cpu_to_le16(entries - 1),
			.sq_flags = cpu_to_le16(flags),
			.cqid = cpu_to_le16(qid),
		},
	};

	return exo_admin_run(nvme, &cmd, answer);
}

static int exo_admin_delete(struct exo_nvme *nvme, u8 opcode, u32 qid)
{
	struct exo_admin_answer answer;
	struct nvme_command cmd = {
		.delete_queue = {
			.opcode = opcode,
			.qid = cpu_to_le16(qid),
		},
	};

	return exo_admin_run(nvme, &cmd, &answer);
}

int exo_admin_delete_cq(struct exo_nvme *nvme, u32 qid)
{
	return exo_admin_delete(nvme, nvme_admin_delete_cq, qid);
}

int exo_admin_delete_sq(struct exo_nvme *nvme, u32 qid)
{
	return exo_admin_delete(nvme, nvme_admin_delete_sq, qid);
}
