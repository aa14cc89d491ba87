#!/usr/bin/env bash
# Brings up manifests/mcp-local/ on a real Engine, lists every tool of its seven servers through the hub, calls one of each, and removes
# all of it again but the image. Servers that may reach the world do, and those on an internal network do not.
#
# Where no Engine answers it starts one, which stays. Prints a line for each server and call; the last line is
# "mcp-local: N servers, N tools, N golden calls". Ends with 1 if anything was not as it should be, and with 3 where the image cannot be made.
#
# Environment: EVENKEEL is the program, where it has been built already; DOCKER_HOST; what mcp-local-image.sh takes
set -euo pipefail
cd "$(dirname "$0")/.."

readonly SERVERS=(everything fetch filesystem git memory sequential-thinking time)
# Of its own, so that nothing of another controller is touched.
readonly INSTANCE=mcp-local-check-$$
readonly PATIENCE_SECS=180

main() {
    local program=${EVENKEEL:-}
    if [ -z "$program" ]; then
        cargo build --quiet --package evenkeel --bin evenkeel
        program=target/debug/evenkeel
    fi
    evenkeel=$(realpath "$program")
    scripts/engine.sh up
    scripts/mcp-local-image.sh
    folder=$(mktemp --directory --tmpdir="$PWD/target" mcp-local-check.XXXXXX)
    trap stop EXIT
    write_workspace
    write_manifests
    start
    await_tools
    local server
    for server in "${SERVERS[@]}"; do
        echo "$server: $(grep --count "^${server}__" "$folder/tools") tools:$(sed -n "s/^${server}__\([^ ]*\).*/ \1/p" "$folder/tools" | tr -d '\n')"
    done
    call_all
    check_profiles
    check_networks
    # The one that was added to show that an internal network is one is not counted.
    echo "mcp-local: ${#SERVERS[@]} servers, $(grep --count --invert-match '^inside__' "$folder/tools") tools, $calls golden calls"
    [ "$faults" -eq 0 ] || { echo "mcp-local: $faults faults" >&2; exit 1; }
}

calls=0
faults=0
controller=

# A directory of the host with a repository in it, as a user of the servers has one.
write_workspace() {
    local workspace=$folder/manifests/workspace
    mkdir -p "$workspace"
    echo "a page of the workspace" >"$workspace/page.txt"
    git -C "$workspace" init --quiet
    git -C "$workspace" add page.txt
    git -C "$workspace" -c user.name=check -c user.email=check@localhost commit --quiet --message "the first commit"
    chmod --recursive a+rX "$folder"
}

# The manifests as they are, in a namespace and on a port of their own, and beside them a web server to fetch from and one more server
# that may not reach it. What fetches refuses private addresses by itself, and here are no others, so it is told not to.
write_manifests() {
    local file port
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    url=http://127.0.0.1:$port/mcp
    for file in manifests/mcp-local/*.yaml; do
        sed -e "s/metadata: { name: /metadata: { namespace: $INSTANCE, name: /" -e "s/127.0.0.1:3010\" }/127.0.0.1:$port\" }/" \
            -e "s/mcp_server_fetch\]/mcp_server_fetch, --allow-private-ips]/" "$file" >"$folder/manifests/${file##*/}"
    done
    local image
    image=$(sed -n 's/^ *image: //p' manifests/mcp-local/20-low.yaml | head --lines=1)
    cat >"$folder/manifests/90-check.yaml" <<YAML
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: { namespace: $INSTANCE, name: web }
spec:
  image: $image
  command: [python3, -m, http.server, "8000", --directory, /workspace]
  networks: [mcp-public]
  mounts: [{ host: ./workspace, path: /workspace, readOnly: true }]
---
apiVersion: evenkeel.dev/v1
kind: McpServer
metadata: { namespace: $INSTANCE, name: inside }
spec:
  image: $image
  command: [python3, -m, mcp_server_fetch, --ignore-robots-txt, --allow-private-ips]
  networks: [mcp-internal]
YAML
}

start() {
    scripts/tied.sh TERM "$evenkeel" --data-dir "$folder/data" --instance "$INSTANCE" --no-color run --listen "unix://$folder/api.sock" \
        --manifests "$folder/manifests" >"$folder/log" 2>&1 &
    controller=$!
}

# Until the hub lists tools of all servers.
await_tools() {
    local deadline=$((SECONDS + PATIENCE_SECS)) server missing
    while true; do
        kill -0 "$controller" 2>/dev/null || fail "the controller has ended"
        mcp tools >"$folder/tools.new" 2>/dev/null || true
        grep -- __ "$folder/tools.new" >"$folder/tools" || true
        missing=
        for server in "${SERVERS[@]}" inside; do
            grep --quiet "^${server}__" "$folder/tools" || missing+=" $server"
        done
        [ -n "$missing" ] || break
        [ "$SECONDS" -lt "$deadline" ] || fail "no tools of$missing"
        sleep 0.5
    done
}

call_all() {
    golden '"timezone": "UTC"' time__get_current_time timezone=UTC
    golden 'a page of the workspace' fetch__fetch url=http://web:8000/page.txt
    golden 'the first commit' git__git_log repo_path=/workspace
    golden 'page.txt' filesystem__list_directory path=/workspace
    mcp call memory__create_entities --json '{"entities":[{"name":"keel","entityType":"part","observations":["is even"]}]}' >/dev/null ||
        wrong "memory__create_entities"
    golden 'is even' memory__read_graph
    golden 'hello' everything__echo message=hello
    golden '"thoughtNumber": 1' sequential-thinking__sequentialthinking \
        --json '{"thought":"one","nextThoughtNeeded":false,"thoughtNumber":1,"totalThoughts":1}'
}

# A call whose answer holds a text.
golden() {
    local text=$1 answer code=0
    shift
    answer=$(mcp call "$@" 2>&1) || code=$?
    if [ "$code" -eq 0 ] && [[ $answer == *"$text"* ]]; then
        calls=$((calls + 1))
        echo "  called $1: $text"
    else
        wrong "$1 ended with $code: $answer"
    fi
}

# Each server is another user than root, may write nowhere but to its own memory and its mounts, and has no rights beyond.
check_profiles() {
    local server found
    for server in "${SERVERS[@]}"; do
        found=$(docker inspect --format '{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}' \
            "$(container "$server")")
        [[ $found == "1001:1001 true [ALL] ["*no-new-privileges*"]" ]] || wrong "$server runs as: $found"
    done
}

# The id of an object's container.
container() {
    docker ps --quiet --filter "label=evenkeel.dev/instance=$INSTANCE" --filter "label=evenkeel.dev/name=$1"
}

# The web server is reached from the network that it is in, by its address too; from the internal one it is not.
check_networks() {
    local address answer code=0
    address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(container web)")
    mcp call fetch__fetch "url=http://$address:8000/page.txt" 2>&1 | grep --quiet 'a page of the workspace' ||
        wrong "the public network does not reach $address"
    answer=$(mcp call inside__fetch "url=http://$address:8000/page.txt" 2>&1) || code=$?
    if [ "$code" -eq 1 ] && [[ $answer != *"a page of the workspace"* ]]; then
        echo "  blocked on the internal network: $(head --lines=1 <<<"$answer")"
    else
        wrong "the internal network reaches $address: $code: $answer"
    fi
}

mcp() {
    "$evenkeel" --data-dir "$folder/data" --no-color mcp "$1" --gateway "$url" "${@:2}"
}

wrong() {
    echo "  WRONG: $*" >&2
    faults=$((faults + 1))
}

fail() {
    echo "mcp-local: $*; the end of the controller's log:" >&2
    tail --lines=30 "$folder/log" >&2
    exit 1
}

# Ends the controller, and removes what bears the instance's label.
stop() {
    local list
    if [ -n "$controller" ]; then
        kill "$controller" 2>/dev/null || true
        wait "$controller" 2>/dev/null || true
    fi
    local filter=label=evenkeel.dev/instance=$INSTANCE
    list=$(docker ps --all --quiet --filter "$filter")
    # shellcheck disable=SC2086 # Ids, a word each.
    [ -z "$list" ] || docker rm --force --volumes $list >/dev/null || true
    list=$(docker network ls --quiet --filter "$filter")
    # shellcheck disable=SC2086
    [ -z "$list" ] || docker network rm $list >/dev/null || true
    list=$(docker volume ls --quiet --filter "$filter")
    # shellcheck disable=SC2086
    [ -z "$list" ] || docker volume rm $list >/dev/null || true
    rm -rf "$folder"
}

main
