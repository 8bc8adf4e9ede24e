#!/usr/bin/env bash
# Makes the drive images of `make image` and `make run`.
#
#   tools/drive.sh image OUT [MODEL]   makes a new image
#   tools/drive.sh keep OUT [MODEL]    brings an image up to date, or makes it;
#                                      what was saved on it stays
#   tools/drive.sh memory [MODEL]      prints the memory a machine needs for it
#
# Without MODEL: the largest of models/*.gguf beside the guide model, if others
# were put there; else none, since the guide is part of the program.
#
# An image is replaced by renaming a complete new one over it, so an
# interruption leaves the old one.
set -euo pipefail
cd "$(dirname "$0")/.."
export MTOOLS_SKIP_CHECK=1

die() {
	printf '%s\n' "$@" >&2
	exit 1
}

pick_model() {
	local f=${model:-}
	if [ -n "$f" ]; then
		[ -f "$f" ] || die "There is no file $f. Name a GGUF model that exists: make run MODEL=path/to/file.gguf"
	else
		f=$(ls -LS models/*.gguf 2>/dev/null | grep -v '^models/alphaos-guide-' | head -n 1) || true
	fi
	echo "$f"
}

# mib prints the model's size.
mib() { [ -n "$model" ] && echo $((($(stat -Lc %s "$model") + 1048575) / 1048576)) || echo 0; }

# called prints the model's name.
called() { [ -n "$model" ] && basename "$model" || echo "the guide model"; }

# create OUT makes the image: room for the model, the program and 256 MiB more.
create() {
	local size=$(($(mib) + 256))
	[ "$size" -ge 512 ] || size=512
	rm -f "$1"
	build/alphaos drive create "$1" --layout minimal --size "${size}M" ${model:+--model "$model"} --efi "$efi" --yes >/dev/null
}

# inside IMG prints mtools' name for the first partition: its first sector is
# in the GUID partition table's first entry, at LBA 2, byte 32.
inside() {
	local lba
	lba=$(od -An -tu8 -j1056 -N8 "$1" | tr -d ' ')
	[ "$lba" -gt 0 ] || die "$1 has no partition; delete it to have a new one made."
	echo "$1@@$((lba * 512))"
}

# stamp prints what the image's model was made from.
stamp() { echo "$(called)${model:+ $(stat -Lc '%s %Y' "$model")}"; }

keep() {
	local img=$1 part
	if [ ! -f "$img" ]; then
		echo "Making $img with $(called)."
		create "$img.new"
	elif [ "$(cat "$img.model" 2>/dev/null)" != "$(stamp)" ]; then
		echo "Making $img again, for $(called); what is saved under /data on it stays."
		create "$img.new"
		local saved
		saved=$(mktemp -d)
		trap 'rm -rf "$saved"' RETURN
		mcopy -s -n -Q -m -i "$(inside "$img")" ::/data "$saved/" ||
			die "$img cannot be read. To start with a new one, without the conversations on it: rm $img"
		mcopy -s -o -Q -m -i "$(inside "$img.new")" "$saved/data" ::/
	else
		part=$(inside "$img")
		if ! mcopy -n -i "$part" ::/EFI/BOOT/BOOTX64.EFI - 2>/dev/null | cmp -s - "$efi"; then
			echo "Putting the new BOOTX64.EFI into $img; the rest of it stays."
			mcopy -o -Q -i "$part" "$efi" ::/EFI/BOOT/BOOTX64.EFI
		fi
		return
	fi
	mv "$img.new" "$img"
	stamp >"$img.model"
}

efi=build/BOOTX64.EFI
model=${3:-}
case ${1:-} in
image)
	model=$(pick_model)
	create "$2.new"
	mv "$2.new" "$2"
	echo "$2 is ready, with $(called)."
	;;
keep)
	model=$(pick_model)
	keep "$2"
	;;
memory)
	model=${2:-}
	model=$(pick_model)
	need=$(($(mib) * 5 / 4 + 640))
	echo "$((need > 1024 ? need : 1024))M"
	;;
*) die "usage: tools/drive.sh image|keep OUT [MODEL], or memory [MODEL]" ;;
esac
