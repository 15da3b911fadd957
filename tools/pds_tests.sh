#!/bin/sh
# `bobby data import bluesky` against a real PDS on loopback. The release binary must be there.
# Usage: tools/pds_tests.sh [UNITTEST ARGUMENTS]
set -eu
cd "$(dirname "$0")/.."
BOBBY_PDS=$(tools/pds.sh)
export BOBBY_PDS
exec python3 -B tests/pds/import_test.py "$@"
