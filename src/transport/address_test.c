/* SPDX-License-Identifier: MIT */
#include "transport/transport.h"

#include <arpa/inet.h>
#include <await/testing.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

static char text[AW_ADDRESS_TEXT];

static const char *v6(const char *host, unsigned scope)
{
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(80), .sin6_scope_id = scope };

    ASYNC_CHECK_EQ(inet_pton(AF_INET6, host, &in6.sin6_addr), 1);
    return aw_address_format(text, sizeof text, (struct sockaddr *)&in6, sizeof in6);
}

static const char *local(const char *path, size_t size)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };

    memcpy(un.sun_path, path, size);
    return aw_address_format(text, sizeof text, (struct sockaddr *)&un,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size));
}

ASYNC_TEST_PLAIN(internet_addresses_are_text_with_a_port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(8080), .sin_addr = { htonl(0x7f000001) } };

    ASYNC_CHECK_STR(aw_address_format(text, sizeof text, (struct sockaddr *)&in, sizeof in), "127.0.0.1:8080");
    ASYNC_CHECK_STR(v6("::1", 0), "[::1]:80");
    ASYNC_CHECK_STR(v6("fe80::1", 2), "[fe80::1%2]:80");
}

ASYNC_TEST_PLAIN(unix_addresses_are_paths_or_names_or_nothing)
{
    ASYNC_CHECK_STR(local("/run/x", 7), "/run/x");
    ASYNC_CHECK_STR(local("/run/x", 6), "/run/x");
    ASYNC_CHECK_STR(local("\0name\0more", 10), "@name@more");
    ASYNC_CHECK_STR(local("", 0), "");
}

ASYNC_TEST_PLAIN(a_short_buffer_or_a_cut_address_is_no_overrun)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(8080), .sin_addr = { htonl(0x7f000001) } };
    struct sockaddr odd = { .sa_family = 77 };
    char small[4] = "xxx";
    char path[108];

    ASYNC_CHECK_STR(aw_address_format(small, sizeof small, (struct sockaddr *)&in, sizeof in), "127");
    aw_address_format(small, 0, (struct sockaddr *)&in, sizeof in);
    ASYNC_CHECK_STR(aw_address_format(text, sizeof text, (struct sockaddr *)&in, 0), "");
    ASYNC_CHECK_STR(aw_address_format(text, sizeof text, (struct sockaddr *)&in, 4), "address of family 2");
    ASYNC_CHECK_STR(aw_address_format(text, sizeof text, &odd, sizeof odd), "address of family 77");
    memset(path, 'p', sizeof path);
    ASYNC_CHECK_EQ(strlen(local(path, sizeof path)), 108);
}
