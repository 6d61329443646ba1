/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The parts of the NVMe specifications that travel through a queue: the 64-byte
 * command and the 16-byte completion, as they lie in memory, and the numbers in
 * them. Names follow the specifications (NVM Express Base 2.0, NVM Command Set
 * 1.0, Zoned Namespace Command Set 1.1); dword[n] and qword[n] are the same bytes by number. Multi-byte fields are little-endian; so are the machines exo runs on.
 */
#ifndef LIBEXO_NVME_H
#define LIBEXO_NVME_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "libexo needs a little-endian machine"
#endif

/* Opcodes (NVM Command Set 1.0, section 3, "I/O Commands") */
#define EXO_NVME_FLUSH 0x00
#define EXO_NVME_WRITE 0x01
#define EXO_NVME_READ 0x02
#define EXO_NVME_COMPARE 0x05
#define EXO_NVME_WRITE_ZEROES 0x08
#define EXO_NVME_DSM 0x09 /* Dataset Management */
#define EXO_NVME_COPY 0x19

/* Opcodes (Zoned Namespace Command Set 1.1, section 3) */
#define EXO_NVME_ZONE_SEND 0x79	   /* Zone Management Send */
#define EXO_NVME_ZONE_RECEIVE 0x7a /* Zone Management Receive */
#define EXO_NVME_ZONE_APPEND 0x7d

/* Zone Send Actions, in CDW13 */
#define EXO_NVME_ZONE_CLOSE 1u
#define EXO_NVME_ZONE_FINISH 2u
#define EXO_NVME_ZONE_OPEN 3u
#define EXO_NVME_ZONE_RESET 4u

/* CDW13 of Zone Management Receive: Report Zones, of all states, partial */
#define EXO_NVME_ZONE_REPORT (1u << 16)

/* States of a zone: EXO_NVME_ZONE_STATE() */
#define EXO_NVME_ZONE_EMPTY 0x1
#define EXO_NVME_ZONE_IMPLICITLY_OPEN 0x2
#define EXO_NVME_ZONE_EXPLICITLY_OPEN 0x3
#define EXO_NVME_ZONE_CLOSED 0x4
#define EXO_NVME_ZONE_READ_ONLY 0xd
#define EXO_NVME_ZONE_FULL 0xe
#define EXO_NVME_ZONE_OFFLINE 0xf

/* Bit of CDW11 of Dataset Management */
#define EXO_NVME_AD (1u << 2) /* Attribute: Deallocate */

/* Bits of CDW12 of Read, Write, Compare, Write Zeroes and Copy */
#define EXO_NVME_FUA (1u << 30)	      /* Force Unit Access */
#define EXO_NVME_DEAC (1u << 25)      /* Write Zeroes: deallocate; needs EXO_TRIM */
#define EXO_NVME_PLACEMENT (2u << 20) /* Write: Directive Type data placement; exo_place() */

/**
 * struct exo_nvme_command - a submission queue entry
 *
 * Base 2.0, section 3.3.3.1, "Submission Queue Entry". In a checked queue prp1
 * is an offset in buffer space (exo_buf_offset()), prp2 and mptr are 0, and cid
 * belongs to the library: leave it as exo_prep() set it.
 */
struct exo_nvme_command {
	union {
		struct {
			uint8_t opcode;
			uint8_t flags; /* FUSE, PSDT */
			uint16_t cid;
			uint32_t nsid;
			uint32_t cdw2;
			uint32_t cdw3;
			uint64_t mptr;
			uint64_t prp1;
			uint64_t prp2;
			uint64_t slba;	/* CDW10 and CDW11; of Copy: SDLBA */
			uint32_t cdw12; /* NLB - 1 in the low 16 bits */
			uint32_t cdw13;
			uint32_t cdw14;
			uint32_t cdw15;
		};
		uint32_t dword[16];
		uint64_t qword[8];
	};
};

/**
 * struct exo_nvme_dsm_range - what Dataset Management lists
 *
 * NVM Command Set 1.0, section 3.2.3, "Range Definition". exo_trim_range() fills it.
 */
struct exo_nvme_dsm_range {
	uint32_t cattr; /* Context Attributes: 0 in a checked queue */
	uint32_t nlb;	/* logical blocks, not less one */
	uint64_t slba;
};

/**
 * struct exo_nvme_copy_range - what Copy lists
 *
 * NVM Command Set 1.0, section 3.2.2, "Source Range Entries Descriptor Format 0h".
 * exo_copy_range() fills it.
 */
struct exo_nvme_copy_range {
	uint64_t reserved0;
	uint64_t slba;
	uint16_t nlb; /* logical blocks - 1 */
	uint16_t reserved18[3];
	uint64_t reserved24; /* protection information */
};

/**
 * struct exo_nvme_zone - what a report says of a zone
 *
 * Zoned Namespace Command Set 1.1, section 3.4.2.2.3, "Zone Descriptor".
 */
struct exo_nvme_zone {
	uint8_t type;
	uint8_t state; /* in the upper half: EXO_NVME_ZONE_STATE() */
	uint8_t attributes;
	uint8_t reserved3[5];
	uint64_t capacity; /* blocks that can be written */
	uint64_t slba;	   /* its first block */
	uint64_t wp;	   /* the next to be written; of a full zone nothing */
	uint8_t reserved32[32];
};

#define EXO_NVME_ZONE_STATE(zone) ((zone)->state >> 4)

/**
 * struct exo_nvme_zone_report - what Zone Management Receive returns
 *
 * Zoned Namespace Command Set 1.1, section 3.4.2.2.1, "Report Zones".
 */
struct exo_nvme_zone_report {
	uint64_t count;
	uint8_t reserved8[56];
	struct exo_nvme_zone zones[];
};

#define EXO_NVME_ZONE_REPORT_BYTES(count) (64 + 64 * (count))

/**
 * struct exo_nvme_completion - a completion queue entry
 *
 * Base 2.0, section 3.3.3.2, "Completion Queue Entry". Bit 0 of status is the
 * phase tag, the rest the Status Field: exo_nvme_status().
 */
struct exo_nvme_completion {
	union {
		struct {
			uint32_t dw0;
			uint32_t dw1;
			uint16_t sq_head;
			uint16_t sq_id;
			uint16_t cid;
			uint16_t status;
		};
		uint64_t qword[2];
	};
};

/**
 * exo_place - have a Write placed (Base 2.1, section 8.1.8.4, "Data Placement Directive")
 * @write: of exo_prep_write()
 * @identifier: placement identifier, one of those that the extent holds: exo_placement()
 */
static inline void exo_place(struct exo_nvme_command *write, uint16_t identifier)
{
	write->cdw12 |= EXO_NVME_PLACEMENT;
	write->cdw13 = (uint32_t)identifier << 16;
}

/* The Status Field without the phase tag: 0 for success. */
static inline uint16_t exo_nvme_status(const struct exo_nvme_completion *completion)
{
	return completion->status >> 1;
}

/* Status Code Type and Status Code of a Status Field (Base 2.0, figure 92). */
#define EXO_NVME_SCT(status) (((status) >> 8) & 7)
#define EXO_NVME_SC(status) ((status)&0xff)

/**
 * exo_nvme_status_text - what a Status Field means
 * @status: exo_nvme_status() of a completion
 *
 * Returns a constant of a few words, such as "LBA out of range".
 */
const char *exo_nvme_status_text(uint16_t status);

/**
 * exo_nvme_status_errno - the errno that comes nearest to a Status Field
 * @status: exo_nvme_status() of a completion
 *
 * Returns 0 for success, else a negative errno: -EIO unless one fits better.
 */
int exo_nvme_status_errno(uint16_t status);

#ifdef __cplusplus
}
#endif

#endif /* LIBEXO_NVME_H */
