#!/usr/bin/env bash
# Makes the image of manifests/mcp-local/ where no registry of images can be reached: a small Debian with Python, Git and Node, and in it
# seven servers from PyPI and npm. One image for all of them: what differs is the command.
#
# Needs root, debootstrap, docker, python3 with venv, npm, and mirrors of Debian, PyPI and npm. Everything is kept below target/mcp-local,
# so that a second run makes only what has changed. The servers have exact versions; what they depend on is what was newest.
#
# Ends with 0 when the image is there, with 3 where something that it needs is not.
#
# Environment: EVENKEEL_DEBIAN_MIRROR (default http://deb.debian.org/debian), DOCKER_HOST
set -euo pipefail
cd "$(dirname "$0")/.."

readonly IMAGE=evenkeel.local/mcp:2026.11
# Its Python, which the packages are chosen for, is 3.11.
readonly SUITE=bookworm
readonly MIRROR=${EVENKEEL_DEBIAN_MIRROR:-http://deb.debian.org/debian}
readonly PYTHON_SERVERS=(mcp-server-fetch==2026.10.24 mcp-server-git==2026.10.19 mcp-server-time==2026.10.19)
readonly NODE_SERVERS=(
    @modelcontextprotocol/server-everything@2026.8.31
    @modelcontextprotocol/server-filesystem@2026.8.31
    @modelcontextprotocol/server-memory@2026.8.31
    @modelcontextprotocol/server-sequential-thinking@2026.8.31
)
readonly FOLDER=target/mcp-local
readonly ROOT=$FOLDER/root

main() {
    need_all
    mkdir -p "$FOLDER"
    exec 9>"$FOLDER/lock"
    flock 9
    # This script is all that the image is made of.
    local made_from
    made_from="mcp-local; $(sha256sum <"$0" | cut --characters=1-16)"
    if [ "$(docker image inspect --format '{{.Comment}}' "$IMAGE" 2>/dev/null || true)" = "$made_from" ]; then
        say "$IMAGE is there"
        return
    fi
    install_debian
    install_python_servers
    install_node_servers
    import "$made_from"
    say "made $IMAGE"
}

need_all() {
    local program
    [ "$(id -u)" = 0 ] || cannot "only root can make the folder of a system"
    for program in debootstrap docker npm python3; do
        command -v "$program" >/dev/null || cannot "there is no $program here: apt-get install debootstrap docker.io npm python3-venv"
    done
}

install_debian() {
    [ ! -d "$ROOT" ] || return 0
    rm -rf --one-file-system "$ROOT.new"
    say "installing Debian in $ROOT"
    debootstrap --variant=minbase --include=ca-certificates,git,python3 "$SUITE" "$ROOT.new" "$MIRROR" >"$FOLDER/debootstrap.log" 2>&1 ||
        cannot "debootstrap failed: $FOLDER/debootstrap.log"
    echo 'mcp:x:1001:1001::/tmp:/usr/sbin/nologin' >>"$ROOT.new/etc/passwd"
    echo 'mcp:x:1001:' >>"$ROOT.new/etc/group"
    # A new volume is given to whom its folder in the image belongs to.
    install --directory --owner=1001 --group=1001 "$ROOT.new/data" "$ROOT.new/workspace"
    mv "$ROOT.new" "$ROOT"
}

# Packages for the image's Python, by the host's pip: so the image needs neither pip nor a network while it is made.
install_python_servers() {
    local machine
    machine=$(uname --machine)
    rm -rf "$ROOT/opt/python"
    python3 -m venv "$FOLDER/venv" || cannot "python3 has no venv: apt-get install python3-venv"
    say "installing ${PYTHON_SERVERS[*]}"
    "$FOLDER/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --target "$ROOT/opt/python" \
        --only-binary=:all: --python-version 3.11 --implementation cp \
        --platform "manylinux_2_28_$machine" --platform "manylinux2014_$machine" "${PYTHON_SERVERS[@]}" ||
        cannot "PyPI did not give ${PYTHON_SERVERS[*]}"
    # The root will be read-only: what is not compiled now never is.
    chroot "$ROOT" python3 -m compileall -q /opt/python >/dev/null
}

install_node_servers() {
    say "installing ${NODE_SERVERS[*]}"
    scripts/npm-install.sh "$ROOT/opt/node" "${NODE_SERVERS[@]}"
    cp "$(scripts/node.sh --print process.execPath)" "$ROOT/usr/local/bin/node"
}

import() {
    local changes=(
        --change "USER 1001:1001"
        --change "ENV HOME=/tmp"
        --change "ENV PATH=/opt/node/node_modules/.bin:/usr/local/bin:/usr/bin:/bin"
        --change "ENV PYTHONPATH=/opt/python"
        --change "ENV PYTHONUNBUFFERED=1"
        --change "CMD [\"python3\", \"--version\"]"
    )
    say "importing $IMAGE"
    tar --directory "$ROOT" --create --numeric-owner --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' --exclude='./tmp/*' \
        --exclude='./usr/share/doc/*' --exclude='./usr/share/locale/*' --exclude='./usr/share/man/*' \
        --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' . |
        docker import --message "$1" "${changes[@]}" - "$IMAGE" >/dev/null
}

say() {
    echo "mcp-local-image: $*" >&2
}

cannot() {
    say "$*"
    exit 3
}

main
