#!/usr/bin/env bash
# Dynalite, a second opinion on DynamoDB (needs Node.js). No TTL settings and no transactions, but its BatchGet
# returns only few large items at a time, which exercises the loop over unprocessed keys.
#   dynalite.sh install
#   dynalite.sh start DIR memory  DYNALITE_URL
#   dynalite.sh stop DIR | kill DIR
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
version=4.0.0
folder=$cache/dynalite-$version
program=$folder/node_modules/dynalite/cli.js

[ $# -ge 1 ] || usage
case $1 in
install)
    command -v npm >/dev/null || die "missing; install Node.js with npm"
    [ -s "$program" ] ||
        npm install --silent --no-audit --no-fund --no-save --prefix "$folder" "dynalite@$version" </dev/null >/dev/null
    ;;
start)
    [ $# -eq 3 ] || usage
    mkdir -p "$2"
    dir=$(cd "$2" && pwd)
    port=$(keep_ports "$dir/port" 1)
    launch "$dir" "$port" node "$program" --host 127.0.0.1 --port "$port" \
        --createTableMs 20 --deleteTableMs 20 --updateTableMs 20
    say "$dir" "DYNALITE_URL=http://127.0.0.1:$port"
    ;;
stop) end TERM "$2/pid" ;;
kill) end KILL "$2/pid" ;;
*) usage ;;
esac
