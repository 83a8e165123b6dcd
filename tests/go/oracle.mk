# The comparison with the Go code itself. Included by the Makefile at the top.
#
#   make golden        writes the golden files in tests/fixtures/oracle again
#   make test-oracle   fresh random cases, PULLPASS_ORACLE_CASES of each kind; the
#                      seed is printed and can be given again: PULLPASS_ORACLE_SEED

.PHONY: golden test-oracle

PULLPASS_ORACLE_CASES ?= 300000

golden:
	bin=$$(tests/go/build.sh oracles) && \
	"$$bin/oracle-reference" -generate -seed 1 -n 5000 > tests/fixtures/oracle/references.jsonl && \
	"$$bin/oracle-keyring" -generate -seed 1 -n 6000 -repeat 100 > tests/fixtures/oracle/keyring.jsonl

test-oracle:
	bin=$$(tests/go/build.sh oracles) && \
	PULLPASS_ORACLE="$$bin" PULLPASS_ORACLE_CASES=$(PULLPASS_ORACLE_CASES) \
	cargo test --test it oracle_ -- --nocapture
