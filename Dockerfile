# Builds with the C tools that aws-lc and zlib-ng need. Runs without a shell, a package manager or root.
FROM rust:1-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin vestibule && mkdir -p /out/state && cp target/release/vestibule /out/

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/vestibule /usr/local/bin/vestibule
# The only writable directory. The rest of the root can be read-only.
COPY --from=build --chown=nonroot:nonroot /out/state /var/lib/vestibule
VOLUME /var/lib/vestibule
ENV VESTIBULE_CONFIG=/etc/vestibule/vestibule.toml
USER nonroot
# The port of the sites. The admin listener is not exposed.
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/usr/local/bin/vestibule", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/vestibule"]
CMD ["serve"]
