#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-only
# pager-large-vm as uid 1000 under exo-run, on a disk of a virtual machine. Run as root.

here=$(dirname "$(realpath "$0")")
# shellcheck source=daemon/tests/lib.vm.sh
. "$here/../../daemon/tests/lib.vm.sh"

begin
bind_disk
unprivileged --queues 4 --mem 96M --extent "$bdf/1:4096+262144" -- \
	"$here/pager-large-vm"
