/* SPDX-License-Identifier: MIT */
/* The simulated world's inside: a clock, sockets, who watches them, jobs. One thread, no system calls but
 * to sleep when nothing is simulated. The same calls give the same results, always.
 *
 * A socket's states, and what leads from one to the next:
 *
 *     CLOSED --listen--> LISTENING
 *     CLOSED --connect-> CONNECTING --room in the listener's queue--> CONNECTED
 *     any but CLOSED --reset by the peer, refused--> CLOSED
 */
#ifndef AW_BACKEND_SIM_H
#define AW_BACKEND_SIM_H

#include "backend/backend.h"
#include "base/atomic.h"
#include <netinet/in.h>

#define AW_SIM_FIRST_FD (1 << 14) /* far above what real descriptors have: mistaking one for the other is EBADF */
#define AW_SIM_DESCRIPTORS 4096
#define AW_SIM_BUFFER_SIZE (64 * 1024)
#define AW_SIM_PORT_BUCKETS 256
#define AW_SIM_OPTIONS 20
#define AW_SIM_ANY_EVENT (~0u)

struct aw_sim_socket;

/* IPv4 is written as IPv6 (::ffff:a.b.c.d). The port is in host order, 0 is none. */
struct aw_sim_address {
    struct in6_addr ip;
    uint16_t port;
};

/* What epoll keeps for a descriptor: see sim_watch.c. */
struct aw_sim_watch {
    struct aw_list ready; /* on sim->ready, or alone */
    uint64_t token;
    unsigned mask; /* with AW_EDGE; 0: not registered */
};

/* Bytes that were received and not read. */
struct aw_sim_buffer {
    char *bytes;
    uint32_t allocated, first, used;
};

enum aw_sim_state { AW_SIM_CLOSED, AW_SIM_LISTENING, AW_SIM_CONNECTING, AW_SIM_CONNECTED };

/* How far the caller has come, which may be behind the state: connect() has yet to tell its result, has told that
 * it is connected (or it was accepted), or was shut down before it could. */
enum aw_sim_stage { AW_SIM_UNCONNECTED, AW_SIM_ASKED, AW_SIM_TOLD, AW_SIM_SHUT };

struct aw_sim_socket {
    int fd; /* -1: nobody has accepted it yet */
    int family;
    enum aw_sim_state state;
    enum aw_sim_stage stage;
    struct aw_sim_watch watch;

    struct aw_sim_address local, remote;
    struct aw_sim_address asked; /* what bind() was given: port 0 is nobody's wish */
    struct aw_list bound;        /* on sim->ports[], or alone */
    int options[AW_SIM_OPTIONS];
    struct linger linger;
    int error; /* for SO_ERROR: positive, 0 none */

    struct aw_sim_socket *peer; /* NULL: gone, or never had one */
    struct aw_sim_buffer received;
    bool read_ended;  /* no more will come: the peer has ended, or shutdown(SHUT_RD), or a reset */
    bool write_ended; /* we have ended, or a reset */
    bool fin_received;
    bool wants_space; /* a writer was told to wait: tell when there is space */

    struct aw_list listening;         /* on sim->listeners */
    struct aw_list accepted, waiting; /* connections to be accepted; those for which the queue has no room */
    int backlog, accepted_count;
    struct aw_list queued; /* on the listener's `accepted` or `waiting` */
};

/* What crosses the simulated wire. */
enum aw_sim_packet {
    AW_SIM_SYN,     /* to the port that a socket wants to connect to; `to` is that socket */
    AW_SIM_SYN_ACK, /* connected */
    AW_SIM_DATA,
    AW_SIM_WINDOW, /* there is space again */
    AW_SIM_FIN,
    AW_SIM_RST
};

struct aw_sim {
    struct aw_backend base; /* first */
    async_allocator allocator;
    int64_t clock;
    uint64_t seed, random;

    struct aw_list ready; /* aw_sim_watch.ready: what wait() looks at, in the order in which it happened */
    struct aw_list jobs;
    bool jobs_stopped;
    AW_ATOMIC(uint32_t) woken; /* a futex: other threads and signal handlers write it */

    struct aw_sim_socket **sockets; /* indexed by descriptor - AW_SIM_FIRST_FD */
    int socket_slots, socket_limit, socket_first_free;
    struct aw_list listeners;
    struct aw_list ports[AW_SIM_PORT_BUCKETS]; /* aw_sim_socket.bound, by port */
    uint16_t next_port;
};

static inline struct aw_sim *aw_sim_from_base(struct aw_backend *backend)
{
    return AW_CONTAINER_OF(backend, struct aw_sim, base);
}

extern const struct aw_sys aw_sys_sim;

/* ---- sim.c ---- */
/* A number below `limit`; always 0 with seed 0, which is FIFO. */
uint32_t aw_sim_random(struct aw_sim *sim, uint32_t limit);

/* ---- watches (sim_watch.c) ---- */
int aw_sim_add(struct aw_backend *backend, int fd, unsigned mask, uint64_t token);
int aw_sim_modify(struct aw_backend *backend, int fd, unsigned mask, uint64_t token);
int aw_sim_remove(struct aw_backend *backend, int fd);
/* Something has happened to the socket; `events` says what kind of thing. */
void aw_sim_notify(struct aw_sim *sim, struct aw_sim_socket *socket, unsigned events);
void aw_sim_unwatch(struct aw_sim_socket *socket);
int aw_sim_collect(struct aw_sim *sim, struct aw_event *events, int capacity);

/* ---- jobs (sim_jobs.c) ---- */
int aw_sim_job_submit(struct aw_backend *backend, struct aw_job *job);
int aw_sim_job_cancel(struct aw_backend *backend, struct aw_job *job);
/* Runs those that are pending now. */
void aw_sim_run_jobs(struct aw_sim *sim);
void aw_sim_drop_jobs(struct aw_sim *sim);

/* ---- sockets and their descriptors (sim_socket.c) ---- */
int aw_sim_socket_open(struct aw_sim *sim, int family, int type, int protocol);
struct aw_sim_socket *aw_sim_socket_find(struct aw_sim *sim, int fd);
/* Without a descriptor; NULL: no memory. */
struct aw_sim_socket *aw_sim_socket_new(struct aw_sim *sim, int family);
void aw_sim_socket_free(struct aw_sim *sim, struct aw_sim_socket *socket);
/* The lowest free descriptor, -EMFILE, -ENOMEM; then gives it to a socket. */
int aw_sim_socket_find_slot(struct aw_sim *sim);
void aw_sim_socket_install(struct aw_sim *sim, int fd, struct aw_sim_socket *socket);
void aw_sim_socket_close(struct aw_sim *sim, struct aw_sim_socket *socket);
void aw_sim_sockets_fini(struct aw_sim *sim);
unsigned aw_sim_socket_poll(struct aw_sim_socket *socket);
/* The pending error as -errno, which is none then; `otherwise` if there is none. */
int aw_sim_socket_take_error(struct aw_sim_socket *socket, int otherwise);

/* ---- addresses and ports (sim_address.c) ---- */
int aw_sim_address_parse(int family, const struct sockaddr *address, socklen_t size, struct aw_sim_address *ret);
void aw_sim_address_format(int family, const struct aw_sim_address *address, struct sockaddr *out, socklen_t *size);
struct aw_sim_address aw_sim_address_any(int family);
bool aw_sim_address_is_any(const struct aw_sim_address *address);
bool aw_sim_address_is_loopback(const struct aw_sim_address *address);
/* The loopback address of the same family, the port kept. */
struct aw_sim_address aw_sim_address_loopback(const struct aw_sim_address *address);
/* Would a socket bound here get what is sent to that address? */
bool aw_sim_address_covers(const struct aw_sim_socket *socket, const struct aw_sim_address *address);
int aw_sim_bind(struct aw_sim *sim, struct aw_sim_socket *socket, const struct sockaddr *address, socklen_t size);
int aw_sim_bind_to(struct aw_sim *sim, struct aw_sim_socket *socket, const struct aw_sim_address *address);
/* Notes that the socket has a local address that needs no check. */
void aw_sim_bound(struct aw_sim *sim, struct aw_sim_socket *socket);
int aw_sim_check_conflict(struct aw_sim *sim, const struct aw_sim_socket *socket, const struct aw_sim_address *address);

/* ---- connections (sim_connection.c) ---- */
int aw_sim_listen(struct aw_sim *sim, struct aw_sim_socket *socket, int backlog);
int aw_sim_accept(struct aw_sim *sim, struct aw_sim_socket *socket, struct sockaddr *address, socklen_t *size);
int aw_sim_connect(struct aw_sim *sim, struct aw_sim_socket *socket, const struct sockaddr *address, socklen_t size);
int aw_sim_shutdown(struct aw_sim *sim, struct aw_sim_socket *socket, int how);
/* Not connected, or both ends have ended: the kernel's socket is closed by then. */
bool aw_sim_is_over(const struct aw_sim_socket *socket);
/* Tells the peer, if there is one, that this end is gone. */
void aw_sim_disconnect(struct aw_sim *sim, struct aw_sim_socket *socket);
/* A connect has reached the place where its listener should be. */
void aw_sim_arrive(struct aw_sim *sim, struct aw_sim_socket *client);
/* A listener connects as many of those that wait as its queue has room for. */
void aw_sim_admit(struct aw_sim *sim, struct aw_sim_socket *listener);

/* ---- bytes (sim_stream.c) ---- */
ssize_t aw_sim_recv(struct aw_sim *sim, struct aw_sim_socket *socket, void *buf, size_t size);
ssize_t aw_sim_send(struct aw_sim *sim, struct aw_sim_socket *socket, const struct iovec *pieces, int count);
bool aw_sim_has_space(const struct aw_sim_socket *socket);
/* Everything that one socket does to another; the short form is for packets without data. */
void aw_sim_deliver(struct aw_sim *sim, struct aw_sim_socket *to, enum aw_sim_packet packet, const char *data,
                    size_t size);
void aw_sim_signal(struct aw_sim *sim, struct aw_sim_socket *to, enum aw_sim_packet packet);

/* ---- options (sim_option.c) ---- */
enum aw_sim_option { AW_SIM_REUSEADDR, AW_SIM_REUSEPORT, AW_SIM_V6ONLY }; /* those that have an effect */
int aw_sim_getsockopt(struct aw_sim_socket *socket, int level, int name, void *value, socklen_t *size);
int aw_sim_setsockopt(struct aw_sim_socket *socket, int level, int name, const void *value, socklen_t size);

/* ---- names (sim_names.c) ---- */
int aw_sim_getaddrinfo(struct aw_backend *b, const char *name, const char *service, const struct addrinfo *hints,
                       struct addrinfo **ret);
void aw_sim_freeaddrinfo(struct aw_backend *b, struct addrinfo *list);

#endif
