/* SPDX-License-Identifier: MIT */
/* Design notes: plain SVG without scripts or fonts of its own, so that every browser shows it. Light and dark are
 * both served by a media query. */
#include "timeline.h"

#include <errno.h>
#include <stdio.h>

enum { WIDTH = 960, LEFT = 60, RIGHT = 30, ROW = 13, BAR = 9, HEAD = 52, FOOT = 34 };

static const char style[] =
    "<style>\n"
    "text { font: 12px sans-serif; fill: #333 } .title { font-size: 15px; font-weight: bold }\n"
    ".wait { fill: #9ec5e8 } .read { fill: #1f6fb2 } .grid { stroke: #ddd } .page { fill: #fff }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "  text { fill: #ddd } .grid { stroke: #444 } .page { fill: #181818 }\n"
    "  .wait { fill: #365f82 } .read { fill: #6db3ee }\n"
    "}\n"
    "</style>\n";

static double panel_height(const struct timeline_panel *panel)
{
    return HEAD + (double)panel->count * ROW + FOOT;
}

static double x_of(double seconds, double scale)
{
    return LEFT + seconds * scale;
}

static void write_grid(FILE *file, double top, double height, double longest, double scale)
{
    double step = longest > 2 ? 0.5 : 0.1;

    for (int i = 0; i * step <= longest; i++) {
        double x = x_of(i * step, scale);

        fprintf(file, "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", x, top + HEAD - 6, x,
                top + height - FOOT);
        fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.1f s</text>\n", x, top + height - FOOT + 16,
                i * step);
    }
}

static void write_bar(FILE *file, const char *what, double begin, double end, double y, double scale)
{
    fprintf(file, "<rect class=\"%s\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%d\" rx=\"1\"/>\n", what,
            x_of(begin, scale), y, (end - begin) * scale, BAR);
}

static void write_panel(FILE *file, const struct timeline_panel *panel, double top, double longest, double scale)
{
    fprintf(file, "<text class=\"title\" x=\"%d\" y=\"%.1f\">%s: %.2f s</text>\n", LEFT, top + 30, panel->title,
            panel->seconds);
    write_grid(file, top, panel_height(panel), longest, scale);
    for (size_t i = 0; i < panel->count; i++) {
        const struct timeline_bar *bar = &panel->bars[i];
        double y = top + HEAD + (double)i * ROW;

        fprintf(file, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">/%zu</text>\n", LEFT - 8, y + BAR, i);
        write_bar(file, "wait", bar->begin, bar->first_byte, y, scale);
        write_bar(file, "read", bar->first_byte, bar->end, y, scale);
    }
}

static int finish(FILE *file)
{
    int failed = ferror(file);

    return fclose(file) != 0 || failed ? -EIO : 0;
}

int timeline_write(const char *path, const struct timeline_panel *panels, size_t count)
{
    FILE *file = fopen(path, "w");
    double height = 30, longest = 0.001, scale, top = 0;

    if (!file)
        return -errno;
    for (size_t i = 0; i < count; i++) {
        height += panel_height(&panels[i]);
        longest = panels[i].seconds > longest ? panels[i].seconds : longest;
    }
    scale = (WIDTH - LEFT - RIGHT) / longest;
    fprintf(file, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\">\n%s", WIDTH, height,
            WIDTH, style);
    fprintf(file, "<rect class=\"page\" width=\"100%%\" height=\"100%%\"/>\n");
    for (size_t i = 0; i < count; i++) {
        write_panel(file, &panels[i], top, longest, scale);
        top += panel_height(&panels[i]);
    }
    fprintf(file, "<rect class=\"wait\" x=\"%d\" y=\"%.1f\" width=\"20\" height=\"%d\"/>", LEFT, top + 4, BAR);
    fprintf(file, "<text x=\"%d\" y=\"%.1f\">waiting for the first byte</text>\n", LEFT + 28, top + 4 + BAR);
    fprintf(file, "<rect class=\"read\" x=\"%d\" y=\"%.1f\" width=\"20\" height=\"%d\"/>", LEFT + 220, top + 4, BAR);
    fprintf(file, "<text x=\"%d\" y=\"%.1f\">receiving</text>\n</svg>\n", LEFT + 248, top + 4 + BAR);
    return finish(file);
}
