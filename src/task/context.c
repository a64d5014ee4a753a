/* SPDX-License-Identifier: MIT */
/* Design notes: task-local values are an immutable list whose head a new task shares with its creator; setting a value
 * puts a node in front. Reading walks: programs have few variables and set them rarely. A node counts the
 * heads and nodes that point to it. */
#include "task/task.h"

struct aw_context_node {
    struct aw_context_node *next;
    const async_context_var *var;
    void *value;
    void (*free_value)(void *value);
    size_t refs;
};

struct aw_context_node *aw_context_inherit(struct aw_context_node *node)
{
    if (node)
        node->refs++;
    return node;
}

void aw_context_drop(async_loop *loop, struct aw_context_node *node)
{
    while (node && --node->refs == 0) {
        struct aw_context_node *next = node->next;

        if (node->free_value)
            node->free_value(node->value); /* user code */
        aw_free(&loop->allocator, node);
        node = next;
    }
}

int async_context_set(const async_context_var *var, void *value, void (*free_value)(void *value))
{
    async_task *task = aw_thread.task;
    struct aw_context_node *node;

    if (!var)
        return aw_note_set(-EINVAL, "async_context_set: var is NULL");
    if (!task)
        return aw_note_set(ASYNC_ENOTASK, "async_context_set: %s: called outside of a task", var->name);
    node = aw_alloc(&task->loop->allocator, sizeof *node);
    if (!node)
        return aw_note_set(-ENOMEM, "async_context_set: %s: no memory", var->name);
    *node = (struct aw_context_node){ task->values, var, value, free_value, 1 };
    task->values = node;
    return 0;
}

void *async_context_get(const async_context_var *var, const void *fallback)
{
    const struct aw_context_node *node = aw_thread.task ? aw_thread.task->values : NULL;

    while (node && node->var != var)
        node = node->next;
    return node ? node->value : (void *)(uintptr_t)fallback;
}
