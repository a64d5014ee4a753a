/* SPDX-License-Identifier: MIT */
/* No parameter, eight of all kinds, constants, structs by value, arguments with commas. */
#include <await.h>
#include <stdbool.h>

#define MAX(a, b) ((a) > (b) ? (a) : (b))

struct point {
    int x, y;
};
typedef int (*callback)(int);

async_def(none)
{
    return 0;
}

async_def(eight, int, a, char, b, float, c, double, d, bool, e, struct point, f, const char *, g, uint64_t, h)
{
    return a + b + (int)c + (int)d + e + f.x + g[0] + (int)h;
}

async_def(constant, const int, a, const struct point, p)
{
    return a + p.y;
}

async_def(with_callback, callback, fn, __typeof__(int (*)(int)), other)
{
    return fn(1) + other(2);
}

static async_def(local, int *, out)
{
    *out = 1;
    return 0;
}

async_def(recursive, int, n)
{
    int r = n > 0 ? recursive(n - 1) : 0;
    return r < 0 ? r : await_task(async_create_task(recursive, n - 1), NULL);
}

async_declare(declared, int, a, double, b);
int declared(int a, double b)
{
    return a + (int)b;
}

static int twice(int n)
{
    return 2 * n;
}

async_main(void)
{
    int out = 0;
    struct point p = { 1, 2 };
    async_task *tasks[] = {
        async_create_task(none),
        async_create_task(eight, MAX(3, 9), 'x', 1.0f, 2.0, true, (struct point){ 1, 2 }, "g", 7),
        async_create_task(constant, 1, p),
        async_create_task(with_callback, twice, twice),
        async_create_task(local, &out),
        async_create_task(declared, 1, 2.0),
        async_create_task(recursive, 2),
    };
    int r = none();
    if (r < 0)
        return r;
    return await_gather_all(tasks, sizeof tasks / sizeof *tasks);
}
