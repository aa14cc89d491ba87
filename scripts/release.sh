#!/usr/bin/env bash
# Builds the static release program, checks that it is static, and leaves it at target/static/evenkeel.
#
#   scripts/release.sh          what is released
#   scripts/release.sh demo     the same without the optimisation of the whole, which takes minutes, at target/static/evenkeel-demo
#
# It has a target directory of its own: other RUSTFLAGS in the common one would have everything built again, each time.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly TARGET_DIR=target/static
case "${1:-}" in
    '') readonly PROGRAM=$TARGET_DIR/evenkeel ;;
    demo)
        readonly PROGRAM=$TARGET_DIR/evenkeel-demo
        export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
        ;;
    *)
        sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2
        exit 2
        ;;
esac

# Named, so that the flags concern what is built for the user and not build scripts and macros.
triple=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
    cargo build --release --locked --package evenkeel --bin evenkeel --target "$triple" --target-dir "$TARGET_DIR"

# By rename, so that nobody ever runs, or packs, half a program; and only where it is another one.
built=$TARGET_DIR/$triple/release/evenkeel
if ! cmp --quiet "$built" "$PROGRAM"; then
    cp "$built" "$PROGRAM.new"
    mv "$PROGRAM.new" "$PROGRAM"
fi

# `ldd` ends with 1 for what is not dynamic at all, and with 0 for a static program that can be loaded anywhere.
linkage=$(LC_ALL=C ldd "$PROGRAM" 2>&1 || true)
case "$linkage" in
    *"statically linked"* | *"not a dynamic executable"*) ;;
    *)
        echo "release: $PROGRAM is not static:" >&2
        echo "$linkage" >&2
        exit 1
        ;;
esac
echo "release: $PROGRAM ($(stat --format %s "$PROGRAM" | numfmt --to iec-i --suffix B), static)" >&2
