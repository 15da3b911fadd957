#!/bin/sh
# `bobby model pull` against a hub on loopback, beside huggingface_hub's own library. The Python packages
# are fetched once into the user's cache; the release binary must be there.
# Usage: tools/hub_tests.sh [PYTEST ARGUMENTS]   (e.g. -k kill)
set -eu
cd "$(dirname "$0")/.."

requirements=tests/hub/requirements.txt
version=$( (sha256sum "$requirements" 2>/dev/null || shasum -a 256 "$requirements") | cut -c 1-12)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/bobby/hub-$version
if [ ! -f "$folder/ready" ]; then
  echo "hub: making $folder (once)" >&2
  rm -rf "$folder"
  python3 -m venv "$folder"
  "$folder/bin/pip" install -q --disable-pip-version-check -r "$requirements" >&2
  touch "$folder/ready"
fi
# Most of a case is waiting: more of them at once than there are processors.
exec "$folder/bin/python" -B -m pytest -q -n 6 -c tests/hub/pytest.ini --rootdir tests/hub "$@" tests/hub
