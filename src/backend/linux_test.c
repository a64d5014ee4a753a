/* SPDX-License-Identifier: MIT */
/* What only the real kernel has: descriptors that cannot be watched, signals, limits, threads. */
#include "backend/backend_test.h"
#include "backend/linux.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void open_linux(struct world *w)
{
    world_open(w, &aw_backend_linux, 0);
}

ASYNC_TEST_PLAIN(files_and_dev_null_cannot_be_watched)
{
    struct world w;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC);

    open_linux(&w);
    ASYNC_CHECK_EQ(w.ops->add(w.backend, file, AW_READABLE, 1), -EPERM);
    ASYNC_CHECK_EQ(w.ops->add(w.backend, null, AW_READABLE, 1), -EPERM);
    ASYNC_CHECK_EQ(w.sys->file_type(w.backend, file), S_IFREG);
    ASYNC_CHECK_EQ(w.sys->file_type(w.backend, null), S_IFCHR);
    close(file);
    close(null);
    world_close(&w);
}

ASYNC_TEST_PLAIN(every_descriptor_is_closed_on_exec)
{
    struct world w;
    int ends[2];

    open_linux(&w);
    new_pair(&w, ends);
    for (int fd = 3; fd < 64; fd++) {
        int flags = fcntl(fd, F_GETFD);

        /* The lowest ones may be the harness': these were given to us. */
        if (flags >= 0 && (fd == ends[0] || fd == ends[1]))
            ASYNC_CHECK(flags & FD_CLOEXEC);
    }
    close_fd(&w, ends[0]);
    close_fd(&w, ends[1]);
    world_close(&w);
}

/* ---- signals ---- */

static atomic_int signals_seen;

static void count_signal(int number)
{
    (void)number;
    signals_seen++;
}

static void handle(int number, int flags)
{
    struct sigaction action = { .sa_handler = count_signal, .sa_flags = flags };

    ASYNC_CHECK_EQ(sigaction(number, &action, NULL), 0);
}

static void *interrupt(void *arg)
{
    pthread_t *target = arg;

    /* Again and again: the first one may come before the wait. */
    while (signals_seen < 1000) {
        pthread_kill(*target, SIGUSR1);
        sched_yield();
    }
    return NULL;
}

static void check_interrupted(const struct aw_backend_ops *ops, int flags)
{
    struct aw_event events[4];
    struct world w;
    pthread_t self = pthread_self(), thread;
    int r;

    world_open(&w, ops, 0);
    handle(SIGUSR1, flags);
    ASYNC_CHECK_EQ(pthread_create(&thread, NULL, interrupt, &self), 0);
    r = ops->wait(w.backend, AW_NEVER, events, 4);
    ASYNC_CHECK_EQ(r, -EINTR);
    signals_seen = 1000;
    pthread_join(thread, NULL);
    world_close(&w);
}

ASYNC_TEST_PLAIN(a_signal_interrupts_the_wait)
{
    check_interrupted(&aw_backend_linux, 0);
}

ASYNC_TEST_PLAIN(a_signal_interrupts_the_wait_also_with_restart)
{
    check_interrupted(&aw_backend_linux, SA_RESTART);
}

ASYNC_TEST_PLAIN(a_signal_interrupts_the_wait_of_sim)
{
    check_interrupted(&aw_backend_sim, 0);
}

ASYNC_TEST_PLAIN(a_signal_interrupts_the_wait_of_sim_also_with_restart)
{
    check_interrupted(&aw_backend_sim, SA_RESTART);
}

static struct world *woken_by_signal;

static void wake_from_handler(int number)
{
    (void)number;
    errno = 0;
    woken_by_signal->ops->wake(woken_by_signal->backend);
    ASYNC_CHECK_EQ(errno, 0);
}

ASYNC_TEST_PLAIN(a_signal_handler_may_wake)
{
    struct sigaction action = { .sa_handler = wake_from_handler };
    struct aw_event events[4];
    struct world w;

    open_linux(&w);
    woken_by_signal = &w;
    ASYNC_CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    raise(SIGUSR1);
    ASYNC_CHECK_EQ(w.ops->wait(w.backend, AW_NEVER, events, 4), 0);
    world_close(&w);
}

/* ---- SIGPIPE ---- */

static ssize_t write_to_closed_pipe(struct world *w)
{
    char byte = 'x';
    struct iovec piece = { &byte, 1 };
    ssize_t n;
    int ends[2];

    ASYNC_CHECK_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    close(ends[0]);
    n = w->sys->writev(w->backend, ends[1], &piece, 1);
    close(ends[1]);
    return n;
}

static bool sigpipe_is(int (*ask)(sigset_t *set))
{
    sigset_t set;

    sigemptyset(&set);
    ask(&set);
    return sigismember(&set, SIGPIPE);
}

static int ask_blocked(sigset_t *set)
{
    return pthread_sigmask(SIG_SETMASK, NULL, set);
}

ASYNC_TEST_PLAIN(a_pipe_without_reader_kills_nobody)
{
    struct world w;

    open_linux(&w);
    signal(SIGPIPE, SIG_DFL);
    ASYNC_CHECK_EQ(write_to_closed_pipe(&w), -EPIPE);
    ASYNC_CHECK(!sigpipe_is(sigpending) && !sigpipe_is(ask_blocked));
    world_close(&w);
}

ASYNC_TEST_PLAIN(a_handler_of_sigpipe_is_neither_called_nor_changed)
{
    struct sigaction after;
    struct world w;

    open_linux(&w);
    handle(SIGPIPE, 0);
    ASYNC_CHECK_EQ(write_to_closed_pipe(&w), -EPIPE);
    ASYNC_CHECK_EQ(signals_seen, 0);
    sigaction(SIGPIPE, NULL, &after);
    ASYNC_CHECK(after.sa_handler == count_signal);
    world_close(&w);
}

ASYNC_TEST_PLAIN(a_sigpipe_that_was_pending_stays_so)
{
    sigset_t sigpipe;
    struct world w;

    open_linux(&w);
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe, NULL);
    raise(SIGPIPE);
    ASYNC_CHECK_EQ(write_to_closed_pipe(&w), -EPIPE);
    ASYNC_CHECK(sigpipe_is(sigpending) && sigpipe_is(ask_blocked));
    world_close(&w);
}

/* ---- kernels before 5.11 ---- */

/* From now on epoll_pwait2 fails with this in the process. */
static void forbid_pwait2(unsigned error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 441, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { AW_ARRAY_SIZE(code), code };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        ASYNC_SKIP("no seccomp here");
}

static void check_coarse_waits(unsigned error)
{
    static const int64_t timeouts[] = { 1, 999999, 1000001, 2500000 };
    struct aw_event events[4];
    struct world w;
    int fd;

    forbid_pwait2(error);
    open_linux(&w);
    for (size_t i = 0; i < AW_ARRAY_SIZE(timeouts); i++) {
        int64_t start = now(&w);

        ASYNC_CHECK_EQ(w.ops->wait(w.backend, timeouts[i], events, 4), 0);
        ASYNC_CHECK(now(&w) - start >= timeouts[i]);
    }
    fd = new_socket(&w);
    add(&w, fd, AW_WRITABLE, 7);
    ASYNC_CHECK_EQ(w.ops->wait(w.backend, AW_NEVER - 1, events, 4), 1);
    close_fd(&w, fd);
    world_close(&w);
}

ASYNC_TEST_PLAIN(without_epoll_pwait2_waits_are_rounded_up_to_milliseconds)
{
    check_coarse_waits(ENOSYS);
}

ASYNC_TEST_PLAIN(where_epoll_pwait2_is_forbidden_it_is_the_same)
{
    check_coarse_waits(EPERM);
}

/* ---- pipes ---- */

ASYNC_TEST_PLAIN(pipes_are_read_written_and_watched)
{
    char ab[] = "ab", cd[] = "cd", buf[8];
    struct iovec pieces[2] = { { ab, 2 }, { cd, 2 } };
    struct world w;
    int ends[2];

    open_linux(&w);
    ASYNC_CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    ASYNC_CHECK_EQ(w.sys->set_flags(w.backend, ends[0], w.sys->get_flags(w.backend, ends[0]) | O_NONBLOCK), 0);
    ASYNC_CHECK_EQ(w.sys->file_type(w.backend, ends[0]), S_IFIFO);
    ASYNC_CHECK_EQ(w.sys->read(w.backend, ends[0], buf, sizeof buf), -EAGAIN);
    add(&w, ends[0], AW_READABLE, 7);
    ASYNC_CHECK_EQ(w.sys->writev(w.backend, ends[1], pieces, 2), 4);
    ASYNC_CHECK_EQ(look(&w, 7), AW_READABLE);
    ASYNC_CHECK_EQ(w.sys->read(w.backend, ends[0], buf, sizeof buf), 4);
    close(ends[1]);
    ASYNC_CHECK_EQ(look(&w, 7), AW_HANGUP);
    ASYNC_CHECK_EQ(w.sys->read(w.backend, ends[0], buf, sizeof buf), 0);
    close(ends[0]);
    world_close(&w);
}

/* ---- urgent data ---- */

ASYNC_TEST_PLAIN(urgent_data_is_a_priority)
{
    struct world w;
    int ends[2];

    open_linux(&w);
    new_pair(&w, ends);
    add(&w, ends[1], AW_READABLE | AW_PRIORITY | AW_EDGE, 7);
    ASYNC_CHECK_EQ(send(ends[0], "!", 1, MSG_OOB), 1);
    ASYNC_CHECK(wait_for_events(&w, 7, AW_PRIORITY) & AW_PRIORITY);
    close_fd(&w, ends[0]);
    close_fd(&w, ends[1]);
    world_close(&w);
}

/* ---- limits ---- */

static void limit_descriptors(rlim_t count)
{
    struct rlimit limit;

    ASYNC_CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = count;
    ASYNC_CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

ASYNC_TEST_PLAIN(without_descriptors_nothing_opens_and_nothing_leaks)
{
    struct aw_backend_options options = { .allocator = async_test_options()->allocator };
    struct aw_backend *backend;
    struct world w;
    int ends[2], listener, client, next;

    open_linux(&w);
    listener = new_listener(&w, 1);
    client = new_client(&w, listener);
    wait_until_connected(&w, client);
    new_pair(&w, ends);
    next = dup(0); /* the lowest free one */
    close(next);
    limit_descriptors((rlim_t)next);
    ASYNC_CHECK_EQ(w.sys->accept(w.backend, listener, NULL, NULL), -EMFILE);
    ASYNC_CHECK_EQ(w.sys->socket(w.backend, AF_INET, SOCK_STREAM, 0), -EMFILE);
    ASYNC_CHECK_EQ(aw_backend_linux.open(&options, &backend), -EMFILE);
    limit_descriptors((rlim_t)next + 1); /* enough for one of the two that open needs */
    ASYNC_CHECK_EQ(aw_backend_linux.open(&options, &backend), -EMFILE);
    ends[1] = (close_fd(&w, ends[1]), w.sys->accept(w.backend, listener, NULL, NULL));
    ASYNC_CHECK(ends[1] >= 0); /* it was not lost */
    limit_descriptors(256);
    close_fd(&w, ends[0]);
    close_fd(&w, ends[1]);
    close_fd(&w, client);
    close_fd(&w, listener);
    world_close(&w);
}

/* ---- the counter behind wake() ---- */

static int find_eventfd(void)
{
    char link[64], target[64];

    for (int fd = 3; fd < 256; fd++) {
        ssize_t n;

        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        n = readlink(link, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        if (strcmp(target, "anon_inode:[eventfd]") == 0)
            return fd;
    }
    return -1;
}

ASYNC_TEST_PLAIN(a_full_wake_counter_still_wakes)
{
    struct aw_event events[4];
    uint64_t all_but_one = UINT64_MAX - 2;
    struct world w;

    open_linux(&w);
    ASYNC_CHECK_EQ(write(find_eventfd(), &all_but_one, sizeof all_but_one), sizeof all_but_one);
    ASYNC_CHECK_EQ(w.ops->wait(w.backend, AW_NEVER, events, 4), 0);
    for (int i = 0; i < 3; i++) { /* the second one finds it full */
        errno = 0;
        w.ops->wake(w.backend);
        ASYNC_CHECK_EQ(errno, 0);
        ASYNC_CHECK_EQ(w.ops->wait(w.backend, AW_NEVER, events, 4), 0);
    }
    world_close(&w);
}

/* ---- threads ---- */

struct job {
    struct aw_job job; /* first */
    atomic_int *arrived;
    int wanted;
    bool done, all_signals_blocked;
    char thread_name[16];
};

/* Ends when `wanted` of its kind have begun: they run side by side. */
static void work_together(struct aw_job *base)
{
    struct job *job = (struct job *)base;
    sigset_t blocked;

    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    job->all_signals_blocked = sigismember(&blocked, SIGINT) && sigismember(&blocked, SIGUSR2);
    pthread_getname_np(pthread_self(), job->thread_name, sizeof job->thread_name);
    atomic_fetch_add(job->arrived, 1);
    while (atomic_load(job->arrived) < job->wanted)
        sched_yield();
}

static void set_done(struct aw_job *base)
{
    ((struct job *)base)->done = true;
}

static void submit(struct world *w, struct job *job, atomic_int *arrived, int wanted)
{
    *job = (struct job){ .job = { .work = work_together, .done = set_done }, .arrived = arrived, .wanted = wanted };
    ASYNC_CHECK_EQ(w->ops->job_submit(w->backend, &job->job), 0);
}

static void wait_until_done(struct world *w, const struct job *job)
{
    struct aw_event events[4];

    while (!job->done)
        ASYNC_CHECK_EQ(w->ops->wait(w->backend, AW_NEVER, events, 4), 0);
}

ASYNC_TEST_PLAIN(sixty_four_jobs_run_side_by_side_on_named_threads_without_signals)
{
    static struct job jobs[AW_JOB_THREADS_MAX];
    atomic_int arrived = 0;
    struct world w;

    open_linux(&w);
    for (int i = 0; i < AW_JOB_THREADS_MAX; i++)
        submit(&w, &jobs[i], &arrived, AW_JOB_THREADS_MAX);
    for (int i = 0; i < AW_JOB_THREADS_MAX; i++) {
        wait_until_done(&w, &jobs[i]);
        ASYNC_CHECK(jobs[i].all_signals_blocked);
        ASYNC_CHECK_STR(jobs[i].thread_name, "await-job");
    }
    world_close(&w);
}

ASYNC_TEST_PLAIN(two_jobs_that_need_each_other_run_though_one_thread_is_idle)
{
    struct job jobs[3];
    atomic_int arrived = 0;
    struct world w;

    open_linux(&w);
    submit(&w, &jobs[0], &arrived, 1);
    wait_until_done(&w, &jobs[0]);
    arrived = 0;
    submit(&w, &jobs[1], &arrived, 2);
    submit(&w, &jobs[2], &arrived, 2);
    wait_until_done(&w, &jobs[1]);
    wait_until_done(&w, &jobs[2]);
    world_close(&w);
}

ASYNC_TEST_PLAIN(idle_threads_of_ours_are_no_foreign_ones)
{
    static struct job jobs[4];
    atomic_int arrived = 0;
    struct world w;

    if (AW_TSAN)
        ASYNC_SKIP("the sanitizer has a thread");
    open_linux(&w);
    for (int i = 0; i < 4; i++)
        submit(&w, &jobs[i], &arrived, 5);
    ASYNC_CHECK_EQ(w.ops->has_foreign_threads(w.backend), 1); /* they are at work: user code, which may post */
    atomic_fetch_add(&arrived, 1);
    for (int i = 0; i < 4; i++)
        wait_until_done(&w, &jobs[i]);
    ASYNC_CHECK_EQ(w.ops->has_foreign_threads(w.backend), 0);
    world_close(&w);
}

/* The pool by itself, so that its patience can be shortened. */
struct pool_owner {
    struct aw_backend backend; /* first */
    struct aw_job_pool pool;
    atomic_int wakes;
};

static void count_wake(struct aw_backend *backend)
{
    ((struct pool_owner *)backend)->wakes++;
}

static const struct aw_backend_ops pool_owner_ops = { .wake = count_wake };

static void init_pool(struct pool_owner *owner, int64_t idle_limit)
{
    owner->backend.ops = &pool_owner_ops;
    owner->wakes = 0;
    ASYNC_CHECK_EQ(aw_job_pool_init(&owner->pool, &owner->backend), 0);
    owner->pool.idle_limit = idle_limit;
}

static void run_in_pool(struct pool_owner *owner, struct job *job)
{
    atomic_int arrived = 0;

    *job = (struct job){ .job = { .work = work_together, .done = set_done }, .arrived = &arrived, .wanted = 1 };
    ASYNC_CHECK_EQ(aw_job_pool_submit(&owner->pool, &job->job), 0);
    while (!job->done) {
        if (aw_job_pool_has_finished(&owner->pool))
            aw_job_pool_collect(&owner->pool);
        sched_yield();
    }
}

/* Looks and does not join, as aw_job_pool_idle() would. */
static bool has_threads(struct aw_job_pool *pool)
{
    bool alive = false;

    pthread_mutex_lock(&pool->mutex);
    for (int i = 0; i < AW_JOB_THREADS_MAX; i++)
        alive |= pool->threads[i].state == AW_JOB_THREAD_ALIVE;
    pthread_mutex_unlock(&pool->mutex);
    return alive;
}

ASYNC_TEST_PLAIN(threads_that_have_nothing_to_do_end_and_others_come)
{
    struct pool_owner owner;
    struct job job;

    init_pool(&owner, /* idle_limit= */ 0);
    for (int i = 0; i < 2 * AW_JOB_THREADS_MAX; i++) { /* more than there are slots */
        run_in_pool(&owner, &job);
        while (has_threads(&owner.pool))
            sched_yield();
    }
    aw_job_pool_fini(&owner.pool);
}

struct closing_job {
    struct aw_job job; /* first */
    struct aw_job_pool *pool;
    bool worked, done;
};

/* Ends when the pool is being closed, and not before. */
static void work_until_closing(struct aw_job *base)
{
    struct closing_job *job = (struct closing_job *)base;
    bool closing = false;

    job->worked = true;
    while (!closing) {
        sched_yield();
        pthread_mutex_lock(&job->pool->mutex);
        closing = job->pool->closing;
        pthread_mutex_unlock(&job->pool->mutex);
    }
}

static void set_closing_job_done(struct aw_job *base)
{
    ((struct closing_job *)base)->done = true;
}

ASYNC_TEST_PLAIN(a_job_that_waits_for_a_thread_is_dropped_by_close_and_told_so)
{
    static struct closing_job jobs[AW_JOB_THREADS_MAX + 3];
    struct pool_owner owner;

    init_pool(&owner, AW_NS_PER_SEC);
    for (size_t i = 0; i < AW_ARRAY_SIZE(jobs); i++) {
        jobs[i].job = (struct aw_job){ .work = work_until_closing, .done = set_closing_job_done };
        jobs[i].pool = &owner.pool;
        ASYNC_CHECK_EQ(aw_job_pool_submit(&owner.pool, &jobs[i].job), 0);
    }
    aw_job_pool_fini(&owner.pool);
    for (size_t i = 0; i < AW_ARRAY_SIZE(jobs); i++)
        ASYNC_CHECK(jobs[i].done);
    ASYNC_CHECK(!jobs[AW_ARRAY_SIZE(jobs) - 1].worked);
}

ASYNC_TEST_PLAIN(a_pool_takes_one_thread_for_jobs_that_follow_each_other)
{
    struct pool_owner owner;
    struct job job;

    init_pool(&owner, AW_NS_PER_SEC * 60);
    for (int i = 0; i < 100; i++)
        run_in_pool(&owner, &job);
    ASYNC_CHECK(aw_job_pool_idle(&owner.pool) <= 2); /* a second one if a job came before its thread was idle */
    ASYNC_CHECK(owner.wakes > 0 && owner.wakes <= 100);
    aw_job_pool_fini(&owner.pool);
}

ASYNC_TEST_PLAIN(where_no_thread_can_be_made_jobs_are_refused)
{
    struct rlimit limit = { 0, 0 }, before;
    struct pool_owner owner;
    struct job job = { .job = { .work = work_together, .done = set_done } };
    int r;

    init_pool(&owner, 0);
    /* A thread's stack counts as memory; processes of root are not limited in number. */
    ASYNC_CHECK_EQ(getrlimit(RLIMIT_AS, &before), 0);
    limit.rlim_max = before.rlim_max;
    if (AW_ASAN || AW_TSAN)
        ASYNC_SKIP("sanitizers need their memory");
    setrlimit(RLIMIT_AS, &limit);
    r = aw_job_pool_submit(&owner.pool, &job.job);
    setrlimit(RLIMIT_AS, &before);
    ASYNC_CHECK_EQ(r, -EAGAIN);
    aw_job_pool_fini(&owner.pool);
    ASYNC_CHECK(!job.done); /* it was never ours */
}
