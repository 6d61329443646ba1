#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-only
# nodes-vm as root, in a virtual machine with two NUMA nodes, on a disk there.

here=$(dirname "$(realpath "$0")")
# shellcheck source=daemon/tests/lib.vm.sh
. "$here/../../daemon/tests/lib.vm.sh"

[ -e /sys/devices/system/node/node1 ] || skip_all "there is one NUMA node"
begin
bind_disk
"$here/nodes-vm" "nvme:$bdf/1:4096+8192" || failures=1
