#!/usr/bin/env bash
# Everything that can be said about the code without running it. Warnings are errors.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --all --check
cargo clippy --workspace --all-targets --locked -- -D warnings

if command -v shellcheck >/dev/null; then
    shellcheck scripts/*.sh .ci/run
else
    echo "lint: shellcheck is not installed: the scripts were not checked" >&2
fi
if command -v cargo-deny >/dev/null; then
    cargo deny check
else
    echo "lint: cargo-deny is not installed: advisories and licences were not checked" >&2
fi
