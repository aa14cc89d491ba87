# shellcheck shell=bash
# What the scripts that install packages have in common: each folder is filled once, and a stamp says with what.
#
# usage: . install-once.sh, then: install_once FORM [FOLDER PACKAGE…]
#
# FORM says how a package is written. Unless they are there, `install_packages FOLDER PACKAGE…` of the script is called, which says why when
# it fails. Ends the script with 2 for wrong use, with 3 when they cannot be had.

install_once() {
    local form=$1 folder=${2:-}
    if [ $# -lt 3 ]; then
        echo "usage: $(basename "$0") FOLDER $form…" >&2
        exit 2
    fi
    shift 2
    mkdir -p "$folder"
    # Whoever comes second finds what the first has installed.
    exec 9>"$folder/lock"
    flock 9
    [ "$(cat "$folder/stamp" 2>/dev/null || true)" != "$*" ] || exit 0
    rm -f "$folder/stamp"
    install_packages "$folder" "$@" || exit 3
    echo "$*" >"$folder/stamp"
}
