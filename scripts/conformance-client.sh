#!/usr/bin/env bash
# Runs the client scenarios of the MCP conformance suite: against what the hub sends to its servers, and against the bridge.
#
# The suite starts a server for each scenario and looks at what a client sends to it. Here that is the bare hub, with that server behind
# it and a client of the TypeScript SDK before it, and the bridge, with that server for its gateway.
#
# Prints a line for each scenario that was run and each check that failed; the last line is "conformance-client: N runs, N checks failed".
# Ends with 1 if any failed that is not known to, or one that is known to did not, and with 3 where the suite cannot be had.
#
# Environment: EVENKEEL_HUB and EVENKEEL are the programs, where they have been built already; without the latter the bridge is left out.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly SUITE=0.2.0-alpha.12
readonly CLIENT=(target/clients/typescript @modelcontextprotocol/client@2.4.0 @modelcontextprotocol/sdk@1.32.2)

main() {
    { scripts/npm-install.sh target/conformance "@modelcontextprotocol/conformance@$SUITE" && scripts/npm-install.sh "${CLIENT[@]}" &&
        scripts/node.sh --version >/dev/null; } || {
        echo "conformance-client: SKIPPED: npm cannot be had, or cannot reach its registry" >&2
        exit 3
    }
    [ -n "${EVENKEEL_HUB:-}" ] || cargo build --quiet --package bare-hub
    export EVENKEEL_HUB=${EVENKEEL_HUB:-target/debug/bare-hub}
    folder=$(mktemp --directory)
    trap 'rm -rf "$folder"' EXIT
    # Answers that the bridge keeps for later are of no use to the next scenario.
    export XDG_CACHE_HOME=$folder/cache
    # Half of all the work is otherwise to compile the same programs again and again.
    export NODE_COMPILE_CACHE=$folder/compiled
    scripts/node.sh scripts/conformance-client.mjs target/conformance/node_modules "${CLIENT[0]}/node_modules" "$folder"
}

main
