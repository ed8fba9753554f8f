#!/usr/bin/env bash
# Packages the release binary: a .deb, an .rpm and a .tar.gz in target/package. BUILD=no takes the binary
# that is there.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/target.sh

binary=$target/release/vestibule
staged=$target/release/package
out=$target/package

if [ "${BUILD:-yes}" != no ]; then
    cargo build --locked --release --bin vestibule
fi
for tool in deb generate-rpm; do
    command -v "cargo-$tool" >/dev/null || cargo install "cargo-$tool" --locked --quiet
done

# Packages of one commit are equal.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
rm -rf "$staged" "$out"
mkdir -p "$staged/man" "$staged/completions" "$out"
"$binary" man "$staged/man"
gzip -9n "$staged"/man/*.1
"$binary" completions bash >"$staged/completions/vestibule"
"$binary" completions zsh >"$staged/completions/_vestibule"
"$binary" completions fish >"$staged/completions/vestibule.fish"
gzip -9n >"$staged/changelog.gz" <<END
vestibule ($version) stable; urgency=medium

  * The changes are in /usr/share/doc/vestibule/CHANGELOG.md.gz.

 -- The Vestibule maintainers <maintainers@vestibule.invalid>  $(date -uRd "@$SOURCE_DATE_EPOCH")
END

cargo deb --no-build --locked --output "$out"
cargo generate-rpm --target-dir "$target" --output "$out" --payload-compress zstd

# For other systems: the same files, to be copied by hand.
name=vestibule-$version-$(uname -m)-linux
mkdir -p "$staged/$name"
cp -r "$binary" "$staged/man" "$staged/completions" packaging config CHANGELOG.md LICENSE "$staged/$name/"
tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    -C "$staged" -c "$name" | gzip -9n >"$out/$name.tar.gz"
(cd "$out" && sha256sum -- * >SHA256SUMS)

# The oldest C library that the program runs with.
floor=$(objdump -T "$binary" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
echo "== $out (needs ${floor/_/ } or newer)"
ls -l "$out"
