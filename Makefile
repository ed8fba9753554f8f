# `make demo` and `make test` need no setup: they install missing packages with apt if possible, or
# else name them.

.PHONY: help demo demo-sso test applications edge simulate mutants check bench measure docs package package-test \
	image site site-test observability build-needs

help:
	@echo 'make demo     run the gateway with an identity server and two sample applications'
	@echo 'make demo-sso run it with one sign-in for both applications, at the identity server'
	@echo 'make test     run all tests, also with Chromium and other third-party programs'
	@echo 'make applications  run the tests in front of all unmodified applications'
	@echo 'make edge     run the long tests of listeners, protocols and upgrades'
	@echo 'make simulate play simulations of a fleet of gateways until one fails or it is stopped'
	@echo 'make mutants  change the code in thousands of places, and report what no test notices'
	@echo 'make check    check formatting, lints, the pure modules, licences: what CI runs before the tests'
	@echo 'make bench    compare the CPU per request with other proxies'
	@echo 'make measure  measure the length, documentation and coupling of the code'
	@echo 'make package  build the packages for Debian and RHEL in target/package'
	@echo 'make package-test   try the Debian package on a bare Debian with systemd'
	@echo 'make observability  try the dashboard and the alerts with Prometheus and Alertmanager'
	@echo 'make site     build the documentation as a website in target/site'
	@echo 'make site-test  try that website in Chromium, and follow every link'
	@echo 'make docs     build the API documentation in target/doc'

# aws-lc and zlib-ng need a C compiler and cmake.
build-needs:
	@sh scripts/need.sh cargo:cargo cc:gcc c++:g++ make:make cmake:cmake

demo: build-needs
	cargo run --locked -- demo

demo-sso: build-needs
	cargo run --locked -- demo --sso

test: build-needs
	bash scripts/test.sh

# `make test` includes those that CI runs.
applications: build-needs
	bash scripts/applications.sh

edge: build-needs
	bash scripts/edge.sh

# From another seed each time.
simulate: build-needs
	cargo test --locked --profile simulation --test simulation -- --forever --from $$(date +%s)000000

# Needs cargo-mutants. SURVIVORS=--survivors plays only those again that survived before.
mutants: build-needs
	@sh scripts/need.sh python3.ensurepip:python3-venv redis-server:redis-server
	bash scripts/mutants.sh $(SURVIVORS)

check: build-needs
	bash scripts/check.sh

bench: build-needs
	bash scripts/bench.sh

measure:
	python3 scripts/measure_code.py

docs: build-needs
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items

# A .deb, an .rpm and a .tar.gz in target/package. BUILD=no takes the release binary that is there.
package: build-needs
	@sh scripts/need.sh dpkg-shlibdeps:dpkg-dev objdump:binutils
	bash scripts/package.sh

# What `make package` has made, on a bare Debian with systemd in a container. Needs root.
package-test:
	@sh scripts/need.sh python3:python3 lintian:lintian mmdebstrap:mmdebstrap systemd-nspawn:systemd-container
	lintian --fail-on error,warning $${CARGO_TARGET_DIR:-target}/package/*.deb
	python3 tests/real/package.py $${CARGO_TARGET_DIR:-target}/package/*.deb

# mdBook, which is installed into target/tools if it is missing, needs a C compiler as a linker.
site:
	@sh scripts/need.sh python3:python3 git:git cargo:cargo cc:gcc
	python3 scripts/site.py

site-test: site
	@sh scripts/need.sh chromium:chromium chromedriver:chromium-driver
	python3 tests/real/site.py $${CARGO_TARGET_DIR:-target}/site

# The container image `vestibule`, with Docker.
image:
	docker build --build-arg COMMIT=$$(git rev-parse HEAD) --target vestibule -t vestibule .

# The dashboard and the alerts with a live Prometheus and Alertmanager.
observability: build-needs
	@sh scripts/need.sh python3:python3 openssl:openssl prometheus:prometheus \
		prometheus-alertmanager:prometheus-alertmanager
	cargo build --locked --release --bin vestibule
	python3 tests/real/observability.py $${CARGO_TARGET_DIR:-target}/release/vestibule
