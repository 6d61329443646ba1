// SPDX-License-Identifier: MIT
/*
 * The smallest program: read the first block of an extent.
 *
 *	exo-run --extent 0000:01:00.0/1:0+8:ro --mem 1M -- hello exo:
 *	hello uring:some.img
 */
#include <err.h>
#include <stdio.h>
#include <libexo.h>

int main(int argc, char **argv)
{
	if (argc != 2)
		errx(2, "usage: hello NAME   (\"exo:\" under exo-run, \"nvme:BDF/NSID\" as root, "
			"\"uring:FILE\")");

	struct exo *x;
	struct exo_queue *q;
	void *buf;
	int r;

	/* clang-format off */
	if ((r = exo_open(argv[1], EXO_READ, &x)) ||
	    (r = exo_queue_create(x, NULL, &q)) ||
	    (r = exo_buf_alloc(q, 4096, &buf)) ||
	    (r = exo_read(q, buf, 0, 1))) /* extent block 0, 1 block */
		errx(1, "%s", exo_strerror(x, r));
	/* clang-format on */
	printf("%s queue, first word %#llx\n", exo_queue_mode(q), *(unsigned long long *)buf);
	exo_close(x);
	return 0;
}
