// SPDX-License-Identifier: MIT
/*
 * What a run does besides calls of the ABI: stores into rings and frames, and system calls on
 * the descriptors of its sessions.
 */
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "exec.h"

/* Of the operation that a field names; others have made nothing. */
static struct made *made_by(struct run *run, const struct value *v)
{
	return &run->made[v->kind == V_MADE ? v->index : OPS_MAX - 1];
}

/* ---- stores ---- */

static void push(struct run *run, const struct op *op, const __u64 *n)
{
	struct made *made = made_by(run, &op->v[0]);
	struct exo_queue_control *control = (void *)made->rw;
	struct sqe sqe = sqe_io((__u8)n[1], (__u16)n[2], (__u32)n[3], n[4], (__u32)n[5], n[6]);
	__u32 tail;

	if (!made->rw || !made->entries)
		return;
	sqe.dw[12] |= (__u32)n[7] << 16;
	sqe.dw[n[8] & 15] ^= (__u32)n[9];
	TRY({
		tail = control->sq_tail;
		((struct sqe *)(made->rw + PAGE))[tail & (made->entries - 1)] = sqe;
		__atomic_store_n(&control->sq_tail, tail + 1 + (__u32)n[10], __ATOMIC_RELEASE);
	});
}

static void poke(struct run *run, const struct op *op, const __u64 *n)
{
	struct made *made = made_by(run, &op->v[0]);

	if (made->rw && made->rw_size)
		TRY(((volatile __u32 *)made->rw)[n[1] % (made->rw_size / 4)] = (__u32)n[2]);
}

static void store(struct made *made, __u64 word, __u64 value)
{
	if (made->frames)
		TRY(((volatile __u64 *)made->frames)[word % (made->frames_size / 8)] = value);
}

/* An entry of a list of Dataset Management, 16 bytes, or of Copy, 32. */
static void range(struct run *run, const struct op *op, const __u64 *n)
{
	struct made *made = made_by(run, &op->v[0]);

	if (n[4] & 1) {
		store(made, n[1] * 4 + 1, n[2]);
		store(made, n[1] * 4 + 2, n[3]);
	} else {
		store(made, n[1] * 2, n[3] << 32);
		store(made, n[1] * 2 + 1, n[2]);
	}
}

/* Believes what the device says, as programs do, for so many completions. */
static void reap(struct run *run, const struct op *op, const __u64 *n)
{
	struct made *made = made_by(run, &op->v[0]);
	struct exo_queue_control *control = (void *)made->rw;
	__u64 end = now_ns() + 5000000;
	unsigned int left = (unsigned int)n[1] % 32;

	if (!made->rw || !made->ro || !made->entries)
		return;
	TRY(while (left && now_ns() < end) {
		__u32 head = control->cq_head;
		const struct cqe *cqe =
			&((struct cqe *)(made->ro + PAGE))[head & (made->entries - 1)];

		if ((__atomic_load_n(&cqe->status, __ATOMIC_ACQUIRE) & 1) !=
		    !(head & made->entries))
			continue;
		__atomic_store_n(&control->cq_head, head + 1, __ATOMIC_RELEASE);
		left--;
	});
}

/* ---- descriptors; two threads may do this at once ---- */

static int take(struct run *run, unsigned int session)
{
	return __atomic_exchange_n(&run->fd[session], -1, __ATOMIC_ACQ_REL);
}

static void put(struct run *run, unsigned int session, int fd)
{
	int old = __atomic_exchange_n(&run->fd[session], fd, __ATOMIC_ACQ_REL);

	if (old >= 0)
		close(old);
}

/* Through a socket to ourselves, where nobody has it for a moment. */
static void pass(struct run *run, unsigned int session)
{
	char byte = 0, room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int fd = take(run, session), end[2];

	if (fd < 0)
		return;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, end)) {
		close(fd);
		return;
	}
	*header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
				    .cmsg_type = SCM_RIGHTS,
				    .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	if (sendmsg(end[0], &message, 0) == 1) {
		close(fd);
		if (recvmsg(end[1], &message, MSG_DONTWAIT) == 1 && CMSG_FIRSTHDR(&message)) {
			memcpy(&fd, CMSG_DATA(header), sizeof(fd));
			put(run, session, fd);
		}
	} else {
		close(fd);
	}
	close(end[0]);
	close(end[1]);
}

/* A child that has the sessions and none of the mappings. */
static void fork_child(struct run *run, unsigned int session)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct exo_info arg = { .size = sizeof(arg) };

		TRY(*(volatile char *)memory_area(run, AREA_RING) = 1);
		TRY((void)*(volatile char *)memory_area(run, AREA_FRAMES));
		_exit(ioctl(run->fd[session], EXO_INFO, &arg) != 0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

static void descriptor_run(struct run *run, enum special special, unsigned int session)
{
	struct pollfd poll_fd = { .fd = run->fd[session], .events = POLLIN | POLLOUT };
	char bytes[16];

	switch (special) {
	case OP_OPEN:
		put(run, session, session_open());
		break;
	case OP_CLOSE:
		put(run, session, -1);
		break;
	case OP_DUP:
		put(run, session, dup(run->fd[session]));
		break;
	case OP_POLL:
		poll(&poll_fd, 1, 1);
		break;
	case OP_RW:
		if (read(poll_fd.fd, bytes, sizeof(bytes)) < 0 &&
		    write(poll_fd.fd, bytes, sizeof(bytes)) < 0)
			lseek(poll_fd.fd, 4096, SEEK_SET);
		break;
	case OP_PASS:
		pass(run, session);
		break;
	case OP_FORK:
		fork_child(run, session);
		break;
	default:
		break;
	}
}

void special_run(struct run *run, const struct op *op, const __u64 *n)
{
	enum special special = op_types[op->type].special;

	/* The doorbells of a direct queue would make the IOMMU log what it refuses. */
	if (special == OP_MMAP && op->v[0].kind == V_MAP && run->made[op->v[0].index].direct)
		return;
	if (memory_run(special, run->fd[op->session], n))
		return;
	switch (special) {
	case OP_COMMAND_PUSH:
		push(run, op, n);
		break;
	case OP_POKE:
		poke(run, op, n);
		break;
	case OP_FILL:
		store(made_by(run, &op->v[0]), n[1], n[2]);
		break;
	case OP_RANGE:
		range(run, op, n);
		break;
	case OP_REAP:
		reap(run, op, n);
		break;
	case OP_PAUSE:
		usleep((useconds_t)(n[0] % 3000));
		break;
	default:
		descriptor_run(run, special, op->session);
	}
}
