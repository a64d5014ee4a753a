/* SPDX-License-Identifier: MIT */
#include "os/fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

struct answer {
    int calls, error;
    size_t count;
    struct aw_address addresses[16];
    char text[16][80];
    struct aw_resolve *resolve;
    void (*then)(struct answer *answer);
};

static void format(char *text, size_t size, const struct aw_address *address)
{
    char host[INET6_ADDRSTRLEN];
    const struct sockaddr_in *in = (const struct sockaddr_in *)&address->address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->address;

    if (in->sin_family == AF_INET) {
        ASYNC_CHECK_EQ(address->size, sizeof *in);
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(text, size, "%s %u", host, ntohs(in->sin_port));
    } else {
        ASYNC_CHECK_EQ(in6->sin6_family, AF_INET6);
        ASYNC_CHECK_EQ(address->size, sizeof *in6);
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        snprintf(text, size, "%s%%%u %u", host, in6->sin6_scope_id, ntohs(in6->sin6_port));
    }
}

static void on_done(void *arg, int error, const struct aw_address *addresses, size_t count)
{
    struct answer *answer = arg;

    answer->calls++;
    answer->error = error;
    answer->count = count;
    for (size_t i = 0; i < count && i < 16; i++)
        format(answer->text[i], sizeof answer->text[i], &addresses[i]);
    if (answer->then)
        answer->then(answer);
}

static int ask(struct answer *answer, async_loop *loop, const char *host, const char *port, bool passive)
{
    memset(answer, 0, sizeof *answer);
    return aw_resolve_start(loop, host, port, passive, on_done, answer, &answer->resolve);
}

static void wait_for_answer(struct answer *answer, async_loop *loop, const char *host, const char *port, bool passive)
{
    ASYNC_CHECK_EQ(ask(answer, loop, host, port, passive), 0);
    ASYNC_CHECK_EQ(answer->calls, 0);
    UNTIL(loop, answer->calls == 1);
}

static void check_one(async_loop *loop, const char *host, const char *port, const char *text)
{
    struct answer answer;

    wait_for_answer(&answer, loop, host, port, false);
    ASYNC_CHECK_EQ(answer.error, 0);
    ASYNC_CHECK_EQ(answer.count, 1);
    ASYNC_CHECK_STR(answer.text[0], text);
}

/* ---- numbers ---- */

static int forbidden_submit(struct aw_backend *backend, struct aw_job *job)
{
    (void)backend;
    (void)job;
    ASYNC_FAIL("a number needs no thread");
}

TEST_ON_BOTH(numbers_need_no_thread)
{
    static struct aw_backend_ops ops;

    ops = *loop->backend->ops;
    ops.job_submit = forbidden_submit;
    loop->backend->ops = &ops;
    check_one(loop, "127.0.0.1", "8080", "127.0.0.1 8080");
    check_one(loop, "0.0.0.0", "0", "0.0.0.0 0");
    check_one(loop, "::1", "65535", "::1%0 65535");
    check_one(loop, "fe80::1%3", "22", "fe80::1%3 22");
    check_one(loop, "::ffff:10.0.0.1", "00022", "::ffff:10.0.0.1%0 22");
    check_one(loop, "10.0.0.1", NULL, "10.0.0.1 0");
    check_one(loop, "10.0.0.1", "", "10.0.0.1 0");
}

TEST_ON_BOTH(no_host_is_every_interface_or_this_machine)
{
    struct answer answer;

    for (int way = 0; way < 2; way++) {
        wait_for_answer(&answer, loop, way ? "" : NULL, "80", true);
        ASYNC_CHECK(answer.error == 0 && answer.count == 2);
        ASYNC_CHECK_STR(answer.text[0], "0.0.0.0 80");
        ASYNC_CHECK_STR(answer.text[1], "::%0 80");
        wait_for_answer(&answer, loop, way ? "" : NULL, "80", false);
        ASYNC_CHECK(answer.error == 0 && answer.count == 2);
        ASYNC_CHECK_STR(answer.text[0], "::1%0 80");
        ASYNC_CHECK_STR(answer.text[1], "127.0.0.1 80");
    }
}

TEST_ON_BOTH(a_port_number_above_65535_is_refused)
{
    struct answer answer;

    ASYNC_CHECK_EQ(ask(&answer, loop, "127.0.0.1", "65536", false), -EINVAL);
    ASYNC_CHECK_HAS(async_last_error(), "65536");
    ASYNC_CHECK_EQ(ask(&answer, loop, "localhost", "99999999999999999999999999999", false), -EINVAL);
    ASYNC_CHECK_EQ(ask(&answer, loop, NULL, "70000", true), -EINVAL);
    async_loop_turn(loop, 0);
    ASYNC_CHECK_EQ(answer.calls, 0);
}

/* ---- names ---- */

TEST_ON_BOTH(localhost_is_this_machine)
{
    struct answer answer;
    bool found = false;

    wait_for_answer(&answer, loop, "localhost", "80", false);
    ASYNC_CHECK_EQ(answer.error, 0);
    for (size_t i = 0; i < answer.count; i++)
        found |= strcmp(answer.text[i], "127.0.0.1 80") == 0 || strcmp(answer.text[i], "::1%0 80") == 0;
    ASYNC_CHECK(found);
}

TEST_ON_BOTH(a_service_has_a_name)
{
    struct answer answer;

    wait_for_answer(&answer, loop, "127.0.0.1", "http", false);
    if (answer.error == ASYNC_ENONAME)
        return; /* a machine without /etc/services */
    ASYNC_CHECK(answer.error == 0 && answer.count == 1);
    ASYNC_CHECK_STR(answer.text[0], "127.0.0.1 80");
}

TEST_ON_BOTH(a_name_that_is_not_there_is_an_error_of_its_own)
{
    struct answer answer;

    wait_for_answer(&answer, loop, "nonexistent.invalid", "80", false);
    ASYNC_CHECK(answer.error == ASYNC_ENONAME || answer.error == ASYNC_EDNS);
    ASYNC_CHECK_EQ(answer.count, 0);
    wait_for_answer(&answer, loop, "127.0.0.1", "no-such-service", false);
    ASYNC_CHECK_EQ(answer.error, ASYNC_ENONAME);
    wait_for_answer(&answer, loop, "127.0.0.1", "-1", false);
    ASYNC_CHECK_EQ(answer.error, ASYNC_ENONAME);
}

static int eai;

static int failing_getaddrinfo(struct aw_backend *b, const char *host, const char *service,
                               const struct addrinfo *hints, struct addrinfo **ret)
{
    (void)b;
    (void)host;
    (void)service;
    ASYNC_CHECK_EQ(hints->ai_socktype, SOCK_STREAM);
    *ret = NULL;
    return eai;
}

TEST_ON_BOTH(failures_of_the_resolver_have_three_codes)
{
    static const struct {
        int eai, code;
    } cases[] = { { EAI_NONAME, ASYNC_ENONAME }, { EAI_NODATA, ASYNC_ENONAME }, { EAI_SERVICE, ASYNC_ENONAME },
                  { EAI_AGAIN, ASYNC_EDNS },     { EAI_FAIL, ASYNC_EDNS },      { EAI_SYSTEM, ASYNC_EDNS },
                  { EAI_MEMORY, -ENOMEM },       { 0, ASYNC_ENONAME } };
    static struct aw_sys sys;
    struct answer answer;

    sys = *loop->sys;
    sys.getaddrinfo = failing_getaddrinfo;
    loop->sys = &sys;
    for (size_t i = 0; i < AW_ARRAY_SIZE(cases); i++) {
        eai = cases[i].eai;
        wait_for_answer(&answer, loop, "some.host", "80", false);
        ASYNC_CHECK_EQ(answer.error, cases[i].code);
        ASYNC_CHECK_EQ(answer.count, 0);
    }
}

/* ---- giving up ---- */

TEST_ON_BOTH(an_abandoned_lookup_is_silent)
{
    static const char *const hosts[] = { "127.0.0.1", "localhost" };
    struct answer answer;

    for (int i = 0; i < 2; i++) {
        ASYNC_CHECK_EQ(ask(&answer, loop, hosts[i], "80", false), 0);
        aw_resolve_abandon(answer.resolve);
        UNTIL(loop, loop->holds == 0);
        async_loop_turn(loop, 0);
        ASYNC_CHECK_EQ(answer.calls, 0);
    }
    aw_resolve_abandon(NULL);
}

static AW_ATOMIC(bool) thread_is_at_it, thread_may_go;

static int slow_getaddrinfo(struct aw_backend *b, const char *host, const char *service, const struct addrinfo *hints,
                            struct addrinfo **ret)
{
    aw_atomic_store(&thread_is_at_it, true, release);
    while (!aw_atomic_load(&thread_may_go, acquire))
        ;
    return aw_sys_linux.getaddrinfo(b, host, service, hints, ret);
}

static struct aw_sys slow_sys;

static void begin_slowly(struct answer *answer, async_loop *loop)
{
    slow_sys = *loop->sys;
    slow_sys.getaddrinfo = slow_getaddrinfo;
    loop->sys = &slow_sys;
    ASYNC_CHECK_EQ(ask(answer, loop, "localhost", "80", false), 0);
    UNTIL(loop, aw_atomic_load(&thread_is_at_it, acquire));
}

TEST_ON_LINUX(a_lookup_can_be_abandoned_while_its_thread_works)
{
    struct answer answer;

    begin_slowly(&answer, loop);
    aw_resolve_abandon(answer.resolve);
    ASYNC_CHECK_EQ(loop->holds, 1);
    aw_atomic_store(&thread_may_go, true, release);
    UNTIL(loop, loop->holds == 0);
    ASYNC_CHECK_EQ(answer.calls, 0);
}

ASYNC_TEST_PLAIN(a_loop_can_be_closed_while_an_abandoned_lookup_works)
{
    async_loop *loop = open_loop("linux");
    struct answer answer;

    begin_slowly(&answer, loop);
    aw_resolve_abandon(answer.resolve);
    aw_atomic_store(&thread_may_go, true, release);
    ASYNC_CHECK_EQ(async_loop_close(loop), 0);
    ASYNC_CHECK_EQ(answer.calls, 0);
}

ASYNC_TEST_PLAIN(a_lookup_that_has_not_begun_when_the_loop_closes_is_told_so)
{
    async_loop *loop = open_loop("sim");
    struct answer answer;

    ASYNC_CHECK_EQ(ask(&answer, loop, "localhost", "80", false), 0);
    ASYNC_CHECK_EQ(async_loop_close(loop), 0);
    ASYNC_CHECK(answer.calls == 1 && answer.error == ASYNC_ECLOSED);
}

/* ---- memory ---- */

static void ask_without_memory(async_loop *loop, const char *host)
{
    struct answer answer;
    bool failed;
    long n = 0;

    do {
        int r;

        async_test_fail_allocation(++n, 0);
        r = ask(&answer, loop, host, "80", false);
        ASYNC_CHECK(r == 0 || r == -ENOMEM);
        if (r == 0)
            UNTIL(loop, answer.calls == 1);
        async_test_fail_allocation(0, 0);
        failed = r < 0 || answer.error < 0;
        if (r == 0 && failed)
            ASYNC_CHECK_EQ(answer.error, -ENOMEM);
    } while (failed);
    ASYNC_CHECK(n >= 2);
}

TEST_ON_BOTH(a_lookup_without_memory_fails_and_leaks_nothing)
{
    ask_without_memory(loop, "127.0.0.1");
    ask_without_memory(loop, "localhost");
}
