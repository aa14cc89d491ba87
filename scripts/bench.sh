#!/usr/bin/env bash
# The benchmarks: `scripts/bench.sh [load|start|attach|contained|bridge|simulated|repair|steady|cold|plan|hub …]`, all of them without arguments.
#
# What is measured is the release program. `cold` also runs Docker Compose where there is one: `docker compose`, `docker-compose`, or
# the program that EVENKEEL_BENCH_COMPOSE names. With EVENKEEL_BENCH_FETCH_COMPOSE=1 a Debian system without one gets Debian's,
# unpacked under target/ and not installed.
#
# `hub` puts the MCP hub beside nginx (`nginx`, or what EVENKEEL_BENCH_NGINX names) and beside the gateways `mcp-proxy` and `fastmcp` (or what
# EVENKEEL_BENCH_MCP_PROXY and EVENKEEL_BENCH_FASTMCP name). EVENKEEL_BENCH_FETCH_GATEWAYS=1 gets Debian's nginx and PyPI's gateways, under
# target/ and not installed.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly COMPOSE_DIR=$PWD/target/compose
readonly GATEWAYS_DIR=$PWD/target/gateways
readonly FASTMCP=3.4.11 MCP_PROXY=0.13.0

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

# The program of the package, which is unpacked and not installed: no service is begun.
fetch_nginx() {
    local program=$GATEWAYS_DIR/nginx/usr/sbin/nginx
    if [ ! -x "$program" ]; then
        mkdir -p "$GATEWAYS_DIR"
        (cd "$GATEWAYS_DIR" && apt-get -q -o APT::Sandbox::User=root download nginx) >&2
        dpkg-deb --extract "$GATEWAYS_DIR"/nginx_*.deb "$GATEWAYS_DIR/nginx"
    fi
    echo "$program"
}

# The folder of the programs of the gateways.
fetch_gateways() {
    local environment=$GATEWAYS_DIR/fastmcp-$FASTMCP-mcp-proxy-$MCP_PROXY
    if [ ! -x "$environment/bin/mcp-proxy" ]; then
        python3 -m venv "$environment" >&2
        "$environment/bin/pip" install --quiet --disable-pip-version-check "fastmcp==$FASTMCP" "mcp-proxy==$MCP_PROXY" >&2
    fi
    echo "$environment/bin"
}

# Finds what the hub is put beside, builds the hub as it is released, and runs.
bench_hub() {
    local nginx=${EVENKEEL_BENCH_NGINX:-$(command -v nginx || true)}
    local fastmcp=${EVENKEEL_BENCH_FASTMCP:-$(command -v fastmcp || true)}
    local mcp_proxy=${EVENKEEL_BENCH_MCP_PROXY:-$(command -v mcp-proxy || true)}
    if [ -n "${EVENKEEL_BENCH_FETCH_GATEWAYS:-}" ]; then
        local gateways
        gateways=$(fetch_gateways)
        nginx=${nginx:-$(fetch_nginx)} fastmcp=${fastmcp:-$gateways/fastmcp} mcp_proxy=${mcp_proxy:-$gateways/mcp-proxy}
    fi
    [ -z "$nginx" ] || export EVENKEEL_BENCH_NGINX=$nginx
    [ -z "$fastmcp" ] || export EVENKEEL_BENCH_FASTMCP=$fastmcp
    [ -z "$mcp_proxy" ] || export EVENKEEL_BENCH_MCP_PROXY=$mcp_proxy
    scripts/release.sh hub
    export EVENKEEL_HUB=$PWD/target/static/bare-hub
    cargo bench --locked --package gateway --bench hub
    # On one core no message wakes an idle one, which takes as long as a list, or not, from one round to the next.
    if command -v taskset >/dev/null; then
        echo "Once more, all on one core:"
        taskset --cpu-list 0 cargo bench --locked --package gateway --bench hub -- calls lists sessions
    fi
}

host=()
with_plan=false
with_hub=false
for measurement in "${@:-all}"; do
    case "$measurement" in
        all)
            host=(load start attach contained bridge simulated repair steady cold)
            with_plan=true
            with_hub=true
            ;;
        plan) with_plan=true ;;
        hub) with_hub=true ;;
        load | start | attach | contained | bridge | simulated | repair | steady | cold) host+=("$measurement") ;;
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
    scripts/release.sh
    export EVENKEEL_RELEASED=$PWD/target/static/evenkeel
    cargo bench --locked --package evenkeel --bench host -- "${host[@]}"
fi
if [ "$with_hub" = true ]; then
    bench_hub
fi
