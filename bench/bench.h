/* SPDX-License-Identifier: MIT */
/* The frame of the micro benchmarks: repeat a measurement, print its row as one line of JSON.
 *
 *     static double one_switch(void) { ...; return ns per switch; }
 *     bench_row("switch", "libawait", "ns", 9, one_switch);
 *
 * run.py reads the lines, merges several runs, and computes median and quartiles from the samples.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdint.h>

/* Monotonic nanoseconds: for what waits. */
int64_t bench_now(void);
/* Nanoseconds of processor time that this process has used: for what computes. Other work on the machine does not count
 * into it. */
int64_t bench_cpu(void);
/* xorshift: the same numbers in ours and in the peers. */
uint32_t bench_random(void);
/* Pins the process to $BENCH_CPU, if set. Called by bench_row, too. */
void bench_pin(void);
/* Calls measure() once without counting and `repetitions` times for the row. `row` is what the table says
 * ("timers add+cancel/100k"), `who` "libawait" or the peer's name. measure() ends the program on failure. */
void bench_row(const char *row, const char *who, const char *unit, int repetitions, double (*measure)(void));
/* A row from samples of one's own. */
void bench_print(const char *row, const char *who, const char *unit, const double *samples, int count);
void bench_die(const char *what, int code) __attribute__((noreturn));
#define BENCH_CHECK(call)                                                                                              \
    do {                                                                                                               \
        int bench_r_ = (call);                                                                                         \
        if (bench_r_ < 0)                                                                                              \
            bench_die(#call, bench_r_);                                                                                \
    } while (0)

/* "1k", "100k", "1M" of a count. */
const char *bench_count(long n);
/* This process's memory in bytes: what is resident, and its page tables. */
double bench_resident(void);
double bench_page_tables(void);

#endif
