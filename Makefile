# The one task runner; CI calls `make test` and nothing else.
# `make` alone lists the targets.

CARGO ?= cargo

.DEFAULT_GOAL := help

## Use it

.PHONY: run
run: ## build, start on loopback, send two recorded reviews, keep serving until Ctrl-C
	$(CARGO) build --locked --release --features demo --bins
	@$(CARGO) run --locked --release --features demo --quiet --bin pullpass-demo

.PHONY: build
build: ## the release binary, target/release/pullpass
	$(CARGO) build --locked --release

.PHONY: certs
certs: ## development certificates in certs/ (CA, certificate, key), made by pullpass itself
	$(CARGO) run --locked --quiet -- certs dev --dir certs --force

## Check it

.PHONY: test
test: ## everything: format, lints, docs, unit tests, oracles, a real API server
	@tests/run

.PHONY: check
check: ## the fast half of `make test`: what needs nothing but Rust
	@tests/run format lint docs unit demo

.PHONY: test-apiserver
test-apiserver: ## the tests against a real kube-apiserver alone
	@tests/run controlplane apiserver

.PHONY: fmt
fmt: ## format the code
	$(CARGO) fmt

.PHONY: controlplane
controlplane: ## build etcd, kube-apiserver, kube-controller-manager, kubectl and the oracles into the cache
	@PATH="$$(tests/go/toolchain.sh):$$PATH" tests/go/build.sh

.PHONY: fuzz
fuzz: ## the property tests with many more cases (PROPTEST_CASES, default 20000; minutes)
	PROPTEST_CASES=$${PROPTEST_CASES:-20000} $(CARGO) test --locked --features demo --lib --test it -- \
		image:: pull_secret:: policy:: admission::

include tests/go/oracle.mk tests/apiserver/apiserver.mk tests/cluster/cluster.mk charts/chart.mk

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^## / {printf "\n%s\n", substr($$0, 4)} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
