# The task runner. `make` alone lists the targets; continuous integration runs `make test`.

CARGO ?= cargo
# Everything that the tests compile, so that nothing is compiled twice: with the
# dev-dependencies some crates have more features.
BUILD := $(CARGO) build --locked --workspace --all-targets

# How many fresh cases of each kind `make test-oracle` compares. It prints its seed,
# which PULLPASS_ORACLE_SEED takes to repeat a run.
PULLPASS_ORACLE_CASES ?= 300000
PROPTEST_CASES ?= 20000

.DEFAULT_GOAL := help

## Use it

# A debug build without what only tests need: two reviews do not need more.
.PHONY: run
run: ## build, start on loopback, send two recorded reviews, keep serving until Ctrl-C
	$(CARGO) build --locked --package pullpass --package pullpass-examples --bin pullpass --bin demo
	@$${CARGO_TARGET_DIR:-target}/debug/demo

.PHONY: build
build: ## the release binary, target/release/pullpass
	$(CARGO) build --locked --release

.PHONY: image
image: ## the image for amd64 and arm64, without a daemon: target/image (IMAGE_ARCH=amd64 for one)
	@image/build.sh $(IMAGE_ARCH)

.PHONY: sbom
sbom: ## what the binary for amd64 is made of, as CycloneDX: target/pullpass.cdx.json (the image has its own)
	@mkdir -p $${CARGO_TARGET_DIR:-target}
	@SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} image/sbom x86_64-unknown-linux-musl \
		>$${CARGO_TARGET_DIR:-target}/pullpass.cdx.json

.PHONY: certs
certs: ## development certificates in certs/ (CA, certificate, key), made by pullpass itself
	$(CARGO) run --locked --quiet -- certs dev --dir certs --force

.PHONY: cluster
cluster: ## a one-node Kubernetes with pullpass, and a private registry (root)
	@tests/cluster/playground

.PHONY: cluster-down
cluster-down: ## end the cluster and remove everything of it
	@tests/cluster/down

## Check it

.PHONY: test
test: ## everything: format, lints, docs, unit tests, oracles, API server, chart, image, node
	@tests/run

.PHONY: check
check: ## the fast half of `make test`: what needs nothing but Rust
	@tests/run format lint docs unit demo

.PHONY: fmt
fmt: ## format the code
	$(CARGO) fmt --all

.PHONY: controlplane
controlplane: ## build the control plane and the oracles into the cache (PULLPASS_KUBERNETES=1.36 for an older one)
	@PATH="$$(tests/go/toolchain.sh):$$PATH" tests/go/build.sh

.PHONY: test-apiserver
test-apiserver: ## the tests against a real kube-apiserver alone
	@tests/run controlplane apiserver

.PHONY: test-chart
test-chart: ## the chart through Helm 4 and 3, and before a real API server
	@tests/run controlplane chart

.PHONY: test-image
test-image: ## an image of quickly built binaries: what is in it, both run, packed twice alike
	@tests/run image

.PHONY: image-verify
image-verify: image ## the real image: the same, and a second build elsewhere gives the same digest (many minutes)
	@tests/image/run --again

.PHONY: soak
soak: ## pods are created all the time while pullpass is upgraded, killed, drained... (root; ten minutes)
	@$(BUILD)
	@tests/cluster/soak

.PHONY: fuzz
fuzz: ## libFuzzer on each target, FUZZ_SECONDS each (60), or on those of FUZZ_TARGETS (needs a C++ compiler)
	@fuzz/run $(FUZZ_TARGETS)

.PHONY: properties
properties: ## the property tests with PROPTEST_CASES cases each (default 20000; minutes)
	PROPTEST_CASES=$(PROPTEST_CASES) $(CARGO) test --locked --workspace --lib --test it \
		--test reference --test keyring -- policy:: admission:: secret_manifest:: any_ prop_

.PHONY: test-oracle
test-oracle: ## compare PULLPASS_ORACLE_CASES fresh cases (default 300000) with the Go code
	PATH="$$(tests/go/toolchain.sh):$$PATH" && bin=$$(tests/go/build.sh oracles) && \
	PULLPASS_ORACLE="$$bin" PULLPASS_ORACLE_CASES=$(PULLPASS_ORACLE_CASES) \
		$(CARGO) test --locked --workspace --lib --test reference --test keyring oracle_ -- --nocapture

## Write expected results anew (read the difference before you commit it)

.PHONY: golden
golden: ## the golden files of references, keyring and manifests, by the Go code itself
	PATH="$$(tests/go/toolchain.sh):$$PATH" && bin=$$(tests/go/build.sh oracles) && \
	"$$bin/oracle-reference" -generate -seed 1 -n 5000 > crates/image-reference/tests/golden/references.jsonl && \
	"$$bin/oracle-keyring" -generate -seed 1 -n 6000 -repeat 100 > crates/kubelet-keyring/tests/golden/keyring.jsonl && \
	"$$bin/oracle-manifest" -generate -seed 1 -n 1600 > crates/core/tests/golden/manifests.jsonl

.PHONY: record-reviews
record-reviews: ## tests/fixtures/reviews, from a real API server
	PULLPASS_RECORD_REVIEWS=1 $(CARGO) test --locked --test apiserver recorded_reviews

.PHONY: bless-chart
bless-chart: ## tests/chart/golden.yaml, from what the chart renders now
	@BLESS=1 tests/run controlplane chart

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^## / {printf "\n%s\n", substr($$0, 4)} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
