/* SPDX-License-Identifier: MIT */
/*
 * Moving a PCI function from one driver to another. driver_override names the
 * only driver that may have it; the kernel forgets it at reboot.
 */
#ifndef EXO_DAEMON_DRIVER_H
#define EXO_DAEMON_DRIVER_H

#include "function.h"

#define STOCK_DRIVER "nvme"
#define EXO_DRIVER "exo"

/* 0, or a negative errno with what went wrong in *where. */
int driver_give_exo(const struct machine *m, const struct function *f, const char **where);
int driver_give_back(const struct machine *m, const struct function *f, const char **where);

/* The steps of driver_give_exo(). */
int driver_override(const struct machine *m, const char *address, const char *driver);
int driver_unbind(const struct machine *m, const char *address);
int driver_probe(const struct machine *m, const char *address);

/* Waiting for the kernel: opened before the event is provoked. */
int uevents_open(void);
/* false: the deadline (CLOCK_MONOTONIC, ms) passed without another event. */
bool uevents_wait(int fd, long long deadline);
long long now_ms(void);

/* What the kernel says from now on. */
int kernel_log_open(void);
/* Prints the lines about the function, indented. */
void kernel_log_print(int fd, const char *address);

#endif
