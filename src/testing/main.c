/* SPDX-License-Identifier: MIT */
/* Design notes: cases register themselves before main() runs, in the order of the source. main() reads the command
 * line, runs each case in a process of its own and prints TAP: a plan, a line a case, and for a case that failed
 * what it wrote, as comments. The exit code is 1 if any case failed, 2 for a mistake on the command line. */
#include "testing/harness.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct aw_test_settings aw_test_settings = { .timeout = 20, .fork = true };
struct aw_test *aw_test_first;
static struct aw_test *last;

void aw_test_register(struct aw_test *test)
{
    if (last)
        last->next = test;
    else
        aw_test_first = test;
    last = test;
}

static void usage(const char *program)
{
    fprintf(stderr,
            "usage: %s [--list] [--backend NAME] [--seed N] [--timeout SECONDS] [--no-fork] [--verbose] "
            "[--without PATTERN] [PATTERN...]\n",
            program);
    exit(2);
}

static double parse_seconds(const char *text, const char *program)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end || !(seconds > 0))
        usage(program);
    return seconds;
}

static uint64_t parse_seed(const char *text, const char *program)
{
    char *end;
    uint64_t seed = strtoull(text, &end, 0);

    if (end == text || *end)
        usage(program);
    return seed;
}

static void parse(int argc, char **argv)
{
    static const struct option options[] = {
        { "list", no_argument, NULL, 'l' },          { "backend", required_argument, NULL, 'b' },
        { "seed", required_argument, NULL, 's' },    { "timeout", required_argument, NULL, 't' },
        { "no-fork", no_argument, NULL, 'n' },       { "verbose", no_argument, NULL, 'v' },
        { "without", required_argument, NULL, 'w' }, { NULL, 0, NULL, 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "v", options, NULL)) != -1) {
        switch (c) {
        case 'l':
            aw_test_settings.list = true;
            break;
        case 'b':
            aw_test_settings.backend = optarg;
            break;
        case 's':
            aw_test_settings.seed = parse_seed(optarg, argv[0]);
            break;
        case 't':
            aw_test_settings.timeout = parse_seconds(optarg, argv[0]);
            break;
        case 'n':
            aw_test_settings.fork = false;
            break;
        case 'w':
            aw_test_settings.without = optarg;
            break;
        case 'v':
            aw_test_settings.verbose = true;
            break;
        default:
            usage(argv[0]);
        }
    }
    aw_test_settings.patterns = argv + optind;
    aw_test_settings.pattern_count = argc - optind;
}

static bool is_selected(const struct aw_test *test)
{
    if (aw_test_settings.without && strstr(test->name, aw_test_settings.without))
        return false;
    for (int i = 0; i < aw_test_settings.pattern_count; i++)
        if (strstr(test->name, aw_test_settings.patterns[i]))
            return true;
    return aw_test_settings.pattern_count == 0;
}

static int count_selected(void)
{
    int count = 0;

    for (const struct aw_test *test = aw_test_first; test; test = test->next)
        count += is_selected(test);
    return count;
}

static int list_cases(void)
{
    for (const struct aw_test *test = aw_test_first; test; test = test->next)
        if (is_selected(test))
            puts(test->name);
    return 0;
}

/* Whether it passed or was skipped. */
static bool run_one(int number, const struct aw_test *test)
{
    struct aw_test_outcome outcome = { .state = AW_TEST_RUNNING };
    int output = -1;

    if (aw_test_settings.fork) {
        output = aw_test_run_forked(test, &outcome);
        if (output < 0) {
            outcome.state = AW_TEST_FAILED;
            snprintf(outcome.text, sizeof outcome.text, "no process for the case: %s", strerror(-output));
        }
    } else {
        aw_test_outcome = &outcome;
        aw_test_run_case(test);
    }
    aw_test_print(number, test->name, &outcome, output);
    if (output >= 0)
        close(output);
    return outcome.state != AW_TEST_FAILED;
}

int main(int argc, char **argv)
{
    int number = 0, failed = 0;

    parse(argc, argv);
    if (aw_test_settings.list)
        return list_cases();
    if (count_selected() == 0) {
        fprintf(stderr, "%s: no case has such a name\n", argv[0]);
        return 2;
    }
    printf("TAP version 13\n1..%d\n", count_selected());
    for (const struct aw_test *test = aw_test_first; test; test = test->next)
        if (is_selected(test))
            failed += !run_one(++number, test);
    return failed ? 1 : 0;
}
