# Built with the C tools aws-lc and zlib-ng need; runs without a shell, a package manager or root.
FROM rust:1-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin vestibule && mkdir -p /out/state && cp target/release/vestibule /out/

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/vestibule /usr/local/bin/vestibule
# What is written rests here; the rest of the root may be read-only.
COPY --from=build --chown=nonroot:nonroot /out/state /var/lib/vestibule
VOLUME /var/lib/vestibule
ENV VESTIBULE_CONFIG=/etc/vestibule/vestibule.toml
USER nonroot
# The sites' port. The admin listener stays inside.
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/usr/local/bin/vestibule", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/vestibule"]
CMD ["serve"]
