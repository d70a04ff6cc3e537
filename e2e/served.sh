# Sourced: a gateway of one's own, with the keystile in $directory.

# Starts it in a new directory $work with the arguments given, and waits until it is ready. Then $main and $admin are
# the addresses of its listeners. It ends with the script, or after ten minutes.
serve() {
    : >"$work/addresses"
    timeout 600 "$keystile" serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 "$@" \
        >"$work/addresses" 2>"$work/log" &
    gateway=$!
    for _ in $(seq 300); do
        main=$(sed -n 's,.* on https\?://\([0-9.:]*\) .*,\1,p' "$work/addresses")
        admin=$(sed -n 's,.*(admin: http://\([0-9.:]*\)).*,\1,p' "$work/addresses")
        if [[ -n $main && -n $admin ]]; then
            return
        fi
        kill -0 "$gateway" || break
        sleep 0.1
    done
    cat "$work/log" >&2
    return 1
}

keystile=$(realpath "${1:?the directory of the keystile to ask}")/keystile
work=$(mktemp -d /tmp/keystile-served.XXXXXX)
export KEYSTILE_STORE=$work/keyring
gateway=

end_gateway() {
    if [[ -n $gateway ]]; then
        kill "$gateway" 2>/dev/null || true
        wait "$gateway" || true
        gateway=
    fi
}
trap 'end_gateway; rm -rf --one-file-system "$work" || true' EXIT
