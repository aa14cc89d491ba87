#!/usr/bin/env bash
# Runs the server scenarios of the MCP conformance suite against a server that is there.
#
# usage: conformance.sh URL REQUIREMENTS [RESULTS.json]
#
# REQUIREMENTS is a frozen set: 2026-07-28 or 2025-11-25. Prints a line for each scenario, and last a line of counts. Ends with 0 if all that
# is scored has passed, 1 if not, 2 for wrong use, 3 where the suite is not installed and cannot be. Results are, check by check, what a run
# behind a gateway is compared with.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly SUITE=0.2.0-alpha.12
readonly FOLDER=target/conformance

if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    echo "usage: conformance.sh URL REQUIREMENTS [RESULTS.json]" >&2
    exit 2
fi
readonly URL=$1 REQUIREMENTS=$2 RESULTS=${3:-/dev/null}

main() {
    { scripts/npm-install.sh "$FOLDER" "@modelcontextprotocol/conformance@$SUITE" && scripts/node.sh --version >/dev/null; } || {
        echo "conformance $REQUIREMENTS: SKIPPED: npm cannot be had, or cannot reach its registry" >&2
        exit 3
    }
    checks=$(mktemp --directory)
    trap 'rm -rf "$checks"' EXIT
    # Its exit code says less than its checks do: those are read below.
    scripts/tied.sh KILL scripts/node.sh "$FOLDER/node_modules/.bin/conformance" server \
        --url "$URL" --requirements "$REQUIREMENTS" --output-dir "$checks" >"$checks/log" 2>&1 || true
    scripts/node.sh scripts/conformance-summary.mjs \
        "$FOLDER/node_modules" "$REQUIREMENTS" "$checks" "$RESULTS"
}

main
