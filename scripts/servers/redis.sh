#!/usr/bin/env bash
# Redis, or with VALKEY=1 Valkey in its place; REDIS_SERVER and REDIS_CLI name programs that are elsewhere.
#   redis.sh install
#   redis.sh start DIR single   [ARG…]  REDIS_URL; the arguments go to the server
#   redis.sh start DIR tls              REDIS_TLS_URL (user `cache`), REDIS_TLS_READER_URL (may only read), REDIS_CA
#   redis.sh start DIR cluster          REDIS_CLUSTER_URLS, three nodes
#   redis.sh start DIR sentinel         REDIS_SENTINEL_URLS, REDIS_SENTINEL_SERVICE; a primary (DIR/primary/pid),
#                                       a replica and three sentinels
#   redis.sh stop DIR | kill DIR
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
brand=redis
[ -z "${VALKEY:-}" ] || brand=valkey
server=${REDIS_SERVER:-$brand-server}
cli=${REDIS_CLI:-$brand-cli}

# node NAME PORT ARG…: one server in its own folder; memory only, so that nothing outlives it.
node() {
    local name=$1 port=$2
    shift 2
    mkdir -p "$dir/$name"
    launch "$dir/$name" "$port" "$server" "$@" --bind 127.0.0.1 --dir "$dir/$name" \
        --save "" --appendonly no --daemonize no --logfile "$dir/$name/log"
}

# until_true COMMAND…: for at most twenty seconds.
until_true() {
    for _ in $(seq 200); do
        "$@" && return
        sleep 0.1
    done
    die "not ready: $*"
}

certificates() {
    [ -s "$dir/server.crt" ] && return
    (
        cd "$dir"
        openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=larder test authority" \
            -keyout ca.key -out ca.pem
        openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr
        printf '%s\n' 'subjectAltName=DNS:localhost,IP:127.0.0.1' 'extendedKeyUsage=serverAuth' \
            'basicConstraints=CA:FALSE' >extensions
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
            -extfile extensions -out server.crt
    ) >"$dir/openssl.log" 2>&1
}

start_single() {
    local port
    port=$(keep_ports "$dir/port" 1)
    node node "$port" --port "$port" "$@"
    say "$dir" "REDIS_URL=redis://127.0.0.1:$port/"
}

start_tls() {
    local port
    port=$(keep_ports "$dir/port" 1)
    certificates
    printf '%s\n' 'user default off' \
        'user cache on >s3cret ~larder* &* +@all -@dangerous' \
        'user reader on >s3cret ~larder* +@read +@connection' >"$dir/users.acl"
    node node "$port" --port 0 --tls-port "$port" --tls-cert-file "$dir/server.crt" \
        --tls-key-file "$dir/server.key" --tls-ca-cert-file "$dir/ca.pem" --tls-auth-clients no \
        --aclfile "$dir/users.acl"
    say "$dir" "REDIS_TLS_URL=rediss://cache:s3cret@127.0.0.1:$port/" \
        "REDIS_TLS_READER_URL=rediss://reader:s3cret@127.0.0.1:$port/" "REDIS_CA=$dir/ca.pem"
}

cluster_ok() {
    local port
    for port in "$@"; do
        "$cli" -p "$port" cluster info | grep -q '^cluster_state:ok' || return 1
    done
}

start_cluster() {
    local ports i addresses=() urls
    # The bus ports are chosen as well: the usual "port + 10000" may not exist.
    read -r -a ports < <(keep_ports "$dir/port" 6)
    for i in 0 1 2; do
        node "node$i" "${ports[i]}" --port "${ports[i]}" --cluster-enabled yes \
            --cluster-port "${ports[i + 3]}" --cluster-node-timeout 2000 --cluster-config-file nodes.conf
        addresses+=("127.0.0.1:${ports[i]}")
    done
    if ! [ -s "$dir/created" ]; then
        "$cli" --cluster create "${addresses[@]}" --cluster-replicas 0 --cluster-yes >"$dir/created"
    fi
    until_true cluster_ok "${ports[@]:0:3}"
    urls=$(printf 'redis://%s/,' "${addresses[@]}")
    say "$dir" "REDIS_CLUSTER_URLS=${urls%,}"
}

sentinels_ok() {
    "$cli" -p "$1" sentinel master larder | tr '\n' ' ' | grep -q 'num-slaves 1 num-other-sentinels 2'
}

start_sentinel() {
    local ports i urls
    read -r -a ports < <(keep_ports "$dir/port" 5)
    node primary "${ports[0]}" --port "${ports[0]}"
    node replica "${ports[1]}" --port "${ports[1]}" --replicaof 127.0.0.1 "${ports[0]}"
    for i in 2 3 4; do
        mkdir -p "$dir/sentinel$i"
        printf '%s\n' "port ${ports[i]}" 'bind 127.0.0.1' "dir $dir/sentinel$i" \
            "logfile $dir/sentinel$i/log" "sentinel monitor larder 127.0.0.1 ${ports[0]} 2" \
            'sentinel down-after-milliseconds larder 1500' \
            'sentinel failover-timeout larder 6000' >"$dir/sentinel$i/sentinel.conf"
        launch "$dir/sentinel$i" "${ports[i]}" "$server" "$dir/sentinel$i/sentinel.conf" --sentinel
    done
    until_true sentinels_ok "${ports[2]}"
    urls=$(printf 'redis://127.0.0.1:%s/,' "${ports[@]:2}")
    say "$dir" "REDIS_SENTINEL_URLS=${urls%,}" REDIS_SENTINEL_SERVICE=larder
}

[ $# -ge 1 ] || usage
case $1 in
install)
    { command -v "$server" && command -v "$cli"; } >/dev/null || apt_install "$brand-server" "$brand-tools"
    command -v openssl >/dev/null || apt_install openssl
    ;;
start)
    [ $# -ge 3 ] || usage
    mkdir -p "$2"
    dir=$(cd "$2" && pwd)
    mode=$3
    shift 3
    case $mode in
    single | tls | cluster | sentinel) "start_$mode" "$@" ;;
    *) usage ;;
    esac
    ;;
stop) end TERM "$2"/*/pid ;;
kill) end KILL "$2"/*/pid ;;
*) usage ;;
esac
