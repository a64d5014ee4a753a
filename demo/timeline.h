/* SPDX-License-Identifier: MIT */
/* Bars over time, as an SVG picture. */
#ifndef DEMO_TIMELINE_H
#define DEMO_TIMELINE_H

#include <stddef.h>

/* Seconds since the beginning of the panel. */
struct timeline_bar {
    double begin;
    double first_byte; /* from here on it is drawn darker */
    double end;
};

struct timeline_panel {
    const char *title;
    double seconds; /* its whole length */
    const struct timeline_bar *bars;
    size_t count;
};

/* All panels share one scale. 0 or -errno. */
int timeline_write(const char *path, const struct timeline_panel *panels, size_t count);

#endif
