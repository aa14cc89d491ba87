#!/usr/bin/env bash
# Installs npm packages in a folder, once: a stamp says what is there.
#
# usage: npm-install.sh FOLDER PACKAGE@VERSION…
#
# Ends with 0 when they are there, with 2 for wrong use, with 3 where npm or its registry cannot be had.
set -euo pipefail
# shellcheck source=scripts/install-once.sh
. "$(dirname "$0")/install-once.sh"

install_packages() {
    local folder=$1
    shift
    if ! command -v npm >/dev/null; then
        echo "npm-install: there is no npm here" >&2
        return 1
    fi
    echo '{ "private": true }' >"$folder/package.json"
    if ! timeout 600 npm install --prefix "$folder" --save-exact --silent --no-audit --no-fund --fetch-retries 1 "$@" >&2; then
        echo "npm-install: the registry did not give $*" >&2
        return 1
    fi
}

install_once PACKAGE@VERSION "$@"
