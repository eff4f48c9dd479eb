# Portcullis. `make` says what is missing; `make demo` runs it; `make test` proves it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
BIN := $(TARGET)/debug/portcullis

.PHONY: all demo test fmt clippy unit edge browser doc bench bench-full bench-micro bench-instructions deep release train
.PHONY: tools test-tools install clean

all: tools
	@echo "Everything to build Portcullis is here. Next: make demo, make test, make release."

# What a build needs, with the command that brings it.
tools:
	@missing=
	for tool in cargo gcc g++ make cmake; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done
	if [ -n "$$missing" ]; then
	  echo "Missing:$$missing"
	  case "$$missing" in *cargo*) echo "  Rust 1.90 or later: https://rustup.rs";; esac
	  echo "  on Debian: apt-get install gcc g++ make cmake"
	  exit 1
	fi

# One process, no configuration, no other program: https://hello.localhost:8443
demo: tools
	$(CARGO) build --package portcullis
	exec $(BIN) demo

demo-check: tools
	$(CARGO) build --package portcullis
	exec $(BIN) demo --check

# Everything that proves it, in the order of speed.
test: tools test-tools
	./scripts/test

# The browser, the identity provider's packages, promtool, valgrind.
test-tools:
	./scripts/test-tools

fmt:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

# In target/dist; with the counts of `make train` where they are of this compiler.
release: tools
	CARGO="$(CARGO)" ./scripts/release

# Half an hour: counts what runs under load, for `make release` to lay the program out by. After a change of the compiler, and
# before a release.
train: tools test-tools
	CARGO="$(CARGO)" ./scripts/train

# The yardstick, ten minutes: Portcullis beside its peers, paired, with intervals; see docs/performance.md.
bench: tools
	CARGO="$(CARGO)" ./scripts/release --bench
	./scripts/bench

# Every system in every row, latency at five rates, growth and scale: about an hour.
bench-full: tools
	CARGO="$(CARGO)" ./scripts/release --bench
	./scripts/bench --full

# What a request costs in instructions and in fetches beyond the cache, beside the bare engine: the same on every machine. Needs
# valgrind, h2load and nginx; `./scripts/test-tools` and `./scripts/bench --peers` bring them.
bench-instructions: tools
	CARGO="$(CARGO)" ./scripts/release --bench
	$(TARGET)/dist/counted

# Time and allocations of each step of a decision, as a release is built; needs neither the proxy nor its engine.
bench-micro: tools
	CARGO="$(CARGO)" ./scripts/release --micro

# What takes longer: a minute of fuzzing of each target, from a new seed, which is printed. `make test` replays the corpus.
deep: tools
	$(CARGO) run --package portcullis-fuzz -- --seconds $(or $(FUZZ_SECONDS),60)

# What `make release` has built, unit and example configuration; run as root. It builds nothing: root's compiler is another.
install:
	@[ -x $(TARGET)/dist/portcullis ] || { echo "There is no release yet: make release, as the user who builds." >&2; exit 1; }
	install -Dm755 $(TARGET)/dist/portcullis $(DESTDIR)/usr/bin/portcullis
	install -Dm644 deploy/portcullis.service $(DESTDIR)/usr/lib/systemd/system/portcullis.service
	install -Dm644 deploy/portcullis.sysusers $(DESTDIR)/usr/lib/sysusers.d/portcullis.conf
	install -Dm644 config/examples/minimal.yaml $(DESTDIR)/usr/share/doc/portcullis/examples/minimal.yaml

clean:
	$(CARGO) clean
