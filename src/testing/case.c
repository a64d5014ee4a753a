/* SPDX-License-Identifier: MIT */
/* Design notes: a failed check may stand on any stack and in any thread, so it does not unwind: it writes the outcome
 * into memory shared with the harness and ends the process. Without a process of its own (--no-fork) it prints
 * the case's line itself and ends the program. */
#include "testing/harness.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct aw_test_outcome *aw_test_outcome;
static struct aw_test_outcome own_outcome;
static const struct aw_test *current;
static async_loop_options options;

const async_loop_options *async_test_options(void)
{
    return &options;
}

void aw_test_make_options(const struct aw_test *test)
{
    const char *environment = getenv("ASYNC_BACKEND");

    options = (async_loop_options){
        .size = sizeof options,
        .backend = test->backend              ? test->backend
                   : aw_test_settings.backend ? aw_test_settings.backend
                   : environment              ? environment
                                              : "sim",
        .allocator = &aw_test_allocator,
        .exception_handler = aw_test_collect_report,
        .seed = aw_test_settings.seed,
    };
}

void aw_test_run_plain(const struct aw_test *test)
{
    test->body();
}

void aw_test_run_case(const struct aw_test *test)
{
    struct aw_test_descriptors before;

    current = test;
    aw_test_make_options(test);
    aw_test_descriptors_note(&before);
    test->run(test);
    aw_test_check_reports();
    aw_test_check_memory();
    aw_test_descriptors_check(&before);
    aw_test_outcome->state = AW_TEST_PASSED;
}

void aw_test_detach_outcome(void)
{
    aw_test_outcome = &own_outcome;
}

void aw_test_end(enum aw_test_state state, const char *format, va_list list)
{
    vsnprintf(aw_test_outcome->text, sizeof aw_test_outcome->text, format, list);
    aw_test_outcome->state = (int)state;
    if (aw_test_outcome == &own_outcome)
        fprintf(stderr, "%s\n", own_outcome.text);
    else if (!aw_test_settings.fork) {
        aw_test_print(1, current->name, aw_test_outcome, -1);
        puts("Bail out! --no-fork ends here");
    }
    fflush(stdout);
    /* Not exit(): the stacks are as the check left them, and a leak report would hide the reason. */
    _exit(state == AW_TEST_FAILED ? 1 : 0);
}
