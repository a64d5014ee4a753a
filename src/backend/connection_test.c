/* SPDX-License-Identifier: MIT */
/* Listening, connecting, accepting, addresses and options: the same on every backend. */
#include "backend/backend_test.h"

#include <fcntl.h>
#include <sys/stat.h>

BOTH(connections_are_accepted_in_the_order_of_their_connects)
{
    int listener = new_listener(w, 8), clients[4];
    struct sockaddr_in address;
    socklen_t size;

    for (int i = 0; i < 4; i++) {
        clients[i] = new_client(w, listener);
        wait_until_connected(w, clients[i]);
    }
    for (int i = 0; i < 4; i++) {
        int fd;

        size = sizeof address;
        fd = w->sys->accept(w->backend, listener, (struct sockaddr *)&address, &size);
        ASYNC_CHECK(fd >= 0);
        ASYNC_CHECK_EQ(size, sizeof address);
        ASYNC_CHECK_EQ(address.sin_port, address_of(w, clients[i]).sin_port);
        ASYNC_CHECK_EQ(ntohl(address.sin_addr.s_addr), INADDR_LOOPBACK);
        close_fd(w, fd);
        close_fd(w, clients[i]);
    }
    ASYNC_CHECK_EQ(w->sys->accept(w->backend, listener, NULL, NULL), -EAGAIN);
    close_fd(w, listener);
}

BOTH(only_a_listener_accepts)
{
    int fd = new_socket(w);

    ASYNC_CHECK_EQ(w->sys->accept(w->backend, fd, NULL, NULL), -EINVAL);
    ASYNC_CHECK_EQ(get_option(w, fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
    ASYNC_CHECK_EQ(w->sys->listen(w->backend, fd, 1), 0); /* binds it, too */
    ASYNC_CHECK(address_of(w, fd).sin_port != 0);
    ASYNC_CHECK_EQ(get_option(w, fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
    ASYNC_CHECK_EQ(connect_to(w, fd, address_of(w, fd)), -EISCONN);
    close_fd(w, fd);
}

BOTH(a_connect_that_nobody_hears_is_refused_later)
{
    int listener = new_listener(w, 1), fd = new_socket(w);
    struct sockaddr_in nobody = address_of(w, listener);

    close_fd(w, listener);
    ASYNC_CHECK_EQ(connect_to(w, fd, nobody), -EINPROGRESS);
    add(w, fd, AW_WRITABLE, 7);
    ASYNC_CHECK_EQ(wait_for_events(w, 7, AW_ERROR), AW_WRITABLE | AW_ERROR | AW_HANGUP);
    ASYNC_CHECK_EQ(get_option(w, fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    ASYNC_CHECK_EQ(get_option(w, fd, SOL_SOCKET, SO_ERROR), 0);
    close_fd(w, fd);
}

BOTH(a_second_connect_tells_what_the_first_one_did)
{
    int listener = new_listener(w, 1), fd = new_client(w, listener);
    struct sockaddr_in address = address_of(w, listener);

    wait_until_connected(w, fd);
    ASYNC_CHECK_EQ(connect_to(w, fd, address), 0);
    ASYNC_CHECK_EQ(connect_to(w, fd, address), -EISCONN);
    close_fd(w, fd);
    close_fd(w, listener);
}

/* Connects `count` sockets to one address; those that did not fit are not writable. */
static int connect_many(struct world *w, struct sockaddr_in address, int *fds, int count)
{
    int connected = 0;

    for (int i = 0; i < count; i++) {
        fds[i] = new_socket(w);
        ASYNC_CHECK_EQ(connect_to(w, fds[i], address), -EINPROGRESS);
        add(w, fds[i], AW_WRITABLE, (uint64_t)i);
    }
    wait_for_events(w, 0, AW_WRITABLE);
    for (int i = 0; i < count; i++)
        connected += look(w, (uint64_t)i) == AW_WRITABLE;
    return connected;
}

BOTH(a_full_queue_keeps_connects_waiting)
{
    int listener = new_listener(w, 1), fds[4], accepted;
    struct sockaddr_in address = address_of(w, listener);

    ASYNC_CHECK_EQ(connect_many(w, address, fds, 4), 2); /* the backlog and one more */
    ASYNC_CHECK_EQ(connect_to(w, fds[3], address), -EALREADY);
    ASYNC_CHECK_EQ(send_text(w, fds[3], "x"), -EAGAIN);
    ASYNC_CHECK_EQ(recv_one(w, fds[3]), -EAGAIN);
    accepted = w->sys->accept(w->backend, listener, NULL, NULL);
    ASYNC_CHECK(accepted >= 0);
    wait_for_events(w, 2, AW_WRITABLE); /* the third one's turn; for the kernel's it is when it tries again */
    close_fd(w, accepted);
    for (int i = 0; i < 4; i++)
        close_fd(w, fds[i]);
    close_fd(w, listener);
}

BOTH(closing_a_listener_resets_who_was_not_accepted)
{
    int listener = new_listener(w, 4), fd = new_client(w, listener);

    wait_until_connected(w, fd);
    close_fd(w, listener);
    add(w, fd, 0, 7);
    wait_for_events(w, 7, AW_ERROR);
    ASYNC_CHECK_EQ(recv_one(w, fd), -ECONNRESET);
    close_fd(w, fd);
}

BOTH(who_left_before_being_accepted_is_accepted_all_the_same)
{
    int listener = new_listener(w, 4), fd = new_client(w, listener), accepted;

    wait_until_connected(w, fd);
    send_text(w, fd, "was here");
    close_fd(w, fd);
    accepted = accept_one(w, listener);
    add(w, accepted, AW_READABLE | AW_READ_END, 7);
    wait_for_events(w, 7, AW_READ_END);
    check_recv(w, accepted, "was here");
    check_recv(w, accepted, "");
    close_fd(w, accepted);
    close_fd(w, listener);
}

BOTH(both_ends_know_each_other)
{
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    int ends[2];

    new_pair(w, ends);
    for (int i = 0; i < 2; i++) {
        ASYNC_CHECK_EQ(w->sys->getpeername(w->backend, ends[i], (struct sockaddr *)&peer, &size), 0);
        ASYNC_CHECK_EQ(peer.sin_port, address_of(w, ends[!i]).sin_port);
        ASYNC_CHECK_EQ(peer.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    }
    close_fd(w, ends[1]);
    close_fd(w, ends[0]);
}

BOTH(an_address_in_use_is_refused)
{
    int listener = new_listener(w, 1), fd = new_socket(w);
    struct sockaddr_in address = address_of(w, listener), any = ipv4(INADDR_ANY, ntohs(address.sin_port));

    ASYNC_CHECK_EQ(bind_to(w, fd, address), -EADDRINUSE);
    ASYNC_CHECK_EQ(bind_to(w, fd, any), -EADDRINUSE);
    set_option(w, fd, SOL_SOCKET, SO_REUSEADDR, 1);
    ASYNC_CHECK_EQ(bind_to(w, fd, address), -EADDRINUSE); /* both must want it */
    set_option(w, listener, SOL_SOCKET, SO_REUSEADDR, 1);
    ASYNC_CHECK_EQ(bind_to(w, fd, address), -EADDRINUSE); /* and not while one listens */
    ASYNC_CHECK_EQ(bind_to(w, fd, ipv4(0x7f000002, ntohs(address.sin_port))), 0);
    ASYNC_CHECK_EQ(bind_to(w, fd, ipv4(INADDR_LOOPBACK, 0)), -EINVAL); /* it is bound */
    close_fd(w, fd);
    close_fd(w, listener);
}

BOTH(of_two_with_one_address_only_one_can_listen)
{
    int fds[2] = { new_socket(w), new_socket(w) };

    set_option(w, fds[0], SOL_SOCKET, SO_REUSEADDR, 1);
    set_option(w, fds[1], SOL_SOCKET, SO_REUSEADDR, 1);
    ASYNC_CHECK_EQ(bind_to(w, fds[0], ipv4(INADDR_LOOPBACK, 0)), 0);
    ASYNC_CHECK_EQ(bind_to(w, fds[1], address_of(w, fds[0])), 0);
    ASYNC_CHECK_EQ(w->sys->listen(w->backend, fds[0], 1), 0);
    ASYNC_CHECK_EQ(w->sys->listen(w->backend, fds[1], 1), -EADDRINUSE);
    close_fd(w, fds[0]);
    close_fd(w, fds[1]);
}

BOTH(a_socket_whose_connect_has_failed_is_as_new)
{
    struct sockaddr_in nobody = ipv4(INADDR_LOOPBACK, 1);
    int fd = new_socket(w);

    ASYNC_CHECK_EQ(connect_to(w, fd, nobody), -EINPROGRESS);
    add(w, fd, 0, 7);
    wait_for_events(w, 7, AW_ERROR);
    ASYNC_CHECK_EQ(w->sys->listen(w->backend, fd, 1), -EINVAL); /* not before it has been told */
    ASYNC_CHECK_EQ(connect_to(w, fd, nobody), -ECONNREFUSED);
    ASYNC_CHECK_EQ(bind_to(w, fd, ipv4(INADDR_LOOPBACK, 0)), 0);
    ASYNC_CHECK_EQ(w->sys->listen(w->backend, fd, 1), 0);
    close_fd(w, fd);
}

BOTH(addresses_that_make_no_sense_are_refused)
{
    struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6 };
    struct sockaddr_in here = ipv4(INADDR_LOOPBACK, 0);
    int fd = new_socket(w);

    ASYNC_CHECK_EQ(w->sys->bind(w->backend, fd, (struct sockaddr *)&ipv6, sizeof ipv6), -EAFNOSUPPORT);
    ASYNC_CHECK_EQ(w->sys->bind(w->backend, fd, (struct sockaddr *)&here, 3), -EINVAL);
    ASYNC_CHECK_EQ(bind_to(w, fd, ipv4(0x01020304, 0)), -EADDRNOTAVAIL);
    ASYNC_CHECK(w->sys->socket(w->backend, 9999, SOCK_STREAM, 0) < 0);
    close_fd(w, fd);
}

BOTH(reuse_of_a_port_by_two_listeners_must_be_asked_for_by_both)
{
    int fds[3];
    struct sockaddr_in address;

    for (int i = 0; i < 3; i++) {
        fds[i] = new_socket(w);
        set_option(w, fds[i], SOL_SOCKET, SO_REUSEPORT, i < 2);
    }
    ASYNC_CHECK_EQ(bind_to(w, fds[0], ipv4(INADDR_LOOPBACK, 0)), 0);
    address = address_of(w, fds[0]);
    ASYNC_CHECK_EQ(bind_to(w, fds[1], address), 0);
    ASYNC_CHECK_EQ(bind_to(w, fds[2], address), -EADDRINUSE);
    ASYNC_CHECK_EQ(w->sys->listen(w->backend, fds[0], 4), 0);
    ASYNC_CHECK_EQ(w->sys->listen(w->backend, fds[1], 4), 0);
    for (int i = 0; i < 3; i++)
        close_fd(w, fds[i]);
}

BOTH(a_server_can_start_again_while_old_connections_live)
{
    int old = new_socket(w), again = new_socket(w), client, accepted;
    struct sockaddr_in address;

    set_option(w, old, SOL_SOCKET, SO_REUSEADDR, 1);
    ASYNC_CHECK_EQ(bind_to(w, old, ipv4(INADDR_LOOPBACK, 0)), 0);
    ASYNC_CHECK_EQ(w->sys->listen(w->backend, old, 4), 0);
    address = address_of(w, old);
    client = new_client(w, old);
    accepted = accept_one(w, old);
    close_fd(w, old);
    ASYNC_CHECK_EQ(bind_to(w, again, address), -EADDRINUSE);
    set_option(w, again, SOL_SOCKET, SO_REUSEADDR, 1);
    ASYNC_CHECK_EQ(bind_to(w, again, address), 0);
    ASYNC_CHECK_EQ(w->sys->listen(w->backend, again, 4), 0);
    close_fd(w, again);
    close_fd(w, accepted);
    close_fd(w, client);
}

static int listen_ipv6(struct world *w, struct in6_addr ip, int only, struct sockaddr_in6 *address)
{
    socklen_t size = sizeof *address;
    int fd = w->sys->socket(w->backend, AF_INET6, SOCK_STREAM, 0);

    if (fd == -EAFNOSUPPORT)
        ASYNC_SKIP("no IPv6 here");
    set_option(w, fd, IPPROTO_IPV6, IPV6_V6ONLY, only);
    *address = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_addr = ip };
    if (w->sys->bind(w->backend, fd, (struct sockaddr *)address, sizeof *address) == -EADDRNOTAVAIL)
        ASYNC_SKIP("no IPv6 address here");
    ASYNC_CHECK_EQ(w->sys->listen(w->backend, fd, 4), 0);
    ASYNC_CHECK_EQ(w->sys->getsockname(w->backend, fd, (struct sockaddr *)address, &size), 0);
    return fd;
}

BOTH(ipv6_connects)
{
    static const struct in6_addr loopback = IN6ADDR_LOOPBACK_INIT;
    struct sockaddr_in6 address;
    int listener = listen_ipv6(w, loopback, 1, &address);
    int client = w->sys->socket(w->backend, AF_INET6, SOCK_STREAM, 0), accepted;

    ASYNC_CHECK_EQ(w->sys->connect(w->backend, client, (struct sockaddr *)&address, sizeof address), -EINPROGRESS);
    wait_until_connected(w, client);
    accepted = accept_one(w, listener);
    ASYNC_CHECK_EQ(get_option(w, accepted, SOL_SOCKET, SO_DOMAIN), AF_INET6);
    close_fd(w, accepted);
    close_fd(w, client);
    close_fd(w, listener);
}

BOTH(a_dual_stack_listener_hears_ipv4)
{
    static const struct in6_addr any = IN6ADDR_ANY_INIT;
    struct sockaddr_in6 address, peer;
    socklen_t size = sizeof peer;
    int listener = listen_ipv6(w, any, 0, &address), client = new_socket(w), accepted;

    ASYNC_CHECK_EQ(connect_to(w, client, ipv4(INADDR_LOOPBACK, ntohs(address.sin6_port))), -EINPROGRESS);
    wait_until_connected(w, client);
    accepted = accept_one(w, listener);
    ASYNC_CHECK_EQ(w->sys->getpeername(w->backend, accepted, (struct sockaddr *)&peer, &size), 0);
    ASYNC_CHECK(peer.sin6_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr));
    ASYNC_CHECK_EQ(peer.sin6_port, address_of(w, client).sin_port);
    close_fd(w, accepted);
    close_fd(w, client);
    close_fd(w, listener);
}

BOTH(a_listener_for_ipv6_only_leaves_ipv4_alone)
{
    static const struct in6_addr any = IN6ADDR_ANY_INIT;
    struct sockaddr_in6 address;
    int listener = listen_ipv6(w, any, 1, &address), fd = new_socket(w);

    ASYNC_CHECK_EQ(bind_to(w, fd, ipv4(INADDR_ANY, ntohs(address.sin6_port))), 0);
    close_fd(w, fd);
    close_fd(w, listener);
}

BOTH(options_are_remembered_and_unknown_ones_refused)
{
    int fd = new_socket(w), value = 1;

    ASYNC_CHECK_EQ(get_option(w, fd, IPPROTO_TCP, TCP_NODELAY), 0);
    set_option(w, fd, IPPROTO_TCP, TCP_NODELAY, 1);
    ASYNC_CHECK_EQ(get_option(w, fd, IPPROTO_TCP, TCP_NODELAY), 1);
    set_option(w, fd, SOL_SOCKET, SO_KEEPALIVE, 5);
    ASYNC_CHECK_EQ(get_option(w, fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    ASYNC_CHECK_EQ(get_option(w, fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    ASYNC_CHECK_EQ(get_option(w, fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
    ASYNC_CHECK_EQ(w->sys->setsockopt(w->backend, fd, IPPROTO_TCP, 9999, &value, sizeof value), -ENOPROTOOPT);
    ASYNC_CHECK_EQ(w->sys->setsockopt(w->backend, fd, SOL_SOCKET, SO_KEEPALIVE, &value, 1), -EINVAL);
    close_fd(w, fd);
}

BOTH(sockets_are_non_blocking_and_told_as_sockets)
{
    int ends[2];

    new_pair(w, ends);
    for (int i = 0; i < 2; i++) {
        ASYNC_CHECK(w->sys->get_flags(w->backend, ends[i]) & O_NONBLOCK);
        ASYNC_CHECK_EQ(w->sys->set_flags(w->backend, ends[i], O_RDWR | O_NONBLOCK), 0);
        ASYNC_CHECK_EQ(w->sys->file_type(w->backend, ends[i]), S_IFSOCK);
        close_fd(w, ends[i]);
    }
}

/* ---- names ---- */

BOTH(numbers_are_addresses)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST }, *list = NULL;
    struct sockaddr_in address;

    ASYNC_CHECK_EQ(w->sys->getaddrinfo(w->backend, "127.0.0.1", "8888", &hints, &list), 0);
    ASYNC_CHECK(list && !list->ai_next);
    ASYNC_CHECK_EQ(list->ai_family, AF_INET);
    ASYNC_CHECK_EQ(list->ai_addrlen, sizeof address);
    memcpy(&address, list->ai_addr, sizeof address);
    ASYNC_CHECK_EQ(ntohs(address.sin_port), 8888);
    ASYNC_CHECK_EQ(ntohl(address.sin_addr.s_addr), INADDR_LOOPBACK);
    w->sys->freeaddrinfo(w->backend, list);
    w->sys->freeaddrinfo(w->backend, NULL);
}

BOTH(every_interface_is_ipv4_first)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list = NULL;

    ASYNC_CHECK_EQ(w->sys->getaddrinfo(w->backend, NULL, "0", &hints, &list), 0);
    ASYNC_CHECK_EQ(list->ai_family, AF_INET);
    ASYNC_CHECK(!list->ai_next || list->ai_next->ai_family == AF_INET6);
    w->sys->freeaddrinfo(w->backend, list);
}

BOTH(names_that_are_wrong_have_the_same_codes)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST }, *list = NULL;

    ASYNC_CHECK_EQ(w->sys->getaddrinfo(w->backend, "not a number", "1", &hints, &list), EAI_NONAME);
    ASYNC_CHECK_EQ(w->sys->getaddrinfo(w->backend, NULL, NULL, &hints, &list), EAI_NONAME);
    ASYNC_CHECK_EQ(w->sys->getaddrinfo(w->backend, "", "1", &hints, &list), EAI_NONAME);
    ASYNC_CHECK_EQ(w->sys->getaddrinfo(w->backend, "::1", "no such service", &hints, &list), EAI_SERVICE);
    ASYNC_CHECK_EQ(w->sys->getaddrinfo(w->backend, "::1", "-1", &hints, &list), EAI_SERVICE);
    hints.ai_family = AF_INET;
    ASYNC_CHECK_EQ(w->sys->getaddrinfo(w->backend, "::1", "1", &hints, &list), EAI_ADDRFAMILY);
    hints.ai_flags |= AI_NUMERICSERV;
    ASYNC_CHECK_EQ(w->sys->getaddrinfo(w->backend, "127.0.0.1", "http", &hints, &list), EAI_NONAME);
    ASYNC_CHECK(!list);
}
