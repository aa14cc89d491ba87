#!/usr/bin/env bash
# All tests of the workspace. Tests that need an Engine print a line that begins with SKIPPED: where there is none, and this counts
# them; with CI=true they fail instead. Arguments are passed to `cargo test`.
#
# The last lines are why tests failed, briefly and once more, and "N passed, N failed, N skipped".
set -uo pipefail
cd "$(dirname "$0")/.." || exit

# An Engine where there is none and one can be had; elsewhere the tests say what they skip.
scripts/engine.sh up || echo "tests: no Engine here" >&2
# Most of a black-box test is waiting for containers, so more of them than cores run at once.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-4}

log=$(mktemp)
beside=$(mktemp)
simulation=
trap 'rm -f "$log" "$beside"; [ -z "$simulation" ] || kill -- "-$simulation" 2>/dev/null' EXIT

if [ $# -gt 0 ]; then
    cargo test --workspace --no-fail-fast "$@" 2>&1 | tee "$log"
    code=${PIPESTATUS[0]}
else
    # The simulation has all that it needs but cores, and the others mostly wait for containers: it runs beside them and gives way to them.
    cargo test --workspace --no-run
    code=$?
fi
if [ $# -eq 0 ] && [ "$code" -eq 0 ]; then
    # A process group of its own, to be ended as one; not a session, which the kernel would give as much of the cores as the others' whole.
    set -m
    RUST_TEST_THREADS=2 nice -n 19 cargo test --workspace --test it simulation:: >"$beside" 2>&1 &
    simulation=$!
    set +m
    cargo test --workspace --no-fail-fast -- --skip simulation:: 2>&1 | tee "$log"
    code=${PIPESTATUS[0]}
    wait "$simulation" || code=$?
    simulation=
    tee -a "$log" <"$beside"
fi

# Sums one count of all "test result:" lines.
count_of() {
    sed -n "s/^test result: .* \([0-9][0-9]*\) $1.*/\1/p" "$log" | awk '{ sum += $1 } END { print sum + 0 }'
}

skipped=$(grep --count 'SKIPPED: ' "$log")
passed=$(count_of passed)
failed=$(count_of failed)
ignored=$(count_of ignored)
echo
if [ "$skipped" -gt 0 ]; then
    echo "Skipped, and counted as passed above:"
    grep -o 'SKIPPED: .*' "$log" | sed 's/^SKIPPED: /  /' | sort
    echo
fi
if [ "$failed" -gt 0 ]; then
    echo "Failed, with the whole output above:"
    # What a test said before its backtrace, at most twelve lines of it.
    awk '/^---- .* stdout ----$/ { left = 13 }
         /^stack backtrace:|^note: run with/ { left = 0 }
         left > 0 && NF { print "  " substr($0, 1, 400); left-- }' "$log"
    echo
fi
if [ "$code" -ne 0 ] && [ "$failed" -eq 0 ]; then
    echo "cargo test ended with $code before it had run all tests"
fi
echo "$((passed - skipped)) passed, $failed failed, $((skipped + ignored)) skipped"
exit "$code"
