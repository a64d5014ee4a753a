/* SPDX-License-Identifier: MIT */
/* For the tests of this floor: a loop on each backend. */
#ifndef AW_OS_FIXTURE_H
#define AW_OS_FIXTURE_H

#include "os/os.h"
#include <await/testing.h>

/* TEST_ON_BOTH(name) { ... loop ... }: two cases, on sim and on linux. */
#define TEST_ON_BOTH(name)                                                                                             \
    static void name(async_loop *loop);                                                                                \
    ASYNC_TEST_PLAIN(name##_on_sim)                                                                                    \
    {                                                                                                                  \
        with_loop("sim", name);                                                                                        \
    }                                                                                                                  \
    ASYNC_TEST_PLAIN(name##_on_linux)                                                                                  \
    {                                                                                                                  \
        with_loop("linux", name);                                                                                      \
    }                                                                                                                  \
    static void name(async_loop *loop)

#define TEST_ON_LINUX(name)                                                                                            \
    static void name(async_loop *loop);                                                                                \
    ASYNC_TEST_PLAIN(name##_on_linux)                                                                                  \
    {                                                                                                                  \
        with_loop("linux", name);                                                                                      \
    }                                                                                                                  \
    static void name(async_loop *loop)

/* Turns until it is so, at most 20 s. */
#define UNTIL(loop, condition)                                                                                         \
    do {                                                                                                               \
        int turns_ = 0;                                                                                                \
        while (!(condition) && turns_++ < 2000)                                                                        \
            ASYNC_CHECK(async_loop_turn(loop, 0.01) >= 0);                                                             \
        ASYNC_CHECK(condition);                                                                                        \
    } while (0)

static inline async_loop *open_loop(const char *backend)
{
    async_loop_options options = *async_test_options();
    async_loop *loop;

    options.backend = backend;
    loop = async_loop_new(&options);
    ASYNC_CHECK(loop != NULL);
    return loop;
}

static inline void with_loop(const char *backend, void (*test)(async_loop *loop))
{
    async_loop *loop = open_loop(backend);

    test(loop);
    ASYNC_CHECK_EQ(loop->holds, 0);
    ASYNC_CHECK_EQ(async_loop_close(loop), 0);
}

#endif
