/* SPDX-License-Identifier: MIT */
/* What the harness' files share. It stands on the public headers only, as every user's tests do. */
#ifndef AW_TESTING_HARNESS_H
#define AW_TESTING_HARNESS_H

#include <await/testing.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

struct aw_test_settings {
    const char *backend; /* NULL: the case's own, then $ASYNC_BACKEND, then "sim" */
    uint64_t seed;
    double timeout;
    bool fork, verbose, list;
    const char *without; /* part of the names of cases to leave out; NULL: none */
    char **patterns;
    int pattern_count;
};

enum aw_test_state { AW_TEST_RUNNING, AW_TEST_PASSED, AW_TEST_FAILED, AW_TEST_SKIPPED };

/* How a case ended. It lies in memory that the case's process shares with ours. */
struct aw_test_outcome {
    int state;
    char text[4096];
};

extern struct aw_test_settings aw_test_settings;
extern struct aw_test *aw_test_first;
extern struct aw_test_outcome *aw_test_outcome;

/* Runs one case on this process: the body, then the search for leaks. Returns if it passed. */
void aw_test_run_case(const struct aw_test *test);
/* Runs one case in a process of its own, with its time limit. Fills the outcome; the case's output is in the
 * returned descriptor. -errno */
int aw_test_run_forked(const struct aw_test *test, struct aw_test_outcome *outcome);

/* Ends the case with this outcome, wherever it is called. */
void aw_test_end(enum aw_test_state state, const char *format, va_list list)
    __attribute__((noreturn, format(printf, 2, 0)));
/* In a child of the case: failures are the child's own from now on. */
void aw_test_detach_outcome(void);
/* The line that reports an outcome, and the case's output as comments. */
void aw_test_print(int number, const char *name, const struct aw_test_outcome *outcome, int output);

/* Fails the case if there is something left over. */
void aw_test_check_memory(void);
void aw_test_check_reports(void);

struct aw_test_descriptors {
    unsigned char open[8192 / 8];
};
void aw_test_descriptors_note(struct aw_test_descriptors *ret_descriptors);
void aw_test_descriptors_check(const struct aw_test_descriptors *before);

extern const async_allocator aw_test_allocator;
void aw_test_collect_report(async_loop *loop, const async_error_context *context, void *arg);
/* The options for a case; async_test_options() gives them to its body. */
void aw_test_make_options(const struct aw_test *test);

#endif
