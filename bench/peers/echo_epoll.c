/* SPDX-License-Identifier: MIT */
/* echo_epoll: the reference. What a careful C programmer writes by hand: level-triggered epoll, one shared
 * buffer, one recv and one send a message, nothing else.
 *
 * Design notes
 * - Prints "PORT n" once it listens on 127.0.0.1, serves until SIGTERM.
 * - What the kernel does not take is kept in memory of that connection alone, and reading pauses until it is
 *   gone. With one message under way on each connection this is rare.
 */
#include "../serve.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { EVENTS = 256, BUFFER = 256 * 1024 };

struct connection {
    int fd;
    char *rest;
    size_t rest_size, rest_sent;
};

static int epoll;
static char buffer[BUFFER];

static void set_interest(struct connection *c, unsigned events, int how)
{
    struct epoll_event event = { .events = events, .data.ptr = c };

    if (epoll_ctl(epoll, how, c->fd, &event) < 0)
        serve_die("epoll_ctl");
}

static void end(struct connection *c)
{
    close(c->fd);
    free(c->rest);
    free(c);
}

static void on_connection(int listener)
{
    struct connection *c;
    int fd = serve_accept(listener);

    if (fd < 0)
        return;
    c = calloc(1, sizeof *c);
    if (c == NULL)
        serve_die("calloc");
    c->fd = fd;
    set_interest(c, EPOLLIN, EPOLL_CTL_ADD);
}

static bool keep(struct connection *c, const char *data, size_t size)
{
    c->rest = malloc(size);
    if (c->rest == NULL)
        return false;
    memcpy(c->rest, data, size);
    c->rest_size = size;
    c->rest_sent = 0;
    set_interest(c, EPOLLOUT, EPOLL_CTL_MOD);
    return true;
}

static void on_readable(struct connection *c)
{
    ssize_t sent, n = recv(c->fd, buffer, sizeof buffer, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        end(c);
        return;
    }
    sent = send(c->fd, buffer, (size_t)n, MSG_NOSIGNAL);
    if (sent == n)
        return;
    if (sent < 0 && errno == EAGAIN)
        sent = 0;
    if (sent < 0 || !keep(c, buffer + sent, (size_t)(n - sent)))
        end(c);
}

static void on_writable(struct connection *c)
{
    ssize_t sent = send(c->fd, c->rest + c->rest_sent, c->rest_size - c->rest_sent, MSG_NOSIGNAL);

    if (sent < 0 && errno == EAGAIN)
        return;
    if (sent < 0) {
        end(c);
        return;
    }
    c->rest_sent += (size_t)sent;
    if (c->rest_sent < c->rest_size)
        return;
    free(c->rest);
    c->rest = NULL;
    set_interest(c, EPOLLIN, EPOLL_CTL_MOD);
}

static void on_event(const struct epoll_event *event, int listener)
{
    struct connection *c = event->data.ptr;

    if (c == NULL)
        on_connection(listener);
    else if (c->rest != NULL)
        on_writable(c);
    else
        on_readable(c);
}

int main(void)
{
    int listener = serve_listen();
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL }, events[EVENTS];

    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
        serve_die("epoll");
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);

        for (int i = 0; i < n; i++)
            on_event(&events[i], listener);
    }
}
