/* SPDX-License-Identifier: MIT */
/* Design notes: one of the two places with thread-local state (the other is the task floor's running task),
 * because a failure to make a loop has no loop to keep its sentence in. Nothing depends on it but text. */
#include "base/note.h"

#include <execinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Thread_local struct aw_note aw_note;
_Thread_local bool aw_note_traces;

int aw_note_set(int code, const char *format, ...)
{
    va_list args;

    aw_note.code = code;
    va_start(args, format);
    vsnprintf(aw_note.text, sizeof aw_note.text, format, args);
    va_end(args);
    aw_note.depth = aw_note_traces ? backtrace(aw_note.stack, AW_ARRAY_SIZE(aw_note.stack)) : 0;
    return code;
}

const char *aw_note_stack(char *buf, size_t size)
{
    char **names = aw_note.depth > 0 ? backtrace_symbols(aw_note.stack, aw_note.depth) : NULL;
    size_t used = 0;

    buf[0] = 0;
    for (int i = 1; names && i < aw_note.depth && used < size; i++) /* 0 is aw_note_set itself */
        used += (size_t)snprintf(buf + used, size - used, "%s    in %s", i > 1 ? "\n" : "", names[i]);
    free(names); /* not of the allocator: the C library made it */
    return buf;
}
