/* SPDX-License-Identifier: MIT */
/* The machinery behind async_def, async_create_task, async_timeout, async_defer and async_main. Nothing
 * here is for direct use. `system_header` keeps compilers from unfolding it in users' error messages:
 * a wrong argument is reported at the user's own line.
 */
#ifndef AWAIT_MACROS_H
#define AWAIT_MACROS_H
#pragma GCC system_header

#include <await/base.h>

#define AW_UNUSED __attribute__((unused))
#define AW_CAT_(a, b) a##b
#define AW_CAT(a, b) AW_CAT_(a, b)
#define AW_STR_(a) #a
#define AW_STR(a) AW_STR_(a)
#define AW_HERE __FILE__ ":" AW_STR(__LINE__)
#define AW_NARG(...) AW_NARG_(__VA_ARGS__, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define AW_NARG_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, N, ...) N
/* 1 for one argument, N for more */
#define AW_ONE(...) AW_NARG_(__VA_ARGS__, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, 1, 0)

#ifdef __cplusplus
#define AW_ASSERT static_assert
#else
#define AW_ASSERT _Static_assert
#endif

/* ---- scopes and defers: a declaration with a cleanup ---- */

/* A jump past this is an error: in C a variably modified type without storage (gcc is silent about a
 * jump past a cleanup attribute, and the cleanup would run on garbage), in C++ an initialiser. */
#ifdef __cplusplus
#define AW_GUARD(id) const char *AW_CAT(id, _guard) AW_UNUSED = "";
#else
#define AW_GUARD(id)                                                                               \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wvla\"")                     \
    char (*AW_CAT(id, _guard))[aw_one] AW_UNUSED;                                                  \
    _Pragma("GCC diagnostic pop")
#endif

/* The names are made with __COUNTER__: two on one line, or one inside another, do not clash or shadow. */
#define AW_SCOPE(id, enter, value)                                                                 \
    async_scope id AW_UNUSED __attribute__((cleanup(aw_scope_leave)));                             \
    AW_GUARD(id)                                                                                   \
    enter(&id, value, AW_HERE)
#define AW_TIMEOUT_1(enter, seconds) AW_SCOPE(AW_CAT(aw_timeout_, __COUNTER__), enter, seconds)
#define AW_TIMEOUT_2(enter, seconds, name) AW_SCOPE(name, enter, seconds)
#define AW_NOSUSPEND(id)                                                                           \
    const int id AW_UNUSED __attribute__((cleanup(aw_nosuspend_leave))) = aw_nosuspend_enter(AW_HERE); \
    AW_GUARD(id)                                                                                   \
    AW_ASSERT(1, "")

/* The defer holds the variable's address, not its value: `buf = realloc(buf, n)` works and `buf = NULL`
 * disarms. The call in the dead arm checks the type where the user wrote it; the two casts go over
 * void (*)(void) because fclose and others return something. */
#ifdef __cplusplus
#define AW_IS_POINTER(v) true /* the call fn(v) in the dead arm has checked it */
#else
#define AW_IS_POINTER(v) (__builtin_classify_type(v) == 5)
#endif
#define AW_DEFER(id, leave, fn, v)                                                                 \
    struct aw_defer id AW_UNUSED __attribute__((cleanup(leave))) = {                               \
        (void (*)(void *))(void (*)(void))(fn),                                                    \
        1 ? (const void *)&(v) : ((void)(fn)(v), (const void *)0)                                  \
    };                                                                                             \
    AW_GUARD(id)                                                                                   \
    AW_ASSERT(AW_IS_POINTER(v) && sizeof(v) == sizeof(void *), "defer(fn, variable): the variable must be a pointer")

/* ---- async_def ---- */

/* Lists of (type, name): P parameters, F fields, A arguments, M members of the copied arguments. */
#define AW_P0(...) void
#define AW_F0(...) char aw_none;
#define AW_A0(...) 0
#define AW_M0(...)
#define AW_P1(t, a) t a
#define AW_F1(t, a) t a;
#define AW_A1(t, a) a
#define AW_M1(t, a) aw_a->a
#define AW_P2(t, a, ...) t a, AW_P1(__VA_ARGS__)
#define AW_F2(t, a, ...) t a; AW_F1(__VA_ARGS__)
#define AW_A2(t, a, ...) a, AW_A1(__VA_ARGS__)
#define AW_M2(t, a, ...) aw_a->a, AW_M1(__VA_ARGS__)
#define AW_P3(t, a, ...) t a, AW_P2(__VA_ARGS__)
#define AW_F3(t, a, ...) t a; AW_F2(__VA_ARGS__)
#define AW_A3(t, a, ...) a, AW_A2(__VA_ARGS__)
#define AW_M3(t, a, ...) aw_a->a, AW_M2(__VA_ARGS__)
#define AW_P4(t, a, ...) t a, AW_P3(__VA_ARGS__)
#define AW_F4(t, a, ...) t a; AW_F3(__VA_ARGS__)
#define AW_A4(t, a, ...) a, AW_A3(__VA_ARGS__)
#define AW_M4(t, a, ...) aw_a->a, AW_M3(__VA_ARGS__)
#define AW_P5(t, a, ...) t a, AW_P4(__VA_ARGS__)
#define AW_F5(t, a, ...) t a; AW_F4(__VA_ARGS__)
#define AW_A5(t, a, ...) a, AW_A4(__VA_ARGS__)
#define AW_M5(t, a, ...) aw_a->a, AW_M4(__VA_ARGS__)
#define AW_P6(t, a, ...) t a, AW_P5(__VA_ARGS__)
#define AW_F6(t, a, ...) t a; AW_F5(__VA_ARGS__)
#define AW_A6(t, a, ...) a, AW_A5(__VA_ARGS__)
#define AW_M6(t, a, ...) aw_a->a, AW_M5(__VA_ARGS__)
#define AW_P7(t, a, ...) t a, AW_P6(__VA_ARGS__)
#define AW_F7(t, a, ...) t a; AW_F6(__VA_ARGS__)
#define AW_A7(t, a, ...) a, AW_A6(__VA_ARGS__)
#define AW_M7(t, a, ...) aw_a->a, AW_M6(__VA_ARGS__)
#define AW_P8(t, a, ...) t a, AW_P7(__VA_ARGS__)
#define AW_F8(t, a, ...) t a; AW_F7(__VA_ARGS__)
#define AW_A8(t, a, ...) a, AW_A7(__VA_ARGS__)
#define AW_M8(t, a, ...) aw_a->a, AW_M7(__VA_ARGS__)

/* The prototype comes first, so that `static async_def(...)` and `static async_declare(...)` work. The
 * birthplace is set by a wrapper around the typed call, not by a hidden parameter, so that compilers
 * number the arguments as the user does. */
#define AW_DECLARE(K, n, ...)                                                                      \
    int n(AW_P##K(__VA_ARGS__)) ASYNC_SUSPENDS;                                                    \
    struct n##__args {                                                                             \
        AW_F##K(__VA_ARGS__)                                                                       \
    };                                                                                             \
    AW_UNUSED static int n##__thunk(void *aw_p)                                                    \
    {                                                                                              \
        struct n##__args *aw_a = (struct n##__args *)aw_p;                                         \
        (void)aw_a;                                                                                \
        return n(AW_M##K(__VA_ARGS__));                                                            \
    }                                                                                              \
    AW_UNUSED static async_task *n##__create_task(AW_P##K(__VA_ARGS__))                            \
    {                                                                                              \
        struct n##__args aw_a = { AW_A##K(__VA_ARGS__) };                                          \
        return aw_task_create(n##__thunk, &aw_a, sizeof aw_a, #n);                                 \
    }                                                                                              \
    AW_UNUSED static struct aw_call *n##__call(AW_P##K(__VA_ARGS__))                               \
    {                                                                                              \
        struct n##__args aw_a = { AW_A##K(__VA_ARGS__) };                                          \
        return aw_call_new(n##__thunk, &aw_a, sizeof aw_a, #n);                                    \
    }                                                                                              \
    struct n##__args
#define AW_DEFINE(K, n, ...)                                                                       \
    AW_DECLARE(K, n, __VA_ARGS__);                                                                 \
    int n(AW_P##K(__VA_ARGS__))
#define AW_PAIRS(n, ...)                                                                           \
    AW_ASSERT(0, "async_def(" #n "): parameters come in pairs: type, name, type, name");           \
    int n(...)
#define AW_TOOMANY(n, ...)                                                                         \
    AW_ASSERT(0, "async_def(" #n "): at most 8 parameters; pass a pointer to a struct");           \
    int n(...)
#define AW_DECLARE_1(n) AW_DECLARE(0, n, )
#define AW_DECLARE_3(n, ...) AW_DECLARE(1, n, __VA_ARGS__)
#define AW_DECLARE_5(n, ...) AW_DECLARE(2, n, __VA_ARGS__)
#define AW_DECLARE_7(n, ...) AW_DECLARE(3, n, __VA_ARGS__)
#define AW_DECLARE_9(n, ...) AW_DECLARE(4, n, __VA_ARGS__)
#define AW_DECLARE_11(n, ...) AW_DECLARE(5, n, __VA_ARGS__)
#define AW_DECLARE_13(n, ...) AW_DECLARE(6, n, __VA_ARGS__)
#define AW_DECLARE_15(n, ...) AW_DECLARE(7, n, __VA_ARGS__)
#define AW_DECLARE_17(n, ...) AW_DECLARE(8, n, __VA_ARGS__)
#define AW_DECLARE_2 AW_PAIRS
#define AW_DECLARE_4 AW_PAIRS
#define AW_DECLARE_6 AW_PAIRS
#define AW_DECLARE_8 AW_PAIRS
#define AW_DECLARE_10 AW_PAIRS
#define AW_DECLARE_12 AW_PAIRS
#define AW_DECLARE_14 AW_PAIRS
#define AW_DECLARE_16 AW_PAIRS
#define AW_DECLARE_18 AW_PAIRS
#define AW_DECLARE_20 AW_PAIRS
#define AW_DECLARE_19 AW_TOOMANY
#define AW_DECLARE_21 AW_TOOMANY
#define AW_DEFINE_1(n) AW_DEFINE(0, n, )
#define AW_DEFINE_3(n, ...) AW_DEFINE(1, n, __VA_ARGS__)
#define AW_DEFINE_5(n, ...) AW_DEFINE(2, n, __VA_ARGS__)
#define AW_DEFINE_7(n, ...) AW_DEFINE(3, n, __VA_ARGS__)
#define AW_DEFINE_9(n, ...) AW_DEFINE(4, n, __VA_ARGS__)
#define AW_DEFINE_11(n, ...) AW_DEFINE(5, n, __VA_ARGS__)
#define AW_DEFINE_13(n, ...) AW_DEFINE(6, n, __VA_ARGS__)
#define AW_DEFINE_15(n, ...) AW_DEFINE(7, n, __VA_ARGS__)
#define AW_DEFINE_17(n, ...) AW_DEFINE(8, n, __VA_ARGS__)
#define AW_DEFINE_2 AW_PAIRS
#define AW_DEFINE_4 AW_PAIRS
#define AW_DEFINE_6 AW_PAIRS
#define AW_DEFINE_8 AW_PAIRS
#define AW_DEFINE_10 AW_PAIRS
#define AW_DEFINE_12 AW_PAIRS
#define AW_DEFINE_14 AW_PAIRS
#define AW_DEFINE_16 AW_PAIRS
#define AW_DEFINE_18 AW_PAIRS
#define AW_DEFINE_20 AW_PAIRS
#define AW_DEFINE_19 AW_TOOMANY
#define AW_DEFINE_21 AW_TOOMANY

/* sizeof(&fn) keeps the user's name visible to editors; (*&fn##__x) makes a name that async_def has not
 * seen a hard error in old compilers as well, and is what compilers call the function in messages. */
#define AW_CREATE_1(fn) aw_task_at(((void)sizeof(&fn), (*&fn##__create_task)()), AW_HERE)
#define AW_CREATE_N(fn, ...) aw_task_at(((void)sizeof(&fn), (*&fn##__create_task)(__VA_ARGS__)), AW_HERE)
#define AW_CALL_1(fn) ((void)sizeof(&fn), (*&fn##__call)())
#define AW_CALL_N(fn, ...) ((void)sizeof(&fn), (*&fn##__call)(__VA_ARGS__))
#define AW_CALL(...) AW_CAT(AW_CALL_, AW_ONE(__VA_ARGS__))(__VA_ARGS__)

/* await_start_server: the arguments behind ret_server are bound to the handler's further parameters. */
#define AW_HANDLER_1(fn, ret) AW_CALL(fn, (async_stream *)0), ret
#define AW_HANDLER_N(fn, ret, ...) AW_CALL(fn, (async_stream *)0, __VA_ARGS__), ret
#define AW_HANDLER(fn, ...) AW_CAT(AW_HANDLER_, AW_ONE(__VA_ARGS__))(fn, __VA_ARGS__)

/* A list of tasks ends with a sentinel of its own: NULL in it is a task that found no memory. */
#ifdef __cplusplus
#define AW_TASKS(call, ...)                                                                        \
    ([&] {                                                                                         \
        async_task *aw_t[] = { __VA_ARGS__, aw_end_of_tasks() };                                   \
        return call(aw_t);                                                                         \
    }())
#else
#define AW_TASKS(call, ...) call((async_task *[]){ __VA_ARGS__, aw_end_of_tasks() })
#endif

/* ---- async_main ---- */

#define AW_MAIN_1(none)                                                                            \
    static int aw_main(none) ASYNC_SUSPENDS;                                                       \
    int main(void)                                                                                 \
    {                                                                                              \
        return aw_run_main(aw_main, (int (*)(int, char **))0, 0, (char **)0);                      \
    }                                                                                              \
    static int aw_main(none)
#define AW_MAIN_2(c, v)                                                                            \
    static int aw_main(c, v) ASYNC_SUSPENDS;                                                       \
    int main(int aw_argc, char **aw_argv)                                                          \
    {                                                                                              \
        return aw_run_main((int (*)(void))0, aw_main, aw_argc, aw_argv);                           \
    }                                                                                              \
    static int aw_main(AW_UNUSED c, AW_UNUSED v)

#ifdef __cplusplus
extern "C" {
#endif

struct aw_call;
struct aw_defer {
    void (*fn)(void *);
    const void *variable;
};

extern ASYNC_API const size_t aw_one; /* 1, which no compiler knows */
ASYNC_API async_task *aw_task_create(int (*thunk)(void *), const void *args, size_t size, const char *name);
ASYNC_API async_task *aw_task_at(async_task *task, const char *where);
ASYNC_API struct aw_call *aw_call_new(int (*thunk)(void *), const void *args, size_t size, const char *name);
ASYNC_API async_task *aw_end_of_tasks(void);
ASYNC_API void aw_defer_leave(struct aw_defer *defer);
ASYNC_API void aw_defer_leave_await(struct aw_defer *defer);
ASYNC_API int aw_run_main(int (*none)(void), int (*args)(int, char **), int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
