# Everything is done by cargo and the scripts of tests/; this names them and keeps their order.

CARGO ?= cargo
CACHE := $(shell tests/support/setup.sh cache)
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: build java setup test lint format clippy doc licences advisories unit reader jvm module module-tests erp demo bench bench-jni bench-jvm bench-storage bench-downtime screenshots man clean

build:
	$(CARGO) build --release --locked

# The jar with the native library and the command inside: java/target/obbackup-*.jar
java: build
	java/stage.sh release
	cd java && mvn --quiet --batch-mode --define style.color=never --define skipTests package

# System packages, PostgreSQL servers and tools that are missing; needs root only where something is.
setup:
	tests/support/setup.sh

test: setup lint unit reader jvm module-tests erp

lint: format clippy doc licences advisories

format:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --locked --all-targets -- --deny warnings

doc:
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --locked --no-deps --document-private-items

licences: | $(CACHE)/bin/cargo-deny
	$(CACHE)/bin/cargo-deny --locked check bans licenses sources

advisories: | $(CACHE)/bin/cargo-deny
	tests/advisories.sh

$(CACHE)/bin/cargo-deny:
	tests/support/setup.sh

unit:
	$(CARGO) test --locked --no-fail-fast

# The independent reader's own tests; whole backups are read with it by the integration tests.
reader:
	tests/reader.sh

# The Java side against the real library, under -Xcheck:jni.
jvm:
	java/test.sh

# The Openbravo module: target/module/org.openbravo.backup for the ERP's modules/, and the .obx for Module Management.
module: java
	openbravo-module/package.sh $(TARGET)/module

# The module without an ERP: its dictionary's rules, and its Java in a real Tomcat and a browser.
module-tests:
	tests/module.sh

# The module on the real ERP that OPENBRAVO_HOME and OPENBRAVO_URL name.
erp:
	tests/erp.sh

demo:
	tests/support/setup.sh demo
	tests/demo.sh

bench:
	tests/support/setup.sh bench
	tests/bench.sh
	tests/bench_jni.sh

# A backup through JNI beside one by the command: the last part of bench by itself.
bench-jni:
	tests/support/setup.sh bench
	tests/bench_jni.sh

# What a JVM with a heap of 256 MB needs for an instance of 5 GB.
bench-jvm:
	tests/support/setup.sh bench
	tests/bench_jni.sh memory

# Requests that each command makes of a bucket, and what 15 ms of latency cost a nightly backup.
bench-storage: setup
	$(CARGO) test --release --locked --test it -- --ignored --exact --nocapture storage::budget::bench

# How long a client waits for a restore in place, beside a mere stop and start of the same Tomcat.
bench-downtime:
	tests/support/setup.sh
	OBBACKUP_BENCH_MEGABYTES=200 $(CARGO) test --locked --test it restore_live::downtime -- --ignored --nocapture
	OBBACKUP_BENCH_MEGABYTES=4000 $(CARGO) test --locked --test it restore_live::downtime -- --ignored --nocapture

# The page in each of its states, light and dark, wide and narrow, into target/screenshots.
screenshots:
	tests/support/setup.sh
	$(CARGO) test --locked --test it page_browser::pictures -- --ignored

man: build
	mkdir -p $(TARGET)/man
	$(TARGET)/release/obbackup man > $(TARGET)/man/obbackup.1

clean:
	$(CARGO) clean
	rm -rf java/target
