# The comparison with the Go code itself. Included by the Makefile at the top.
# PULLPASS_ORACLE_CASES says how many fresh cases of each kind; the seed is printed
# and can be given again in PULLPASS_ORACLE_SEED.

.PHONY: golden test-oracle

PULLPASS_ORACLE_CASES ?= 300000

golden: ## write tests/fixtures/oracle anew, by the Go code itself
	bin=$$(tests/go/build.sh oracles) && \
	"$$bin/oracle-reference" -generate -seed 1 -n 5000 > tests/fixtures/oracle/references.jsonl && \
	"$$bin/oracle-keyring" -generate -seed 1 -n 6000 -repeat 100 > tests/fixtures/oracle/keyring.jsonl

test-oracle: ## compare hundreds of thousands of fresh cases with the Go code
	bin=$$(tests/go/build.sh oracles) && \
	PULLPASS_ORACLE="$$bin" PULLPASS_ORACLE_CASES=$(PULLPASS_ORACLE_CASES) \
	$(CARGO) test --locked --features demo --test it oracle_ -- --nocapture
