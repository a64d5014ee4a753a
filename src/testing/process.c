/* SPDX-License-Identifier: MIT */
/* Design notes: each case is a process in a group of its own, so that what it started dies with it, and the harness
 * survives whatever it does. Output goes into a file without a name, not into a pipe: nobody has to read it meanwhile,
 * and a grandchild that lives on cannot keep it open. The wait is for SIGCHLD with a limit; the group is killed before
 * the process is reaped, while its number cannot belong to anybody else. */
#include "testing/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void become_case(int output, const sigset_t *mask, pid_t parent)
{
    const struct rlimit no_core = { 0, 0 };
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before the line above */
        _exit(1);
    setrlimit(RLIMIT_CORE, &no_core);
    dup2(null, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    close(null);
    close(output);
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigprocmask(SIG_SETMASK, mask, NULL);
}

/* True when it has ended by itself in time. Leaves it to be reaped. */
static bool wait_until_ended(pid_t pid, const sigset_t *child_signal, double deadline)
{
    for (;;) {
        siginfo_t info = { .si_pid = 0 };
        double left = deadline - now();
        struct timespec limit;

        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid)
            return true;
        if (left <= 0)
            return false;
        limit.tv_sec = (time_t)left;
        limit.tv_nsec = (long)((left - (double)limit.tv_sec) * 1e9);
        sigtimedwait(child_signal, NULL, &limit);
    }
}

static void fail_outcome(struct aw_test_outcome *outcome, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void fail_outcome(struct aw_test_outcome *outcome, const char *format, ...)
{
    va_list list;

    outcome->state = AW_TEST_FAILED;
    va_start(list, format);
    vsnprintf(outcome->text, sizeof outcome->text, format, list);
    va_end(list);
}

static void judge(int status, bool in_time, struct aw_test_outcome *outcome)
{
    if (!in_time)
        fail_outcome(outcome, "did not end within %g s", aw_test_settings.timeout);
    else if (WIFSIGNALED(status))
        fail_outcome(outcome, "ended by signal %d, SIG%s", WTERMSIG(status), sigabbrev_np(WTERMSIG(status)));
    else if (outcome->state == AW_TEST_RUNNING)
        fail_outcome(outcome, "ended the process with exit code %d", WEXITSTATUS(status));
    else if (WEXITSTATUS(status) != 0 && outcome->state != AW_TEST_FAILED)
        fail_outcome(outcome, "passed, but the process then ended with exit code %d", WEXITSTATUS(status));
}

static void run_child(const struct aw_test *test, int output, const sigset_t *mask, pid_t parent)
{
    become_case(output, mask, parent);
    aw_test_run_case(test);
    /* Not _exit(): sanitizers look for leaks when the process exits. */
    exit(0);
}

static int fork_and_wait(const struct aw_test *test, int output)
{
    sigset_t child_signal, mask;
    pid_t parent = getpid(), pid;
    bool in_time;
    int status;

    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_signal, &mask);
    fflush(NULL);
    pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        run_child(test, output, &mask, parent);
    setpgid(pid, pid); /* whoever comes first: the kill below must find the group */
    in_time = wait_until_ended(pid, &child_signal, now() + aw_test_settings.timeout);
    kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    sigprocmask(SIG_SETMASK, &mask, NULL);
    judge(status, in_time, aw_test_outcome);
    return 0;
}

int aw_test_run_forked(const struct aw_test *test, struct aw_test_outcome *outcome)
{
    int output = memfd_create("output", MFD_CLOEXEC), r;
    void *shared = mmap(NULL, sizeof *outcome, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (output < 0 || shared == MAP_FAILED)
        return -errno;
    aw_test_outcome = shared;
    r = fork_and_wait(test, output);
    *outcome = *aw_test_outcome;
    munmap(shared, sizeof *outcome);
    if (r < 0)
        close(output);
    return r < 0 ? r : output;
}

static int read_all(int fd, char *buf, size_t size)
{
    ssize_t n = size > 0 ? pread(fd, buf, size - 1, 0) : 0;

    if (n < 0)
        return -errno;
    if (size > 0)
        buf[n] = '\0';
    return 0;
}

int async_test_death(void (*fn)(void *arg), void *arg, char *ret_stderr, size_t size)
{
    int output = memfd_create("stderr", MFD_CLOEXEC), status, r;
    pid_t pid;

    if (output < 0)
        return -errno;
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        aw_test_detach_outcome();
        dup2(output, STDERR_FILENO);
        fn(arg);
        fflush(NULL);
        _exit(0);
    }
    if (pid < 0) {
        r = -errno;
        close(output);
        return r;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    r = read_all(output, ret_stderr, size);
    close(output);
    return r < 0 ? r : status;
}
