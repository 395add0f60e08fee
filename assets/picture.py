#!/usr/bin/env python3
"""Turns a captured terminal screen into an SVG: `tmux capture-pane -e -p | assets/picture.py > assets/console.svg`.

Reads text with SGR sequences on standard input. Only the standard library is used.
"""
import re
import sys
import unicodedata
from html import escape

CELL_W, CELL_H, PAD = 8.4, 18, 14
BASE = [
    "#1b1f27", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4",
    "#5c6370", "#ff7b86", "#b5e890", "#ffd68a", "#7fc1ff", "#d99bea", "#7fd6e0", "#ffffff",
]
FG, BG = "#c8ccd4", "#14171d"


def xterm(n):
    if n < 16:
        return BASE[n]
    if n < 232:
        n -= 16
        level = lambda v: 0 if v == 0 else 55 + 40 * v
        return "#%02x%02x%02x" % (level(n // 36), level(n // 6 % 6), level(n % 6))
    v = 8 + 10 * (n - 232)
    return "#%02x%02x%02x" % (v, v, v)


def width(c):
    if unicodedata.combining(c):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


class Style:
    def __init__(self):
        self.reset()

    def reset(self):
        self.fg = self.bg = None
        self.bold = self.dim = self.italic = self.underline = self.reverse = self.strike = False

    def apply(self, params):
        p = [int(x) if x else 0 for x in params.replace(":", ";").split(";")]
        i = 0
        while i < len(p):
            n = p[i]
            if n == 0: self.reset()
            elif n == 1: self.bold = True
            elif n == 2: self.dim = True
            elif n == 3: self.italic = True
            elif n == 4: self.underline = True
            elif n == 7: self.reverse = True
            elif n == 9: self.strike = True
            elif n == 22: self.bold = self.dim = False
            elif n == 23: self.italic = False
            elif n == 24: self.underline = False
            elif n == 27: self.reverse = False
            elif n == 29: self.strike = False
            elif 30 <= n <= 37: self.fg = BASE[n - 30]
            elif 40 <= n <= 47: self.bg = BASE[n - 40]
            elif 90 <= n <= 97: self.fg = BASE[n - 82]
            elif 100 <= n <= 107: self.bg = BASE[n - 92]
            elif n == 39: self.fg = None
            elif n == 49: self.bg = None
            elif n in (38, 48) and i + 1 < len(p):
                if p[i + 1] == 5 and i + 2 < len(p):
                    colour, step = xterm(p[i + 2]), 2
                elif p[i + 1] == 2 and i + 4 < len(p):
                    colour, step = "#%02x%02x%02x" % tuple(p[i + 2:i + 5]), 4
                else:
                    colour, step = None, 1
                if n == 38: self.fg = colour
                else: self.bg = colour
                i += step
            i += 1

    def key(self):
        fg, bg = self.fg or FG, self.bg or BG
        if self.reverse:
            fg, bg = bg, fg
        return fg, bg, self.bold, self.dim, self.italic, self.underline, self.strike


def main():
    lines = sys.stdin.read().rstrip("\n").split("\n")
    style, rows, columns = Style(), [], 0
    for line in lines:
        runs, x = [], 0
        for part in re.split(r"(\x1b\[[0-9;:]*m)", line):
            if part.startswith("\x1b["):
                style.apply(part[2:-1])
                continue
            for c in re.sub(r"\x1b[^m]*m?", "", part):
                w = width(c)
                if w == 0:
                    continue
                key = style.key()
                # A cell each for what is not ASCII, so that a font with other widths can't shift the rest.
                if runs and runs[-1][2] == key and c.isascii() and runs[-1][1].isascii():
                    runs[-1][1] += c
                else:
                    runs.append([x, c, key])
                x += w
        rows.append(runs)
        columns = max(columns, x)
    w, h = columns * CELL_W + 2 * PAD, len(rows) * CELL_H + 2 * PAD
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" height="{h:.0f}">',
        f'<rect width="100%" height="100%" rx="8" fill="{BG}"/>',
        '<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" xml:space="preserve">',
    ]
    for y, runs in enumerate(rows):
        top = PAD + y * CELL_H
        for x, text, (fg, bg, bold, dim, italic, underline, strike) in runs:
            left = PAD + x * CELL_W
            span = sum(map(width, text)) * CELL_W
            if bg != BG:
                out.append(f'<rect x="{left:.1f}" y="{top:.1f}" width="{span:.1f}" height="{CELL_H}" fill="{bg}"/>')
            if text.strip():
                extra = ""
                if bold: extra += ' font-weight="bold"'
                if italic: extra += ' font-style="italic"'
                if dim: extra += ' opacity="0.6"'
                if underline or strike:
                    extra += f' text-decoration="{"underline" if underline else "line-through"}"'
                out.append(
                    f'<text x="{left:.1f}" y="{top + 13.5:.1f}" textLength="{span:.1f}" lengthAdjust="spacingAndGlyphs" '
                    f'fill="{fg}"{extra}>{escape(text)}</text>'
                )
    out.append("</g></svg>")
    print("\n".join(out))


main()
