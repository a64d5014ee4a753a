/* SPDX-License-Identifier: MIT */
/* Design notes: a bound call is a function of async_def with its arguments, to be started later, once or many times: by
 * async_run before there is a loop, by a server for each connection, with options. It keeps its allocator, because it
 * may be made before the loop that uses it. */
#include "task/task.h"

#include <string.h>

struct aw_call *aw_call_new(int (*thunk)(void *), const void *args, size_t size, const char *name)
{
    async_loop *loop = aw_current_loop();
    const async_allocator *allocator = loop ? &loop->allocator : &aw_allocator_default;
    struct aw_call *call = aw_alloc(allocator, sizeof *call + size);

    if (!call) {
        aw_note_set(-ENOMEM, "%s: no memory for its arguments", name);
        return NULL;
    }
    call->thunk = thunk;
    call->name = name;
    call->size = size;
    call->allocator = *allocator;
    memcpy(call->args, args, size);
    return call;
}

void aw_call_free(struct aw_call *call)
{
    if (call) {
        async_allocator allocator = call->allocator;
        aw_free(&allocator, call);
    }
}

const char *aw_call_name(const struct aw_call *call)
{
    return call->name;
}

async_task *aw_task_create_call(struct aw_call *call, const async_task_options *options)
{
    async_task *task = NULL;

    if (call)
        task = aw_task_new(aw_current_loop(), call->thunk, call->args, call->size, call->name, options);
    aw_call_free(call);
    return task;
}
