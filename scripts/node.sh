#!/usr/bin/env bash
# Runs Node, one that is late enough for everything here: distributions have older ones. It is npm's package of it, installed once.
#
# usage: node.sh [ARGUMENT…]
#
# Ends as Node does, or with 3 where npm or its registry cannot be had.
set -euo pipefail

readonly NODE=22.23.3
root=$(dirname "$0")/..
"$root/scripts/npm-install.sh" "$root/target/node" "node@$NODE"
exec "$root/target/node/node_modules/node/bin/node" "$@"
