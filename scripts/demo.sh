#!/usr/bin/env bash
# A small platform, reconciled: an Engine where there is none, the program, its own image, and manifests/quickstart.
#
#   scripts/demo.sh up       bring it up
#   scripts/demo.sh clean    remove every trace of it from the Engine (the Engine stays: `scripts/engine.sh down`)
#
# Where no Engine can be had, the demo runs on the simulated one, and says so.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
    up) action=(--manifests manifests/quickstart) ;;
    clean) action=(--clean) ;;
    *)
        sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2
        exit 2
        ;;
esac

options=()
if [ "$1" = clean ]; then
    if ! scripts/engine.sh status; then
        echo "demo: nothing to remove" >&2
        exit 0
    fi
else
    code=0
    scripts/engine.sh up || code=$?
    case $code in
        0) ;;
        3)
            echo "demo: no Engine here, so the demo runs on the simulated one: no container is real" >&2
            options=(--engine simulated)
            ;;
        *) exit "$code" ;;
    esac
fi

scripts/release.sh demo
exec target/static/evenkeel-demo ${options[@]+"${options[@]}"} demo "${action[@]}"
