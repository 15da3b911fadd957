"""guides_test.py SOURCE: every snippet of the guides to the library stands, word for word, in a file of examples/.

Those are compiled and run by api.package. Where lines break may differ.
"""

import re
import sys
from pathlib import Path

source = Path(sys.argv[1])
FILES = {"cpp": ("cpp", "*.cpp"), "c": ("c", "*.c"), "cmake": ("*", "CMakeLists.txt")}


def plain(text):
    return " ".join(text.split())


failures, snippets = [], 0
for guide in ("cpp-api.md", "c-api.md"):
    text = (source / "docs/guides" / guide).read_text()
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, flags=re.S | re.M):
        language, snippet = match.groups()
        where = f"docs/guides/{guide}:{text[:match.start()].count(chr(10)) + 1}"
        if language not in FILES:
            failures.append(f"{where}: a snippet in '{language}', which nothing checks")
            continue
        folder, pattern = FILES[language]
        snippets += 1
        if not any(plain(snippet) in plain(file.read_text()) for file in (source / "examples").glob(f"{folder}/{pattern}")):
            failures.append(f"{where}: is in no example:\n{snippet}")
if snippets == 0:
    failures.append("the guides have no snippets")
print("\n".join(failures) or f"{snippets} snippets, all in examples/")
sys.exit(1 if failures else 0)
