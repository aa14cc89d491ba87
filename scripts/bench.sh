#!/usr/bin/env bash
# The benchmarks: `scripts/bench.sh [load|start|simulated|repair|steady|cold|plan …]`, all of them without arguments.
#
# What is measured is the release program. `cold` also runs Docker Compose where there is one: `docker compose`, `docker-compose`, or
# the program that EVENKEEL_BENCH_COMPOSE names. With EVENKEEL_BENCH_FETCH_COMPOSE=1 a Debian system without one gets Debian's,
# unpacked under target/ and not installed.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly COMPOSE_DIR=$PWD/target/compose

# Takes the package of a newer Debian from the mirror that this system uses; nothing of the system's own package lists changes.
fetch_compose() {
    local program=$COMPOSE_DIR/root/usr/libexec/docker/cli-plugins/docker-compose
    if [ ! -x "$program" ]; then
        local mirror
        # shellcheck disable=SC2016  # The dollar is apt's.
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/*$' | head -n 1)
        mkdir -p "$COMPOSE_DIR/lists" "$COMPOSE_DIR/cache"
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$COMPOSE_DIR/sources.list"
        local options=(-o "Dir::Etc::sourcelist=$COMPOSE_DIR/sources.list" -o Dir::Etc::sourceparts=/dev/null
            -o "Dir::State::lists=$COMPOSE_DIR/lists" -o "Dir::Cache=$COMPOSE_DIR/cache" -o APT::Sandbox::User=root)
        (cd "$COMPOSE_DIR" && apt-get "${options[@]}" -q update && apt-get "${options[@]}" -q download docker-compose) >&2
        dpkg-deb --extract "$COMPOSE_DIR"/docker-compose_*.deb "$COMPOSE_DIR/root"
    fi
    echo "$program"
}

if [ -n "${EVENKEEL_BENCH_FETCH_COMPOSE:-}" ] && ! docker compose version >/dev/null 2>&1 && ! command -v docker-compose >/dev/null; then
    EVENKEEL_BENCH_COMPOSE=$(fetch_compose)
    export EVENKEEL_BENCH_COMPOSE
fi

host=()
with_plan=false
for measurement in "${@:-all}"; do
    case "$measurement" in
        all)
            host=(load start simulated repair steady cold)
            with_plan=true
            ;;
        plan) with_plan=true ;;
        load | start | simulated | repair | steady | cold) host+=("$measurement") ;;
        *)
            echo "bench: there is no measurement \`$measurement\`" >&2
            exit 2
            ;;
    esac
done

if [ "$with_plan" = true ]; then
    cargo bench --locked --package evenkeel --bench plan
fi
if [ "${#host[@]}" -gt 0 ]; then
    cargo bench --locked --package evenkeel --bench host -- "${host[@]}"
fi
