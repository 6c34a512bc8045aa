# `make` lists the targets. Works with any make and a POSIX shell.

CARGO ?= cargo
CARGO_TARGET_DIR ?= target
# Absolute, since tests run in their own crate's directory.
override CARGO_TARGET_DIR := $(abspath $(CARGO_TARGET_DIR))
export CARGO_TARGET_DIR

# One selection for every build of a profile: Cargo chooses the dependencies' features by it, and
# with another one would compile DataFusion again.
SELECT = --workspace --locked $(TLS) $(foreach feature,$(subst $(comma), ,$(FEATURES)),--features fenliu/$(feature))
comma := ,
# What tests run has every sink, and can be made to fail at any step of a commit.
TESTED = $(SELECT) --features fenliu/failpoints,fenliu/delta,fenliu/iceberg
# Without OpenSSL's headers everything still works but TLS and SASL/SCRAM to Kafka and https to registries and model hubs.
TLS := $(shell pkg-config --exists openssl 2>/dev/null || echo --no-default-features)

# Where `make install` puts what it installs; DESTDIR is put before it, as packagers want.
PREFIX ?= $(HOME)/.local
BINARY = $(CARGO_TARGET_DIR)/release/fenliu

.PHONY: help prerequisites onnxruntime reuters sentences kafka setup build install install-files uninstall demo test soak coverage labels-report bench \
	gates-report deploy-check lint notice doc clean-demo

help:
	@echo 'make demo        the whole pipeline on real news, from set-up to labelled Parquet'
	@echo 'make build       the optimised binary, $(BINARY); FEATURES=delta,iceberg,s3,cuda adds some'
	@echo 'make install     the binary, completions and manual pages below $(PREFIX); PREFIX=/usr/local for all users'
	@echo 'make uninstall   removes what make install put there'
	@echo 'make test        every test, those on a real Apache Kafka included where java and mvn are'
	@echo 'make soak        the engine simulated, a million schedules (SCHEDULES=n); the fault tests, 200 deaths each (FAULTS=n),'
	@echo '                 outages of 60 s (OUTAGE=n), 120 minutes at a steady pace (SOAK=n)'
	@echo 'make labels-report  models on public corpora, near and far, a JSON line a run (SEEDS=1,2,3 SETS=headlines,articles)'
	@echo 'make coverage    the share of the engine that the simulation reaches'
	@echo 'make lint        formatting, clippy, and the licences of all dependencies'
	@echo 'make deploy-check checks of the dashboard, the alerts, the chart and the Dockerfiles; METRICS=FILE: against a text of /metrics'
	@echo 'make gates-report which challengers the gates refuse, on the news beside the repository; continues where it ended'
	@echo 'make notice      writes NOTICE again, after dependencies have changed'
	@echo 'make doc         the API documentation'
	@echo 'make bench       the benchmarks; with java and mvn also the throughput from a real Apache Kafka'
	@echo 'make setup       ONNX Runtime and the documents of the demo, into the cache directory'
	@echo 'make kafka       the jars of Apache Kafka for the tests, into the cache directory'
	@echo 'make clean-demo  removes demo-out'

prerequisites:
	@sh deploy/scripts/prerequisites.sh

onnxruntime:
	@sh deploy/scripts/onnxruntime.sh

reuters:
	@sh deploy/scripts/reuters.sh

# The sentences are part of the repository; the demo looks for them beside the other corpus.
sentences:
	@sh deploy/scripts/sentences.sh

kafka:
	@sh tests/kafka/fetch.sh

setup: prerequisites onnxruntime reuters sentences

build: prerequisites
	$(CARGO) build $(SELECT) --release --bins

# With ONNX Runtime and the documents of the demo, so that everything works from any directory.
install: setup build install-files

install-files:
	@sh deploy/scripts/install.sh $(BINARY) "$(DESTDIR)$(PREFIX)"

uninstall:
	@sh deploy/scripts/install.sh --remove "$(DESTDIR)$(PREFIX)"

demo: setup build
	$(BINARY) demo

# Every crate's tests: the integration tests, and the simulation of the engine with 2,000 schedules, are among them.
test: setup
	@sh tests/readers/venv.sh
	@if java -version >/dev/null 2>&1 && mvn -v >/dev/null 2>&1; then \
		sh tests/kafka/fetch.sh && sh tests/schema_registry/fetch.sh && sh tests/peers/delta_kernel/fetch.sh; fi
	$(CARGO) build $(TESTED) --bins --tests
	$(CARGO) test $(TESTED) --doc
	FENLIU_BINARY=$(CARGO_TARGET_DIR)/debug/fenliu RUST_TEST_THREADS=$(TEST_THREADS) $(CARGO) test $(TESTED) --tests

# Integration tests wait for brokers and processes most of the time.
TEST_THREADS ?= $(shell expr 2 '*' $$(nproc 2>/dev/null || echo 2))

# The simulation with many more schedules, then the fault tests with many more deaths and longer outages; FENLIU_SEED=n
# begins elsewhere.
soak: setup
	$(CARGO) build $(TESTED) --bins --tests
	FENLIU_SCHEDULES=$(SCHEDULES) $(CARGO) test --locked --release -p fenliu-engine --test simulation -- nothing_is_lost --nocapture
	FENLIU_FAULTS=$(FAULTS) FENLIU_OUTAGE=$(OUTAGE) FENLIU_SOAK=$(SOAK) FENLIU_REQUIRE=broker \
		FENLIU_BINARY=$(CARGO_TARGET_DIR)/debug/fenliu $(CARGO) test $(TESTED) --test integration -- \
		exactly_once pass_through bucket_files housekeeping delta iceberg network outages rebalance recreated soak --nocapture --test-threads=1

SCHEDULES ?= 1000000
FAULTS ?= 200
OUTAGE ?= 60
SOAK ?= 120

bench: setup build
	@if java -version >/dev/null 2>&1 && mvn -v >/dev/null 2>&1; then sh tests/kafka/fetch.sh; fi
	FENLIU_BINARY=$(BINARY) $(CARGO) bench $(SELECT) --benches

# Models trained on public corpora and scored near and far, a JSON line a run; runs that LABELS has are not repeated.
labels-report: setup build
	python=$$(sh tests/readers/venv.sh tests/labels) && "$$python" tests/labels/report.py --binary $(BINARY) \
		--data $(DATA) --work $(CARGO_TARGET_DIR)/labels-report --out $(LABELS) --seeds $(SEEDS) $(if $(SETS),--sets $(SETS))

DATA ?= ../shared/data
LABELS ?= $(CARGO_TARGET_DIR)/labels-report.jsonl
SEEDS ?= 1,2,3

# What is in deploy/: dashboard, alerts, chart, Dockerfiles. METRICS is the text of /metrics of a run.
deploy-check:
	bash tests/deploy/check.sh $(if $(METRICS),--metrics $(METRICS))

# Worse and better challengers by construction; the seeds of its figures are not those that chose the bounds of the gates.
gates-report: build
	python3 tests/gates_report.py --fenliu $(BINARY) --out $(GATES)

GATES ?= $(CARGO_TARGET_DIR)/gates.jsonl

coverage:
	@sh tests/coverage.sh $(TESTED)

lint: prerequisites
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(TESTED) --all-targets -- -D warnings
	python3 deploy/scripts/notice.py --check
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check licenses bans; \
		else echo 'cargo-deny is not there: licences were checked by notice.py, bans are not'; fi

notice: prerequisites
	python3 deploy/scripts/notice.py

doc: prerequisites
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(SELECT) --no-deps

clean-demo:
	rm -rf demo-out
