#!/usr/bin/env bash
# Runs the MCP conformance suite against the fixture alone, and against the same fixture behind the hub, over HTTP and over standard
# streams, with both frozen sets of requirements. No check that passes alone may be lost behind the hub.
#
# Prints a line for each run and one for each check that was lost; the last line is "conformance: N runs, N checks lost". Ends with 1 if
# any was lost that is not known, or one that is known to be was not, or one fails alone, and with 3 where the suite cannot be had.
#
# Environment: EVENKEEL_FIXTURE and EVENKEEL_HUB are the programs, where they have been built already.
set -euo pipefail
cd "$(dirname "$0")/.."

# Of a server that several sessions share over standard streams: what it logs could be anybody's, and goes to nobody.
readonly KNOWN=("stdio 2025-11-25 tools-call-with-logging/tools-call-with-logging")

main() {
    find_programs
    folder=$(mktemp --directory)
    trap stop EXIT
    local set lost=0 runs=0 transport check known
    scripts/tied.sh KILL "$fixture" http --listen 127.0.0.1:0 --era both >"$folder/fixture" 2>/dev/null &
    pids+=($!)
    local alone
    alone=$(first_line "$folder/fixture")
    for transport in http stdio; do
        local server=("fixture=$alone")
        # A server over standard streams knows one client: each session has one to itself.
        [ "$transport" = http ] || server=(isolation=session "fixture=stdio:$fixture,stdio,--era,both")
        scripts/tied.sh KILL "$hub_program" 127.0.0.1:0 "${server[@]}" >"$folder/$transport" 2>/dev/null &
        pids+=($!)
    done
    for set in 2026-07-28 2025-11-25; do
        run "alone" "${alone/127.0.0.1/localhost}" "$set" "$folder/alone-$set.json"
        for transport in http stdio; do
            local hub
            hub=$(first_line "$folder/$transport")
            run "behind the hub over $transport" "${hub/127.0.0.1/localhost}/fixture" "$set" "$folder/$transport-$set.json"
            runs=$((runs + 1))
            # An assignment of its own, so that what fails in it ends all of this.
            local lost_list
            lost_list=$(lost_checks "$folder/alone-$set.json" "$folder/$transport-$set.json")
            while read -r check; do
                [ -n "$check" ] || continue
                if printf '%s\n' "${KNOWN[@]}" | grep --quiet --line-regexp --fixed-strings "$transport $set $check"; then
                    echo "  known to be lost over $transport with $set: $check"
                else
                    echo "  LOST over $transport with $set: $check"
                    lost=$((lost + 1))
                fi
            done <<<"$lost_list"
            for known in "${KNOWN[@]}"; do
                [[ $known == "$transport $set "* ]] || continue
                if ! grep --quiet --line-regexp --fixed-strings "${known#"$transport $set "}" <<<"$lost_list"; then
                    echo "  NOT LOST ANY MORE: $known"
                    lost=$((lost + 1))
                fi
            done
        done
    done
    echo "conformance: $runs runs, $lost checks lost"
    [ "$lost" -eq 0 ]
}

pids=()

find_programs() {
    fixture=${EVENKEEL_FIXTURE:-target/debug/mcp-fixture}
    hub_program=${EVENKEEL_HUB:-target/debug/examples/hub}
    [ -n "${EVENKEEL_FIXTURE:-}" ] || cargo build --quiet --package mcp-fixture --bin mcp-fixture
    [ -n "${EVENKEEL_HUB:-}" ] || cargo build --quiet --package gateway --example hub
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
