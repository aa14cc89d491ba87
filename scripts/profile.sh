#!/usr/bin/env bash
# Makes the profile by which a release is optimised, benches/profile/evenkeel.profdata, anew: builds the programs so that they count what
# they do, has them do what they are there for, and gathers the counts. Ten to twenty minutes.
#
#   scripts/profile.sh             make it
#   scripts/profile.sh made-with   say what a profile that was made now would be of
#
# To be done for every release, and whenever that has changed: the counts are found by the names of functions, which hold hashes of it. Nothing
# breaks with an old profile: what it does not know is optimised without one.
#
# It needs an `llvm-profdata` of the version of LLVM that rustc has (`rustc -vV`): LLVM_PROFDATA, or one in the path. With
# EVENKEEL_FETCH_LLVM=1 a Debian system on x86_64 gets Debian sid's, unpacked under target/ and not installed.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly PROFILE=benches/profile/evenkeel.profdata MADE_WITH=benches/profile/made-with.txt
readonly COUNTING=$PWD/target/counting LLVM_DIR=$PWD/target/llvm

main() {
    llvm=$(rustc -vV | sed -n 's/^LLVM version: //p')
    find_profdata
    scripts/release.sh counting
    rm -rf "$COUNTING/profiles"
    # Of one program, all processes add to the same files.
    export LLVM_PROFILE_FILE=$COUNTING/profiles/hub-%8m.profraw
    EVENKEEL_HUB=$COUNTING/bare-hub cargo bench --locked --package gateway --bench hub -- calls lists sessions stdio
    export LLVM_PROFILE_FILE=$COUNTING/profiles/evenkeel-%8m.profraw
    train_controller
    # Where one of them has counted nothing there is no file, and no such name.
    "${profdata[@]}" merge -sparse -o "$PROFILE.new" "$COUNTING"/profiles/hub-*.profraw "$COUNTING"/profiles/evenkeel-*.profraw
    mv "$PROFILE.new" "$PROFILE"
    say_made_with >"$MADE_WITH"
    "${profdata[@]}" show "$PROFILE" >&2
}

# What the names of functions depend on: the package's version, the compiler, the way of a release, and all that is built into the program.
say_made_with() {
    echo "version = $(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)"
    rustc -vV | sed -n 's/^\(release\|commit-hash\|host\|LLVM version\): /\1 = /p'
    sed -n '/^\[profile.release\]/,/^\[/{/=/p}' Cargo.toml
    echo "built of = $(cargo tree --locked --package evenkeel --edges normal,features --prefix none | sed 's/ (.*//' | sort -u | sha256sum | cut --characters 1-16)"
}

find_profdata() {
    local major=${llvm%%.*} found
    for found in "${LLVM_PROFDATA:-}" "llvm-profdata-$major" llvm-profdata; do
        if [ -n "$found" ] && "$found" --version 2>/dev/null | grep --quiet "LLVM version $major\."; then
            profdata=("$found")
            return
        fi
    done
    if [ -z "${EVENKEEL_FETCH_LLVM:-}" ]; then
        echo "profile: an llvm-profdata of LLVM $major is needed: LLVM_PROFDATA names one, EVENKEEL_FETCH_LLVM=1 gets Debian's" >&2
        exit 3
    fi
    fetch_llvm "$major"
    "${profdata[@]}" --version >/dev/null
}

# Takes the package, and all that it needs, of the newest Debian from the mirror that this system uses, and runs it with that Debian's own
# libraries; nothing of this system changes.
fetch_llvm() {
    local root=$LLVM_DIR/root program=$LLVM_DIR/root/usr/lib/llvm-$1/bin/llvm-profdata
    local libraries=$root/usr/lib/x86_64-linux-gnu
    if [ ! -x "$program" ]; then
        local mirror
        # shellcheck disable=SC2016  # The dollar is apt's.
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | { grep '/debian/*$' || true; } | head -n 1)
        if [ -z "$mirror" ]; then
            echo "profile: this system has no mirror of Debian" >&2
            exit 3
        fi
        mkdir -p "$LLVM_DIR/lists" "$LLVM_DIR/cache" "$root"
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >"$LLVM_DIR/sources.list"
        : >"$LLVM_DIR/status"
        local options=(-o "Dir::Etc::sourcelist=$LLVM_DIR/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::status=$LLVM_DIR/status"
            -o "Dir::State::lists=$LLVM_DIR/lists" -o "Dir::Cache=$LLVM_DIR/cache" -o APT::Sandbox::User=root)
        (
            cd "$LLVM_DIR"
            apt-get "${options[@]}" --quiet update
            apt-get "${options[@]}" --quiet --yes --no-install-recommends --download-only install "llvm-$1"
        ) >&2
        local package
        for package in "$LLVM_DIR"/cache/archives/*.deb; do
            dpkg-deb --extract "$package" "$root"
        done
    fi
    profdata=("$libraries/ld-linux-x86-64.so.2" --library-path "$libraries:$root/usr/lib/llvm-$1/lib" "$program")
}

# A controller on the simulated Engine, with manifests that change, and the commands that users give it.
train_controller() {
    local folder evenkeel=$COUNTING/evenkeel address=127.0.0.1:17070
    folder=$(mktemp --directory)
    mkdir "$folder/manifests"
    export EVENKEEL_DATA_DIR=$folder/data EVENKEEL_MANIFESTS=$folder/manifests EVENKEEL_LISTEN=$address EVENKEEL_SERVER=http://$address
    export EVENKEEL_ENGINE=simulated EVENKEEL_CONFIG=/dev/null
    write_manifests "$folder/manifests" 1
    "$evenkeel" run --resync 1s --start-concurrency 16 2>"$folder/log" &
    controller=$!
    trap 'kill "$controller" 2>/dev/null || true' EXIT
    local round command
    for round in 2 3 4; do
        sleep 15
        for command in "get all" "get deployments -o json" "describe deployment/app-7" events "plan $folder/manifests" "validate $folder/manifests"; do
            # shellcheck disable=SC2086  # Words.
            "$evenkeel" $command >/dev/null 2>>"$folder/log" || [ $? -eq 1 ] || fail "\`$command\` failed" "$folder/log"
        done
        write_manifests "$folder/manifests" "$round"
    done
    sleep 15
    kill "$controller"
    wait "$controller" || fail "the controller failed" "$folder/log"
    trap - EXIT
    rm -rf "$folder"
}

fail() {
    tail "$2" >&2
    echo "profile: $1" >&2
    exit 1
}

# Sixty applications of up to four containers each, in a network, each with a volume.
write_manifests() {
    local number
    for number in $(seq 60); do
        cat >"$1/app-$number.yaml" <<-MANIFEST
			apiVersion: evenkeel.dev/v1
			kind: Volume
			metadata: { name: data-$number }
			spec: {}
			---
			apiVersion: evenkeel.dev/v1
			kind: Deployment
			metadata: { name: app-$number, labels: { tier: "t$((number % 5))" } }
			spec:
			  image: "app:$(($2 / 2))"
			  replicas: $((1 + (number + $2) % 4))
			  env: { ROUND: "$(($2 / 3))", NUMBER: "$number" }
			  resources: { memory: 64MiB }
			  networks: [back]
			  mounts: [{ volume: "data-$number", path: /data }]
		MANIFEST
    done
    printf 'apiVersion: evenkeel.dev/v1\nkind: Network\nmetadata: { name: back }\nspec: {}\n' >"$1/network.yaml"
}

case "${1:-}" in
    '') main ;;
    made-with) say_made_with ;;
    *)
        sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2
        exit 2
        ;;
esac
