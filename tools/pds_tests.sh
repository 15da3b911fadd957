#!/bin/sh
# `bobby data import bluesky` and the client of src/bluesky against a real PDS on loopback. The release
# binaries must be there.
# Usage: tools/pds_tests.sh [UNITTEST ARGUMENTS]   ("-k client": those alone whose name has that)
set -eu
cd "$(dirname "$0")/.."
BOBBY_PDS=$(tools/pds.sh)
export BOBBY_PDS
exec python3 -B -m unittest discover -s tests/pds -p "*_test.py" "$@"
