/* SPDX-License-Identifier: MIT */
/* The newest failure's sentence on this thread, which async_last_error() shows. Like errno it belongs to a
 * thread; the task floor keeps it with its task while that is suspended. */
#ifndef AW_BASE_NOTE_H
#define AW_BASE_NOTE_H

#include "base/base.h"

struct aw_note {
    int code; /* 0: nothing has failed */
    char text[240];
    int depth; /* of `stack`; 0 outside of debug mode */
    void *stack[12];
};

extern _Thread_local struct aw_note aw_note;

/* Debug mode: each sentence remembers the stack of the call that failed. */
extern _Thread_local bool aw_note_traces;

/* The remembered stack as text, one frame a line, into buf; "" if there is none. */
const char *aw_note_stack(char *buf, size_t size);

/* Writes the sentence and returns the code. */
int aw_note_set(int code, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

#endif
