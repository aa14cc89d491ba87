#!/usr/bin/env bash
# A Docker Engine for the demo and the tests: use the one that answers, else install and start Debian's.
#
#   scripts/engine.sh up       an Engine answers when this ends with 0
#   scripts/engine.sh status   says which one answers; 0 when one does
#   scripts/engine.sh down     stops the Engine that `up` started, and no other
#
# Exit codes: 0 done; 1 failed, the log says why; 3 this system is not one that `up` can install on: what to do is printed.
#
# Environment:
#   DOCKER_HOST            the Engine's address (default unix:///var/run/docker.sock)
#   EVENKEEL_DOCKERD_ARGS  more arguments for dockerd, such as another --data-root and --host for a second Engine; that one needs a
#                          network namespace of its own, too, or it takes the first one's bridge (--bridge=none removes it)
#   EVENKEEL_ENGINE_STATE  where the pid, the lock and the log are kept (default /run/evenkeel-engine)
set -euo pipefail

readonly DEFAULT_ADDRESS=unix:///var/run/docker.sock
readonly ADDRESS=${DOCKER_HOST:-$DEFAULT_ADDRESS}
readonly STATE=${EVENKEEL_ENGINE_STATE:-/run/evenkeel-engine}
readonly PID_FILE=$STATE/dockerd.pid
readonly LOG_FILE=$STATE/dockerd.log
readonly START_TIMEOUT_SECS=60

main() {
    case "${1:-}" in
        up) up ;;
        status) status ;;
        down) down ;;
        *)
            sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2
            exit 2
            ;;
    esac
}

up() {
    if answers; then
        say "using the Engine at $ADDRESS"
        return
    fi
    refuse_what_we_cannot_help
    mkdir -p "$STATE"
    exec 9>"$STATE/lock"
    flock --wait 600 9 || fail "another 'engine.sh up' has held $STATE/lock for ten minutes"
    # Someone else may have brought it up while we waited.
    if answers; then
        say "using the Engine at $ADDRESS"
        return
    fi
    install_engine
    start_engine
    say "the Engine answers at $ADDRESS"
}

status() {
    if ! answers; then
        say "no Engine answers at $ADDRESS"
        return 1
    fi
    if started_by_us; then
        say "the Engine at $ADDRESS answers; it was started by this script (process $(recorded_pid), log $LOG_FILE)"
    else
        say "the Engine at $ADDRESS answers; it was not started by this script"
    fi
}

down() {
    if ! started_by_us; then
        rm -f "$PID_FILE"
        say "no Engine that this script started is running"
        return
    fi
    local pid
    pid=$(recorded_pid)
    say "stopping dockerd (process $pid)"
    kill -TERM "$pid"
    for _ in $(seq 150); do
        if ! started_by_us; then
            rm -f "$PID_FILE"
            return
        fi
        sleep 0.2
    done
    fail "dockerd (process $pid) still runs 30 seconds after SIGTERM; its log is $LOG_FILE"
}

# Whether an Engine answers at the address. Needs no Docker client: perl is part of every Debian.
answers() {
    case "$ADDRESS" in
        unix://*)
            local socket=${ADDRESS#unix://}
            [ -S "$socket" ] || return 1
            if command -v curl >/dev/null; then
                curl --silent --fail --max-time 5 --unix-socket "$socket" http://engine/_ping >/dev/null 2>&1
            elif command -v docker >/dev/null; then
                timeout 5 docker --host "$ADDRESS" version >/dev/null 2>&1
            else
                # shellcheck disable=SC2016  # perl expands it
                timeout 5 perl -MIO::Socket::UNIX -e '
                    my $engine = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 1;
                    print $engine "GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n";
                    exit(<$engine> =~ / 200 / ? 0 : 1)' "$socket" 2>/dev/null
            fi
            ;;
        *) command -v docker >/dev/null && timeout 10 docker --host "$ADDRESS" version >/dev/null 2>&1 ;;
    esac
}

refuse_what_we_cannot_help() {
    local socket=${ADDRESS#unix://}
    if [ "$ADDRESS" != "$DEFAULT_ADDRESS" ] && [ -z "${EVENKEEL_DOCKERD_ARGS:-}" ]; then
        fail "DOCKER_HOST is $ADDRESS and no Engine answers there; start that Engine, or unset DOCKER_HOST"
    fi
    if [ -S "$socket" ] && [ ! -w "$socket" ]; then
        say "$socket exists, but user $(id -un) may not use it"
        say "add the user to its group (sudo usermod --append --groups docker $(id -un), then log in again), or use rootless Docker"
        exit 3
    fi
    if [ "$(id -u)" != 0 ]; then
        say "no Engine answers at $ADDRESS, and only root can install and start one"
        advise
    fi
    if ! command -v dockerd >/dev/null && ! is_debian; then
        say "no Engine answers at $ADDRESS, and this system is neither Debian nor Ubuntu"
        advise
    fi
    [ "$(uname -s)" = Linux ] || advise
}

advise() {
    say "install Docker Engine 20.10 or newer and start it:"
    say "  Debian, Ubuntu    sudo apt-get install docker.io iptables"
    say "  Fedora            sudo dnf install moby-engine && sudo systemctl enable --now docker"
    say "  Alpine            sudo apk add docker && sudo rc-update add docker && sudo service docker start"
    say "  Arch              sudo pacman -S docker && sudo systemctl enable --now docker"
    say "  macOS, Windows    any virtual machine with Docker Engine; then set DOCKER_HOST"
    exit 3
}

is_debian() {
    [ -r /etc/os-release ] || return 1
    # shellcheck source=/dev/null
    (. /etc/os-release && [[ " ${ID:-} ${ID_LIKE:-} " =~ \ (debian|ubuntu)\  ]])
}

install_engine() {
    local packages=()
    command -v dockerd >/dev/null || packages+=(docker.io)
    command -v iptables >/dev/null || packages+=(iptables)
    [ ${#packages[@]} -gt 0 ] || return 0
    say "no Engine is installed: installing Debian's ${packages[*]} with apt-get"
    export DEBIAN_FRONTEND=noninteractive
    apt_get update
    # Newer releases package the client apart from the Engine; people and tests want it too.
    if [[ " ${packages[*]} " == *" docker.io "* ]] && apt-cache show docker-cli >/dev/null 2>&1; then
        packages+=(docker-cli)
    fi
    apt_get install --yes --no-install-recommends ca-certificates "${packages[@]}"
}

apt_get() {
    local attempt
    for attempt in 1 2 3; do
        if apt-get -o Dpkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" >>"$STATE/apt.log" 2>&1 </dev/null 9>&-; then
            return
        fi
        say "apt-get $1 failed (attempt $attempt of 3)"
        sleep $((attempt * 3))
    done
    tail -n 20 "$STATE/apt.log" >&2
    fail "apt-get $* failed; its whole output is $STATE/apt.log"
}

start_engine() {
    if [ -z "${EVENKEEL_DOCKERD_ARGS:-}" ]; then
        if [ -d /run/systemd/system ]; then
            say "starting the Engine: systemctl start docker"
            systemctl start docker 9>&- || fail "systemctl could not start docker: see journalctl --unit docker"
        fi
        # The package's own scripts may have started it.
        for _ in $(seq 15); do
            answers && return
            grep --quiet --no-messages --line-regexp dockerd /proc/[0-9]*/comm || break
            sleep 1
        done
    fi
    prepare_cgroups
    say "starting dockerd in the background (log: $LOG_FILE)"
    local path=$PATH
    if ! iptables --numeric --list >/dev/null 2>&1 && iptables-legacy --numeric --list >/dev/null 2>&1; then
        say "this kernel has the older iptables only: dockerd gets iptables-legacy"
        path=$(legacy_iptables_directory):$PATH
    fi
    # shellcheck disable=SC2086  # the arguments are words
    PATH=$path setsid dockerd ${EVENKEEL_DOCKERD_ARGS:-} >>"$LOG_FILE" 2>&1 </dev/null 9>&- &
    record_pid $!
    local deadline=$((SECONDS + START_TIMEOUT_SECS))
    until answers; do
        if ! started_by_us; then
            tail -n 20 "$LOG_FILE" >&2
            fail "dockerd ended at once; its log is $LOG_FILE"
        fi
        if [ $SECONDS -ge $deadline ]; then
            tail -n 20 "$LOG_FILE" >&2
            fail "dockerd does not answer at $ADDRESS after $START_TIMEOUT_SECS seconds; its log is $LOG_FILE"
        fi
        sleep 0.2
    done
}

# Where no init has done it: mount the cgroups, and let a nested cgroup v2 hand controllers on.
prepare_cgroups() {
    local root=/sys/fs/cgroup
    if [ -z "$(ls -A $root 2>/dev/null)" ]; then
        mount -t cgroup2 cgroup2 $root 2>/dev/null || say "cannot mount cgroups at $root; dockerd may refuse to start"
    fi
    # Only a cgroup that is not the real root has this file; processes in it keep it from handing controllers on.
    if [ -f $root/cgroup.type ] && [ ! -d /run/systemd/system ] && [ -w $root/cgroup.procs ]; then
        mkdir -p $root/init
        local pid
        while read -r pid; do
            echo "$pid" >$root/init/cgroup.procs 2>/dev/null || true
        done <$root/cgroup.procs
        sed -e 's/ / +/g' -e 's/^/+/' <$root/cgroup.controllers >$root/cgroup.subtree_control 2>/dev/null || true
    fi
}

legacy_iptables_directory() {
    local directory=$STATE/iptables-legacy program
    mkdir -p "$directory"
    for program in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
        ln -sf "$(command -v "${program/tables/tables-legacy}")" "$directory/$program"
    done
    echo "$directory"
}

# A pid alone could be another process by now, so its start time goes with it.
record_pid() {
    echo "$1 $(start_time "$1")" >"$PID_FILE"
}

recorded_pid() {
    cut -d ' ' -f 1 "$PID_FILE"
}

started_by_us() {
    local pid started
    [ -r "$PID_FILE" ] || return 1
    read -r pid started <"$PID_FILE" || return 1
    [ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ]
}

# The process's start in clock ticks since boot, or nothing when it has ended.
start_time() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
    # The name in parentheses may contain blanks; the state is the first word after it.
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- $stat
    [ "$1" = Z ] || echo "${20}"
}

say() {
    echo "engine: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

main "$@"
