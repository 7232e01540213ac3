#!/usr/bin/env bash
# Dynoxide, a server that speaks DynamoDB's API; built from the crate `dynoxide-rs` (about three minutes, once).
# It is a program beside ours and no dependency: its SQLite could not share a lock file with ours.
#   dynoxide.sh install
#   dynoxide.sh start DIR memory  DYNAMODB_URL; forgets everything when it ends
#   dynoxide.sh start DIR file    DYNAMODB_URL; keeps its tables in DIR, for tests that restart it
#   dynoxide.sh stop DIR | kill DIR
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
version=3.2.0
binary=$cache/dynoxide-$version/bin/dynoxide

[ $# -ge 1 ] || usage
case $1 in
install)
    [ -x "$binary" ] || {
        mkdir -p "$cache"
        CARGO_TARGET_DIR=$cache/dynoxide-build RUSTFLAGS='' cargo install dynoxide-rs --version "$version" \
            --locked --no-default-features --features native-sqlite,http-server,cli \
            --root "$cache/dynoxide-$version" --quiet </dev/null
        rm -rf "$cache/dynoxide-build"
    }
    ;;
start)
    [ $# -eq 3 ] || usage
    mkdir -p "$2"
    dir=$(cd "$2" && pwd)
    port=$(keep_ports "$dir/port" 1)
    store=()
    [ "$3" != file ] || store=(--db-path "$dir/data.db")
    launch "$dir" "$port" "$binary" --host 127.0.0.1 --port "$port" "${store[@]}"
    say "$dir" "DYNAMODB_URL=http://127.0.0.1:$port"
    ;;
stop) end TERM "$2/pid" ;;
kill) end KILL "$2/pid" ;;
*) usage ;;
esac
