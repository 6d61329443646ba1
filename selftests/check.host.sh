#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check.host.sh TRACE: proves from the trace of the device (QEMU: -trace "pci_nvme_*"
# -D TRACE) that of all that check.c attempted, nothing reached the hardware but what
# was accepted: the device fetched exactly as many commands as the calls accepted,
# its doorbells advanced by exactly as many, each has a permitted opcode, the one
# namespace, and blocks of the window, and the device found no fault with any.
# The numbers are those of lib.h and check.c.

trace=${1:?usage: check.host.sh TRACE}
[ -r "$trace" ] || {
	echo "not ok - the trace of the device can be read ($trace)"
	exit 1
}

LC_ALL=C awk '
function result(fine, sentence) {
	print (fine ? "ok - " : "not ok - ") sentence
	failed = failed || !fine
}

function complain(text) {
	if (complaints++ < 20)
		print "# line " FNR ": " text ": " $0
}

# The value behind a word of the line.
function value(word,    i) {
	for (i = 1; i < NF; i++)
		if ($i == word)
			return number($(i + 1))
	return -1
}

# The same for "word=value,".
function setting(word,    i, text) {
	for (i = 1; i <= NF; i++)
		if (index($i, word "=") == 1) {
			text = substr($i, length(word) + 2)
			sub(/,$/, "", text)
			return number(text)
		}
	return -1
}

function number(text,    i, n) {
	if (text !~ /^0x/)
		return text + 0
	text = tolower(substr(text, 3))
	for (i = 1; i <= length(text); i++)
		n = n * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
	return n
}

# Marks: three single blocks in this order; then, at the end, a number in three digits.
function watch_marks(lba, blocks,    at) {
	at = blocks == 1 ? lba - extent_first : -1
	if (digits_left > 0) {
		accepted += at * scale
		scale *= 4096
		if (--digits_left == 0)
			finished = 1
		return
	}
	if (at == mark[matched])
		matched++
	else
		matched = at == mark[0]
	if (matched < 3)
		return
	matched = 0
	if (!inside) {
		inside = begun = 1
		commands = rung = 0
	} else {
		inside = 0
		ended_commands = commands
		ended_rung = rung
		digits_left = 3
	}
}

function check_blocks(kind,    lba, blocks, edge) {
	lba = value(kind == "compare" ? "slba" : "lba")
	blocks = value("nlb")
	if (inside) {
		if (value("nsid") != 1) {
			complain("another namespace")
			wrong++
		}
		# Beside the extent the grantor alone may go: the sentinels, whole.
		edge = blocks == 64 && (lba == window_first || lba == extent_end)
		if (!edge && (lba < extent_first || lba + blocks > extent_end)) {
			complain("outside the extent")
			wrong++
		}
		ranges++
	}
	if (kind == "read")
		watch_marks(lba, blocks)
}

BEGIN {
	window_first = 4032
	extent_first = 4096
	extent_end = extent_first + 8192
	split("4321 1234 4321", numbers)
	for (i = 0; i < 3; i++)
		mark[i] = numbers[i + 1]
	scale = 1
}

finished { next }
/pci_nvme_create_sq/ {
	entries[setting("sqid")] = setting("qsize") + 1
	tail[setting("sqid")] = 0
}
/pci_nvme_mmio_doorbell_sq/ {
	sqid = value("sqid")
	if (sqid > 0) {
		new = value("new_tail")
		if (inside && new >= entries[sqid]) {
			complain("a tail that the ring does not have")
			bad_doorbells++
		}
		rung += (new - tail[sqid] + entries[sqid]) % entries[sqid]
		tail[sqid] = new
	}
}
/pci_nvme_io_cmd/ {
	commands++
	opcode = value("opc")
	if (inside && opcode != 0 && opcode != 1 && opcode != 2 && opcode != 5 && opcode != 8) {
		complain("an opcode that is not permitted")
		wrong_opcodes++
	}
	if (inside && value("nsid") != 1) {
		complain("another namespace")
		wrong++
	}
}
/pci_nvme_read / { check_blocks("read") }
/pci_nvme_write / { check_blocks("write") }
/pci_nvme_compare / { check_blocks("compare") }
# That a Compare found a difference is an answer.
inside && /pci_nvme_err_req_status/ && value("opc") == 5 && value("status") % 2048 == 645 { next }
inside && /pci_nvme_(err|ub)_/ {
	complain("the device found fault")
	faults++
}

END {
	if (!begun || !finished) {
		print "ok - nothing but the accepted reached the device # SKIP check did not run to its end in this trace"
		exit
	}
	print "# " accepted " accepted, " ended_commands " fetched, " ended_rung " rung, " ranges " ranges"
	result(accepted > 100, "the attacks ran")
	result(ended_commands - 3 == accepted, "the device fetched exactly the commands that were accepted")
	result(ended_rung - 3 == accepted && !bad_doorbells, "the doorbells advanced by exactly the commands that were accepted")
	result(!wrong_opcodes, "the device saw permitted opcodes only")
	result(!wrong && ranges > 100, "the device was asked for blocks of the extent only")
	result(!faults, "the device found no fault with any command")
	exit failed
}' "$trace"
