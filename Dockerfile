# One image for every daemon and command of the project, in the lab and in production: `docker run IMAGE edge ...`.
# Pin the base by digest for production: --build-arg DEBIAN_IMAGE=debian@sha256:...
ARG DEBIAN_IMAGE=debian:bookworm-slim

FROM ${DEBIAN_IMAGE} AS build
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN apt-get update -qq \
 && apt-get install -qq -y --no-install-recommends ca-certificates gcc python3-dev python3-venv >/dev/null \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# python3-bpfcc is only to be had as a Debian package, hence --system-site-packages
RUN python3 -m venv --system-site-packages /opt/sennit
COPY requirements.image.lock .
RUN /opt/sennit/bin/pip install --quiet --require-hashes -r requirements.image.lock
# what compiles sees the libraries' types, and stays behind with the compiler
COPY requirements.build.lock .
RUN python3 -m venv /compiler \
 && /compiler/bin/pip install --quiet --require-hashes -r requirements.build.lock \
 && echo /opt/sennit/lib/python3*/site-packages >runtime.pth \
 && mv runtime.pth /compiler/lib/python3*/site-packages/
COPY . .
RUN packaging/build-wheel /wheel /compiler/bin/python \
 && /opt/sennit/bin/pip install --quiet --no-deps --no-index /wheel/*.whl \
 && rm -rf /opt/sennit/lib/python3*/site-packages/pip*

FROM ${DEBIAN_IMAGE}
RUN apt-get update -qq \
 && apt-get install -qq -y --no-install-recommends \
      python3 python3-bpfcc linux-libc-dev iproute2 bird2 dnsmasq-base curl ca-certificates tcpdump >/dev/null \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 900 --no-create-home --home-dir /var/lib/sennit --shell /usr/sbin/nologin sennit \
 && install -d -o sennit -g sennit -m 0770 /var/lib/sennit /var/cache/sennit /srv/origin /srv/origin-tls \
      /edges /edges/edge1 /edges/edge2 /edges/edge3 /edges/phone \
 && install -d /run/sennit/bpf
COPY --from=build /opt/sennit /opt/sennit
ENV PATH=/opt/sennit/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
ENTRYPOINT ["sennit"]
CMD ["--help"]
