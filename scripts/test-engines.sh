#!/usr/bin/env bash
# The Engine tests on every Engine that matters: the host's, and the newest that Debian has (from its unstable suite, "sid"), with
# the classic and with the containerd image store. The newest one runs beside the host's, in a chroot and a network namespace.
#
#   scripts/test-engines.sh               run the tests on each, print a table
#   scripts/test-engines.sh shell STORE   bring up the newest with STORE (classic or containerd), run $SHELL, tear it down
#
# Needs root on Debian or Ubuntu, about 1 GiB of disk and, the first time, Debian's mirror. Not part of CI.
#
# Environment:
#   XDG_CACHE_HOME             where the system of the newest Engine is kept, in evenkeel/ (default /var/cache)
#   EVENKEEL_ENGINE_TESTS      what to give to cargo test (default: contract drift no_false_drift)
#   RUST_TEST_THREADS          how many tests run at once (default: 4, since most of a test is waiting for containers)
#   EVENKEEL_DEBIAN_MIRROR     the mirror (default: the first of this machine's own apt sources)
set -euo pipefail

readonly CACHE=${XDG_CACHE_HOME:-/var/cache}/evenkeel
readonly SYSTEM=$CACHE/sid
readonly PACKAGES=docker.io,iptables,ca-certificates
readonly TESTS=${EVENKEEL_ENGINE_TESTS:-contract drift no_false_drift}
# Of this run alone, so that two runs do not meet. Interface names are at most 15 bytes long.
readonly RUN=ek$$
readonly BED=/var/tmp/evenkeel-engine-$RUN
readonly ROOT=$BED/root
readonly SOCKET=$BED/socket/docker.sock
readonly START_TIMEOUT_SECS=60

dockerd_pid=
results=()

main() {
    require_root
    install_tools
    trap tear_down EXIT
    trap 'exit 130' INT TERM
    case "${1:-run}" in
        run) run_all ;;
        shell)
            make_system
            bring_up "${2:-classic}"
            say "the Engine answers: export EVENKEEL_TEST_ENGINE=unix://$SOCKET"
            EVENKEEL_TEST_ENGINE=unix://$SOCKET DOCKER_HOST=unix://$SOCKET \
                ip netns exec "$RUN" "${SHELL:-/bin/sh}" || true
            ;;
        *)
            sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2
            exit 2
            ;;
    esac
}

run_all() {
    "$(dirname "$0")/engine.sh" up
    make_system
    # Built once, before any Engine waits for it.
    cargo test --quiet --package evenkeel --test it --no-run
    run_tests "the host's" "${DOCKER_HOST:-unix:///var/run/docker.sock}" env
    local store
    for store in classic containerd; do
        bring_up "$store"
        run_tests "$store store" "unix://$SOCKET" ip netns exec "$RUN"
        stop_engine
    done
    print_table
}

# Runs the tests against an Engine; the words after its address are put before the command.
run_tests() {
    local what=$1 address=$2 log=$BED.log version store outcome=passed
    shift 2
    version=$(docker --host "$address" version --format '{{.Server.Version}} (API {{.Server.APIVersion}})')
    store=$(docker --host "$address" info --format '{{.Driver}}')
    say "tests on $version, $what, $store"
    # shellcheck disable=SC2086  # the filters are words
    EVENKEEL_TEST_ENGINE=$address TMPDIR=/tmp RUST_TEST_THREADS=${RUST_TEST_THREADS:-4} \
        "$@" cargo test --offline --package evenkeel --test it -- $TESTS 2>&1 | tee "$log" || outcome=FAILED
    # A filter that matches no test passes in cargo's eyes.
    grep --quiet '^test result: .* [1-9][0-9]* passed' "$log" || outcome=FAILED
    results+=("$(printf '%-30s %-18s %-10s %-8s %s' "$version" "$what" "$store" "$outcome" "$(summary_of "$log")")")
    rm -f "$log"
}

summary_of() {
    sed -n 's/^test result: [a-zA-Z]*\. \([0-9]* passed; [0-9]* failed\).*/\1/p' "$1" | tail -n 1 || true
}

print_table() {
    local line failed=0
    printf '\n%-30s %-18s %-10s %-8s %s\n' ENGINE WHICH STORE OUTCOME TESTS
    for line in "${results[@]}"; do
        echo "$line"
        [[ $line != *" FAILED "* ]] || failed=1
    done
    return $failed
}

require_root() {
    [ "$(id -u)" = 0 ] || fail "only root can make network namespaces and mounts"
}

install_tools() {
    local missing=() pair
    for pair in debootstrap:debootstrap ip:iproute2 busybox:busybox-static docker:docker.io; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || fail "this needs Debian or Ubuntu; missing: ${missing[*]}"
    say "installing ${missing[*]}"
    apt-get update --quiet </dev/null >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}" </dev/null >/dev/null
}

# Makes the newest Debian with its Engine, once; later runs use it as it is. Remove the directory for a newer one.
make_system() {
    mkdir -p "$CACHE"
    exec 8>"$CACHE/lock"
    flock 8
    if [ -e "$SYSTEM/.complete" ]; then
        say "using the system in $SYSTEM (remove it for a newer one)"
        flock --unlock 8
        return
    fi
    local mirror keyring options=() log=$CACHE/debootstrap.log
    mirror=$(mirror_of_this_machine)
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    if [ -r $keyring ]; then
        options=(--keyring="$keyring")
    else
        say "WARNING: no debian-archive-keyring here: the packages' signatures are not checked"
        options=(--no-check-gpg)
    fi
    say "making a Debian sid with $PACKAGES in $SYSTEM (a minute or two; log: $log)"
    rm -rf "${SYSTEM:?}"
    if ! debootstrap "${options[@]}" --variant=minbase --include="$PACKAGES" sid "$SYSTEM" "$mirror" >"$log" 2>&1 </dev/null 8>&-; then
        tail -n 20 "$log" >&2
        fail "debootstrap failed; when it says that the release file's key is unknown, install a newer debian-archive-keyring"
    fi
    rm -rf "$SYSTEM"/var/cache/apt/archives/*.deb
    touch "$SYSTEM/.complete"
    flock --unlock 8
}

# The mirror that this machine's apt uses for Debian itself, in the old or the new format of its sources.
mirror_of_this_machine() {
    local mirror=${EVENKEEL_DEBIAN_MIRROR:-}
    if [ -z "$mirror" ]; then
        mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
            sed -n -e 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\/debian\/\{0,1\}\) .*/\2/p' -e 's/^URIs: *\([^ ]*\/debian\/\{0,1\}\)$/\1/p' | head -n 1)
    fi
    [ -n "$mirror" ] || fail "no mirror of Debian in this machine's apt sources: set EVENKEEL_DEBIAN_MIRROR"
    echo "$mirror"
}

# Starts the newest Engine with an empty data root and waits until it answers.
bring_up() {
    local feature=
    case "$1" in
        classic) feature=containerd-snapshotter=false ;;
        containerd) feature=containerd-snapshotter=true ;;
        *) fail "no such store: $1 (classic or containerd)" ;;
    esac
    make_network
    mount_system
    say "starting the newest Engine with the $1 store"
    # The Engine is process 1 of its own process namespace, so that nothing of it is left when it ends. Its system is the root of
    # its own mount namespace: in a mere chroot, what is run in a container later (exec, health checks) would see the host's files.
    # shellcheck disable=SC2016  # expanded by the shell inside
    setsid ip netns exec "$RUN" unshare --mount --pid --fork --kill-child sh -ec '
        cd "$1"
        shift
        mkdir run/host
        pivot_root . run/host
        exec chroot . /bin/sh -ec "mount -t proc proc /proc; umount --lazy /run/host; exec \"\$@\"" sh "$@"' sh "$ROOT" \
        /usr/sbin/dockerd --host unix:///run/engine/docker.sock --data-root /engine-data \
        --exec-root /run/docker --pidfile /run/docker.pid --feature "$feature" --bip 172.29.255.1/24 \
        --default-address-pool base=172.30.0.0/16,size=24 >"$BED/dockerd.log" 2>&1 </dev/null &
    dockerd_pid=$!
    local deadline=$((SECONDS + START_TIMEOUT_SECS))
    until docker --host "unix://$SOCKET" info >/dev/null 2>&1; do
        if ! kill -0 "$dockerd_pid" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
            tail -n 30 "$BED/dockerd.log" >&2
            fail "the newest Engine does not answer at $SOCKET"
        fi
        sleep 0.2
    done
}

# A host of its own: nothing but a loopback, and the bridges that the Engine makes. Tests run inside it too, so that they reach
# published ports, and so that no port of theirs meets one of the host's.
make_network() {
    ip netns add "$RUN"
    ip -n "$RUN" link set lo up
    ip netns exec "$RUN" sysctl --quiet --write net.ipv4.ip_forward=1
}

# The system as its own mount point, with the host's sys, cgroups and dev, and the Engine's data on a plain file system (overlay
# on overlay fails).
mount_system() {
    mkdir -p "$ROOT" "$BED/data" "$BED/socket"
    mount --bind "$SYSTEM" "$ROOT"
    # runc needs a root that is a mount point, and mounts made in it must not show outside.
    mount --make-private "$ROOT"
    mount --rbind /sys "$ROOT/sys"
    mount --make-rslave "$ROOT/sys"
    mount --rbind /dev "$ROOT/dev"
    mount --make-rslave "$ROOT/dev"
    mount -t tmpfs tmpfs "$ROOT/run"
    # The host's own: tests put manifests and what they mount into containers there.
    mount --bind /tmp "$ROOT/tmp"
    mount --make-private "$ROOT/tmp"
    mkdir -p "$ROOT/run/engine" "$ROOT/engine-data"
    mount --bind "$BED/socket" "$ROOT/run/engine"
    mount --bind "$BED/data" "$ROOT/engine-data"
}

stop_engine() {
    if [ -n "$dockerd_pid" ]; then
        local leader
        # The Engine itself is the child of unshare, which is the child that setsid became.
        read -r leader _ <"/proc/$dockerd_pid/task/$dockerd_pid/children" || leader=$dockerd_pid
        kill -TERM "$leader" 2>/dev/null || true
        for _ in $(seq 100); do
            kill -0 "$dockerd_pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$dockerd_pid" 2>/dev/null || true
        wait "$dockerd_pid" 2>/dev/null || true
        dockerd_pid=
    fi
    if mountpoint --quiet "$ROOT"; then
        umount --recursive "$ROOT" || umount --recursive --lazy "$ROOT"
    fi
    if [ -e "/run/netns/$RUN" ]; then
        ip netns delete "$RUN"
    fi
    # Not while anything is mounted in it: this removes what the mount shows.
    if [ -d "$BED" ] && ! grep --quiet " $BED/" /proc/self/mounts; then
        rm -rf --one-file-system "$BED"
    fi
}

tear_down() {
    local code=$?
    stop_engine || say "could not remove all of $BED: see /proc/mounts"
    exit $code
}

say() {
    echo "test-engines: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

main "$@"
