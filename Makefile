# make            build/BOOTX64.EFI, the UEFI application    [TAMAGO=/path/to/tamago-go/bin/go: also BOOTX64-tamago.EFI]
# make run        talk to it in QEMU    [MODEL=file.gguf] [MEMORY=4G] [CPUS=2] [BUS=usb]
# make image      build/alphaos.img, a drive image    [MODEL=file.gguf]
# make release    build/release: the host command for Linux, macOS and Windows, BOOTX64.EFI, and checksums; the same bytes each time
# make test       all tests, also those that boot the image in QEMU    [TAMAGO=...]
# make model      trains the guide model in models/ anew, in about an hour on two cores
# make bench      benchmarks, on the host and in QEMU
# make bench-peer LLAMA=/path/to/llama-bench   the engine beside llama.cpp, in turn, as a table and JSON in build/peer    [ROUNDS=5]
# make soak       what takes hours: 100,000 cuts of power while the journal is written, as many on encrypted FAT32 and, with documents, on ext4 and ext4 in LUKS2, 1,000 while a drive is encrypted, half as many while files are on FAT32 and on ext4, 2,000 while the database is, 5,000 while all that is on a drive is, 100 boots on every kind of disk, 300 on firmware with random habits of other machines, 10,000 keys typed into answers on each kind of keyboard and on the serial line, 200 plugs pulled while documents are written, Go's own tests and torture in the machine, each fuzz test for ten minutes    [CUTS=100000] [BOOTS=100] [KEYS=10000] [FUZZ=10m]
# make clean      removes build/, but for the drive of make run and what is saved on it
# make distclean  removes that as well
#
# What is missing on Debian or Ubuntu is installed; tools/install.sh says what and why.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := build
.PHONY: build release image run test model bench bench-peer need-peer soak clean distclean need-build need-run need-test

MODEL ?=
MEMORY ?=
CPUS ?= 1
BUS ?= virtio
BOOTS ?= 100
KEYS ?= 10000
CUTS ?= 100000
FUZZ ?= 10m
ROUNDS ?= 5
LLAMA ?=
QEMUFLAGS ?=
TAMAGO ?=
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
RELEASES := linux-amd64 linux-arm64 macos-amd64 macos-arm64 windows-amd64.exe windows-arm64.exe

# Some distributions forbid Go to fetch the toolchain that go.mod asks for.
export GOTOOLCHAIN ?= auto
# Kernels are chosen where the program runs, not where it is built.
export GOAMD64 := v1
export ALPHAOS_SCREENS := $(CURDIR)/build/screens
export ALPHAOS_TAMAGO := $(TAMAGO)

# Evaluated when a recipe runs: go may have been installed just before.
GO = $(shell tools/install.sh --go)

build: need-build
	@mkdir -p build
	@$(GO) build -buildvcs=false -ldflags "-X main.version=$(VERSION)" -o build/alphaos ./tools/alphaos
	@CGO_ENABLED=0 GOOS=linux GOARCH=amd64 $(GO) build -buildvcs=false -trimpath -buildmode=pie -o build/alphaos.elf .
	@build/alphaos efi pack build/alphaos.elf build/BOOTX64.EFI.new
	@mv build/BOOTX64.EFI.new build/BOOTX64.EFI
	@echo "build/BOOTX64.EFI is ready ($$(stat -c %s build/BOOTX64.EFI) bytes)."
	@if [ -n "$(TAMAGO)" ]; then \
		tools/tamago.sh "$(TAMAGO)" build/BOOTX64-tamago.EFI; \
		echo "build/BOOTX64-tamago.EFI is ready ($$(stat -c %s build/BOOTX64-tamago.EFI) bytes)."; \
	fi

release: build
	@rm -rf build/release
	@mkdir -p build/release
	@cp build/BOOTX64.EFI build/release/
	@for release in $(RELEASES); do \
		platform=$${release%.exe}; os=$${platform%-*}; \
		CGO_ENABLED=0 GOOS=$${os/macos/darwin} GOARCH=$${platform#*-} \
			$(GO) build -buildvcs=false -trimpath -ldflags "-buildid= -X main.version=$(VERSION)" -o build/release/alphaos-$$release ./tools/alphaos; \
	done
	@cd build/release && sha256sum -- * >SHA256SUMS
	@echo "build/release is ready:" && cat build/release/SHA256SUMS

image: build
	@tools/drive.sh image build/alphaos.img "$(MODEL)"

run: need-run build
	@tools/drive.sh keep build/run.img "$(MODEL)"
	@memory="$(MEMORY)"; \
	build/alphaos qemu run build/run.img --memory "$${memory:-$$(tools/drive.sh memory "$(MODEL)")}" \
		--cpus $(CPUS) --bus $(BUS) $(QEMUFLAGS)

# The tests that boot machines come last and not all at once: they measure nothing, but a loaded host makes them slow.
test: need-test build
	@unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l $$(git ls-files --cached --others --exclude-standard '*.go' 2>/dev/null || find . -name '*.go')); \
	if [ -n "$$unformatted" ]; then echo "Not formatted (run gofmt -w): $$unformatted"; exit 1; fi
	@$(GO) vet ./...
	@for os in darwin windows; do GOOS=$$os $(GO) vet ./tools/alphaos ./drive/...; done
	@if [ -z "$(TAMAGO)" ]; then echo "The TamaGo build is not tested: make test TAMAGO=/path/to/tamago-go/bin/go does it."; fi
	@status=0; \
	$(GO) test -timeout 20m $$($(GO) list ./... | grep -v -e '/ovmf$$' -e '/tests$$' -e '/tests/machine$$') || status=1; \
	$(GO) test -count=1 -p 2 -timeout 60m ./tests ./tests/machine ./ovmf || status=1; \
	exit $$status

# The same corpus gives the same model, to the bit. Interrupted, it goes on where it was.
model: build
	@build/alphaos model corpus build/corpus
	@build/alphaos model train --corpus build/corpus --checkpoint build/guide.checkpoint build/guide.gguf
	@build/alphaos model quantize build/guide.gguf models/alphaos-guide-q8_0.gguf Q8_0
	@rm build/guide.checkpoint

bench: need-test build
	@$(GO) test -run '^$$' -bench . ./fs/... ./llm/... ./store/... ./console/... ./knowledge/...
	@$(GO) test -count=1 -timeout 20m -run '^$$' -bench . -benchtime 1x ./tests
	@$(GO) test -count=1 -timeout 20m -run '^$$' -bench . -benchtime 1x -v ./tests/machine

PEERS := Q4_K_M Q8_0 Q4_0 Q6_K

need-peer:
	@if [ -z "$(LLAMA)" ]; then echo "make bench-peer: name llama.cpp's llama-bench: make bench-peer LLAMA=/path/to/llama-bench" >&2; exit 2; fi

bench-peer: need-peer $(PEERS:%=build/peer/%.gguf)
	@build/alphaos model peer --bench "$(LLAMA)" -p 32,512 -n 64 -t 1,2 -r $(ROUNDS) -o json $(PEERS:%=build/peer/%.gguf) > build/peer/peer.json
	@build/alphaos model peer --table build/peer/peer.json

build/peer/%.gguf: | build
	@mkdir -p build/peer
	@build/alphaos model synth --shape llama-3.2-1b --type $* $@

soak: need-test build
	@$(GO) test -count=1 -timeout 0 -v -run '^TestCuts$$' ./store -soak $(CUTS)
	@$(GO) test -count=1 -timeout 0 -v -run '^Test(Cuts|CutsLarge|CheckRandom|Model)$$' ./fs/fat -cuts $$(($(CUTS) / 2)) -fsck 1 -spoils 5000 -steps 20000
	@$(GO) test -count=1 -timeout 0 -v -run Others ./fs/luks -decrypt
	@$(GO) test -count=1 -timeout 0 -v -run '^TestCuts$$' ./drive -cuts $(CUTS)
	@$(GO) test -count=1 -timeout 0 -v -run '^TestCuts$$' ./drive/encrypt -cuts $$(($(CUTS) / 100))
	@$(GO) test -count=1 -timeout 0 -v -run '^TestCuts$$' ./fs/ext4 -cuts $$(($(CUTS) / 2))
	@$(GO) test -count=1 -timeout 0 -v -run '^TestCuts$$' ./knowledge/db -cuts $$(($(CUTS) / 50))
	@$(GO) test -count=1 -timeout 0 -v -run '^TestCuts$$' ./drive/database -cuts $$(($(CUTS) / 20))
	@$(GO) test -count=1 -timeout 0 -v -run '^TestOutages$$' ./assistant -outages $$(($(CUTS) / 50))
	@$(GO) test -count=1 -timeout 0 -v -run '^TestSoak$$' ./tests -soak $(BOOTS)
	@$(GO) test -count=1 -timeout 0 -v -run '^TestHabitsSoak$$' ./tests -soak $$((3 * $(BOOTS)))
	@$(GO) test -count=1 -timeout 0 -v -run '^TestKeys$$' ./tests -keys $(KEYS)
	@$(GO) test -count=1 -timeout 0 -v -run '^TestKills$$' ./tests -kills $$((2 * $(BOOTS)))
	@$(GO) test -count=1 -timeout 0 -v ./tests/machine -soak
	@for room in $$($(GO) list ./...); do \
		for fuzz in $$($(GO) test -list '^Fuzz' $$room | sed -n '/^Fuzz/p'); do \
			$(GO) test -run '^$$' -fuzz "^$$fuzz\$$" -fuzztime $(FUZZ) -fuzzminimizetime 10x $$room; \
		done; \
	done

need-build:
	@tools/install.sh build
need-run:
	@tools/install.sh run
need-test:
	@tools/install.sh test

clean:
	@if [ -d build ]; then find build -mindepth 1 -maxdepth 1 ! -name 'run.img*' -exec rm -rf {} +; fi
	@if [ -e build/run.img ]; then echo "build/run.img and the conversations on it stay; make distclean removes them too."; fi

distclean:
	@rm -rf build
