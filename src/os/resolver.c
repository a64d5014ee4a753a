/* SPDX-License-Identifier: MIT */
/* Design notes: numbers need no thread and no name service; everything else is getaddrinfo() on the resolver's
 * executor, so that /etc/hosts, nsswitch and the order of addresses are the system's. A lookup owns copies of what it
 * works on and frees itself: after done(), or, when it was abandoned, whenever its thread lets go of it. */
#include "os/os.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define NUMERIC_MAX 2 /* a number is one address; no host is two */

struct aw_resolve {
    struct aw_executor_job job; /* first */
    struct async_handle at_once;
    async_loop *loop;
    void (*done)(void *arg, int error, const struct aw_address *addresses, size_t count);
    void *arg;
    char *host, *port; /* behind this struct; NULL: none */
    bool passive, abandoned;

    /* written by the thread, read when it has ended */
    bool ran;
    int eai;
    struct addrinfo *list;

    struct aw_address numeric[NUMERIC_MAX];
    size_t numeric_count;
};

/* ---- numbers ---- */

/* Digits only: 0..limit, -1 not a number, -EINVAL above. */
static long parse_number(const char *text, long limit)
{
    long value = 0;

    if (!*text)
        return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        value = value > limit ? value : value * 10 + (*text - '0');
    }
    return value > limit ? -EINVAL : value;
}

static void put_v4(struct aw_address *address, struct in_addr ip, uint16_t port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = ip };

    memset(address, 0, sizeof *address);
    memcpy(&address->address, &in, sizeof in);
    address->size = sizeof in;
}

static void put_v6(struct aw_address *address, struct in6_addr ip, uint32_t scope, uint16_t port)
{
    struct sockaddr_in6 in = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = ip, .sin6_scope_id = scope
    };

    memset(address, 0, sizeof *address);
    memcpy(&address->address, &in, sizeof in);
    address->size = sizeof in;
}

/* "fe80::1%2"; a scope with a name is left to the system, which knows its interfaces. */
static bool parse_v6(struct aw_address *address, const char *host, uint16_t port)
{
    const char *percent = strchr(host, '%');
    size_t length = percent ? (size_t)(percent - host) : strlen(host);
    long scope = percent ? parse_number(percent + 1, UINT32_MAX) : 0;
    char text[INET6_ADDRSTRLEN];
    struct in6_addr ip;

    if (scope < 0 || length >= sizeof text)
        return false;
    memcpy(text, host, length);
    text[length] = '\0';
    if (inet_pton(AF_INET6, text, &ip) != 1)
        return false;
    put_v6(address, ip, (uint32_t)scope, port);
    return true;
}

static void put_no_host(struct aw_resolve *resolve, uint16_t port)
{
    struct in_addr any = { htonl(INADDR_ANY) }, loopback = { htonl(INADDR_LOOPBACK) };

    put_v4(&resolve->numeric[resolve->passive ? 0 : 1], resolve->passive ? any : loopback, port);
    put_v6(&resolve->numeric[resolve->passive ? 1 : 0], resolve->passive ? in6addr_any : in6addr_loopback, 0, port);
    resolve->numeric_count = 2;
}

/* 1: done, 0: a name is in it, -EINVAL. */
static int resolve_numbers(struct aw_resolve *resolve)
{
    long port = resolve->port ? parse_number(resolve->port, 65535) : 0;
    struct in_addr ip;

    if (port < 0)
        return port == -1 ? 0 : (int)port;
    if (!resolve->host) {
        put_no_host(resolve, (uint16_t)port);
        return 1;
    }
    if (inet_pton(AF_INET, resolve->host, &ip) == 1)
        put_v4(&resolve->numeric[0], ip, (uint16_t)port);
    else if (!parse_v6(&resolve->numeric[0], resolve->host, (uint16_t)port))
        return 0;
    resolve->numeric_count = 1;
    return 1;
}

/* ---- names ---- */

static void on_thread(struct aw_executor_job *job)
{
    struct aw_resolve *resolve = (struct aw_resolve *)job;
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };

    if (resolve->passive)
        hints.ai_flags = AI_PASSIVE;
    resolve->ran = true;
    resolve->eai =
        resolve->loop->sys->getaddrinfo(resolve->loop->backend, resolve->host, resolve->port, &hints, &resolve->list);
}

static int error_of(int eai)
{
    switch (eai) {
    case 0:
        return 0;
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_SERVICE:
    case EAI_ADDRFAMILY:
        return ASYNC_ENONAME;
    case EAI_MEMORY:
        return -ENOMEM;
    default: /* EAI_AGAIN, EAI_FAIL, EAI_SYSTEM */
        return ASYNC_EDNS;
    }
}

static size_t count_addresses(const struct addrinfo *list)
{
    size_t count = 0;

    for (; list; list = list->ai_next)
        count += list->ai_addrlen <= sizeof(struct sockaddr_storage);
    return count;
}

static void copy_addresses(struct aw_address *to, const struct addrinfo *list)
{
    for (; list; list = list->ai_next) {
        if (list->ai_addrlen > sizeof(struct sockaddr_storage))
            continue;
        memset(to, 0, sizeof *to);
        memcpy(&to->address, list->ai_addr, list->ai_addrlen);
        to->size = list->ai_addrlen;
        to++;
    }
}

static void free_resolve(struct aw_resolve *resolve)
{
    async_loop *loop = resolve->loop;

    if (resolve->list)
        loop->sys->freeaddrinfo(loop->backend, resolve->list);
    aw_free(&loop->allocator, resolve);
}

static void tell_names(struct aw_resolve *resolve)
{
    const async_allocator *allocator = &resolve->loop->allocator;
    int error = resolve->ran ? error_of(resolve->eai) : ASYNC_ECLOSED;
    size_t count = error < 0 ? 0 : count_addresses(resolve->list);
    struct aw_address *addresses = NULL;

    if (error == 0 && count == 0)
        error = ASYNC_ENONAME;
    if (error == 0 && !(addresses = aw_alloc(allocator, count * sizeof *addresses)))
        error = -ENOMEM;
    if (error == 0)
        copy_addresses(addresses, resolve->list);
    resolve->done(resolve->arg, error, addresses, error == 0 ? count : 0);
    aw_free(allocator, addresses);
}

static void on_done(struct aw_executor_job *job)
{
    struct aw_resolve *resolve = (struct aw_resolve *)job;

    if (!resolve->abandoned)
        tell_names(resolve);
    free_resolve(resolve);
}

static int run_at_once(struct async_handle *handle)
{
    struct aw_resolve *resolve = AW_CONTAINER_OF(handle, struct aw_resolve, at_once);

    resolve->done(resolve->arg, 0, resolve->numeric, resolve->numeric_count);
    free_resolve(resolve);
    return 0;
}

/* ---- start and end ---- */

/* A string behind the struct; NULL and "" are no string. */
static char *put_text(char **place, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = *place;

    if (size == 1)
        return NULL;
    memcpy(copy, text, size);
    *place += size;
    return copy;
}

static struct aw_resolve *new_resolve(async_loop *loop, const char *host, const char *port)
{
    struct aw_resolve *resolve;
    char *place;

    host = host ? host : "";
    port = port ? port : "";
    resolve = aw_alloc_zeroed(&loop->allocator, sizeof *resolve + strlen(host) + strlen(port) + 2);
    if (!resolve)
        return NULL;
    place = (char *)(resolve + 1);
    resolve->loop = loop;
    resolve->host = put_text(&place, host);
    resolve->port = put_text(&place, port);
    resolve->job.work = on_thread;
    resolve->job.done = on_done;
    async_handle_init(&resolve->at_once, run_at_once);
    return resolve;
}

static int begin(struct aw_resolve *resolve)
{
    async_loop *loop = resolve->loop;
    struct aw_executor *executor;
    int r = resolve_numbers(resolve);

    if (r < 0)
        return aw_fail(loop, r, "port %s is above 65535", resolve->port);
    if (r > 0) {
        aw_loop_make_ready(loop, &resolve->at_once);
        return 0;
    }
    executor = aw_loop_resolver_executor(loop);
    return executor ? aw_executor_submit(executor, &resolve->job) : aw_fail(loop, -ENOMEM, "no memory for a resolver");
}

int aw_resolve_start(async_loop *loop, const char *host, const char *port, bool passive,
                     void (*done)(void *arg, int error, const struct aw_address *addresses, size_t count), void *arg,
                     struct aw_resolve **ret_resolve)
{
    struct aw_resolve *resolve = new_resolve(loop, host, port);
    int r;

    if (!resolve)
        return aw_fail(loop, -ENOMEM, "no memory to resolve a name");
    resolve->passive = passive;
    resolve->done = done;
    resolve->arg = arg;
    r = begin(resolve);
    if (r < 0) {
        free_resolve(resolve);
        return r;
    }
    *ret_resolve = resolve;
    return 0;
}

void aw_resolve_abandon(struct aw_resolve *resolve)
{
    if (!resolve)
        return;
    resolve->abandoned = true;
    if (async_loop_unschedule(resolve->loop, &resolve->at_once) || aw_executor_cancel(&resolve->job))
        free_resolve(resolve);
}
