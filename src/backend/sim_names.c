/* SPDX-License-Identifier: MIT */
/* Design notes: name resolution that asks nobody. Numbers, "localhost" and nothing else are known; so are the
 * names of a few services. Order of results and errors are glibc's. Only streams are offered. */
#include "backend/sim.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
    struct addrinfo info; /* first: what the caller holds */
    struct sockaddr_storage address;
    char name[256];
};

struct service {
    const char *name;
    uint16_t port;
};

static const struct service services[] = { { "echo", 7 },    { "discard", 9 }, { "ftp", 21 },    { "ssh", 22 },
                                           { "telnet", 23 }, { "smtp", 25 },   { "domain", 53 }, { "http", 80 },
                                           { "imap", 143 },  { "https", 443 }, { "imaps", 993 } };

/* ---- services ---- */

static int find_service(const char *name)
{
    for (size_t i = 0; i < AW_ARRAY_SIZE(services); i++)
        if (strcmp(services[i].name, name) == 0)
            return services[i].port;
    return EAI_SERVICE;
}

/* The port, or an EAI_ code, which is negative. */
static int parse_service(const char *service, int flags)
{
    long port;
    char *end;

    if (!service || !*service)
        return 0;
    port = strtol(service, &end, 10);
    if (*end)
        return flags & AI_NUMERICSERV ? EAI_NONAME : find_service(service);
    return port >= 0 && port <= UINT16_MAX ? (int)port : EAI_SERVICE;
}

/* ---- hosts ---- */

struct host {
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
    bool has_ipv4, has_ipv6, ipv4_first;
};

static void set_ipv4(struct host *host, uint32_t address)
{
    host->ipv4.sin_addr.s_addr = htonl(address);
    host->has_ipv4 = true;
}

static void set_ipv6(struct host *host, struct in6_addr address)
{
    host->ipv6.sin6_addr = address;
    host->has_ipv6 = true;
}

static const struct in6_addr any = IN6ADDR_ANY_INIT, loopback = IN6ADDR_LOOPBACK_INIT;

static int find_host(const char *name, int flags, struct host *host)
{
    if (!name) {
        host->ipv4_first = flags & AI_PASSIVE;
        set_ipv4(host, flags & AI_PASSIVE ? INADDR_ANY : INADDR_LOOPBACK);
        set_ipv6(host, flags & AI_PASSIVE ? any : loopback);
        return 0;
    }
    host->has_ipv4 = inet_pton(AF_INET, name, &host->ipv4.sin_addr) == 1;
    host->has_ipv6 = inet_pton(AF_INET6, name, &host->ipv6.sin6_addr) == 1;
    if (host->has_ipv4 || host->has_ipv6)
        return 0;
    if (flags & AI_NUMERICHOST || strcmp(name, "localhost") != 0)
        return EAI_NONAME;
    set_ipv4(host, INADDR_LOOPBACK);
    set_ipv6(host, loopback);
    return 0;
}

static int choose_family(struct host *host, int family)
{
    if (family != AF_UNSPEC && family != AF_INET && family != AF_INET6)
        return EAI_FAMILY;
    host->has_ipv4 &= family != AF_INET6;
    host->has_ipv6 &= family != AF_INET;
    return host->has_ipv4 || host->has_ipv6 ? 0 : EAI_ADDRFAMILY;
}

/* ---- the list ---- */

static int append(struct aw_sim *sim, struct addrinfo ***end, const void *address, socklen_t size)
{
    struct node *node = aw_alloc_zeroed(&sim->allocator, sizeof *node);

    if (!node)
        return EAI_MEMORY;
    memcpy(&node->address, address, size);
    node->info.ai_family = node->address.ss_family;
    node->info.ai_socktype = SOCK_STREAM;
    node->info.ai_protocol = IPPROTO_TCP;
    node->info.ai_addr = (struct sockaddr *)&node->address;
    node->info.ai_addrlen = size;
    **end = &node->info;
    *end = &node->info.ai_next;
    return 0;
}

static int append_ipv4(struct aw_sim *sim, struct addrinfo ***end, const struct host *host)
{
    return host->has_ipv4 ? append(sim, end, &host->ipv4, sizeof host->ipv4) : 0;
}

static int append_all(struct aw_sim *sim, struct addrinfo **list, const struct host *host)
{
    int r = host->ipv4_first ? append_ipv4(sim, &list, host) : 0;

    if (r == 0 && host->has_ipv6)
        r = append(sim, &list, &host->ipv6, sizeof host->ipv6);
    if (r == 0 && !host->ipv4_first)
        r = append_ipv4(sim, &list, host);
    return r;
}

static void set_canonical_name(struct addrinfo *first, const char *name)
{
    struct node *node = AW_CONTAINER_OF(first, struct node, info);

    snprintf(node->name, sizeof node->name, "%s", name);
    first->ai_canonname = node->name;
}

void aw_sim_freeaddrinfo(struct aw_backend *b, struct addrinfo *list)
{
    while (list) {
        struct addrinfo *next = list->ai_next;

        aw_free(&aw_sim_from_base(b)->allocator, AW_CONTAINER_OF(list, struct node, info));
        list = next;
    }
}

/* What is asked for, as an address of each family. */
static int look_up(const char *name, const char *service, const struct addrinfo *hints, struct host *host)
{
    int port = parse_service(service, hints->ai_flags);
    int r;

    if (!name && !service)
        return EAI_NONAME;
    if (hints->ai_socktype != 0 && hints->ai_socktype != SOCK_STREAM)
        return EAI_SOCKTYPE;
    if (port < 0)
        return port;
    host->ipv4.sin_family = AF_INET;
    host->ipv6.sin6_family = AF_INET6;
    host->ipv4.sin_port = host->ipv6.sin6_port = htons((uint16_t)port);
    r = find_host(name, hints->ai_flags, host);
    return r != 0 ? r : choose_family(host, hints->ai_family);
}

int aw_sim_getaddrinfo(struct aw_backend *b, const char *name, const char *service, const struct addrinfo *hints,
                       struct addrinfo **ret)
{
    static const struct addrinfo no_hints = { .ai_family = AF_UNSPEC };
    struct addrinfo *list = NULL;
    struct host host = { .has_ipv4 = false };
    int r;

    hints = hints ? hints : &no_hints;
    r = look_up(name, service, hints, &host);
    if (r == 0)
        r = append_all(aw_sim_from_base(b), &list, &host);
    if (r != 0) {
        aw_sim_freeaddrinfo(b, list);
        return r;
    }
    if (hints->ai_flags & AI_CANONNAME && name)
        set_canonical_name(list, name);
    *ret = list;
    return 0;
}
