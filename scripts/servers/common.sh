# shellcheck shell=bash
# Shared by the server scripts beside this file; sourced, never run.
#
# Every script has the same verbs:
#   install                 fetches what is missing into the cache, or says the one command that does
#   start DIR [MODE [ARG…]] starts it on a free loopback port; DIR holds its data, its pid and its log.
#                           Prints KEY=VALUE lines and leaves them in DIR/env.
#   stop DIR                ends it by the pids in DIR; a later start with the same DIR gets the same port and data
#   kill DIR                the same without notice (SIGKILL), for tests of crashes
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${LARDER_SERVERS_CACHE:-$root/target/servers}

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

usage() {
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

# free_ports COUNT: that many ports nobody listens on, held together so that they differ.
free_ports() {
    python3 - "$1" <<'PY'
import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in held:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held))
PY
}

# keep_ports FILE COUNT: the ports FILE names, or fresh ones that it will name from now on.
keep_ports() {
    [ -s "$1" ] || free_ports "$2" >"$1"
    cat "$1"
}

# launch DIR PORT COMMAND…: runs COMMAND in the background, its pid in DIR/pid, until PORT answers.
launch() {
    local dir=$1 port=$2 pid deadline
    shift 2
    nohup "$@" </dev/null >>"$dir/out" 2>&1 &
    pid=$!
    echo "$pid" >"$dir/pid"
    deadline=$((SECONDS + 60))
    until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        if ! kill -0 "$pid" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
            tail -n 5 "$dir"/out "$dir"/log 2>/dev/null >&2 || true
            end KILL "$dir/pid"
            die "$1 did not come up on port $port"
        fi
        sleep 0.05
    done
    # A port taken meanwhile would be answered by its other owner, and ours would be gone by now.
    sleep 0.1
    kill -0 "$pid" 2>/dev/null || die "port $port is answered by another process"
}

# end SIGNAL PIDFILE…: signals them all, then waits until they are gone; after ten seconds they are killed.
# (All first: a Redis primary puts off its end for a replica that is still there.)
end() {
    local signal=$1 file pid pids=() deadline=$((SECONDS + 10))
    shift
    for file in "$@"; do
        [ -s "$file" ] || continue
        pid=$(cat "$file")
        rm -f "$file"
        if kill "-$signal" "$pid" 2>/dev/null; then pids+=("$pid"); fi
    done
    for pid in "${pids[@]+"${pids[@]}"}"; do
        while kill -0 "$pid" 2>/dev/null; do
            [ "$SECONDS" -lt "$deadline" ] || kill -KILL "$pid" 2>/dev/null || true
            sleep 0.05
        done
    done
}

# say DIR KEY=VALUE…: prints the lines and keeps them in DIR/env.
say() {
    local dir=$1
    shift
    printf '%s\n' "$@" | tee "$dir/env"
}

# apt_install PACKAGE…: installs them where that is possible, otherwise says how.
apt_install() {
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        apt-get update -qq </dev/null
        # RUNLEVEL keeps the package from starting a service of its own.
        DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
            apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
    else
        die "missing; install it with: sudo apt-get install -y $*"
    fi
}
