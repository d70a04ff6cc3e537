# What the scripts here share: where things are, and how processes are started and ended. Sourced.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(dirname "$here")
cache=${KEYSTILE_E2E_CACHE:-$HOME/.cache/keystile-e2e}
bin=$cache/bin
export PATH=$bin:$PATH

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

say() { # what happens, with the seconds since the script began
    printf '%5d s  %s\n' "$SECONDS" "$*"
}

need() { # programs that must be there, and how to get them
    local missing=()
    for program in "$@"; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    if ((${#missing[@]})); then
        fail "not found: ${missing[*]}. Install the packages that hold them; on Debian: $(debian_packages "${missing[@]}")"
    fi
}

debian_packages() {
    local package packages=()
    for program in "$@"; do
        case $program in
            ctr | containerd) package=containerd ;;
            ip) package=iproute2 ;;
            go) package='Go 1.26 or later (from go.dev, or golang-go of backports)' ;;
            cc) package=gcc ;;
            *) package=$program ;;
        esac
        [[ " ${packages[*]} " == *" $package "* ]] || packages+=("$package")
    done
    echo "${packages[*]}"
}

# Waits until a command succeeds: `await SECONDS WHAT COMMAND …`.
await() {
    local limit=$1 what=$2 deadline=$((SECONDS + $1))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= deadline)); then
            echo "not within $limit s: $what" >&2
            return 1
        fi
        sleep 0.1
    done
}

# Starts a process of its own session, its output in LOG and its number in DIR/NAME.pid.
start() { # directory, name, command …
    local directory=$1 name=$2
    shift 2
    setsid nohup "$@" >"$directory/log/$name.log" 2>&1 </dev/null 8>&- 9>&- &
    echo $! >"$directory/$name.pid"
}

alive() { # directory, name
    [[ -f $1/$2.pid ]] && kill -0 "$(cat "$1/$2.pid")" 2>/dev/null
}

# Ends what `start` started: politely, and after ten seconds by force.
stop() { # directory, name
    local file=$1/$2.pid process tries
    [[ -f $file ]] || return 0
    process=$(cat "$file")
    kill "$process" 2>/dev/null || true
    for ((tries = 0; tries < 100; tries++)); do
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$process" 2>/dev/null || true
    rm -f "$file"
}

# One node at a time on a machine: a second run waits for the first. (The lock must not be passed on to what is started.)
lock_node() {
    mkdir -p "$cache"
    exec 8>"$cache/node.lock"
    flock 8
}

# The image to test: IMAGE_TAR, or one that is built. Sets IMAGE_TAR, and `keystile` to the program in it.
take_image() { # directory for both
    if [[ -z ${IMAGE_TAR:-} ]]; then
        IMAGE_TAR=$1/keystile.tar
        PROFILE=release IMAGE=keystile:e2e "$repository/deploy/image/build" "$IMAGE_TAR"
    fi
    tar -xf "$IMAGE_TAR" -C "$1" manifest.json blobs
    tar -xzf "$1/$(jq -r '.[0].Layers[0]' "$1/manifest.json")" -C "$1" usr/bin/keystile
    keystile=$1/usr/bin/keystile
}
