#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The completion script in a real bash: what a user would see after TAB.
# Usage: test_cli_bash.sh PATH-OF-PROFFER
set -u
PATH=$(dirname "$1"):$PATH
unset PROFFER_MASTER PROFFER_DIR PROFFER_KEY_FILE
HOME=$(mktemp -d)
export HOME XDG_STATE_HOME=$HOME/state
trap 'rm -rf "$HOME"' EXIT
mkdir -p "$HOME/work/sub"
touch "$HOME/work/file"
cd "$HOME/work" || exit 1
# shellcheck disable=SC1090
source <(proffer completion bash) || exit 1

failed=0
# expect WANTED-WORDS COMMAND-LINE-WORD...
expect() {
    local want=$1
    shift
    COMP_WORDS=("$@")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _proffer
    if [ "${COMPREPLY[*]}" != "$want" ]; then
        echo "for '$*' got '${COMPREPLY[*]}', not '$want'" >&2
        failed=1
    fi
}
expect "teardown tasks" proffer t
expect "--output" proffer tasks --out
expect "json jsonl" proffer tasks -o j
expect "table json jsonl" proffer tasks --output =
expect "json jsonl" proffer tasks --output = j
expect "dump restore" proffer registry ""
expect "restore" proffer registry r
expect "file" proffer registry restore f
expect "1 3 5" proffer up --masters ""
expect "step-down" proffer ste
expect "--to" proffer step-down --t
expect "sub" proffer up --dir s
expect "file" proffer ps --key-file f
expect "agents" proffer help age
expect "" proffer kill --master 127.0.0.1:1 k # nobody there: nothing, and no noise
expect "--grace" "$1" kill --gr
[ "$failed" = 0 ] || exit 1
echo "all as expected"
