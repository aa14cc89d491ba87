#!/usr/bin/env bash
# Runs a program that the system ends as soon as whoever started it is gone, however that went: what is killed cannot clean up.
#
# usage: tied.sh SIGNAL PROGRAM [ARGUMENT…]
#
# SIGNAL is what the program gets then: KILL, or TERM if it has something to clean up. Without util-linux it runs as any other does.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: tied.sh SIGNAL PROGRAM [ARGUMENT…]" >&2
    exit 2
fi
signal=$1
shift
if setpriv --pdeathsig "$signal" true 2>/dev/null; then
    exec setpriv --pdeathsig "$signal" "$@"
fi
exec "$@"
