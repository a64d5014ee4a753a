/* SPDX-License-Identifier: MIT */
/* Design notes: names and sentences are what people see of a failure, so each code has its own and no number crashes.
 */
#include "base/base.h"

#include <await/testing.h>
#include <limits.h>
#include <string.h>

static const struct {
    int code;
    const char *name, *sentence;
} own[] = {
    { ASYNC_ECANCELED, "ASYNC_ECANCELED", "cancelled" },
    { ASYNC_ETIMEOUT, "ASYNC_ETIMEOUT", "a deadline has passed" },
    { ASYNC_EEOF, "ASYNC_EEOF", "the stream ended in the middle of what was asked for" },
    { ASYNC_ENOTASK, "ASYNC_ENOTASK", "an await outside of a task (use async_run)" },
    { ASYNC_ELIMIT, "ASYNC_ELIMIT", "longer than the limit" },
    { ASYNC_ESTATE, "ASYNC_ESTATE", "not in a state for this" },
    { ASYNC_ECLOSED, "ASYNC_ECLOSED", "closed" },
    { ASYNC_ENONAME, "ASYNC_ENONAME", "no such host or service" },
    { ASYNC_EDNS, "ASYNC_EDNS", "the name could not be resolved" },
    { ASYNC_ENOBACKEND, "ASYNC_ENOBACKEND", "no backend has that name" },
    { ASYNC_ETHREAD, "ASYNC_ETHREAD", "called from a thread that does not own the loop" },
    { ASYNC_EDEADLOCK, "ASYNC_EDEADLOCK", "nothing can ever wake the loop" },
};

ASYNC_TEST_PLAIN(each_code_of_ours_has_a_name_and_a_sentence)
{
    for (size_t i = 0; i < AW_ARRAY_SIZE(own); i++) {
        ASYNC_CHECK_STR(async_error_name(own[i].code), own[i].name);
        ASYNC_CHECK_STR(async_strerror(own[i].code), own[i].sentence);
    }
}

ASYNC_TEST_PLAIN(codes_of_ours_are_negative_differ_and_are_no_errno)
{
    for (size_t i = 0; i < AW_ARRAY_SIZE(own); i++) {
        ASYNC_CHECK(own[i].code < 0);
        ASYNC_CHECK(own[i].code == -ECANCELED || own[i].code < -4095);
        for (size_t j = 0; j < i; j++)
            ASYNC_CHECK(own[i].code != own[j].code);
    }
    ASYNC_CHECK_EQ(ASYNC_ECANCELED, -ECANCELED);
}

ASYNC_TEST_PLAIN(common_errno_codes_are_named_as_in_c)
{
    ASYNC_CHECK_STR(async_error_name(-ECONNREFUSED), "-ECONNREFUSED");
    ASYNC_CHECK_STR(async_error_name(-ECONNRESET), "-ECONNRESET");
    ASYNC_CHECK_STR(async_error_name(-EPIPE), "-EPIPE");
    ASYNC_CHECK_STR(async_error_name(-ENOMEM), "-ENOMEM");
    ASYNC_CHECK_STR(async_error_name(-EAGAIN), "-EAGAIN");
    ASYNC_CHECK_STR(async_error_name(-EWOULDBLOCK), "-EAGAIN");
    ASYNC_CHECK_STR(async_error_name(-EINVAL), "-EINVAL");
    ASYNC_CHECK_STR(async_error_name(-EADDRINUSE), "-EADDRINUSE");
    ASYNC_CHECK_STR(async_error_name(-EMFILE), "-EMFILE");
    ASYNC_CHECK_STR(async_error_name(-ETIMEDOUT), "-ETIMEDOUT");
    ASYNC_CHECK_STR(async_strerror(-ECONNREFUSED), "Connection refused");
    ASYNC_CHECK_STR(async_strerror(-ENOENT), "No such file or directory");
}

/* The C library knows all numbers: what it can name, we can. */
ASYNC_TEST_PLAIN(every_errno_that_the_c_library_knows_has_its_name)
{
    for (int number = 1; number < 4096; number++) {
        const char *expected = strerrorname_np(number);

        if (!expected || number == ECANCELED)
            continue;
        ASYNC_CHECK(strcmp(async_error_name(-number) + 1, expected) == 0 ||
                    (ASYNC_FAIL("-%s is called %s", expected, async_error_name(-number)), 0));
        ASYNC_CHECK_STR(async_strerror(-number), strerrordesc_np(number));
    }
}

ASYNC_TEST_PLAIN(numbers_that_are_no_codes_are_unknown_errors)
{
    static const int unknown[] = { -4095, -4096, -99999, -100000, -100012, -123456, INT_MIN, INT_MIN + 1 };

    for (size_t i = 0; i < AW_ARRAY_SIZE(unknown); i++) {
        ASYNC_CHECK_STR(async_error_name(unknown[i]), "unknown error");
        ASYNC_CHECK_STR(async_strerror(unknown[i]), "unknown error");
    }
    ASYNC_CHECK_STR(async_error_name(INT_MAX), "unknown error");
}

ASYNC_TEST_PLAIN(a_number_that_is_not_negative_is_success)
{
    ASYNC_CHECK_STR(async_strerror(0), "success");
    ASYNC_CHECK_STR(async_strerror(1), "success");
    ASYNC_CHECK_STR(async_strerror(INT_MAX), "success");
}
