/* SPDX-License-Identifier: MIT */
/* Design notes: a world of its own for one loop. Its clock stands still while the program runs and jumps when
 * it waits: to the next thing that happens or, if nothing can, over the whole timeout. A program that sleeps an hour
 * takes no time, and two runs with the same seed are the same.
 *
 * Order. With seed 0 all is first in, first out. Other seeds permute the events of one wait(), and the jobs that
 * are pending at one time: things whose order no program may rely on, and nothing else.
 *
 * Real threads may exist all the same and post to the loop. So a wait without limit, with nothing simulated to wait
 * for, really sleeps until wake(). */
#include "backend/sim.h"
#include "backend/real.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CLOCK_START (1000 * AW_NS_PER_SEC) /* not 0, which hides the mistake of taking 0 for "no time" */

/* splitmix64 */
static uint64_t next_random(struct aw_sim *sim)
{
    uint64_t z = sim->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint32_t aw_sim_random(struct aw_sim *sim, uint32_t limit)
{
    if (sim->seed == 0)
        return 0;
    return (uint32_t)(((next_random(sim) >> 32) * limit) >> 32);
}

/* ---- waiting ---- */

static void permute(struct aw_sim *sim, struct aw_event *events, int count)
{
    for (int i = 0; i + 1 < count; i++) {
        int j = i + (int)aw_sim_random(sim, (uint32_t)(count - i));
        struct aw_event swapped = events[i];

        events[i] = events[j];
        events[j] = swapped;
    }
}

/* Was there a wake() since the last time? */
static bool take_wake(struct aw_sim *sim)
{
    /* acquire: what the waker did before wake() is seen after it. */
    return aw_atomic_load(&sim->woken, relaxed) && aw_atomic_exchange(&sim->woken, 0, acquire);
}

/* Sleeps for real until wake(): 0, or -EINTR. */
static int sleep_until_woken(struct aw_sim *sim)
{
    /* A limit, however long, makes the kernel report every signal; without one it goes on after handlers
     * that have SA_RESTART, which no other wait does. */
    static const struct timespec limit = { 3600 * 24 * 365, 0 };

    while (!take_wake(sim))
        if (syscall(SYS_futex, &sim->woken, FUTEX_WAIT_PRIVATE, 0, &limit, NULL, 0) < 0 && errno == EINTR)
            return -EINTR;
    return 0;
}

static int sim_wait(struct aw_backend *backend, int64_t timeout, struct aw_event *events, int capacity)
{
    struct aw_sim *sim = aw_sim_from_base(backend);
    bool has_jobs = !aw_list_is_empty(&sim->jobs) && !sim->jobs_stopped;
    int count;

    if (has_jobs)
        aw_sim_run_jobs(sim);
    count = aw_sim_collect(sim, events, capacity);
    permute(sim, events, count);
    if (take_wake(sim) || count > 0 || has_jobs || timeout <= 0)
        return count;
    if (timeout == AW_NEVER)
        return sleep_until_woken(sim);
    sim->clock = aw_ns_add(sim->clock, timeout);
    return 0;
}

static void sim_wake(struct aw_backend *backend)
{
    struct aw_sim *sim = aw_sim_from_base(backend);
    int saved = errno; /* a signal handler may call this */

    /* release: see take_wake(). Only the first of several needs the kernel. */
    if (!aw_atomic_exchange(&sim->woken, 1, release))
        syscall(SYS_futex, &sim->woken, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    errno = saved;
}

/* None is under way: they run in wait() only. */
static void sim_jobs_stop(struct aw_backend *backend)
{
    aw_sim_from_base(backend)->jobs_stopped = true;
}

static int sim_has_foreign_threads(struct aw_backend *backend)
{
    int threads = aw_sys_count_threads();

    (void)backend;
    return threads < 0 || threads > 1;
}

void aw_sim_advance(struct aw_backend *backend, int64_t ns)
{
    struct aw_sim *sim = aw_sim_from_base(backend);

    if (ns > 0)
        sim->clock = aw_ns_add(sim->clock, ns);
}

void aw_sim_limit_descriptors(struct aw_backend *backend, int limit)
{
    aw_sim_from_base(backend)->socket_limit = limit;
}

/* ---- open and close ---- */

static int sim_open(const struct aw_backend_options *options, struct aw_backend **ret_backend)
{
    struct aw_sim *sim = aw_alloc_zeroed(options->allocator, sizeof *sim);

    if (!sim)
        return -ENOMEM;
    sim->base.ops = &aw_backend_sim;
    sim->base.sys = &aw_sys_sim;
    sim->allocator = *options->allocator;
    sim->clock = CLOCK_START;
    sim->seed = sim->random = options->seed;
    sim->socket_limit = AW_SIM_DESCRIPTORS;
    aw_list_init(&sim->ready);
    aw_list_init(&sim->jobs);
    aw_list_init(&sim->listeners);
    for (int i = 0; i < AW_SIM_PORT_BUCKETS; i++)
        aw_list_init(&sim->ports[i]);
    aw_atomic_init(&sim->woken, 0);
    *ret_backend = &sim->base;
    return 0;
}

static void sim_close(struct aw_backend *backend)
{
    struct aw_sim *sim = aw_sim_from_base(backend);
    async_allocator allocator = sim->allocator;

    sim->jobs_stopped = true;
    aw_sim_drop_jobs(sim);
    aw_sim_sockets_fini(sim);
    aw_free(&allocator, sim);
}

const struct aw_backend_ops aw_backend_sim = {
    .name = "sim",
    .open = sim_open,
    .close = sim_close,
    .add = aw_sim_add,
    .modify = aw_sim_modify,
    .remove = aw_sim_remove,
    .wait = sim_wait,
    .wake = sim_wake,
    .job_submit = aw_sim_job_submit,
    .job_cancel = aw_sim_job_cancel,
    .jobs_stop = sim_jobs_stop,
    .has_foreign_threads = sim_has_foreign_threads,
};
