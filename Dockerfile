# isthmus as an image: `docker build -t isthmus .` is the product, `--target demo` adds the sample applications of
# docker-compose.yml and curl. Both run as uid 1337, which interception leaves alone, with a read-only root file system.

# Everything that building needs stays in this stage.
FROM node:24-slim AS build
WORKDIR /isthmus
COPY package.json package-lock.json .npmrc ./
# The image has its own Node: the pinned one of package.json, which is for machines without, is not fetched.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json tsconfig.api.json ./
COPY src src
COPY test/apps test/apps
# Of the packages stays what runs: no types, source maps, sources of native parts, builds for browsers and other C libraries.
RUN npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
 && find node_modules -type f \( -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.map' -o -name '*.cc' -o -name '*.hh' -o -iname 'README*' -o -iname 'CHANGELOG*' \) -delete \
 && rm -rf node_modules/.cache node_modules/@koromix/*/musl_* node_modules/koffi/lib node_modules/koffi/vendor node_modules/koffi/doc \
      node_modules/node-forge/dist node_modules/node-forge/flash node_modules/yaml/browser node_modules/js-yaml/dist/browser \
 && find node_modules -type d -empty -delete

# The packet rules of `isthmus intercept`. What only building, debugging or reading manuals needs goes, symbols of Node among it.
FROM node:24-slim AS system
RUN apt-get update && apt-get install --yes --no-install-recommends iptables binutils \
 && strip --strip-unneeded /usr/local/bin/node && apt-get purge --yes --auto-remove binutils \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /usr/share/doc /usr/share/man /usr/share/locale \
      /usr/local/include /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn* /opt/yarn* \
 && groupadd --gid 1337 isthmus && useradd --uid 1337 --gid 1337 --no-create-home --shell /usr/sbin/nologin isthmus

# In one layer, so that what was removed above takes no room.
FROM scratch AS isthmus
COPY --from=system / /
COPY --from=build /isthmus/package.json /isthmus/package.json
COPY --from=build /isthmus/node_modules /isthmus/node_modules
COPY --from=build /isthmus/dist/src /isthmus/dist/src
COPY scripts/isthmus /isthmus/scripts/isthmus
RUN ln -s /isthmus/scripts/isthmus /usr/local/bin/isthmus
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NODE_ENV=production
WORKDIR /isthmus
USER 1337:1337
# Ready is what the proxy's own /ready says. Asked without starting a program that is larger than the answer.
HEALTHCHECK --interval=5s --timeout=5s --start-period=120s --retries=3 CMD ["bash", "-c", \
  "exec 3<>/dev/tcp/127.0.0.1/15000 && printf 'GET /ready HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["isthmus"]
CMD ["--help"]

# For docker-compose.yml: one image for proxies and applications alike.
FROM isthmus AS demo
USER 0:0
RUN apt-get update && apt-get install --yes --no-install-recommends curl && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*
COPY --from=build /isthmus/dist/test /isthmus/dist/test
USER 1337:1337

# The default target.
FROM isthmus
