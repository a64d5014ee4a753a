/* SPDX-License-Identifier: MIT */
/* All state that two threads share goes through these, and nothing else does: a model build can replace
 * this one header and explore the schedules. Orders are named in the call, with the reason beside it.
 */
#ifndef AW_BASE_ATOMIC_H
#define AW_BASE_ATOMIC_H

#include <stdatomic.h>

#define AW_ATOMIC(type) _Atomic(type)
#define aw_atomic_init(object, value) atomic_init(object, value)
#define aw_atomic_load(object, order) atomic_load_explicit(object, memory_order_##order)
#define aw_atomic_store(object, value, order) atomic_store_explicit(object, value, memory_order_##order)
#define aw_atomic_exchange(object, value, order) atomic_exchange_explicit(object, value, memory_order_##order)
#define aw_atomic_add(object, value, order) atomic_fetch_add_explicit(object, value, memory_order_##order)
#define aw_atomic_cas(object, expected, desired, order)                                                                \
    atomic_compare_exchange_weak_explicit(object, expected, desired, memory_order_##order, memory_order_relaxed)
#define aw_atomic_cas_strong(object, expected, desired, order)                                                         \
    atomic_compare_exchange_strong_explicit(object, expected, desired, memory_order_##order, memory_order_relaxed)
#define aw_atomic_fence(order) atomic_thread_fence(memory_order_##order)

#endif
