# Evenkeel in an image that holds nothing but its static program.
#
#   docker build --tag evenkeel .
#   docker run --detach --name evenkeel --restart unless-stopped --read-only --cap-drop ALL --security-opt no-new-privileges \
#     --volume /var/run/docker.sock:/var/run/docker.sock --volume evenkeel-data:/var/lib/evenkeel \
#     --volume /srv/manifests:/manifests:ro --publish 127.0.0.1:7070:7070 evenkeel
#
# Host paths in manifests are paths of the host, and relative ones are resolved against the manifest's directory: mount the
# manifests at the path that they have on the host where manifests mount host paths.
#
# The first stage needs a registry; `make release` makes the same program without one.

FROM rust:1.95.0-bookworm AS build
WORKDIR /source
COPY . .
RUN scripts/release.sh \
    && mkdir -p /root-of-image/manifests /root-of-image/var/lib/evenkeel \
    && chmod 0700 /root-of-image/var/lib/evenkeel \
    && cp target/static/evenkeel /root-of-image/evenkeel

FROM scratch
COPY --from=build /root-of-image/ /
ENV EVENKEEL_MANIFESTS=/manifests \
    EVENKEEL_DATA_DIR=/var/lib/evenkeel \
    EVENKEEL_LISTEN=0.0.0.0:7070 \
    EVENKEEL_ALLOW_REMOTE=true \
    EVENKEEL_LOG_FORMAT=json
VOLUME /var/lib/evenkeel
EXPOSE 7070
STOPSIGNAL SIGTERM
ENTRYPOINT ["/evenkeel"]
CMD ["run"]
