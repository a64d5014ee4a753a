/* SPDX-License-Identifier: MIT */
/* The parts of `make demo`. Each runs in a process of its own, so that its memory and descriptors are its own. */
#ifndef DEMO_DEMO_H
#define DEMO_DEMO_H

#include <stddef.h>

/* Each returns 0, or a negative code after it has said what went wrong. */
int demo_pages(const char *svg_path);
int demo_crowd(void);
int demo_connections(void);

/* ---- terminal.c ---- */

/* Is somebody looking, so that a line may be drawn over and over? */
int terminal_is_live(void);
void terminal_heading(const char *text);
/* Draws "label [#####-----] 5/10   0.52 s" on the current line. `last` ends the line; without a live terminal only
 * the last one is written. */
void terminal_bar(const char *label, int done, int total, double seconds, int last);
/* "1,000,000"; valid until the eighth call after it. */
const char *terminal_number(long number);

#endif
