# SPDX-License-Identifier: MIT
# exo's build: `make help` lists what it does. Not recursive: each folder's
# Makefile.inc adds to PROGS, LIBS, TEST_PROGS, UNIT_TESTS and INSTALL_TARGETS; all
# that is built lies below $(B).

B ?= build
ifeq ($(strip $(B)),)
$(error B, the folder for what is built, is empty: leave it unset for build/)
endif
PREFIX ?= /usr/local
DISK ?=
DESTDIR ?=
WERROR ?= 0

# The running kernel's headers; those of another are KDIR=/lib/modules/VERSION/build.
KDIR ?= /lib/modules/$(shell uname -r)/build

# Without a shell between, a signal to make reaches them.
export B DISK

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/exo
KSELFTEST_DIR ?= $(CACHE)/source-6.12/tools/testing/selftests

CFLAGS ?= -O2 -g
override CFLAGS += -std=gnu11 -Wall -Wextra $(if $(filter 1,$(WERROR)),-Werror)
override CPPFLAGS += -Iinclude/uapi -Ilibexo/include

PROGS :=
LIBS :=
TEST_PROGS :=
UNIT_TESTS :=
INSTALL_TARGETS :=

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all tools module importer tests unit-tests guest check check-debug demo shell install uninstall clean help \
	install-module

all: tools module

# The module's own tests run first.
-include selftests/Makefile.inc selftests/fuzz/Makefile.inc libexo/Makefile.inc daemon/Makefile.inc apps/Makefile.inc bench/Makefile.inc

tools: $(LIBS) $(PROGS)

# Said before the compiler says it less well.
$(B)/libblkid:
	@mkdir -p $(B)
	@echo '#include <blkid/blkid.h>' | $(CC) -E - >$@ 2>/dev/null || \
		{ echo "exo: blkid/blkid.h is missing: 'apt-get install libblkid-dev' (as root)" >&2; exit 1; }
$(EXOCTL_OBJS): | $(B)/libblkid

tests: $(TEST_PROGS)
unit-tests: $(UNIT_TESTS)

# The module is built in a mirror of links, one for each kernel, so that the tree
# stays clean and two kernels do not meet.
KREL = $(or $(shell cat $(KDIR)/include/config/kernel.release 2>/dev/null),unknown)
MODULE_DIR = $(B)/module-$(KREL)
KBUILD = $(MAKE) -C $(KDIR) M=$(abspath $(MODULE_DIR)) $(if $(filter 1,$(WERROR)),W=1 KCFLAGS=-Werror)

module:
	@test -e $(KDIR)/Makefile || { echo "exo: no kernel headers in $(KDIR):" \
		"install the package linux-headers-$$(uname -r), or name others with KDIR=" >&2; exit 1; }
	@selftests/vm/mirror $(MODULE_DIR)
	+$(KBUILD) modules

# A driver for tests that need another device's: for kernels that have what exo exports for it.
IMPORTER_DIR = $(B)/importer-$(KREL)

importer:
	@selftests/vm/mirror $(IMPORTER_DIR) selftests/importer/Kbuild selftests/importer/*.[ch] module/compat.h
	+$(MAKE) -C $(KDIR) M=$(abspath $(IMPORTER_DIR))/selftests/importer \
		$(if $(filter 1,$(WERROR)),W=1 KCFLAGS=-Werror) modules

# What the virtual machine needs: everything, with the module for the guest's kernel.
print-%:
	@echo $($*)

guest: tools tests
	$(MAKE) module KDIR="$$(selftests/vm/kernel)/build"

check:
	selftests/vm/check

check-debug:
	selftests/vm/check --debug

demo:
	selftests/vm/demo

shell:
	selftests/vm/shell

install: $(INSTALL_TARGETS) install-module

install-module:
	@test -e $(MODULE_DIR)/module/exo.ko || { echo "exo: exo.ko is not built for $(KREL): run make first" >&2; exit 1; }
	install -D -m 644 $(MODULE_DIR)/module/exo.ko $(DESTDIR)/lib/modules/$(KREL)/updates/exo.ko
	-test -n "$(DESTDIR)" || depmod $(KREL)

# What an installation would write is what goes.
uninstall:
	@rm -rf $(B)/staging
	@$(MAKE) -s install DESTDIR=$(abspath $(B)/staging)
	cd $(B)/staging && find . ! -type d | while read -r f; do rm -f "$(DESTDIR)/$$f"; done
	-rmdir $(DESTDIR)$(PREFIX)/include/libexo
	-test ! -d $(DESTDIR)$(LIBDIR)/exo || rmdir $(DESTDIR)$(LIBDIR)/exo
	-test -n "$(DESTDIR)" || { ldconfig; depmod $(KREL); }
	@rm -rf $(B)/staging

clean:
	rm -rf $(B)

help:
	@sed -n 's/^## //p' Makefile

## make              library, tools and the module for the running kernel (KDIR= for another)
## make demo         the whole story in a virtual machine; DISK=image.raw: on your own image,
##                   which stays as it is (writes go to a temporary file)
## make check        everything that is tested, in about 15 minutes; `N passed, N failed, N skipped`
## make check-debug  the same tests on a kernel with KASAN, lockdep, kmemleak (builds it once)
## make fuzz         random inputs for MINUTES=10 to the module on that kernel, led by what they reach
## make shell        a shell in the virtual machine, with the tree
## make bench        measurements beside libaio and io_uring
## make fio          the engine for fio, against the installed fio's source (FIO_SRC= for another)
## make install      module, library, header, tools, man pages, udev rule; PREFIX= DESTDIR=
## make uninstall    takes them away again
## make clean        removes build/; downloads stay in ~/.cache/exo
