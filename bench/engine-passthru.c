// SPDX-License-Identifier: MIT
/*
 * NVMe commands through io_uring to the generic character device (/dev/ngXnY):
 * by interrupt, and polled.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "ring.h"

#define NVME_OPCODE_WRITE 0x01
#define NVME_OPCODE_READ 0x02

static uint32_t passthru_nsid;
static uint32_t passthru_blocks_per_io; /* logical blocks in BENCH_BYTES */

/* NVM Command Set Specification, Identify Namespace: NSZE, FLBAS, LBAF. */
static int passthru_identify(struct bench *b, int fd)
{
	uint8_t id[4096];
	uint64_t nsze;
	uint8_t shift;
	struct nvme_passthru_cmd cmd = {
		.opcode = 0x06,
		.nsid = passthru_nsid,
		.addr = (uintptr_t)id,
		.data_len = sizeof(id),
	};

	if (ioctl(fd, NVME_IOCTL_ADMIN_CMD, &cmd))
		return -EIO;
	memcpy(&nsze, id, sizeof(nsze));
	shift = id[128 + 4 * (id[26] & 0xf) + 2];
	if (shift < 9 || shift > 12)
		return -EINVAL;
	passthru_blocks_per_io = BENCH_BYTES >> shift;
	b->blocks = nsze / passthru_blocks_per_io;
	return 0;
}

static int passthru_setup(struct bench *b, unsigned int flags)
{
	int ret = ring_open(b, 0, flags | IORING_SETUP_SQE128 | IORING_SETUP_CQE32, 0);
	struct ring *ring = b->engine;
	int nsid;

	if (ret)
		return ret;
	nsid = ioctl(ring->fd, NVME_IOCTL_ID);
	if (nsid < 0)
		return -errno;
	passthru_nsid = nsid;
	return passthru_identify(b, ring->fd);
}

static int passthru_open(struct bench *b)
{
	return passthru_setup(b, 0);
}

static int passthru_poll_open(struct bench *b)
{
	return passthru_setup(b, IORING_SETUP_IOPOLL);
}

static int passthru_submit(struct bench *b, const struct bench_io *io, unsigned int nr)
{
	struct ring *ring = b->engine;

	for (unsigned int i = 0; i < nr; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
		struct nvme_uring_cmd *cmd = (struct nvme_uring_cmd *)sqe->cmd;
		uint64_t lba = (uint64_t)io[i].block * passthru_blocks_per_io;

		if (!sqe)
			return -EBUSY;
		memset(sqe, 0, 128);
		sqe->opcode = IORING_OP_URING_CMD;
		sqe->flags = IOSQE_FIXED_FILE;
		sqe->cmd_op = NVME_URING_CMD_IO;
		sqe->rw_flags = 1; /* uring_cmd_flags: IORING_URING_CMD_FIXED */
		sqe->user_data = io[i].slot;
		cmd->opcode = b->write ? NVME_OPCODE_WRITE : NVME_OPCODE_READ;
		cmd->nsid = passthru_nsid;
		cmd->addr = (uintptr_t)b->buf + io[i].slot * BENCH_BYTES;
		cmd->data_len = BENCH_BYTES;
		cmd->cdw10 = lba;
		cmd->cdw11 = lba >> 32;
		cmd->cdw12 = passthru_blocks_per_io - 1;
	}
	return ring_start(b);
}

const struct bench_engine bench_passthru = {
	.name = "passthrough",
	.what = "NVMe passthrough, registered buffers and file",
	.depth_max = BENCH_DEPTH_MAX,
	.open = passthru_open,
	.submit = passthru_submit,
	.reap = ring_reap,
	.close = ring_close,
};

const struct bench_engine bench_passthru_poll = {
	.name = "passthrough-polled",
	.what = "the same with IOPOLL",
	.polled = true,
	.depth_max = BENCH_DEPTH_MAX,
	.open = passthru_poll_open,
	.submit = passthru_submit,
	.reap = ring_reap,
	.close = ring_close,
};
