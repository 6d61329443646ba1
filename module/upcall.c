// SPDX-License-Identifier: GPL-2.0
/*
 * Fault upcalls: a touch that a window's table does not allow continues at the window's handler,
 * in user mode, as if the code had called it.
 *
 * All that has to be kept is put on the thread's own stack, below the red zone, so that there
 * is nothing to be lost: upcalls nest, signals may come anywhere, a handler need not return. It is
 * written with page faults disabled, for the fault lock is held. A stack that is not
 * there is fetched without that lock, and the touch is tried again.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/uaccess.h>
#include <linux/uprobes.h>

#include "ioctl.h"
#include "window.h"

#ifdef CONFIG_X86_64

#include <asm/ptrace.h>
#include <asm/prctl.h>

bool exo_upcall_is_supported(void)
{
	return true;
}

/* Its next return would be found to be none of its calls. */
static bool exo_has_shadow_stack(void)
{
#ifdef CONFIG_X86_USER_SHADOW_STACK
	return current->thread.features & ARCH_SHSTK_SHSTK;
#else
	return false;
#endif
}

/* Then the instruction is a copy that lies elsewhere, and is to be left by one step. */
static bool exo_is_in_uprobe(void)
{
#ifdef CONFIG_UPROBES
	return current->utask && current->utask->active_uprobe;
#else
	return false;
#endif
}

/* Does the touch come from code of the program's, and are these its registers? */
static bool exo_upcall_may(const struct vm_fault *vmf, struct pt_regs *regs)
{
	if (!(vmf->flags & FAULT_FLAG_USER) || (vmf->flags & FAULT_FLAG_REMOTE))
		return false;
	if (current->mm != vmf->vma->vm_mm || (current->flags & (PF_KTHREAD | PF_USER_WORKER)))
		return false;
	return user_64bit_mode(regs) && !exo_has_shadow_stack() && !exo_is_in_uprobe();
}

/* Without the trap flag that a debugger has set: it steps on, in the handler. */
static u64 exo_upcall_flags(const struct pt_regs *regs)
{
	return test_thread_flag(TIF_FORCED_TF) ? regs->flags & ~X86_EFLAGS_TF : regs->flags;
}

static u32 exo_upcall_entry(u64 entry)
{
	if (entry & EXO_ENTRY_TAKEN)
		return EXO_UPCALL_TAKEN;
	return exo_entry_source(entry) ? EXO_UPCALL_PROTECTED : EXO_UPCALL_EMPTY;
}

/*
 * The stack is to be there when the touch is tried again. If it cannot be: SIGBUS, by force. The
 * window may be gone meanwhile, but not its file, for which this code stays.
 */
static vm_fault_t exo_upcall_fetch_stack(struct vm_fault *vmf, unsigned long frame)
{
	struct file *file;

	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY))
		return VM_FAULT_SIGBUS;
	file = get_file(vmf->vma->vm_file);
	release_fault_lock(vmf);
	if (fault_in_writeable((char __user *)frame, sizeof(struct exo_upcall)))
		force_sig(SIGBUS);
	fput(file);
	/* Either alone is overlooked by some caller. */
	return VM_FAULT_RETRY | VM_FAULT_NOPAGE;
}

vm_fault_t exo_upcall(struct vm_fault *vmf, const struct exo_missed *missed)
{
	struct pt_regs *regs = task_pt_regs(current);
	unsigned long frame = regs->sp - EXO_UPCALL_RED_ZONE - sizeof(struct exo_upcall);
	const struct exo_upcall upcall = {
		.context = missed->context,
		.address = vmf->real_address,
		.entry = exo_upcall_entry(missed->entry),
		.access = vmf->flags & FAULT_FLAG_WRITE ? EXO_RIGHT_WRITE : EXO_RIGHT_READ,
		.di = regs->di,
		.flags = exo_upcall_flags(regs),
		.ip = regs->ip,
	};

	if (!exo_upcall_may(vmf, regs))
		return VM_FAULT_SIGBUS;
	if (copy_to_user_nofault((void __user *)frame, &upcall, sizeof(upcall)))
		return exo_upcall_fetch_stack(vmf, frame);
	regs->ip = missed->handler;
	regs->sp = frame;
	regs->di = frame;
	regs->flags &= ~X86_EFLAGS_DF;
	return VM_FAULT_NOPAGE;
}

static bool exo_is_code(u64 handler)
{
	return handler < TASK_SIZE_MAX;
}

#else /* the registers of others are not known here */

bool exo_upcall_is_supported(void)
{
	return false;
}

static bool exo_has_shadow_stack(void)
{
	return false;
}

vm_fault_t exo_upcall(struct vm_fault *vmf, const struct exo_missed *missed)
{
	return VM_FAULT_SIGBUS;
}

static bool exo_is_code(u64 handler)
{
	return true;
}

#endif

static int exo_handler_check(struct exo_call *call)
{
	struct exo_window_handler *cmd = &call->arg.window_handler;

	if (!exo_upcall_is_supported() || exo_has_shadow_stack())
		return exo_refuse(call, -EOPNOTSUPP, EXO_REASON_UPCALL, 0,
				  exo_upcall_is_supported(), 0);
	if (!exo_is_code(cmd->handler))
		return exo_refuse(call, -EINVAL, EXO_REASON_VALUE,
				  EXO_FIELD(window_handler, handler), cmd->handler, 0);
	return 0;
}

int exo_window_handler(struct exo_call *call)
{
	struct exo_window_handler *cmd = &call->arg.window_handler;
	struct vm_area_struct *vma;
	struct exo_window *window;
	int ret;

	vma = exo_window_enter(call, EXO_FIELD(window_handler, window), cmd->window);
	if (IS_ERR(vma))
		return PTR_ERR(vma);
	ret = exo_handler_check(call);
	if (!ret) {
		window = vma->vm_private_data;
		window->handler = cmd->handler;
		window->context = cmd->context;
	}
	exo_window_leave(vma);
	return ret;
}
