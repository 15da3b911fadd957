#!/usr/bin/env python3
"""Writes src/bot/confusables_table.cpp: characters that look like Latin letters.

For developers, when Unicode grows. Two sources, both Unicode's:
- the prototypes of confusables.txt (UTS #39), as ICU's library on this machine has them (uspoof_getSkeleton);
- names: "LATIN SMALL LETTER O WITH STROKE", small capitals, turned, squared, circled and regional letters.
Left out is what the code folds anyway: NFKD, case folding, marks dropped.

Usage: tools/confusables.py | clang-format --assume-filename=src/bot/confusables_table.cpp > src/bot/confusables_table.cpp
"""
import ctypes
import ctypes.util
import re
import string
import sys
import unicodedata

LAST = 0x1FFFF
NAMES = [re.compile(pattern) for pattern in (
    r"LATIN (?:SMALL|CAPITAL) LETTER (?:TURNED |REVERSED |DOTLESS |SIDEWAYS )?([A-Z])(?: WITH .*)?$",
    r"LATIN LETTER SMALL CAPITAL (?:TURNED |REVERSED )?([A-Z])$",
    r"(?:NEGATIVE )?(?:SQUARED|CIRCLED) LATIN CAPITAL LETTER ([A-Z])$",
    r"REGIONAL INDICATOR SYMBOL LETTER ([A-Z])$",
)]


class Skeletons:
    def __init__(self):
        name = ctypes.util.find_library("icui18n")
        if not name:
            sys.exit("confusables: ICU's library is not here (libicu72 or later)")
        self.version = name.rsplit(".", 1)[1]
        self.library = ctypes.CDLL(name)
        opened = getattr(self.library, f"uspoof_open_{self.version}")
        opened.restype = ctypes.c_void_p
        self.checker = ctypes.c_void_p(opened(ctypes.byref(ctypes.c_int(0))))
        self.skeleton = getattr(self.library, f"uspoof_getSkeleton_{self.version}")

    def of(self, character):
        units = character.encode("utf-16-le")
        source = ctypes.create_string_buffer(units + b"\0\0")
        made = ctypes.create_string_buffer(512)
        length = self.skeleton(self.checker, 0, source, len(units) // 2, made, 256, ctypes.byref(ctypes.c_int(0)))
        return without_marks(made.raw[:2 * length].decode("utf-16-le"))


def without_marks(text):
    return "".join(c for c in text if not unicodedata.category(c).startswith("M"))


def folded(character):
    text = unicodedata.normalize("NFKD", character).casefold()
    return without_marks(unicodedata.normalize("NFKD", text))


def table(skeletons):
    prototypes = {}
    for letter in string.ascii_letters:
        prototypes.setdefault(skeletons.of(letter), set()).add(letter.lower())
    for point in range(0x80, LAST + 1):
        character = chr(point)
        if unicodedata.category(character) in ("Cn", "Co", "Cs") or unicodedata.category(character)[0] == "M":
            continue
        letters = set(prototypes.get(skeletons.of(character), ()))
        for pattern in NAMES:
            if named := pattern.match(unicodedata.name(character, "")):
                letters.add(named[1].lower())
        if letters and folded(character) not in letters:
            yield point, "".join(sorted(letters))


def main():
    skeletons = Skeletons()
    rows = list(table(skeletons))
    print(f"""// Written by tools/confusables.py from Unicode's data (confusables.txt by way of ICU {skeletons.version}, and
// names of Unicode {unicodedata.unidata_version}); Copyright Unicode, Inc., under the Unicode License v3.

#include "bot/confusables.h"

#include <algorithm>

namespace bobby::bot {{
namespace {{

struct Row {{
  char32_t character;
  std::string_view letters;
}};

constexpr Row kRows[] = {{""")
    print(", ".join(f'{{0x{point:X}, "{letters}"}}' for point, letters in rows))
    print("""};

}  // namespace

std::string_view looks_like(char32_t c) {
  const auto row = std::ranges::lower_bound(kRows, c, {}, &Row::character);
  return row != std::ranges::end(kRows) && row->character == c ? row->letters : "";
}

}  // namespace bobby::bot""")


main()
