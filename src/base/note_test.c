/* SPDX-License-Identifier: MIT */
#include "base/note.h"

#include <await/testing.h>
#include <pthread.h>
#include <string.h>

ASYNC_TEST_PLAIN(a_note_keeps_the_code_and_the_sentence)
{
    ASYNC_CHECK_STR(async_last_error(), "");
    ASYNC_CHECK_EQ(aw_note_set(-EIO, "reading %s: %d", "a.txt", 7), -EIO);
    ASYNC_CHECK_EQ(aw_note.code, -EIO);
    ASYNC_CHECK_STR(async_last_error(), "reading a.txt: 7");
}

ASYNC_TEST_PLAIN(a_sentence_that_is_too_long_is_cut)
{
    char longer[2 * sizeof aw_note.text];

    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = 0;
    aw_note_set(-EIO, "%s", longer);
    ASYNC_CHECK_EQ(strlen(aw_note.text), sizeof aw_note.text - 1);
}

static void *fail_elsewhere(void *arg)
{
    ASYNC_CHECK_STR(async_last_error(), "");
    aw_note_set(-EPIPE, "elsewhere");
    ASYNC_CHECK_STR(async_last_error(), "elsewhere");
    return arg;
}

ASYNC_TEST_PLAIN(each_thread_has_a_note_of_its_own)
{
    pthread_t thread;

    aw_note_set(-EIO, "here");
    ASYNC_CHECK_EQ(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
    pthread_join(thread, NULL);
    ASYNC_CHECK_STR(async_last_error(), "here");
}

ASYNC_TEST_PLAIN(a_note_remembers_the_stack_when_asked)
{
    char text[2000];

    aw_note_set(-EIO, "without");
    ASYNC_CHECK_STR(aw_note_stack(text, sizeof text), "");
    aw_note_traces = true;
    aw_note_set(-EIO, "with");
    aw_note_traces = false;
    ASYNC_CHECK_HAS(aw_note_stack(text, sizeof text), "    in ");
}

ASYNC_TEST_PLAIN(a_stack_that_does_not_fit_is_cut)
{
    char text[40];

    aw_note_traces = true;
    aw_note_set(-EIO, "with");
    aw_note_traces = false;
    ASYNC_CHECK(strlen(aw_note_stack(text, sizeof text)) < sizeof text);
}
