/* SPDX-License-Identifier: MIT */
/* load: the echo generator. Drives two servers in turn and measures what each one's process pays.
 *
 *     load [-C CPU] -c CONNECTIONS -s SIZE [-m SLICE_MS] [-n PAIRS] [-w WARMUP] PORT:PID PORT:PID
 *
 * Design notes
 * - Both servers live at the same time with all their connections open; the traffic alternates in slices. A
 *   machine's speed drifts by tens of percent over seconds, so only neighbours in time are compared: one ratio a
 *   pair. The order in a pair flips each time (AB BA AB ...), so that a steady drift cancels out.
 * - A slice ends with a drain: no request is left half-way, so CPU time and requests belong together exactly.
 * - CPU time is the server process's own clock in nanoseconds (clock_getcpuclockid), read before and after.
 *   What the server does after its last answer (one wait) falls into no slice, for either of the two.
 * - On a machine with other work, a slice in which somebody else had one of the two processors measures that. The
 *   kernel tells how long a ready thread had to wait (/proc/PID/schedstat); a pair with more than 2 % of it is thrown
 *   away and repeated, up to twice as many pairs as asked for. How many is in the result ("disturbed").
 * - Closed loop: each connection has one request under way. Latencies understate queueing.
 * - The warm-up slices compare every byte that comes back; the measured ones compare lengths only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, BUCKETS_PER_OCTAVE = 16, BUCKETS = 48 * BUCKETS_PER_OCTAVE };

struct connection {
    int fd;
    size_t sent, received;
    int64_t begun;
    bool busy;
};

struct server {
    int port, pid, epoll;
    clockid_t cpu_clock;
    struct connection *connections;
    uint64_t histogram[BUCKETS];
    double *cpu_ns, *rate; /* one of each a pair */
};

struct slice {
    double cpu_ns, rate;
    bool disturbed;
};

static int connection_count = 1, slice_ms = 20, pairs = 30, warmup = 4, cpu = -1;
static size_t size = 1024;
static char *request, *answer;
static size_t answer_size;
static bool verify, recording;
static uint64_t completed;
static int in_flight;
static uint64_t histogram_now[BUCKETS]; /* of the slice under way */
static int disturbed_pairs;

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    if (clock_gettime(clock, &t) < 0)
        die("clock_gettime (did the server end?)");
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* ---- histogram: 16 buckets an octave, an error of at most 6 % ---- */

static int bucket_of(int64_t ns)
{
    uint64_t v = ns < BUCKETS_PER_OCTAVE ? BUCKETS_PER_OCTAVE : (uint64_t)ns;
    int shift = 63 - __builtin_clzll(v) - 4;
    int index = shift * BUCKETS_PER_OCTAVE + (int)(v >> shift);

    return index < BUCKETS ? index : BUCKETS - 1;
}

static double bucket_us(int index)
{
    int shift = index / BUCKETS_PER_OCTAVE - 1;
    uint64_t low = (uint64_t)(index - shift * BUCKETS_PER_OCTAVE) << shift;

    return (double)low * (1 + 0.5 / BUCKETS_PER_OCTAVE) / 1000;
}

static double percentile_us(const uint64_t *histogram, double part)
{
    uint64_t total = 0, seen = 0;

    for (int i = 0; i < BUCKETS; i++)
        total += histogram[i];
    for (int i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if (seen > 0 && (double)seen >= part * (double)total)
            return bucket_us(i);
    }
    return 0;
}

/* ---- one connection ---- */

static void push(struct connection *c)
{
    while (c->sent < size) {
        ssize_t n = send(c->fd, request + c->sent, size - c->sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            die("send");
        c->sent += (size_t)n;
    }
}

static void begin(struct connection *c, int64_t now)
{
    c->sent = c->received = 0;
    c->begun = now;
    c->busy = true;
    in_flight++;
    push(c);
}

static void check(const struct connection *c, size_t n)
{
    if (c->received + n > size || (verify && memcmp(answer, request + c->received, n) != 0)) {
        fprintf(stderr, "load: the echo is not what was sent\n");
        exit(1);
    }
}

/* Takes what has come; true when the answer is complete. */
static bool pull(struct connection *c)
{
    while (c->received < size) {
        ssize_t n = recv(c->fd, answer, answer_size, 0);

        if (n < 0 && errno == EAGAIN)
            return false;
        if (n <= 0) {
            errno = n == 0 ? ECONNRESET : errno;
            die("recv");
        }
        check(c, (size_t)n);
        c->received += (size_t)n;
    }
    return true;
}

static void on_event(struct connection *c, bool more)
{
    int64_t now;

    if (!c->busy)
        return;
    push(c);
    if (!pull(c))
        return;
    now = clock_ns(CLOCK_MONOTONIC);
    if (recording)
        histogram_now[bucket_of(now - c->begun)]++;
    completed++;
    c->busy = false;
    in_flight--;
    if (more)
        begin(c, now);
}

/* ---- one slice ---- */

static void turn(struct server *s, bool more)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(s->epoll, events, EVENTS, 2000);

    if (n == 0) {
        errno = ETIMEDOUT;
        die("no answer for two seconds");
    }
    if (n < 0 && errno != EINTR)
        die("epoll_wait");
    for (int i = 0; i < n; i++)
        on_event(events[i].data.ptr, more);
}

/* Nanoseconds that a process' first thread was ready and did not run; 0 where the kernel does not count. */
static int64_t waited_ns(int pid)
{
    char path[64], text[128];
    int64_t ran, waited = 0;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    return sscanf(text, "%" SCNd64 " %" SCNd64, &ran, &waited) == 2 ? waited : 0;
}

static struct slice run_slice(struct server *s)
{
    int64_t waited = waited_ns(s->pid) + waited_ns(getpid());
    int64_t cpu_start = clock_ns(s->cpu_clock), start = clock_ns(CLOCK_MONOTONIC), now = start, spent;
    int64_t end = start + slice_ms * INT64_C(1000000);

    completed = 0;
    for (int i = 0; i < connection_count; i++)
        begin(&s->connections[i], start);
    while (now < end) {
        turn(s, true);
        now = clock_ns(CLOCK_MONOTONIC);
    }
    while (in_flight > 0)
        turn(s, false);
    now = clock_ns(CLOCK_MONOTONIC);
    spent = clock_ns(s->cpu_clock) - cpu_start;
    waited = waited_ns(s->pid) + waited_ns(getpid()) - waited;
    return (struct slice){ (double)spent / (double)completed, (double)completed * 1e9 / (double)(now - start),
                           waited > (now - start) / 50 };
}

/* ---- set-up ---- */

static int connect_to(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void open_connections(struct server *s)
{
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->connections = calloc((size_t)connection_count, sizeof *s->connections);
    s->cpu_ns = calloc((size_t)pairs, sizeof(double));
    s->rate = calloc((size_t)pairs, sizeof(double));
    if (s->epoll < 0 || s->connections == NULL || s->cpu_ns == NULL || s->rate == NULL)
        die("set-up");
    for (int i = 0; i < connection_count; i++) {
        struct connection *c = &s->connections[i];
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
        int flags;

        /* Blocking while it connects, so that the kernel repeats what a full backlog dropped. */
        c->fd = connect_to(s->port);
        flags = fcntl(c->fd, F_GETFL);
        if (fcntl(c->fd, F_SETFL, flags | O_NONBLOCK) < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
            die("epoll_ctl");
    }
}

static void parse_server(struct server *s, const char *text)
{
    if (sscanf(text, "%d:%d", &s->port, &s->pid) != 2 || clock_getcpuclockid(s->pid, &s->cpu_clock) != 0) {
        fprintf(stderr, "load: %s is not PORT:PID of a living process\n", text);
        exit(2);
    }
}

static void pin(void)
{
    cpu_set_t set;

    if (cpu < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) < 0)
        die("sched_setaffinity");
}

static void parse(int argc, char **argv, struct server *servers)
{
    int option;

    while ((option = getopt(argc, argv, "C:c:s:m:n:w:")) != -1) {
        switch (option) {
        case 'C':
            cpu = atoi(optarg);
            break;
        case 'c':
            connection_count = atoi(optarg);
            break;
        case 's':
            size = (size_t)atol(optarg);
            break;
        case 'm':
            slice_ms = atoi(optarg);
            break;
        case 'n':
            pairs = atoi(optarg);
            break;
        case 'w':
            warmup = atoi(optarg);
            break;
        default:
            exit(2);
        }
    }
    if (argc - optind != 2 || connection_count < 1 || size < 1 || slice_ms < 1 || pairs < 1) {
        fprintf(stderr,
                "usage: load [-C CPU] -c CONNECTIONS -s SIZE [-m SLICE_MS] [-n PAIRS] [-w WARMUP] PORT:PID PORT:PID\n");
        exit(2);
    }
    parse_server(&servers[0], argv[optind]);
    parse_server(&servers[1], argv[optind + 1]);
}

static void make_buffers(void)
{
    answer_size = 256 * 1024;
    request = malloc(size);
    answer = malloc(answer_size);
    if (request == NULL || answer == NULL)
        die("malloc");
    /* No period that divides a usual buffer size: shifted data is seen. */
    for (size_t i = 0; i < size; i++)
        request[i] = (char)(i * 31 + i / 251);
}

/* ---- the run ---- */

static void print_array(const char *name, const double *values, bool last)
{
    printf("\"%s\": [", name);
    for (int i = 0; i < pairs; i++)
        printf("%s%.6g", i > 0 ? ", " : "", values[i]);
    printf("]%s", last ? "" : ", ");
}

static void print_server(const char *name, const struct server *s)
{
    printf(", \"%s\": {", name);
    print_array("cpu_ns", s->cpu_ns, false);
    print_array("rate", s->rate, false);
    printf("\"p50_us\": %.4g, \"p99_us\": %.4g}", percentile_us(s->histogram, 0.5), percentile_us(s->histogram, 0.99));
}

static void keep(struct server *s, int pair, struct slice slice, const uint64_t *histogram)
{
    s->cpu_ns[pair] = slice.cpu_ns;
    s->rate[pair] = slice.rate;
    for (int i = 0; i < BUCKETS; i++)
        s->histogram[i] += histogram[i];
}

/* false: disturbed, and not kept unless it must be. */
static bool run_pair(struct server *servers, int pair, bool must_keep)
{
    static uint64_t histograms[2][BUCKETS];
    struct slice slices[2];
    bool disturbed = false;

    for (int k = 0; k < 2; k++) {
        int which = (k + pair) & 1;

        memset(histogram_now, 0, sizeof histogram_now);
        slices[which] = run_slice(&servers[which]);
        memcpy(histograms[which], histogram_now, sizeof histogram_now);
        disturbed |= slices[which].disturbed;
    }
    if (!recording || (disturbed && !must_keep))
        return !disturbed;
    for (int which = 0; which < 2; which++)
        keep(&servers[which], pair, slices[which], histograms[which]);
    return true;
}

static void run_pairs(struct server *servers)
{
    int spare = pairs;

    for (int i = 0; i < warmup; i++)
        run_pair(servers, i, false);
    verify = false;
    recording = true;
    for (int i = 0; i < pairs; i++) {
        while (!run_pair(servers, i, spare == 0)) {
            disturbed_pairs++;
            spare--;
        }
    }
}

int main(int argc, char **argv)
{
    struct server servers[2] = { { .port = 0 }, { .port = 0 } };

    parse(argc, argv, servers);
    pin();
    make_buffers();
    open_connections(&servers[0]);
    open_connections(&servers[1]);
    verify = true;
    run_pairs(servers);
    printf("{\"connections\": %d, \"size\": %zu, \"slice_ms\": %d, \"pairs\": %d, \"disturbed\": %d", connection_count,
           size, slice_ms, pairs, disturbed_pairs);
    print_server("a", &servers[0]);
    print_server("b", &servers[1]);
    printf("}\n");
    return 0;
}
