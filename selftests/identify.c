// SPDX-License-Identifier: MIT
/*
 * What a device says of itself: Identify data and log pages, to whom, and what of them not.
 * How many admin commands that costs the device, which all tenants share.
 */
#include <kselftest_harness.h>

#include "lib.h"

#define PAGE_BYTES EXO_IDENTIFY_BYTES
#define HEALTH_BYTES 512
#define FRESH_MS 1000

/* NVMe base specification 2.0, figures 97 (namespace), 275 (controller) and 207 (health) */
#define NS_NSZE 0
#define NS_NCAP 8
#define NS_NUSE 16
#define NS_FLBAS 26
#define NS_LBAF 128
#define NS_VENDOR 384
#define CTRL_SERIAL 4
#define CTRL_MODEL 24
#define CTRL_FIRMWARE 64
#define CTRL_VENDOR 3072
#define HEALTH_TEMPERATURE 1
#define HEALTH_UNITS_READ 32
#define HEALTH_HOST_READS 64
#define HEALTH_BUSY_END 112
#define HEALTH_ERRORS 176
#define HEALTH_ERRORS_END 192

FIXTURE(identify)
{
	struct tenant t;
	__u8 data[PAGE_BYTES];
};

FIXTURE_SETUP(identify)
{
	TENANT_SETUP(&self->t, "exo0");
	ASSERT_EQ(0, become_nobody());
	memset(self->data, 0xa5, sizeof(self->data));
}

FIXTURE_TEARDOWN(identify)
{
	tenant_destroy(&self->t);
}

static __u64 le64_at(const __u8 *at)
{
	__u64 value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static bool all_zero(const __u8 *at, size_t size)
{
	while (size && !*at) {
		at++;
		size--;
	}
	return !size;
}

/* ---- Identify ---- */

TEST_F(identify, a_controller_tells_whoever_holds_one_what_it_is)
{
	struct exo_controller_query q;

	ASSERT_EQ(0, controller_query(self->t.fd, self->t.controller, &q));
	ASSERT_EQ(0, identify(self->t.fd, self->t.controller, EXO_CNS_CONTROLLER, 0, self->data));
	EXPECT_EQ(0, memcmp(self->data + CTRL_SERIAL, q.out_serial, sizeof(q.out_serial)));
	EXPECT_EQ(0, memcmp(self->data + CTRL_MODEL, q.out_model, sizeof(q.out_model)));
	EXPECT_EQ(0, memcmp(self->data + CTRL_FIRMWARE, q.out_firmware, sizeof(q.out_firmware)));
	EXPECT_TRUE(all_zero(self->data + CTRL_VENDOR, PAGE_BYTES - CTRL_VENDOR));
}

TEST_F(identify, a_namespace_tells_whoever_holds_an_extent_of_it_what_it_is)
{
	struct exo_namespace_query ns;
	__u8 format;

	ASSERT_EQ(0, namespace_query(self->t.grantor, self->t.root_controller, 0, 1, &ns));
	ASSERT_EQ(0, identify(self->t.fd, self->t.extent, EXO_CNS_NAMESPACE, 0, self->data));
	EXPECT_EQ(ns.out_blocks, le64_at(self->data + NS_NSZE));
	format = self->data[NS_FLBAS] & 0xf;
	EXPECT_EQ(ns.out_block_shift, self->data[NS_LBAF + 4 * format + 2]);
	EXPECT_TRUE(all_zero(self->data + NS_VENDOR, PAGE_BYTES - NS_VENDOR));
}

/* QEMU says that all of it is used. */
TEST_F(identify, how_much_of_a_namespace_is_used_is_not_told)
{
	ASSERT_EQ(0, identify(self->t.fd, self->t.extent, EXO_CNS_NAMESPACE, 0, self->data));
	EXPECT_NE(0, le64_at(self->data + NS_NCAP));
	EXPECT_EQ(0, le64_at(self->data + NS_NUSE));
}

TEST_F(identify, who_may_make_extents_names_the_namespace)
{
	__u8 other[PAGE_BYTES];
	struct exo_namespace_query ns;

	ASSERT_EQ(0, identify(self->t.grantor, self->t.root_controller, EXO_CNS_NAMESPACE, 1,
			      self->data));
	ASSERT_EQ(0, identify(self->t.fd, self->t.extent, EXO_CNS_NAMESPACE, 0, other));
	EXPECT_EQ(0, memcmp(self->data, other, sizeof(other)));
	ASSERT_EQ(0, namespace_query(self->t.grantor, self->t.root_controller, 0, 2, &ns));
	ASSERT_EQ(0,
		  identify(self->t.grantor, self->t.root_controller, EXO_CNS_NAMESPACE, 2, other));
	EXPECT_EQ(ns.out_blocks, le64_at(other + NS_NSZE));
}

TEST_F(identify, there_are_data_of_the_command_set)
{
	ASSERT_EQ(0,
		  identify(self->t.fd, self->t.controller, EXO_CNS_CONTROLLER_NVM, 0, self->data));
	/* DMRSL: a controller with Dataset Management has a limit. */
	EXPECT_FALSE(all_zero(self->data, 16));
	EXPECT_TRUE(all_zero(self->data + 1024, PAGE_BYTES - 1024));
	memset(self->data, 0xa5, sizeof(self->data));
	ASSERT_EQ(0, identify(self->t.fd, self->t.extent, EXO_CNS_NAMESPACE_NVM, 0, self->data));
	EXPECT_TRUE(all_zero(self->data + 1024, PAGE_BYTES - 1024));
}

TEST_F(identify, nothing_else_is_told)
{
	static const __u32 large[] = { 0x100, 0x101, 1u << 16, 1u << 31, ~0u };
	const __u32 caps[] = { self->t.controller, self->t.extent };
	unsigned int i, k;
	__u32 cns;

	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		for (cns = 0; cns < 256 + ARRAY_SIZE(large); cns++) {
			__u32 value = cns < 256 ? cns : large[cns - 256];

			if (value <= EXO_CNS_CONTROLLER || value == EXO_CNS_NAMESPACE_NVM ||
			    value == EXO_CNS_CONTROLLER_NVM)
				continue;
			EXPECT_REFUSED(EOPNOTSUPP, EXO_REASON_PAGE,
				       offsetof(struct exo_identify, cns), value,
				       identify(self->t.fd, caps[i], value, 0, self->data));
		}
	}
	for (k = 0; k < PAGE_BYTES; k++)
		ASSERT_EQ(0xa5, self->data[k]);
}

TEST_F(identify, what_a_capability_is_not_of_is_refused)
{
	struct tenant *t = &self->t;

	EXPECT_REFUSED(EINVAL, EXO_REASON_WRONG_TYPE, offsetof(struct exo_identify, cap),
		       EXO_TYPE_EXTENT,
		       identify(t->fd, t->extent, EXO_CNS_CONTROLLER, 0, self->data));
	EXPECT_EQ(EXO_TYPE_CONTROLLER, last.limit);
	EXPECT_REFUSED(EINVAL, EXO_REASON_WRONG_TYPE, offsetof(struct exo_identify, cap),
		       EXO_TYPE_CONTROLLER,
		       identify(t->fd, t->controller, EXO_CNS_NAMESPACE, 0, self->data));
	EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_identify, nsid), 1,
		       identify(t->fd, t->controller, EXO_CNS_CONTROLLER, 1, self->data));
	/* An extent is of one namespace, whatever is asked for. */
	EXPECT_REFUSED(EINVAL, EXO_REASON_WRONG_TYPE, offsetof(struct exo_identify, cap),
		       EXO_TYPE_EXTENT,
		       identify(t->fd, t->extent, EXO_CNS_NAMESPACE, 2, self->data));
	EXPECT_REFUSED(EACCES, EXO_REASON_RIGHT, offsetof(struct exo_identify, cap),
		       EXO_RIGHT_EXTENT,
		       identify(t->fd, t->controller, EXO_CNS_NAMESPACE, 1, self->data));
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_CAP, offsetof(struct exo_identify, cap), 999,
		       identify(t->fd, 999, EXO_CNS_CONTROLLER, 0, self->data));
	EXPECT_REFUSED(
		ENOENT, EXO_REASON_NO_NAMESPACE, offsetof(struct exo_identify, nsid), 1000,
		identify(t->grantor, t->root_controller, EXO_CNS_NAMESPACE, 1000, self->data));
	EXPECT_EQ(0xa5, self->data[0]);
}

TEST_F(identify, what_was_taken_back_tells_nothing)
{
	struct tenant *t = &self->t;

	ASSERT_EQ(0, cap_revoke(t->grantor, t->root_controller, 0, 0, NULL));
	EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, offsetof(struct exo_identify, cap), t->extent,
		       identify(t->fd, t->extent, EXO_CNS_NAMESPACE, 0, self->data));
	EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, offsetof(struct exo_identify, cap), t->controller,
		       identify(t->fd, t->controller, EXO_CNS_CONTROLLER, 0, self->data));
	EXPECT_REFUSED(ESTALE, EXO_REASON_STALE, offsetof(struct exo_log, cap), t->controller,
		       log_page(t->fd, t->controller, EXO_LOG_HEALTH, self->data, 1, NULL));
}

TEST_F(identify, where_nothing_can_be_written_it_is_efault)
{
	void *at = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, at);
	ASSERT_EQ(0, munmap((char *)at + PAGE, PAGE));
	EXPECT_EQ(0, identify(self->t.fd, self->t.controller, EXO_CNS_CONTROLLER, 0, at));
	EXPECT_EQ(-EFAULT,
		  identify(self->t.fd, self->t.controller, EXO_CNS_CONTROLLER, 0, (char *)at + 1));
	EXPECT_EQ(-EFAULT, log_page(self->t.fd, self->t.controller, EXO_LOG_HEALTH,
				    (char *)at + PAGE - 1, 2, NULL));
	/* The last byte that there is. */
	EXPECT_EQ(0, log_page(self->t.fd, self->t.controller, EXO_LOG_HEALTH, (char *)at + PAGE - 1,
			      1, NULL));
}

/* ---- log pages ---- */

TEST_F(identify, the_health_of_a_controller_is_told)
{
	__u64 time, before = now_ns();
	unsigned int kelvin;

	ASSERT_EQ(0, log_page(self->t.fd, self->t.controller, EXO_LOG_HEALTH, self->data,
			      HEALTH_BYTES, &time));
	kelvin = self->data[HEALTH_TEMPERATURE] | self->data[HEALTH_TEMPERATURE + 1] << 8;
	EXPECT_LT(273, kelvin);
	EXPECT_GT(400, kelvin);
	EXPECT_LE(before, time + FRESH_MS * 1000000ull);
	EXPECT_GE(now_ns(), time);
	EXPECT_EQ(0xa5, self->data[HEALTH_BYTES]);
}

TEST_F(identify, the_other_pages_are_those_of_the_standard)
{
	__u32 read_effects;

	ASSERT_EQ(0, log_page(self->t.fd, self->t.controller, EXO_LOG_FIRMWARE, self->data, 512,
			      NULL));
	EXPECT_LE(1, self->data[0] & 7);
	ASSERT_EQ(0, log_page(self->t.fd, self->t.controller, EXO_LOG_EFFECTS, self->data, 4096,
			      NULL));
	/* I/O commands begin at 1024: Read is supported. */
	memcpy(&read_effects, self->data + 1024 + 4 * OP_READ, sizeof(read_effects));
	EXPECT_EQ(1, read_effects & 1);
}

TEST_F(identify, other_log_pages_are_refused_as_is_more_than_a_page)
{
	static const __u32 large[] = { 0x102, 0x10002, 1u << 31, ~0u };
	static const struct {
		__u32 lid, bytes;
	} pages[] = {
		{ EXO_LOG_HEALTH, 512 },
		{ EXO_LOG_FIRMWARE, 512 },
		{ EXO_LOG_EFFECTS, 4096 },
	};
	struct tenant *t = &self->t;
	unsigned int i;
	__u32 lid;

	for (lid = 0; lid < 256 + ARRAY_SIZE(large); lid++) {
		__u32 value = lid < 256 ? lid : large[lid - 256];

		if (value == EXO_LOG_HEALTH || value == EXO_LOG_FIRMWARE ||
		    value == EXO_LOG_EFFECTS)
			continue;
		/* Root has no more of them. */
		EXPECT_REFUSED(
			EOPNOTSUPP, EXO_REASON_PAGE, offsetof(struct exo_log, lid), value,
			log_page(t->grantor, t->root_controller, value, self->data, 4, NULL));
	}
	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_log, len),
			       pages[i].bytes + 1,
			       log_page(t->fd, t->controller, pages[i].lid, self->data,
					pages[i].bytes + 1, NULL));
		EXPECT_EQ(pages[i].bytes, last.limit);
		EXPECT_REFUSED(EINVAL, EXO_REASON_VALUE, offsetof(struct exo_log, len), 0,
			       log_page(t->fd, t->controller, pages[i].lid, self->data, 0, NULL));
	}
	EXPECT_REFUSED(EINVAL, EXO_REASON_WRONG_TYPE, offsetof(struct exo_log, cap),
		       EXO_TYPE_EXTENT,
		       log_page(t->fd, t->extent, EXO_LOG_HEALTH, self->data, 4, NULL));
	EXPECT_REFUSED(ENOENT, EXO_REASON_NO_CAP, offsetof(struct exo_log, cap), 999,
		       log_page(t->fd, 999, EXO_LOG_HEALTH, self->data, 4, NULL));
	EXPECT_EQ(0xa5, self->data[0]);
}

static int read_a_block(struct tenant *t)
{
	struct ring ring;
	struct buffer b;
	int ret = ring_create(t->fd, t->controller, 4, &ring);

	if (!ret)
		ret = queue_attach(t->fd, ring.cap, t->extent);
	if (!ret)
		ret = buffer_alloc(t->fd, t->pool, EXO_ORDER_4K, 1, &b);
	if (!ret)
		ret = buffer_attach(t->fd, t->controller, &b);
	return ret ? ret : ring_io(&ring, OP_READ, 1, EXTENT_FIRST, 1, b.offset);
}

/* Until the device was asked after now. */
static int log_anew(int fd, __u32 cap, __u8 *data)
{
	__u64 since = now_ns(), end = now_ms() + 10000, time = 0;
	int ret = 0;

	while (!ret && time < since && now_ms() < end) {
		ret = log_page(fd, cap, EXO_LOG_HEALTH, data, HEALTH_BYTES, &time);
		usleep(10000);
	}
	return ret ? ret : time < since ? -ETIMEDOUT : 0;
}

TEST_F(identify, how_much_neighbours_work_is_told_to_none_of_them)
{
	struct tenant *t = &self->t;
	__u8 all[HEALTH_BYTES];

	ASSERT_EQ(0, read_a_block(t));
	ASSERT_EQ(0, log_anew(t->grantor, t->root_controller, all));
	EXPECT_NE(0, le64_at(all + HEALTH_HOST_READS));
	ASSERT_EQ(0,
		  log_page(t->fd, t->controller, EXO_LOG_HEALTH, self->data, HEALTH_BYTES, NULL));
	EXPECT_TRUE(all_zero(self->data + HEALTH_UNITS_READ, HEALTH_BUSY_END - HEALTH_UNITS_READ));
	EXPECT_TRUE(all_zero(self->data + HEALTH_ERRORS, HEALTH_ERRORS_END - HEALTH_ERRORS));
	/* The rest is the same. */
	memset(all + HEALTH_UNITS_READ, 0, HEALTH_BUSY_END - HEALTH_UNITS_READ);
	memset(all + HEALTH_ERRORS, 0, HEALTH_ERRORS_END - HEALTH_ERRORS);
	EXPECT_EQ(0, memcmp(all, self->data, HEALTH_BYTES));
}

/* The times when the device was asked, among those that were told. */
TEST_F(identify, however_often_it_is_asked_for_the_device_sees_one_command_a_second)
{
	__u64 end = now_ms() + 3 * FRESH_MS, time, asked = 0, changes = 0, calls = 0;

	while (now_ms() < end) {
		ASSERT_EQ(0, log_page(self->t.fd, self->t.controller, EXO_LOG_HEALTH, self->data,
				      HEALTH_BYTES, &time));
		ASSERT_LE(asked, time);
		if (asked && time != asked) {
			EXPECT_LE(FRESH_MS * 1000000ull, time - asked);
			changes++;
		}
		asked = time;
		calls++;
	}
	TH_LOG("%llu calls, which asked the device %llu times", calls, changes + 1);
	EXPECT_LE(1, changes);
	EXPECT_GE(3, changes);
	EXPECT_LT(100, calls);
}

TEST_HARNESS_MAIN
