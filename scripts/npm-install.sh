#!/usr/bin/env bash
# Installs npm packages in a folder, once: a stamp says what is there.
#
# usage: npm-install.sh FOLDER PACKAGE@VERSION…
#
# Ends with 0 when they are there, with 2 for wrong use, with 3 where npm or its registry cannot be had.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: npm-install.sh FOLDER PACKAGE@VERSION…" >&2
    exit 2
fi
folder=$1
shift

mkdir -p "$folder"
# Whoever comes second finds what the first has installed.
exec 9>"$folder/lock"
flock 9
[ "$(cat "$folder/stamp" 2>/dev/null || true)" != "$*" ] || exit 0
if ! command -v npm >/dev/null; then
    echo "npm-install: there is no npm here" >&2
    exit 3
fi
rm -f "$folder/stamp"
echo '{ "private": true }' >"$folder/package.json"
if ! timeout 600 npm install --prefix "$folder" --save-exact --silent --no-audit --no-fund --fetch-retries 1 "$@" >&2; then
    echo "npm-install: the registry did not give $*" >&2
    exit 3
fi
echo "$*" >"$folder/stamp"
