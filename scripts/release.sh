#!/usr/bin/env bash
# Builds the static release program, checks that it is static, and leaves it at target/static/evenkeel.
#
#   scripts/release.sh            what is released: optimised as a whole, and by the profile in benches/profile
#   scripts/release.sh demo       the same without either, which takes minutes, at target/static/evenkeel-demo
#   scripts/release.sh hub        the bare hub of tests and measurements, built as what is released, at target/static/bare-hub, and beside it
#                                 counted-hub, the same that counts what it has allocated
#   scripts/release.sh counting   both as released, and writing profiles, at target/counting: for scripts/profile.sh
#
# It has a target directory of its own: other RUSTFLAGS in the common one would have everything built again, each time.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly PROFILE=benches/profile/evenkeel.profdata
target_dir=target/static
# Separated as Cargo wants flags that may hold spaces, as paths may.
separator=$'\x1f'
flags=-C${separator}target-feature=+crt-static
for flag in ${RUSTFLAGS:-}; do
    flags+=$separator$flag
done
packages=(--package evenkeel)

# Cargo builds again when the file has changed.
use_profile() {
    flags+=${separator}-Cprofile-use=$PWD/$PROFILE
    if ! diff benches/profile/made-with.txt <(scripts/profile.sh made-with) >&2; then
        echo "release: the profile was made with something else, and has little or no effect: \`make profile\` makes it anew" >&2
    fi
}

case "${1:-}" in
    '')
        programs=(evenkeel:evenkeel)
        use_profile
        ;;
    demo)
        programs=(evenkeel:evenkeel-demo)
        export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
        ;;
    hub)
        programs=(bare-hub:bare-hub counted-hub:counted-hub)
        # Beside the other, not alone: by what is built together Cargo decides the features of what both use, and by those its names.
        packages+=(--package bare-hub)
        use_profile
        ;;
    counting)
        programs=(evenkeel:evenkeel bare-hub:bare-hub)
        packages+=(--package bare-hub)
        target_dir=target/counting
        flags+=${separator}-Cprofile-generate=$PWD/$target_dir/profiles
        ;;
    *)
        sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2
        exit 2
        ;;
esac

bins=()
for program in "${programs[@]}"; do
    bins+=(--bin "${program%:*}")
done
# Named, so that the flags concern what is built for the user and not build scripts and macros.
triple=$(rustc -vV | sed -n 's/^host: //p')
CARGO_ENCODED_RUSTFLAGS=$flags cargo build --release --locked "${packages[@]}" "${bins[@]}" --target "$triple" --target-dir "$target_dir"

for program in "${programs[@]}"; do
    # By rename, so that nobody ever runs, or packs, half a program; and only where it is another one.
    built=$target_dir/$triple/release/${program%:*}
    program=$target_dir/${program#*:}
    if ! cmp --quiet "$built" "$program"; then
        cp "$built" "$program.new"
        mv "$program.new" "$program"
    fi

    # `ldd` ends with 1 for what is not dynamic at all, and with 0 for a static program that can be loaded anywhere.
    linkage=$(LC_ALL=C ldd "$program" 2>&1 || true)
    case "$linkage" in
        *"statically linked"* | *"not a dynamic executable"*) ;;
        *)
            echo "release: $program is not static:" >&2
            echo "$linkage" >&2
            exit 1
            ;;
    esac
    echo "release: $program ($(stat --format %s "$program" | numfmt --to iec-i --suffix B), static)" >&2
done
