/* SPDX-License-Identifier: MIT */
/* The loop's inside, for the floors above it. */
#ifndef AW_LOOP_LOOP_H
#define AW_LOOP_LOOP_H

#include "backend/backend.h"
#include "base/alloc.h"
#include "base/atomic.h"
#include "base/list.h"
#include "base/note.h"
#include <await/embed.h>
#include <await/loop.h>

/* ---- timers: 4-ary heap, keys inline (loop/timer.c) ---- */

struct aw_timer_entry {
    int64_t when;
    async_timer_handle *timer;
};

struct aw_timer_heap {
    struct aw_timer_entry *entries;
    uint32_t count, capacity;
    uint64_t sequence;
};

int aw_timer_heap_add(struct aw_timer_heap *heap, const async_allocator *allocator, async_timer_handle *timer);
void aw_timer_heap_remove(struct aw_timer_heap *heap, async_timer_handle *timer);
/* Drops the timers whose memory lies in [low, end) without touching them: something else lies there now. */
void aw_timer_heap_forget(struct aw_timer_heap *heap, const void *low, const void *end);
void aw_timer_heap_fini(struct aw_timer_heap *heap, const async_allocator *allocator);

/* ---- descriptors (loop/io.c): one aw_io a descriptor ---- */

struct aw_io {
    int fd;
    uint32_t generation;
    void (*ready)(struct aw_io *io, unsigned events); /* may call everything, also aw_io_remove(io) */
};

/* -EBUSY the fd is registered by someone else; -EPERM, -EBADF, -ENOMEM. */
int aw_io_add(async_loop *loop, struct aw_io *io, int fd, unsigned mask);
int aw_io_modify(async_loop *loop, struct aw_io *io, unsigned mask);
/* After it no event is delivered to io, also none that was collected in this turn. */
void aw_io_remove(async_loop *loop, struct aw_io *io);
/* Who has registered the fd, NULL if nobody. */
struct aw_io *aw_io_find(async_loop *loop, int fd);

struct aw_io_slot {
    struct aw_io *io;
    uint32_t generation;
};

/* Writes the sentence that async_last_error() shows, and returns code. */
#define aw_fail(loop, code, ...) ((void)(loop), aw_note_set(code, __VA_ARGS__))

/* ---- the loop ---- */

#define AW_HOT_BUFFER_SIZE (256 * 1024)
#define AW_EVENTS_PER_WAIT 256
#define AW_HANDLES_PER_POLL 64 /* how many handles may run without looking for events, within one tick */
#define AW_FREE_CALLBACKS_MAX 4096

/* Whoever leaves unread bytes in the hot buffer. Before anybody else reads into it, `save` moves them away; when that
 * finds no memory they stay, and the read has to be given up. */
struct aw_hot_lender {
    int (*save)(struct aw_hot_lender *lender); /* 0 and loop->hot_lender is NULL; -ENOMEM */
};

struct async_loop {
    /* hot: touched for each callback */
    struct async_handle ready;   /* list head: what runs next turn */
    struct async_handle running; /* list head: what is left of this turn's batch */
    uint64_t callbacks, callbacks_at_poll;
    int64_t tick_at_poll;
    bool in_turn, stopping, is_running, closed, debug;
    int abort_code; /* negative: a callback stopped the turn */

    const struct aw_sys *sys;
    struct aw_backend *backend;
    async_allocator allocator;
    void *hot_buffer; /* AW_HOT_BUFFER_SIZE, for reads of whoever has the turn; lies in hot_memory */
    void *hot_memory;
    struct aw_hot_lender *hot_lender; /* whose unread bytes lie in it; NULL: it is free */

    struct aw_timer_heap timers;
    struct aw_io_slot *slots; /* indexed by descriptor */
    uint32_t slot_count;
    uint32_t io_count;

    struct aw_event events[AW_EVENTS_PER_WAIT];
    int event_count, event_next;
    struct async_handle due; /* list head: timers that expired in this turn */

    /* cross-thread: the stack of posted handles and what the loop is doing (loop/wakeup.c) */
    AW_ATOMIC(struct async_handle *) posted;
    AW_ATOMIC(int) sleeping;

    struct async_handle *free_callbacks; /* of call_soon and call_later, linked by next */
    uint32_t free_callback_count;

    double (*clock)(void *arg);
    void *clock_arg;
    async_host host;
    async_exception_handler exception_handler;
    void *exception_handler_arg;
    int64_t slow_callback_ns;
    uint64_t owner_thread;
    uint64_t seed;
    size_t stack_size;

    uint32_t holds; /* things that may wake the loop though no timer or fd says so: jobs, infinite sleeps */
    uint64_t turns, polls, event_total, stale_events, wakeups, handlers_lost;

    /* What the floors above keep for this loop; each is closed in this order by async_loop_close. */
    struct aw_loop_part *parts;
    void *tasks;        /* the task floor's part, looked up for each new task */
    char step_name[64]; /* debug mode: the task that the newest handle ran, for slow reports; "" if none */
};

/* A floor's own state, attached once: freed when the loop closes. */
struct aw_loop_part {
    struct aw_loop_part *next;
    const void *key;
    void (*close)(struct aw_loop_part *part, async_loop *loop);
};

/* The part with that key, NULL if it was not attached. */
struct aw_loop_part *aw_loop_find_part(async_loop *loop, const void *key);
/* Parts close in the reverse order of their attachment. */
void aw_loop_attach_part(async_loop *loop, struct aw_loop_part *part);

static inline int64_t aw_loop_now(const async_loop *loop)
{
    if (AW_UNLIKELY(loop->clock != NULL))
        return aw_ns_from_seconds(loop->clock(loop->clock_arg));
    return loop->sys->now(loop->backend);
}

static inline bool aw_handle_is_idle(const struct async_handle *handle)
{
    return handle->state == 0;
}

enum aw_handle_state {
    AW_HANDLE_IDLE,
    AW_HANDLE_READY, /* on loop->ready or loop->running */
    AW_HANDLE_TIMER, /* in the heap */
    AW_HANDLE_DUE,   /* on loop->due */
    AW_HANDLE_POSTED /* on its way from another thread */
};

/* handle->flags: when the loop closes with this handle queued, its run() is called all the same, to free what it
 * holds; it sees loop->closed and calls no user code. */
#define AW_HANDLE_RUN_AT_CLOSE 1u

static inline void aw_handle_append(struct async_handle *head, struct async_handle *handle)
{
    handle->prev = head->prev;
    handle->next = head;
    head->prev->next = handle;
    head->prev = handle;
}

static inline void aw_handle_unlink(struct async_handle *handle)
{
    handle->prev->next = handle->next;
    handle->next->prev = handle->prev;
}

/* call_soon of a handle that is known to be idle; the hot path of every wake-up. */
static inline void aw_loop_make_ready(async_loop *loop, struct async_handle *handle)
{
    handle->state = AW_HANDLE_READY;
    aw_handle_append(&loop->ready, handle);
}

/* Takes the next handle of this turn's batch; NULL at its end. For direct task-to-task switches. */
static inline struct async_handle *aw_loop_next_running(async_loop *loop)
{
    struct async_handle *handle = loop->running.next;

    if (handle == &loop->running)
        return NULL;
    aw_handle_unlink(handle);
    handle->state = AW_HANDLE_IDLE;
    return handle;
}

/* One turn without the public checks; max_wait in ns. */
int aw_loop_turn(async_loop *loop, int64_t max_wait);
/* Is there anything that can make the loop run something, ever? */
bool aw_loop_can_wake(async_loop *loop);
/* Takes what other threads posted to the end of the ready queue. */
void aw_loop_take_posted(async_loop *loop);
/* Frees all handles of call_soon and call_later that did not run. */
void aw_callbacks_fini(async_loop *loop);
/* Takes back every timer, also those that are due: the loop closes, and the memory of some is about to go. */
void aw_timers_drop(async_loop *loop);
void aw_io_fini(async_loop *loop);
void aw_watchers_fini(async_loop *loop);
/* A step took `took` ns: debug mode's complaint. */
void aw_loop_report_slow(async_loop *loop, int64_t took);
/* run_forever without the checks and the running loop's registration, which are the task floor's. */
int aw_loop_run_forever(async_loop *loop);

static inline void aw_handle_list_init(struct async_handle *head)
{
    head->next = head->prev = head;
}

static inline bool aw_handle_list_is_empty(const struct async_handle *head)
{
    return head->next == head;
}

/* Timer without the public checks; `timer` must be idle. */
int aw_loop_start_timer(async_loop *loop, async_timer_handle *timer, int64_t when);

/* Fills and gives a report to the exception handler; `detail` may be NULL. */
void aw_loop_report(async_loop *loop, int error, async_task *task, const char *task_name, const char *birthplace,
                    const char *detail, const char *format, ...) __attribute__((format(printf, 7, 8)));

/* 0, or ASYNC_ETHREAD in debug mode when this is not the loop's thread. */
int aw_loop_check_thread(async_loop *loop, const char *what);

#endif
