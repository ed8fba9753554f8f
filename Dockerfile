# Build: docker build --build-arg COMMIT=$(git rev-parse HEAD) -t vestibule .
# A release pins both images by digest: --build-arg BUILD_IMAGE=rust@sha256:… --build-arg RUN_IMAGE=….
ARG BUILD_IMAGE=rust:1-bookworm
ARG RUN_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
# aws-lc and zlib-ng need cmake. Debian's mirrors keep no old versions that could be pinned.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The dependencies change seldom and take most of the time: they are a layer of their own, built for
# programs that do nothing.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches \
    && for file in build.rs src/main.rs benches/decide.rs benches/tokens.rs; do echo 'fn main() {}' >$file; done \
    && touch src/lib.rs \
    && cargo build --release --locked --bin vestibule \
    && rm -r src benches build.rs
COPY . .
ARG COMMIT=
# Cargo compares times of files: those that were copied can be older than the programs that do nothing.
RUN touch build.rs src/main.rs src/lib.rs \
    && VESTIBULE_COMMIT=$COMMIT cargo build --release --locked --bin vestibule \
    && mkdir -p /out/state && cp target/release/vestibule /out/

# For packaging/replicas: an identity server with the accounts of the demo (`--target identity`).
FROM build AS identity-build
RUN cargo build --release --locked --example identity_server
FROM ${RUN_IMAGE} AS identity
COPY --from=identity-build /src/target/release/examples/identity_server /usr/local/bin/identity_server
COPY --from=build --chown=nonroot:nonroot /out/state /var/lib/identity
USER 65532:65532
EXPOSE 9011
ENTRYPOINT ["/usr/local/bin/identity_server", "--state", "/var/lib/identity", "--listen", "0.0.0.0:9011"]

# Runs without a shell, a package manager or root.
FROM ${RUN_IMAGE} AS vestibule
ARG COMMIT=
LABEL org.opencontainers.image.title="vestibule" \
      org.opencontainers.image.description="Signing-in reverse proxy for web applications that were never changed for it" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="$COMMIT"
COPY --from=build /out/vestibule /usr/local/bin/vestibule
# The only writable directory. The rest of the root can be read-only.
COPY --from=build --chown=nonroot:nonroot /out/state /var/lib/vestibule
VOLUME /var/lib/vestibule
ENV VESTIBULE_CONFIG=/etc/vestibule/vestibule.toml
# nonroot, as a number for Kubernetes' runAsNonRoot.
USER 65532:65532
# The port of the sites. The admin listener is not exposed.
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/usr/local/bin/vestibule", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/vestibule"]
CMD ["serve"]
