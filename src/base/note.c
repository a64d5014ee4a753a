/* SPDX-License-Identifier: MIT */
/* Design notes: one of the two places with thread-local state (the other is the task floor's running task),
 * because a failure to make a loop has no loop to keep its sentence in. Nothing depends on it but text. */
#include "base/note.h"

#include <stdarg.h>
#include <stdio.h>

_Thread_local struct aw_note aw_note;

int aw_note_set(int code, const char *format, ...)
{
    va_list args;

    aw_note.code = code;
    va_start(args, format);
    vsnprintf(aw_note.text, sizeof aw_note.text, format, args);
    va_end(args);
    return code;
}
