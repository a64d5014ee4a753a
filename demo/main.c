/* SPDX-License-Identifier: MIT */
/* demo [TIMELINE.SVG]: what libawait does, on this machine, now. Everything printed was measured in this run. */
#include "demo.h"

#include <await.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *svg_path = "timeline.svg";

static int pages(void)
{
    return demo_pages(svg_path);
}

/* In a child, so that no part sees memory, threads or descriptors of another. */
static int run_part(int (*part)(void))
{
    int status;
    pid_t child;

    fflush(NULL); /* or both processes would write what is buffered */
    child = fork();
    if (child < 0)
        return -errno;
    if (child == 0)
        exit(part() < 0 ? 1 : 0);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
}

int main(int argc, char **argv)
{
    int (*const parts[])(void) = { pages, demo_crowd, demo_connections };
    int failed = 0;
    char features[1024];

    if (argc > 1)
        svg_path = argv[1];
    setenv("ASYNC_BACKEND", "linux", 1); /* a simulated world would show simulated figures */
    async_features(features, sizeof features);
    printf("libawait on %ld processors\n\n%s", sysconf(_SC_NPROCESSORS_ONLN), features);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        failed |= run_part(parts[i]) < 0;
    puts(failed ? "\nSomething failed, see above." : "\nDone.");
    return failed;
}
