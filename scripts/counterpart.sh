# Sourced by real.sh, applications.sh and edge.sh: runs a test with third-party programs. A test whose program is not
# available is printed as skipped, with the reason. In CI (CI=true), that is a failure.
failed=0

skipped() {
    echo "skipped: $1: $2"
    [ "${CI:-}" != true ] || failed=1
}

# [arguments=…] counterpart NAME SCRIPT BINARY PROGRAM:PACKAGE...
counterpart() {
    local name=$1 script=$2 binary=$3 output status=0 start=$SECONDS
    shift 3
    echo "== $name"
    if ! output=$(sh scripts/need.sh "$@" 2>&1); then
        skipped "$name" "${output##*need: }"
        return
    fi
    [ -z "$output" ] || echo "$output"
    # Without quotes: several arguments.
    # shellcheck disable=SC2086
    python3 "$script" "$binary" ${arguments:-} || status=$?
    echo "== $name: $((SECONDS - start)) s"
    # 77, as in automake: the script has printed what is missing.
    case $status in
    0) ;;
    77) [ "${CI:-}" != true ] || failed=1 ;;
    *) failed=1 ;;
    esac
}
