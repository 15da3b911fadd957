"""Five seconds of bench/load.py: nothing lost, nothing crossed, rows freed, a clean end."""

import subprocess
import sys

from bobby_server import BOBBY, DEMO, ROOT


def test_forty_clients_for_five_seconds():
    result = subprocess.run([sys.executable, ROOT / "bench/load.py", "--bobby", BOBBY, "--model", DEMO, "--clients", "40",
                             "--seconds", "5", "--jobs", "12"], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "| answered |" in result.stdout
