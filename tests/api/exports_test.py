"""exports_test.py NM LIBRARY HEADER: libbobby shows the C functions of HEADER and bobby::v1, and nothing else."""

import re
import subprocess
import sys
from pathlib import Path

nm, library, header = sys.argv[1:]
apple = sys.platform == "darwin"  # whose names have one "_" more
options = ["-gU"] if apple else ["-D", "--defined-only"]
lines = subprocess.run([nm, *options, library], check=True, capture_output=True, text=True).stdout
found = {line.split()[-1].removeprefix("_" if apple else "") for line in lines.splitlines() if line.strip()}
declared = set(re.findall(r"\b(bobby_[a-z_]+)\(", re.sub(r"/\*.*?\*/", "", Path(header).read_text(), flags=re.S)))
# The Itanium ABI's names of what lies in bobby::v1, and of its one exception type.
public = re.compile(r"_Z(T[ISV])?NK?5bobby2v1")
c_names = {name for name in found if name.startswith("bobby_")}
others = {name for name in found - c_names if not public.match(name)}
# A sanitizer adds names of its own.
others = {name for name in others if not re.match(r"__(asan|ubsan|tsan|odr_asan)|_?__odr_asan", name)}
problems = ([f"{name} is exported but not declared" for name in sorted(c_names - declared)] +
            [f"{name} is declared but not exported" for name in sorted(declared - c_names)] +
            [f"{name} is exported" for name in sorted(others)])
if not c_names or len(found) == len(c_names):
    problems.append("the C ABI or the C++ API is not there at all")
print("\n".join(problems) or f"{len(found)} names, as intended")
sys.exit(1 if problems else 0)
