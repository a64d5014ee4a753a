/* SPDX-License-Identifier: MIT */
#include <await/testing.h>
#include <string.h>

static async_context_var colour = ASYNC_CONTEXT_VAR("colour");
static async_context_var size = ASYNC_CONTEXT_VAR("size");

static int freed;

static void count_free(void *value)
{
    ASYNC_CHECK(value != NULL);
    freed++;
}

static const char *get(const async_context_var *var)
{
    return async_context_get(var, "none");
}

ASYNC_TEST(a_value_is_seen_where_it_was_set)
{
    ASYNC_CHECK_STR(get(&colour), "none");
    ASYNC_CHECK_EQ(async_context_set(&colour, "red", NULL), 0);
    ASYNC_CHECK_STR(get(&colour), "red");
    ASYNC_CHECK_STR(get(&size), "none");
    ASYNC_CHECK_EQ(async_context_set(&size, "big", NULL), 0);
    ASYNC_CHECK_EQ(async_context_set(&colour, "blue", NULL), 0);
    ASYNC_CHECK_STR(get(&colour), "blue");
    ASYNC_CHECK_STR(get(&size), "big");
}

ASYNC_TEST(null_is_a_value)
{
    ASYNC_CHECK_EQ(async_context_set(&colour, "red", NULL), 0);
    ASYNC_CHECK_EQ(async_context_set(&colour, NULL, NULL), 0);
    ASYNC_CHECK(async_context_get(&colour, "none") == NULL);
}

async_def(sees, const char *, expected)
{
    ASYNC_CHECK_STR(get(&colour), expected);
    if (await_sleep(0.01) < 0)
        return -1;
    ASYNC_CHECK_STR(get(&colour), expected);
    return 0;
}

ASYNC_TEST(a_new_task_sees_the_values_at_its_creation)
{
    async_task *before, *red, *blue;

    before = async_create_task(sees, "none");
    async_context_set(&colour, "red", NULL);
    red = async_create_task(sees, "red");
    async_context_set(&colour, "blue", NULL);
    blue = async_create_task(sees, "blue");
    ASYNC_CHECK_EQ(await_gather(before, red, blue), 0);
}

async_def(sets_its_own)
{
    ASYNC_CHECK_STR(get(&colour), "red");
    ASYNC_CHECK_EQ(async_context_set(&colour, "green", NULL), 0);
    if (await_sleep(0.01) < 0)
        return -1;
    ASYNC_CHECK_STR(get(&colour), "green");
    return await_task(async_create_task(sees, "green"), NULL);
}

ASYNC_TEST(what_a_child_sets_its_parent_and_siblings_do_not_see)
{
    async_context_set(&colour, "red", NULL);
    ASYNC_CHECK_EQ(await_gather(async_create_task(sets_its_own), async_create_task(sets_its_own)), 0);
    ASYNC_CHECK_STR(get(&colour), "red");
}

async_def(holds_values)
{
    return await_sleep(1);
}

async_def(sets_values_and_makes_children)
{
    async_context_set(&colour, "red", count_free);
    async_context_set(&colour, "blue", count_free); /* the first one is behind it, and freed with it */
    async_task_unref(async_create_task(holds_values));
    async_task_unref(async_create_task(holds_values));
    return 0;
}

ASYNC_TEST_ON("sim", a_value_is_freed_once_when_no_task_can_see_it)
{
    ASYNC_CHECK_EQ(await_task(async_create_task(sets_values_and_makes_children), NULL), 0);
    ASYNC_CHECK_EQ(await_sleep(0.5), 0);
    ASYNC_CHECK_EQ(freed, 0);
    ASYNC_CHECK_EQ(await_sleep(1), 0);
    ASYNC_CHECK_EQ(freed, 2);
}

ASYNC_TEST(a_thousand_tasks_share_a_value)
{
    async_task *tasks[1000];

    async_context_set(&colour, "shared", NULL);
    for (int i = 0; i < 1000; i++)
        tasks[i] = async_create_task(sees, "shared");
    ASYNC_CHECK_EQ(await_gather_all(tasks, 1000), 0);
}

/* Each passes its values to the next one, so that the last one has a chain of a thousand. */
async_def(pass_on, int, depth)
{
    async_context_set(&colour, "chain", count_free);
    return depth == 0 ? 0 : await_task(async_create_task(pass_on, depth - 1), NULL);
}

ASYNC_TEST(a_thousand_values_deep_all_are_freed)
{
    ASYNC_CHECK_EQ(await_task(async_create_task(pass_on, 999), NULL), 0);
    ASYNC_CHECK_EQ(await_sleep(0), 0);
    ASYNC_CHECK_EQ(freed, 1000);
}

ASYNC_TEST_PLAIN(closing_the_loop_frees_the_values_of_tasks_that_have_not_ended)
{
    async_loop *loop = async_loop_new(async_test_options());

    async_set_running_loop(loop);
    async_task_unref(async_create_task(sets_values_and_makes_children));
    ASYNC_CHECK_EQ(async_loop_turn(loop, 0), 1);
    async_set_running_loop(NULL);
    ASYNC_CHECK_EQ(freed, 0);
    async_loop_close(loop);
    ASYNC_CHECK_EQ(freed, 2);
    ASYNC_CHECK_EQ(async_test_reports(), 2);
}

ASYNC_TEST_PLAIN(outside_of_a_task_there_are_no_values)
{
    ASYNC_CHECK_EQ(async_context_set(&colour, "red", count_free), ASYNC_ENOTASK);
    ASYNC_CHECK_HAS(async_last_error(), "colour");
    ASYNC_CHECK_STR(get(&colour), "none");
    ASYNC_CHECK_EQ(freed, 0);
}

ASYNC_TEST(wrong_arguments_and_missing_memory_leave_the_value_with_the_caller)
{
    ASYNC_CHECK_EQ(async_context_set(NULL, "red", count_free), -EINVAL);
    async_test_fail_allocation(1, 0);
    ASYNC_CHECK_EQ(async_context_set(&colour, "red", count_free), -ENOMEM);
    ASYNC_CHECK_STR(get(&colour), "none");
    ASYNC_CHECK_STR(async_context_get(NULL, "none"), "none");
    ASYNC_CHECK_EQ(freed, 0);
}
