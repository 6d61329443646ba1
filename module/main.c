// SPDX-License-Identifier: GPL-2.0
/*
 * The module: parameters, the device file, coming and going.
 */
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>

#include "cap.h"
#include "params.h"
#include "pci.h"
#include "pool.h"
#include "pressure.h"
#include "session.h"
#include "token.h"

/* A page is 4 KiB to programs and to controllers: arm64 has kernels with others. */
static_assert(PAGE_SIZE == SZ_4K, "exo needs a kernel with pages of 4 KiB");

#define EXO_TIMEOUT_MIN_MS 100u
#define EXO_TIMEOUT_MAX_MS (10u * 60 * 1000)
#define EXO_PAUSE_MIN_MS 10u
#define EXO_PAUSE_MAX_MS 10000u
#define EXO_DMA_BITS_MIN 32u /* what lies below is not of any zone of the allocator */
#define EXO_DMA_BITS_MAX 64u

static unsigned int io_timeout_ms = 30000;
module_param(io_timeout_ms, uint, 0644);
MODULE_PARM_DESC(io_timeout_ms,
		 "how long a command may be in flight when what it uses is taken away (ms)");

static unsigned int admin_timeout_ms = 60000;
module_param(admin_timeout_ms, uint, 0644);
MODULE_PARM_DESC(admin_timeout_ms, "how long an admin command may take (ms)");

static unsigned int event_pause_ms = 100;
module_param(event_pause_ms, uint, 0644);
MODULE_PARM_DESC(event_pause_ms, "how long after an event of a device its next is asked for (ms)");

static unsigned long frames_limit;
module_param(frames_limit, ulong, 0444);
MODULE_PARM_DESC(frames_limit,
		 "4 KiB frames that all pools together may have (default: half of memory)");

static unsigned int dma_bits = EXO_DMA_BITS_MAX;
module_param(dma_bits, uint, 0444);
MODULE_PARM_DESC(dma_bits, "address bits that controllers can drive, 32 to 64 (default: 64)");

u32 exo_io_timeout_ms(void)
{
	return clamp(READ_ONCE(io_timeout_ms), EXO_TIMEOUT_MIN_MS, EXO_TIMEOUT_MAX_MS);
}

u32 exo_admin_timeout_ms(void)
{
	return clamp(READ_ONCE(admin_timeout_ms), EXO_TIMEOUT_MIN_MS, EXO_TIMEOUT_MAX_MS);
}

u32 exo_event_pause_ms(void)
{
	return clamp(READ_ONCE(event_pause_ms), EXO_PAUSE_MIN_MS, EXO_PAUSE_MAX_MS);
}

u64 exo_frames_limit(void)
{
	return frames_limit ?: totalram_pages() / 2;
}

u32 exo_dma_bits(void)
{
	return clamp(dma_bits, EXO_DMA_BITS_MIN, EXO_DMA_BITS_MAX);
}

struct workqueue_struct *exo_workqueue;

/* Anyone may open it: an open gives nothing but an empty session. */
static struct miscdevice exo_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "exo",
	.fops = &exo_session_fops,
	.mode = 0666,
};

static int __init exo_init(void)
{
	int ret = -ENOMEM;

	exo_workqueue = alloc_workqueue("exo", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!exo_workqueue)
		return ret;
	ret = exo_cap_init_cache();
	if (ret)
		goto out_workqueue;
	ret = exo_token_init();
	if (ret)
		goto out_cache;
	ret = exo_pool_init();
	if (ret)
		goto out_token;
	ret = exo_pci_init();
	if (ret)
		goto out_pool;
	ret = exo_pressure_init();
	if (ret)
		goto out_pci;
	ret = misc_register(&exo_device);
	if (ret)
		goto out_pressure;
	return 0;

out_pressure:
	exo_pressure_exit();
out_pci:
	exo_pci_exit();
out_pool:
	exo_pool_exit();
out_token:
	exo_token_exit();
out_cache:
	exo_cap_exit_cache();
out_workqueue:
	destroy_workqueue(exo_workqueue);
	return ret;
}

static void __exit exo_exit(void)
{
	misc_deregister(&exo_device);
	exo_pressure_exit();
	exo_pci_exit();
	destroy_workqueue(exo_workqueue);
	exo_pool_exit();
	exo_token_exit();
	exo_cap_exit_cache();
}

module_init(exo_init);
module_exit(exo_exit);

MODULE_DESCRIPTION("exokernel: page frames and NVMe queues for unprivileged programs");
MODULE_AUTHOR("The exo developers");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
