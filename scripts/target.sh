# Sourced by the scripts beside it: sets `target` to the target directory of cargo. Tests write and link
# files beside it, so a directory of devices is refused.
target=${CARGO_TARGET_DIR:-target}
case $(realpath -m -- "$target")/ in
/ | // | /dev/* | /proc/* | /sys/*)
    echo "CARGO_TARGET_DIR=$target: the tests cannot write there. Name an ordinary directory" >&2
    exit 2
    ;;
esac
