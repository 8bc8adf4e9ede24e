#!/usr/bin/env bash
# Builds AlphaOS with TamaGo's toolchain: see docs/tamago.md.
#
#   tools/tamago.sh GO OUT.EFI [BUILD-FLAG...]
#
# GO is bin/go of that toolchain, or "auto" to have it fetched and built.
#
# TamaGo links no position-independent programs: the program is linked for two
# addresses, and the packer finds by comparison what is to be relocated.
set -euo pipefail
cd "$(dirname "$0")/.."

go=$1 out=$2
shift 2
stock=$(tools/install.sh --go)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

if [ "$go" = auto ]; then
	GOBIN=$dir "$stock" install github.com/usbarmory/tamago/cmd/tamago@v1.26.5
	go=$dir/tamago
fi
version=$(GOTOOLCHAIN=local "$go" env GOVERSION | sed -E 's/^go([0-9.]+).*/\1/')
[ "$(printf '%s\n' 1.26 "$version" | sort -V | head -1)" = 1.26 ] || {
	echo "$go is of Go $version: TamaGo 1.26 or later is needed." >&2
	exit 1
}
# It may be some patches behind the version that go.mod asks of the stock one.
least=$(sed -n 's/^go //p' go.mod | cat - <(echo "$version") | sort -V | head -1)
sed "s/^go .*/go $least/" go.mod >"$dir/go.mod"
cp go.sum "$dir"

for address in 0x401000 0x110401000; do
	GOTOOLCHAIN=local GOOS=tamago GOARCH=amd64 GOOSPKG=alphaos "$go" build -modfile="$dir/go.mod" -buildvcs=false -trimpath \
		-ldflags="-buildid= -R 0x1000 -T $address" -o "$dir/$address.elf" "$@" .
done
"$stock" run ./tools/alphaos efi pack "$dir/0x401000.elf" "$dir/0x110401000.elf" "$dir/image"
mv "$dir/image" "$out"
