#!/usr/bin/env bash
# Installs what make needs on Debian and Ubuntu, and says what and why. When all
# is there it does nothing and says nothing, and needs no network.
#
#   tools/install.sh build|run|test   installs what that step needs
#   tools/install.sh --go             prints the path of the go command
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
pinned=$(sed -n 's/^go //p' "$root/go.mod") # the toolchain that go.mod asks for
oldest=21                                    # Go 1.21 and later fetch the pinned one

# minor prints 22 for Go 1.22.x, and nothing if the command does not work.
minor() {
	(cd / && GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) | sed -n 's/^go1\.\([0-9]*\).*/\1/p'
}

# find_go prints the first go command that can build AlphaOS.
find_go() {
	local go m
	while read -r go; do
		[ -x "$go" ] || continue
		m=$(minor "$go")
		if [ -n "$m" ] && [ "$m" -ge "$oldest" ]; then
			echo "$go"
			return
		fi
	done < <(
		command -v go || true
		printf '%s\n' /usr/local/go/bin/go "${HOME:-/}/go/bin/go" "${HOME:-/}/sdk/go$pinned/bin/go"
		printf '%s\n' /usr/lib/go-1.*/bin/go | sort -t. -k2,2nr
	)
	return 1
}

have_ovmf() {
	[ -n "${ALPHAOS_OVMF_CODE:-}" ] && return
	local f
	for f in /usr/share/OVMF/OVMF_CODE{_4M,}.fd /usr/share/edk2/ovmf/OVMF_CODE.fd \
		/usr/share/edk2/x64/OVMF_CODE.4m.fd /usr/share/edk2-ovmf/x64/OVMF_CODE.fd \
		/usr/share/ovmf/x64/OVMF_CODE.fd /usr/share/qemu/ovmf-x86_64{-4m,}-code.bin \
		/usr/share/qemu/edk2-x86_64-code.fd; do
		[ -f "$f" ] && return
	done
	return 1
}

have_window() { "${ALPHAOS_QEMU:-qemu-system-x86_64}" -display help 2>/dev/null | grep -qE '^(gtk|sdl)$'; }

have_jinja2() {
	local python
	for python in /usr/bin/python3 python3; do
		"$python" -c "import jinja2.sandbox" && return
	done
	return 1
}

packages=() # to install
reasons=()  # why, a line each

# need PACKAGE REASON CHECK... notes the package unless the check succeeds.
need() {
	local package=$1 reason=$2
	shift 2
	if ! "$@" >/dev/null 2>&1; then
		packages+=("$package")
		reasons+=("$(printf '  %-20s %s' "$package" "$reason")")
	fi
}

die() {
	printf '%s\n' "$@" >&2
	exit 1
}

# newest_go prints the newest Go package that apt-get offers, if new enough.
newest_go() {
	apt-cache pkgnames golang-1. 2>/dev/null |
		sed -n 's/^golang-1\.\([0-9]*\)-go$/\1/p' | sort -nr |
		while read -r m; do
			[ "$m" -ge "$oldest" ] && echo "golang-1.$m-go"
			break
		done
}

no_go() {
	local offer=$1
	die "Go is missing${offer:+ ($offer)}. AlphaOS is built with Go $pinned; any Go from 1.$oldest on will do," \
		"because it fetches the right one by itself. Install it like this:" \
		"" \
		"    curl -LO https://go.dev/dl/go$pinned.linux-$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/').tar.gz" \
		"    ${sudo:+sudo }tar -C /usr/local -xzf go$pinned.linux-*.tar.gz" \
		"" \
		"and run make again: it looks in /usr/local/go/bin by itself."
}

if [ "${1:-}" = --go ]; then
	find_go || die "Go is missing: run \"make build\", which installs it or says how."
	exit
fi

step=${1:-run}
case $step in
build | run | test) ;;
*) die "usage: tools/install.sh build|run|test|--go" ;;
esac

sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo

go_missing=
find_go >/dev/null || go_missing=yes
if command -v apt-get >/dev/null; then
	need ca-certificates "lets Go fetch its modules over HTTPS" \
		test -e /etc/ssl/certs/ca-certificates.crt -o -e /etc/pki/tls/certs/ca-bundle.crt -o -e /etc/ssl/cert.pem -o -n "${SSL_CERT_FILE:-}"
fi
if [ "$step" != build ]; then
	need qemu-system-x86 "QEMU, the virtual machine that runs AlphaOS" command -v "${ALPHAOS_QEMU:-qemu-system-x86_64}"
	need ovmf "OVMF, UEFI firmware for QEMU" have_ovmf
	need mtools "reads and updates files inside drive images" command -v mcopy
fi
if [ "$step" = test ]; then
	need dosfstools "fsck.fat checks the file systems we write" command -v fsck.fat
	need exfatprogs "mkfs.exfat and fsck.exfat: exFAT as others understand it" command -v mkfs.exfat
	need e2fsprogs "mke2fs and e2fsck make and check the ext4 file systems that we read" command -v mke2fs
	need cryptsetup-bin "cryptsetup opens the encrypted volumes we make, and makes some for us" command -v cryptsetup
	need gdisk "sgdisk checks the partition tables we write" command -v sgdisk
	need fdisk "sfdisk writes partition tables that we read" command -v sfdisk
	need parted "parted does, and checks ours" command -v parted
	need zstd "zstd unpacks the backups we make" command -v zstd
	need xkb-data "the published keyboard layouts, which ours are compared with" test -d /usr/share/X11/xkb/symbols
	need poppler-utils "pdftotext, which says what text is in PDF files" command -v pdftotext
	for package in bash-doc debian-policy developers-reference mpich-doc asymptote-doc; do
		need "$package" "PDF files to read" test -d "/usr/share/doc/$package"
	done
	need sbsigntool "sbverify and sbsign check and make signatures for Secure Boot" command -v sbverify
	need osslsigncode "another one that does" command -v osslsigncode
	need efitools "cert-to-efi-sig-list and its like make lists of keys for Secure Boot" command -v cert-to-efi-sig-list
	need openssl "verifies signed lists of keys" command -v openssl
	need sqlite3 "sqlite3 reads the database of what is on a drive" command -v sqlite3
	need python3-jinja2 "Jinja2 says how chat templates are rendered" have_jinja2
fi
if [ "$step" = run ] && [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
	need qemu-system-gui "QEMU's window, because there is a display" have_window
fi

if [ ${#packages[@]} -gt 0 ] || [ -n "$go_missing" ]; then
	if ! command -v apt-get >/dev/null; then
		[ ${#packages[@]} -eq 0 ] || die "These are missing, and there is no apt-get here to install them:" \
			"${reasons[@]}" \
			"(Debian's names. Fedora: qemu-system-x86 edk2-ovmf mtools dosfstools exfatprogs e2fsprogs cryptsetup gdisk util-linux parted zstd xkeyboard-config poppler-utils sbsigntools osslsigncode efitools openssl sqlite python3-jinja2;" \
			"Arch: qemu-base edk2-ovmf mtools dosfstools exfatprogs e2fsprogs cryptsetup gptfdisk util-linux parted zstd xkeyboard-config poppler sbsigntools osslsigncode efitools openssl sqlite python-jinja.) Install them and run make again."
		no_go ""
	fi
	if [ -n "$sudo" ] && ! command -v sudo >/dev/null; then
		die "These packages are missing, and installing them needs root, but there is no sudo here:" \
			"${reasons[@]}" "As root run:  apt-get update && apt-get install -y ${packages[*]} ${go_missing:+golang-go}"
	fi
	echo "Some packages that \"make $step\" needs are missing; fetching apt-get's package lists."
	${sudo} apt-get update -qq || echo "apt-get update failed; going on with the package lists there are." >&2
	if [ -n "$go_missing" ]; then
		package=$(newest_go)
		if [ -z "$package" ]; then
			offer=$(apt-cache policy golang-go 2>/dev/null | sed -n 's/.*Candidate: \(2:\)\{0,1\}\([0-9.]*\).*/this system'\''s packages offer only Go \2/p')
			no_go "${offer:-this system has no package of it}"
		fi
		packages+=("$package")
		reasons+=("$(printf '  %-20s %s' "$package" "Go, which fetches Go $pinned that go.mod asks for")")
	fi
	echo "Installing with ${sudo:+sudo }apt-get, because \"make $step\" needs them:"
	printf '%s\n' "${reasons[@]}"
	${sudo} env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null ||
		die "apt-get could not install: ${packages[*]}. Install them by hand and run make again."
fi

# An older Go fetches the pinned toolchain at its first use: do it here, where
# a failure can be explained.
go=$(find_go) || no_go ""
if ! (cd "$root" && "$go" version >/dev/null); then
	die "" "This Go cannot fetch the Go $pinned that go.mod asks for. Is the network there, and is GOTOOLCHAIN" \
		"or GOPROXY set? Otherwise install Go $pinned itself from https://go.dev/dl/ to /usr/local/go."
fi
