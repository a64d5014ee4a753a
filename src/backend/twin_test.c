/* SPDX-License-Identifier: MIT */
/* Random scripts on both worlds at once: every call must return the same, and every socket must have the same
 * events afterwards. The kernel needs a moment for some; the simulated world, which needs none, waits for it. */
#include "backend/backend_test.h"
#include "backend/sim.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define SOCKETS 6
#define STEPS 60
#define ALL (AW_READABLE | AW_WRITABLE | AW_READ_END)

struct twin {
    struct world world;
    int fds[SOCKETS]; /* -1: none */
};

struct script {
    uint64_t random;
    unsigned mask;        /* level or edge */
    struct twin twins[2]; /* linux, sim */
    bool used[SOCKETS];   /* listens, or has connected */
    bool shut_down[SOCKETS];
    char steps[STEPS][64];
    int count;
};

static unsigned choose(struct script *script, unsigned limit)
{
    script->random = script->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(script->random >> 33) % limit;
}

/* ---- what both must agree on ---- */

static void read_events(struct twin *twin, unsigned events[SOCKETS])
{
    struct world *w = &twin->world;
    struct aw_event found[SOCKETS];
    int n = w->ops->wait(w->backend, 0, found, SOCKETS);

    for (int i = 0; i < n; i++)
        events[found[i].token] |= found[i].events;
}

static void print_script(const struct script *script)
{
    for (int i = 0; i < script->count; i++)
        printf("%s\n", script->steps[i]);
}

/* The kernel tells one who has shut down its half a second time when the peer has confirmed it: maybe in the
 * same edge, maybe in one of its own, and then maybe after we have looked. */
static bool is_same(const struct script *script, const unsigned *real, const unsigned *simulated)
{
    for (int i = 0; i < SOCKETS; i++) {
        unsigned missing = simulated[i] & ~real[i], more = real[i] & ~simulated[i];

        if (missing || (more && !(script->shut_down[i] && script->mask & AW_EDGE)))
            return false;
    }
    return true;
}

static int peer_known(const struct twin *twin, unsigned i)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;

    return twin->world.sys->getpeername(twin->world.backend, twin->fds[i], (struct sockaddr *)&address, &size);
}

/* The same bytes to be read, and the same opinion on being connected. */
static bool is_settled(const struct script *script)
{
    for (unsigned i = 0; i < SOCKETS; i++) {
        struct aw_sim *sim = aw_sim_from_base(script->twins[1].world.backend);
        struct aw_sim_socket *socket = aw_sim_socket_find(sim, script->twins[1].fds[i]);
        int bytes;

        if (socket && ioctl(script->twins[0].fds[i], FIONREAD, &bytes) == 0 && bytes != (int)socket->received.used)
            return false;
        if (socket && peer_known(&script->twins[0], i) != peer_known(&script->twins[1], i))
            return false;
    }
    return true;
}

static void check_same_events(struct script *script)
{
    int64_t deadline = now(&script->twins[0].world) + PATIENCE / 5;
    unsigned real[SOCKETS] = { 0 }, simulated[SOCKETS] = { 0 };

    read_events(&script->twins[1], simulated);
    for (;;) {
        /* Edges may come one by one; a level is what it is now. */
        if (!(script->mask & AW_EDGE))
            memset(real, 0, sizeof real);
        read_events(&script->twins[0], real);
        if (is_same(script, real, simulated) && is_settled(script))
            return;
        if (now(&script->twins[0].world) > deadline)
            break;
        sched_yield();
    }
    print_script(script);
    for (int i = 0; i < SOCKETS; i++)
        printf("socket %d: linux %x, sim %x\n", i, real[i], simulated[i]);
    ASYNC_FAIL("the two worlds have different events");
}

static void note(struct script *script, const char *what, unsigned i, unsigned argument)
{
    snprintf(script->steps[script->count++], sizeof script->steps[0], "%s %u %u", what, i, argument);
}

static void check_same(struct script *script, ssize_t real, ssize_t simulated)
{
    if (real == simulated)
        return;
    print_script(script);
    ASYNC_FAIL("linux returned %zd, sim %zd", real, simulated);
}

/* ---- the steps: each does one thing to one socket of both ---- */

static void open_both(struct script *script, unsigned i)
{
    note(script, "socket", i, 0);
    script->used[i] = script->shut_down[i] = false;
    for (int t = 0; t < 2; t++) {
        struct twin *twin = &script->twins[t];

        twin->fds[i] = new_socket(&twin->world);
        add(&twin->world, twin->fds[i], script->mask, i);
    }
}

/* Where nobody listens, port 1 is asked for: the kernel may have given any other one to another process. */
static int connect_one(struct twin *twin, unsigned from, unsigned to)
{
    bool listens = get_option(&twin->world, twin->fds[to], SOL_SOCKET, SO_ACCEPTCONN);
    uint16_t port = listens ? ntohs(address_of(&twin->world, twin->fds[to]).sin_port) : 1;

    return connect_to(&twin->world, twin->fds[from], ipv4(INADDR_LOOPBACK, port));
}

/* Both accept the same connection only if they know the same order, which they must. */
static int accept_into(struct twin *twin, unsigned mask, unsigned listener, unsigned i)
{
    struct world *w = &twin->world;
    int fd = w->sys->accept(w->backend, twin->fds[listener], NULL, NULL);

    if (fd < 0)
        return fd;
    twin->fds[i] = fd;
    add(w, fd, mask, i);
    return 0;
}

static ssize_t recv_sum(struct twin *twin, unsigned i, size_t size)
{
    unsigned char buf[64];
    ssize_t n = twin->world.sys->recv(twin->world.backend, twin->fds[i], buf, size);

    return n > 0 ? n + 1000 * buf[0] + 1000000 * buf[n - 1] : n;
}

static ssize_t send_some(struct twin *twin, unsigned i, unsigned size)
{
    unsigned char data[64];

    for (unsigned k = 0; k < size; k++)
        data[k] = (unsigned char)(size + k);
    return twin->world.sys->send(twin->world.backend, twin->fds[i], data, size);
}

static ssize_t close_one(struct twin *twin, unsigned i, bool hard)
{
    if (hard)
        close_hard(&twin->world, twin->fds[i]);
    else
        close_fd(&twin->world, twin->fds[i]);
    twin->fds[i] = -1;
    return 0;
}

enum step {
    CONNECT,
    CONNECT_TOO,
    LISTEN,
    ACCEPT,
    ACCEPT_TOO,
    SEND,
    SEND_TOO,
    RECV,
    RECV_TOO,
    SHUTDOWN,
    CLOSE,
    RESET,
    ERROR,
    PEER,
    STEP_KINDS
};

static const char *const names[] = { "connect", "connect", "listen",   "accept", "accept", "send",  "send",
                                     "recv",    "recv",    "shutdown", "close",  "reset",  "error", "peer" };

static ssize_t do_step(struct twin *twin, unsigned mask, enum step step, unsigned i, unsigned argument)
{
    struct world *w = &twin->world;

    switch (step) {
    case CONNECT:
    case CONNECT_TOO:
        return connect_one(twin, i, argument % SOCKETS);
    case LISTEN:
        return w->sys->listen(w->backend, twin->fds[i], 100);
    case ACCEPT:
    case ACCEPT_TOO:
        return accept_into(twin, mask, i, argument % SOCKETS);
    case SEND:
    case SEND_TOO:
        return send_some(twin, i, 1 + argument % 20);
    case RECV:
    case RECV_TOO:
        return recv_sum(twin, i, 1 + argument % 60);
    case SHUTDOWN:
        return w->sys->shutdown(w->backend, twin->fds[i], (int)(argument % 3));
    case CLOSE:
    case RESET:
        return close_one(twin, i, step == RESET);
    case ERROR:
        return get_option(w, twin->fds[i], SOL_SOCKET, SO_ERROR);
    default:
        return peer_known(twin, i);
    }
}

/* Does the step make sense: does its other socket exist, or not exist yet? What is shut down before it listens
 * breaks every connection of the kernel's; there is no reason to imitate that. */
static bool is_possible(const struct script *script, enum step step, unsigned i, unsigned argument)
{
    bool exists = script->twins[0].fds[argument % SOCKETS] >= 0;

    if (step == CONNECT || step == CONNECT_TOO)
        return exists;
    if (step == SHUTDOWN)
        return script->used[i];
    return (step != ACCEPT && step != ACCEPT_TOO) || !exists;
}

/* A socket whose connect has failed is as new again. */
static void note_use(struct script *script, enum step step, unsigned i, unsigned argument, ssize_t r)
{
    if (step == LISTEN && r == 0)
        script->used[i] = true;
    if ((step == ACCEPT || step == ACCEPT_TOO) && r == 0)
        script->used[argument % SOCKETS] = true, script->shut_down[argument % SOCKETS] = false;
    if (step == SHUTDOWN) {
        script->shut_down[i] = true;
        script->used[i] = peer_known(&script->twins[1], i) == 0; /* a listener is as new, too */
    }
    if (step == CONNECT || step == CONNECT_TOO)
        script->used[i] = r != -ECONNREFUSED && r != -ECONNABORTED && r != -ECONNRESET;
}

static void run_step(struct script *script)
{
    unsigned i = choose(script, SOCKETS), argument = choose(script, 3 * 20 * SOCKETS);
    enum step step = (enum step)choose(script, STEP_KINDS);

    ssize_t real, simulated;

    if (script->twins[0].fds[i] < 0) {
        open_both(script, i);
        return;
    }
    if (!is_possible(script, step, i, argument))
        return;
    note(script, names[step], i, argument);
    real = do_step(&script->twins[0], script->mask, step, i, argument);
    simulated = do_step(&script->twins[1], script->mask, step, i, argument);
    check_same(script, real, simulated);
    note_use(script, step, i, argument, real);
}

static void run_script(uint64_t seed, unsigned mask)
{
    struct script script = { .random = seed, .mask = mask };

    for (int t = 0; t < 2; t++) {
        world_open(&script.twins[t].world, t == 0 ? &aw_backend_linux : &aw_backend_sim, 0);
        for (int i = 0; i < SOCKETS; i++)
            script.twins[t].fds[i] = -1;
    }
    for (int i = 0; i < STEPS; i++) {
        run_step(&script);
        check_same_events(&script);
    }
    for (int t = 0; t < 2; t++) {
        for (unsigned i = 0; i < SOCKETS; i++)
            if (script.twins[t].fds[i] >= 0)
                close_one(&script.twins[t], i, /* hard= */ true); /* leaves no TIME_WAIT behind */
        world_close(&script.twins[t].world);
    }
}

ASYNC_TEST_PLAIN(random_scripts_go_the_same_way_in_both_worlds)
{
    const char *first = getenv("TWIN_FIRST"), *count = getenv("TWIN_COUNT");
    uint64_t start = first ? strtoull(first, NULL, 10) : 0, n = count ? strtoull(count, NULL, 10) : 1000;

    for (uint64_t seed = start; seed < start + n; seed++)
        run_script(seed, seed % 2 ? ALL | AW_EDGE : ALL);
}
