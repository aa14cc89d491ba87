#!/usr/bin/env bash
# Runs the MCP conformance suite against the fixture alone, and against the same fixture behind the hub, over HTTP and over standard
# streams, with both frozen sets of requirements. No check that passes alone may be lost behind the hub.
#
# Prints a line for each run and one for each check that was lost; the last line is "conformance: N runs, N checks lost". Ends with 1 if
# any was lost, or one fails alone, and with 3 where the suite cannot be had.
#
# Environment: EVENKEEL_FIXTURE and EVENKEEL_HUB are the programs, where they have been built already.
set -euo pipefail
cd "$(dirname "$0")/.."

main() {
    find_programs
    folder=$(mktemp --directory)
    trap stop EXIT
    local set lost=0 runs=0 transport check
    scripts/tied.sh KILL "$fixture" http --listen 127.0.0.1:0 --era both >"$folder/fixture" 2>/dev/null &
    pids+=($!)
    local alone
    alone=$(first_line "$folder/fixture")
    local over_stdio="fixture=stdio:$fixture,stdio,--era,both"
    start_hub http "fixture=$alone"
    start_hub stdio-2026-07-28 "$over_stdio"
    # A server over standard streams knows one client in this era: each session has one to itself.
    start_hub stdio-2025-11-25 isolation=session "$over_stdio"
    start_hub stdio-of-its-era-2025-11-25 isolation=session "${over_stdio/both/legacy}"
    for set in 2026-07-28 2025-11-25; do
        run "alone" "${alone/127.0.0.1/localhost}" "$set" "$folder/alone-$set.json"
        for transport in http stdio stdio-of-its-era; do
            local hub=$folder/$transport-$set
            [ "$transport" != http ] || hub=$folder/http
            [ -f "$hub" ] || continue
            hub=$(first_line "$hub")
            run "behind the hub over $transport" "${hub/127.0.0.1/localhost}/fixture" "$set" "$folder/$transport-$set.json"
            runs=$((runs + 1))
            # An assignment of its own, so that what fails in it ends all of this.
            local lost_list
            lost_list=$(lost_checks "$folder/alone-$set.json" "$folder/$transport-$set.json")
            while read -r check; do
                [ -n "$check" ] || continue
                echo "  LOST over $transport with $set: $check"
                lost=$((lost + 1))
            done <<<"$lost_list"
        done
    done
    echo "conformance: $runs runs, $lost checks lost"
    [ "$lost" -eq 0 ]
}

# Starts a hub before the servers that are named, whose first line goes to a file of this name.
start_hub() {
    scripts/tied.sh KILL "$hub_program" 127.0.0.1:0 "${@:2}" >"$folder/$1" 2>/dev/null &
    pids+=($!)
}

pids=()

find_programs() {
    fixture=${EVENKEEL_FIXTURE:-target/debug/mcp-fixture}
    hub_program=${EVENKEEL_HUB:-target/debug/bare-hub}
    [ -n "${EVENKEEL_FIXTURE:-}" ] || cargo build --quiet --package mcp-fixture --bin mcp-fixture
    [ -n "${EVENKEEL_HUB:-}" ] || cargo build --quiet --package bare-hub
}

stop() {
    kill "${pids[@]}" 2>/dev/null || true
    rm -rf "$folder"
}

# The first line of a file that is being written, within ten seconds.
first_line() {
    local attempt line
    for attempt in $(seq 100); do
        line=$(head --lines=1 "$1" 2>/dev/null || true)
        [ -z "$line" ] || break
        sleep 0.1
    done
    [ -n "$line" ] || { echo "nothing listens: $1 after $attempt looks" >&2; return 1; }
    echo "$line"
}

# Runs the suite; what fails behind the hub is told by the comparison, what fails alone or cannot be run ends all of this.
run() {
    local what=$1 url=$2 set=$3 results=$4 code=0
    scripts/tied.sh TERM scripts/conformance.sh "$url" "$set" "$results" >"$folder/log" || code=$?
    [ "$code" -le 1 ] || exit "$code"
    echo "$(tail --lines=1 "$folder/log") ($what)"
    if [ "$code" -ne 0 ] && [ "$what" = alone ]; then
        cat "$folder/log" >&2
        exit 1
    fi
}

# The scored checks that passed alone and neither passed nor only inform behind the hub, as SCENARIO/CHECK.
lost_checks() {
    # shellcheck disable=SC2016 # The program is JavaScript.
    scripts/node.sh --input-type=module -e '
        import { readFileSync } from "node:fs";
        const [alone, behind] = process.argv.slice(1).map((file) => JSON.parse(readFileSync(file, "utf8")).checks);
        const key = (check) => `${check.scenario}/${check.id}`;
        const passed = alone.filter((c) => c.scored && c.status === "SUCCESS");
        if (passed.length === 0) throw new Error("nothing that is scored passed alone");
        const kept = new Set(behind.filter((c) => ["SUCCESS", "INFO"].includes(c.status)).map(key));
        const failed = new Set(behind.filter((c) => c.status === "FAILURE").map(key));
        const lost = passed.filter((c) => !kept.has(key(c)) || failed.has(key(c)));
        for (const check of new Set(lost.map(key))) console.log(check);
    ' "$1" "$2"
}

main
