# `make demo` and `make test` do all set-up themselves: what they lack they install with apt where they may, else name.

.PHONY: help demo test check bench measure docs build-needs

help:
	@echo 'make demo     the gateway, an identity server and two sample applications on the embedded defaults'
	@echo 'make test     every test, also against Chromium and other programs that are here'
	@echo 'make check    formatting, lints, the pure core alone, licences: what CI asks before the tests'
	@echo 'make bench    CPU per request beside plain Pingora and nginx'
	@echo 'make measure  how long, how documented and how entangled the code is'
	@echo 'make docs     the documentation of the code, in target/doc'

# aws-lc and zlib-ng are C: a compiler and cmake build them.
build-needs:
	@sh scripts/need.sh cargo:cargo cc:gcc c++:g++ make:make cmake:cmake

demo: build-needs
	cargo run --locked -- demo

test: build-needs
	bash scripts/test.sh

check: build-needs
	bash scripts/check.sh

bench: build-needs
	bash scripts/bench.sh

measure:
	python3 scripts/measure_code.py

docs: build-needs
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items
