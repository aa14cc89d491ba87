#!/usr/bin/env bash
# Installs Python packages in a virtual environment of their own, once: a stamp says what is there.
#
# usage: pip-install.sh FOLDER PACKAGE==VERSION…
#
# Ends with 0 when FOLDER/venv/bin/python has them, with 2 for wrong use, with 3 where Python's venv or its registry cannot be had.
set -euo pipefail
# shellcheck source=scripts/install-once.sh
. "$(dirname "$0")/install-once.sh"

install_packages() {
    local folder=$1
    shift
    if ! python3 -m venv --clear "$folder/venv" >&2; then
        echo "pip-install: there is no python3 here, or it has no venv" >&2
        return 1
    fi
    if ! timeout 600 "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --retries 1 "$@" >&2; then
        echo "pip-install: the registry did not give $*" >&2
        return 1
    fi
}

install_once PACKAGE==VERSION "$@"
