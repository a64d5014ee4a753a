/* SPDX-License-Identifier: MIT */
/* Small things that every floor uses. */
#ifndef AW_BASE_BASE_H
#define AW_BASE_BASE_H

#include <await/base.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AW_LIKELY(x) __builtin_expect(!!(x), 1)
#define AW_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define AW_COLD __attribute__((cold, noinline))
#define AW_NOINLINE __attribute__((noinline))
/* Where the frame of the function that calls this one ends: all of the caller's variables lie above. Of use in
 * functions that are not inlined only. */
#define AW_FRAME __builtin_dwarf_cfa()
#define AW_ARRAY_SIZE(a) (sizeof(a) / sizeof *(a))
#define AW_CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#if defined __SANITIZE_ADDRESS__
#define AW_ASAN 1
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define AW_ASAN 1
#endif
#endif
#if defined __SANITIZE_THREAD__
#define AW_TSAN 1
#elif defined __has_feature
#if __has_feature(thread_sanitizer)
#define AW_TSAN 1
#endif
#endif
#ifndef AW_ASAN
#define AW_ASAN 0
#endif
#ifndef AW_TSAN
#define AW_TSAN 0
#endif

/* Time inside is signed nanoseconds; AW_NEVER is infinity. */
#define AW_NEVER INT64_MAX
#define AW_NS_PER_SEC INT64_C(1000000000)

/* Seconds to nanoseconds, saturating: infinity and everything that does not fit is AW_NEVER (or
 * INT64_MIN). NaN must be refused before. */
int64_t aw_ns_from_seconds(double seconds);
double aw_seconds_from_ns(int64_t ns);

/* a + b without overflow; AW_NEVER stays AW_NEVER. */
static inline int64_t aw_ns_add(int64_t a, int64_t b)
{
    int64_t sum;

    if (a == AW_NEVER || b == AW_NEVER)
        return AW_NEVER;
    return __builtin_add_overflow(a, b, &sum) ? (b > 0 ? AW_NEVER : INT64_MIN) : sum;
}

#endif
