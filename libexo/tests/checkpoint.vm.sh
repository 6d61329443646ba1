#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-only
# checkpoint-vm as uid 1000 under exo-run, on a disk of a virtual machine that keeps what is
# written. Run as root.

here=$(dirname "$(realpath "$0")")
# shellcheck source=daemon/tests/lib.vm.sh
. "$here/../../daemon/tests/lib.vm.sh"

begin
bind_disk
unprivileged --queues 4 --mem 64M --extent "$bdf/1:64M+32M" -- \
	"$here/checkpoint-vm"
