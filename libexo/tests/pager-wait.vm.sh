#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-only
# pager-wait-vm as uid 1000 under exo-run, on the slow disk of a virtual machine. Run as root.

here=$(dirname "$(realpath "$0")")
# shellcheck source=daemon/tests/lib.vm.sh
. "$here/../../daemon/tests/lib.vm.sh"

begin
slow=$(exoctl status | sed -n 's/^\([0-9a-f:.]*\) .* exo1 .*/\1/p')
[ -n "$slow" ] || skip_all "no QEMU NVMe controller with the serial number exo1"
bdf=$slow before=$(driver_of "$slow") serial=exo1
bind_disk
unprivileged --queues 2 --mem 16M --extent "$bdf/2:0+131072" -- \
	"$here/pager-wait-vm"
