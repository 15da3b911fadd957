#!/bin/sh
# Other people's clients against `bobby serve`: OpenAI's, curl, schemathesis, a browser. Their Python
# packages are fetched once into the user's cache; the release binary and the demo model must be there.
# Usage: tools/client_tests.sh [PYTEST ARGUMENTS]   (e.g. -k drafts; without any, the page in a browser too)
set -eu
cd "$(dirname "$0")/.."

requirements=tests/clients/requirements.txt
version=$( (sha256sum "$requirements" 2>/dev/null || shasum -a 256 "$requirements") | cut -c 1-12)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/bobby/clients-$version
if [ ! -f "$folder/ready" ]; then
  echo "clients: making $folder (once)" >&2
  rm -rf "$folder"
  python3 -m venv "$folder"
  "$folder/bin/pip" install -q --disable-pip-version-check -r "$requirements" >&2
  touch "$folder/ready"
fi
"$folder/bin/python" -m pytest -q -c tests/clients/pytest.ini --rootdir tests/clients "$@" tests/clients
[ $# -gt 0 ] && exit 0
"$folder/bin/python" tests/web/page_test.py --bobby build/release/bin/bobby \
  --model "${BOBBY_DEMO_MODEL:-${XDG_DATA_HOME:-$HOME/.local/share}/bobby/models/demo}" -q
