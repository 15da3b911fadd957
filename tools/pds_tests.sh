#!/bin/sh
# `bobby data import bluesky`, the client of src/bluesky and `bobby bot` against a real PDS on loopback.
# The release binaries and the demo model must be there.
# Usage: tools/pds_tests.sh [UNITTEST ARGUMENTS]   ("-k Client": those alone whose name has that)
#   BOBBY_BOT_KILLS=200 tools/pds_tests.sh -k Kill   (the daemon killed so often; 24 without that)
set -eu
cd "$(dirname "$0")/.."
BOBBY_PDS=$(tools/pds.sh)
export BOBBY_PDS
exec python3 -B -m unittest discover -s tests/pds -p "*_test.py" "$@"
