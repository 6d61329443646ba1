/* SPDX-License-Identifier: MIT */
/*
 * What a run of exo-bench found: rows, each with its figures of every round, and where they
 * were taken. Written as JSON and read from it.
 */
#ifndef BENCH_RESULTS_H
#define BENCH_RESULTS_H

#include <stdio.h>

#include "../daemon/machine.h"

enum metric {
	METRIC_IOPS,
	METRIC_P50,
	METRIC_P90,
	METRIC_P99,
	METRIC_P99_9,
	METRIC_P99_99,
	METRIC_MAX,
	METRIC_CYCLES_USER,
	METRIC_CYCLES_KERNEL,
	METRIC_INSTRUCTIONS_USER,
	METRIC_INSTRUCTIONS_KERNEL,
	METRIC_FIRST_READ,
	METRIC_SHARE_LEAST,
	METRIC_SHARE_MOST,
	METRICS,
};

/**
 * struct metric_info - what a figure is
 * @key: in JSON
 * @what: for a person
 * @unit: for a person
 * @more_is_better: than less
 */
struct metric_info {
	const char *key;
	const char *what;
	const char *unit;
	bool more_is_better;
};

extern const struct metric_info metrics[METRICS];

/* One value of each round in which there was one. */
struct series {
	double *at;
	size_t count;
};

struct row {
	char name[32];
	unsigned int depth;
	unsigned int batch;
	struct series series[METRICS];
	char *why;	    /* there are no figures, or not of every round; or NULL */
	char *counters_why; /* there are no cycles and instructions; or NULL */
};

enum place {
	PLACE_TAG,
	PLACE_WORKLOAD,
	PLACE_KERNEL,
	PLACE_CPU,
	PLACE_DEVICE,
	PLACE_MODEL,
	PLACE_SERIAL,
	PLACE_NAMESPACE,
	PLACE_IOMMU,
	PLACES,
};

/* The names of the places in JSON. */
extern const char *const places[PLACES];

struct results {
	char *date;
	char *place[PLACES]; /* none is NULL */
	unsigned int rounds;
	double seconds;
	struct findings checks;
	struct row *rows;
	size_t count;
};

void results_begin(struct results *results);
void results_free(struct results *results);
void results_place(struct results *results, enum place place, const char *text);

/* The row, made if there was none. Moves when another is made. */
struct row *results_row(struct results *results, const char *name, unsigned int depth,
			unsigned int batch);
struct row *results_find(const struct results *results, const char *name, unsigned int depth);
void row_add(struct row *row, enum metric metric, double value);

/* Of a series that has values. */
double series_median(const struct series *series);
double series_min(const struct series *series);
double series_max(const struct series *series);

void results_write(const struct results *results, FILE *out);
void results_table(const struct results *results, FILE *out);

/* 0, or -1 after saying why. */
int results_parse(struct results *results, const char *text, size_t length, const char *name);
int results_read(struct results *results, const char *path);

#endif
