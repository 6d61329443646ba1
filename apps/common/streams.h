/* SPDX-License-Identifier: MIT */
/*
 * The standard streams, which may be closed, or full.
 */
#ifndef EXO_COMMON_STREAMS_H
#define EXO_COMMON_STREAMS_H

/*
 * First in main(). Of the descriptors 0, 1 and 2 those that are closed stay as useless (EBADF), but are
 * taken: or a file opened later would have one of them, and get what is said on standard error.
 */
void streams_begin(void);

/**
 * streams_end - last in main(): was all that was printed written?
 * @program: its name
 * @status: what it would end with
 *
 * Returns @status; or if something was lost says so, and returns EXIT_FAILED if @status was 0.
 */
int streams_end(const char *program, int status);

#endif
