/* SPDX-License-Identifier: MIT */
/* Design notes: addresses as text, without asking the system: a scope is shown as its number. */
#include "transport/transport.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static void format_v4(char *buf, size_t buf_size, const struct sockaddr_in *address)
{
    char host[INET_ADDRSTRLEN];

    inet_ntop(AF_INET, &address->sin_addr, host, sizeof host);
    snprintf(buf, buf_size, "%s:%u", host, ntohs(address->sin_port));
}

static void format_v6(char *buf, size_t buf_size, const struct sockaddr_in6 *address)
{
    char host[INET6_ADDRSTRLEN];
    unsigned port = ntohs(address->sin6_port);

    inet_ntop(AF_INET6, &address->sin6_addr, host, sizeof host);
    if (address->sin6_scope_id)
        snprintf(buf, buf_size, "[%s%%%u]:%u", host, address->sin6_scope_id, port);
    else
        snprintf(buf, buf_size, "[%s]:%u", host, port);
}

/* The path need not be ended by NUL; an abstract name begins with one and may hold more. */
static void format_unix(char *buf, size_t buf_size, const struct sockaddr_un *address, socklen_t size)
{
    size_t length = size - offsetof(struct sockaddr_un, sun_path);
    bool abstract = length > 0 && address->sun_path[0] == '\0';

    if (!abstract)
        length = strnlen(address->sun_path, length);
    if (length >= buf_size)
        length = buf_size - 1;
    for (size_t i = 0; i < length; i++)
        buf[i] = address->sun_path[i] ? address->sun_path[i] : '@';
    buf[length] = '\0';
}

const char *aw_address_format(char *buf, size_t buf_size, const struct sockaddr *address, socklen_t size)
{
    if (buf_size == 0)
        return buf;
    buf[0] = '\0';
    if (size < sizeof address->sa_family)
        return buf;
    if (address->sa_family == AF_INET && size >= sizeof(struct sockaddr_in))
        format_v4(buf, buf_size, (const struct sockaddr_in *)(const void *)address);
    else if (address->sa_family == AF_INET6 && size >= sizeof(struct sockaddr_in6))
        format_v6(buf, buf_size, (const struct sockaddr_in6 *)(const void *)address);
    else if (address->sa_family == AF_UNIX)
        format_unix(buf, buf_size, (const struct sockaddr_un *)(const void *)address, size);
    else
        snprintf(buf, buf_size, "address of family %d", address->sa_family);
    return buf;
}
