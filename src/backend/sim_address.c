/* SPDX-License-Identifier: MIT */
/* Design notes: addresses and who holds which port. There is one host with two interfaces: 127.0.0.0/8 and ::1.
 * Inside, IPv4 is written as IPv6, so that a dual-stack listener needs no case of its own. */
#include "backend/sim.h"

#include <string.h>

/* Linux's own range for port 0. */
#define FIRST_PORT 32768
#define PORT_COUNT 28232

static void map_ipv4(struct in6_addr *ip, struct in_addr ipv4)
{
    memset(ip, 0, sizeof *ip);
    ip->s6_addr[10] = ip->s6_addr[11] = 0xff;
    memcpy(&ip->s6_addr[12], &ipv4, sizeof ipv4);
}

static struct aw_sim_address parse_ipv4(const struct sockaddr *address)
{
    struct sockaddr_in in;
    struct aw_sim_address result;

    memcpy(&in, address, sizeof in);
    map_ipv4(&result.ip, in.sin_addr);
    result.port = ntohs(in.sin_port);
    return result;
}

static struct aw_sim_address parse_ipv6(const struct sockaddr *address)
{
    struct sockaddr_in6 in;

    memcpy(&in, address, sizeof in);
    return (struct aw_sim_address){ .ip = in.sin6_addr, .port = ntohs(in.sin6_port) };
}

int aw_sim_address_parse(int family, const struct sockaddr *address, socklen_t size, struct aw_sim_address *ret)
{
    if (!address)
        return -EFAULT;
    if (size < (family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)))
        return -EINVAL;
    if (address->sa_family != family)
        return -EAFNOSUPPORT;
    *ret = family == AF_INET ? parse_ipv4(address) : parse_ipv6(address);
    return 0;
}

/* As the kernel does: cut to *size, then the size that it would have needed. */
void aw_sim_address_format(int family, const struct aw_sim_address *address, struct sockaddr *out, socklen_t *size)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(address->port) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(address->port), .sin6_addr = address->ip };
    const void *from = family == AF_INET ? (void *)&in : (void *)&in6;
    socklen_t needed = family == AF_INET ? sizeof in : sizeof in6;

    memcpy(&in.sin_addr, &address->ip.s6_addr[12], sizeof in.sin_addr);
    if (!out || !size)
        return;
    memcpy(out, from, *size < needed ? *size : needed);
    *size = needed;
}

struct aw_sim_address aw_sim_address_any(int family)
{
    struct aw_sim_address any = { .port = 0 };

    if (family == AF_INET)
        map_ipv4(&any.ip, (struct in_addr){ htonl(INADDR_ANY) });
    return any;
}

static bool is_ipv4(const struct in6_addr *ip)
{
    return IN6_IS_ADDR_V4MAPPED(ip);
}

static bool same_ip(const struct in6_addr *a, const struct in6_addr *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

bool aw_sim_address_is_any(const struct aw_sim_address *address)
{
    struct aw_sim_address any = aw_sim_address_any(is_ipv4(&address->ip) ? AF_INET : AF_INET6);

    return same_ip(&address->ip, &any.ip);
}

bool aw_sim_address_is_loopback(const struct aw_sim_address *address)
{
    return is_ipv4(&address->ip) ? address->ip.s6_addr[12] == 127 : IN6_IS_ADDR_LOOPBACK(&address->ip);
}

struct aw_sim_address aw_sim_address_loopback(const struct aw_sim_address *address)
{
    struct aw_sim_address loopback = { .ip = IN6ADDR_LOOPBACK_INIT, .port = address->port };

    if (is_ipv4(&address->ip))
        map_ipv4(&loopback.ip, (struct in_addr){ htonl(INADDR_LOOPBACK) });
    return loopback;
}

bool aw_sim_address_covers(const struct aw_sim_socket *socket, const struct aw_sim_address *address)
{
    const struct in6_addr *mine = &socket->local.ip;

    if (same_ip(mine, &address->ip))
        return true;
    if (!aw_sim_address_is_any(&socket->local))
        return false;
    /* 0.0.0.0 is all of IPv4; :: is all of IPv6 and, unless it was told otherwise, of IPv4. */
    return is_ipv4(mine) == is_ipv4(&address->ip) || (!is_ipv4(mine) && !socket->options[AW_SIM_V6ONLY]);
}

/* ---- ports ---- */

static struct aw_list *bucket(struct aw_sim *sim, uint16_t port)
{
    return &sim->ports[port % AW_SIM_PORT_BUCKETS];
}

static bool both_have(const struct aw_sim_socket *a, const struct aw_sim_socket *b, enum aw_sim_option option)
{
    return a->options[option] && b->options[option];
}

/* `socket` has `address` for this question, and another one has the same port. */
static bool may_share(const struct aw_sim_socket *socket, const struct aw_sim_socket *other)
{
    if (!aw_sim_address_covers(socket, &other->local) && !aw_sim_address_covers(other, &socket->local))
        return true;
    if (both_have(socket, other, AW_SIM_REUSEPORT))
        return true;
    return both_have(socket, other, AW_SIM_REUSEADDR) && other->state != AW_SIM_LISTENING;
}

int aw_sim_check_conflict(struct aw_sim *sim, const struct aw_sim_socket *socket, const struct aw_sim_address *address)
{
    struct aw_sim_socket asking = *socket;
    struct aw_list *ports = bucket(sim, address->port);

    asking.local = *address;
    for (struct aw_list *node = ports->next; node != ports; node = node->next) {
        const struct aw_sim_socket *other = AW_LIST_ENTRY(node, struct aw_sim_socket, bound);

        if (other != socket && other->local.port == address->port && !may_share(&asking, other))
            return -EADDRINUSE;
    }
    return 0;
}

static bool port_is_used(struct aw_sim *sim, uint16_t port)
{
    struct aw_list *ports = bucket(sim, port);

    for (struct aw_list *node = ports->next; node != ports; node = node->next)
        if (AW_LIST_ENTRY(node, struct aw_sim_socket, bound)->local.port == port)
            return true;
    return false;
}

/* 0: all are in use. */
static uint16_t find_free_port(struct aw_sim *sim)
{
    for (int i = 0; i < PORT_COUNT; i++) {
        uint16_t port = (uint16_t)(FIRST_PORT + sim->next_port);

        sim->next_port = (uint16_t)((sim->next_port + 1) % PORT_COUNT);
        if (!port_is_used(sim, port))
            return port;
    }
    return 0;
}

void aw_sim_bound(struct aw_sim *sim, struct aw_sim_socket *socket)
{
    aw_list_append(bucket(sim, socket->local.port), &socket->bound);
}

int aw_sim_bind_to(struct aw_sim *sim, struct aw_sim_socket *socket, const struct aw_sim_address *address)
{
    struct aw_sim_address local = *address;
    int r = 0;

    if (local.port == 0)
        local.port = find_free_port(sim);
    else
        r = aw_sim_check_conflict(sim, socket, &local);
    if (local.port == 0)
        r = -EADDRINUSE;
    if (r < 0)
        return r;
    socket->local = local;
    aw_sim_bound(sim, socket);
    return 0;
}

int aw_sim_bind(struct aw_sim *sim, struct aw_sim_socket *socket, const struct sockaddr *address, socklen_t size)
{
    struct aw_sim_address local;
    int r = aw_sim_address_parse(socket->family, address, size, &local);

    if (r < 0)
        return r;
    if (socket->state != AW_SIM_CLOSED || socket->local.port != 0)
        return -EINVAL;
    if (!aw_sim_address_is_any(&local) && !aw_sim_address_is_loopback(&local))
        return -EADDRNOTAVAIL;
    r = aw_sim_bind_to(sim, socket, &local);
    if (r == 0)
        socket->asked = local;
    return r;
}
