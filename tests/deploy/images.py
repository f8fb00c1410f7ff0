"""The images that the tests run: the gateway's own, built as it is, and those it is built on and runs beside.

Where no registry can be reached, Debian packages stand in for the latter.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path

from tests.deploy import sandbox
from tests.gateway import ROOT

GATEWAY = "localhost/sse-gateway:0.1.0"
WITH_SOURCES = f"{GATEWAY}-sources"
PYTHON = "docker.io/library/python:3.11-slim-bookworm"
NODE = "docker.io/library/node:22-bookworm-slim"
RUNTIME = "gcr.io/distroless/python3-debian12:nonroot"
REDIS = "docker.io/library/redis:7.4-bookworm"
NGINX = "docker.io/library/nginx:1.28-bookworm"
POSTGRES = "docker.io/library/postgres:17-bookworm"
PROMETHEUS = "docker.io/prom/prometheus:v3.5.0"
SERVERS = (REDIS, NGINX, POSTGRES, PROMETHEUS)
PULL_SECONDS = 20
MADE_BY = "sse-gateway.stand-in"
"""The label of what this file has made, with the file's own hash: an older stand-in is made again."""
RECIPE = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
CA = "/etc/ssl/certs/ca-certificates.crt"

# The packages that distroless/python3-debian12 is made of.
_RUNTIME_PACKAGES = (
    "base-files,netbase,tzdata,media-types,libc6,libssl3,libgcc-s1,libgomp1,libstdc++6,libbz2-1.0,libcom-err2,libcrypt1,"
    "libdb5.3,libexpat1,libffi8,libgssapi-krb5-2,libk5crypto3,libkeyutils1,libkrb5-3,libkrb5support0,liblzma5,"
    "libncursesw6,libnsl2,libpython3.11-minimal,libpython3.11-stdlib,libreadline8,libsqlite3-0,libtinfo6,libtirpc3,"
    "libuuid1,python3-distutils,python3.11-minimal,zlib1g,ca-certificates"
)
_NGINX_ENTRY = r"""#!/bin/sh
# What the official image does with templates, name servers and scripts.
NGINX_LOCAL_RESOLVERS=$(awk '/^nameserver/ {print $2}' /etc/resolv.conf | tr '\n' ' ')
export NGINX_LOCAL_RESOLVERS
for script in /docker-entrypoint.d/*.envsh; do
    if [ -x "$script" ]; then . "$script"; fi
done
for template in /etc/nginx/templates/*.template; do
    envsubst '$NGINX_LOCAL_RESOLVERS' <"$template" >"${NGINX_ENVSUBST_OUTPUT_DIR}/$(basename "$template" .template)"
done
exec "$@"
"""
_POSTGRES_ENTRY = r"""#!/bin/sh
# What the official image does at its first start.
set -eu
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
PGDATA=/var/lib/postgresql/data
mkdir -p /var/run/postgresql
chown postgres /var/run/postgresql
as_postgres() { setpriv --reuid postgres --regid postgres --clear-groups "$@"; }
if [ ! -s $PGDATA/PG_VERSION ]; then
    chown postgres:postgres $PGDATA
    printf '%s\n' "${POSTGRES_PASSWORD:?}" >/tmp/password
    chmod a+r /tmp/password
    as_postgres initdb -D $PGDATA -U "$POSTGRES_USER" --pwfile=/tmp/password -E UTF8 -A scram-sha-256 >/dev/null
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>$PGDATA/pg_hba.conf
    as_postgres pg_ctl -D $PGDATA -o "-c listen_addresses=''" -w start >/dev/null
    as_postgres env PGPASSWORD="$POSTGRES_PASSWORD" createdb -U "$POSTGRES_USER" "$POSTGRES_DB"
    as_postgres pg_ctl -D $PGDATA -m fast -w stop >/dev/null
fi
exec setpriv --reuid postgres --regid postgres --clear-groups postgres -D $PGDATA -c listen_addresses='*'
"""


def there(image: str) -> bool:
    """Whether *image* is on this machine, and no old stand-in, or can be pulled."""
    try:
        show = f'{{{{index .Labels "{MADE_BY}"}}}}'
        label = sandbox.run(["podman", "image", "inspect", "--format", show, image], may_fail=True)
    except subprocess.CalledProcessError:
        try:
            sandbox.run(["podman", "pull", "--quiet", image], timeout=PULL_SECONDS, may_fail=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return False
        return True
    return label.strip() in ("", RECIPE)


def _debian(folder: Path, name: str, packages: str, *, variant: str = "minbase") -> Path:
    archive = folder / f"{name}.tar"
    sandbox.run(["mmdebstrap", f"--variant={variant}", f"--include={packages}", "bookworm", str(archive)], timeout=300)
    return archive


def _import(archive: Path, image: str, *changes: str) -> None:
    labelled = (*changes, f"LABEL {MADE_BY}={RECIPE}")
    options = [argument for change in labelled for argument in ("--change", change)]
    sandbox.run(["podman", "import", *options, str(archive), image])


def _python(folder: Path) -> None:
    packages = "python3,python3-venv,python3-pip,ca-certificates"
    _import(_debian(folder, "python", packages), PYTHON, f"ENV PIP_CERT={CA}")


def _node(folder: Path) -> None:
    archive = _debian(folder, "node", "ca-certificates,libstdc++6,libatomic1")
    # This machine's own Node.js.
    add = ["tar", "--append", "--file", str(archive), "--directory", "/", "--transform", "s,^,./,"]
    sandbox.run([*add, "usr/bin/node", "usr/bin/npm", "usr/lib/node_modules/npm"])
    _import(archive, NODE, f"ENV NODE_EXTRA_CA_CERTS={CA}", f"ENV npm_config_cafile={CA}")


def _runtime(folder: Path) -> None:
    archive = _debian(folder, "runtime", _RUNTIME_PACKAGES, variant="extract")
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    sandbox.run(["tar", "xf", str(archive), "-C", str(unpacked)])
    tidy = (
        "rm -rf usr/share/man usr/share/locale usr/share/perl5 usr/share/lintian usr/share/debconf usr/bin/dpkg* "
        "usr/bin/deb* usr/bin/openssl usr/bin/c_rehash usr/bin/perl* usr/sbin/* bin/tar usr/bin/tar var/cache var/lib; "
        "cat usr/share/ca-certificates/mozilla/*.crt >etc/ssl/certs/ca-certificates.crt; "
        "echo 'nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin' >>etc/passwd; mkdir -p tmp; chmod 1777 tmp; "
        f"tar cf {archive} ."
    )
    sandbox.run(["sh", "-c", f"cd {unpacked}; {tidy}"])
    _import(archive, RUNTIME, "USER 65532")


def _servers(folder: Path) -> None:
    packages = "redis-server,nginx-light,gettext-base,postgresql,prometheus"
    _import(_debian(folder, "servers", packages), "localhost/servers")
    for name, text in (("nginx-entry", _NGINX_ENTRY), ("postgres-entry", _POSTGRES_ENTRY)):
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
    files = {
        REDIS: 'FROM localhost/servers\nRUN mkdir -p /data\nWORKDIR /data\nCMD ["redis-server"]\n',
        NGINX: "FROM localhost/servers\nCOPY nginx-entry /\n"
        'ENTRYPOINT ["/nginx-entry"]\nCMD ["nginx", "-g", "daemon off;"]\n',
        POSTGRES: "FROM localhost/servers\nCOPY postgres-entry /\n"
        'RUN mkdir -p /var/lib/postgresql/data\nENTRYPOINT ["/postgres-entry"]\n',
        PROMETHEUS: "FROM localhost/servers\nRUN mkdir -p /prometheus && chown nobody /prometheus\n"
        'WORKDIR /prometheus\nUSER nobody\nENTRYPOINT ["/usr/bin/prometheus"]\n',
    }
    for image, text in files.items():
        (folder / "Dockerfile").write_text(f"{text}LABEL {MADE_BY}={RECIPE}\n", encoding="utf-8")
        build = ["buildah", "bud", "--format", "docker", "--isolation", "chroot", "--pull-never", "--quiet"]
        sandbox.run([*build, "--tag", image, str(folder)])


def prepare_bases() -> None:
    """Have every image that the gateway's is built on, or runs beside."""
    makers = {PYTHON: _python, NODE: _node, RUNTIME: _runtime, **dict.fromkeys(SERVERS, _servers)}
    for image, make in makers.items():
        if not there(image):
            print(f"{image} cannot be pulled: Debian packages stand in for it", flush=True)
            with tempfile.TemporaryDirectory(prefix="image-") as folder:
                make(Path(folder))


def build_gateway() -> None:
    """Build the gateway's images from this working tree: the usual one, and the one for all message sources."""
    certificates = ["--volume", f"{CA}:{CA}:ro"] if Path(CA).exists() else []
    build = ["buildah", "bud", "--format", "docker", "--isolation", "chroot", "--pull-never", "--layers"]
    for image, more in ((GATEWAY, []), (WITH_SOURCES, ["--build-arg", "SOURCES=yes"])):
        print(f"Building {image}", flush=True)
        sandbox.run(
            [*build, *certificates, *more, "--file", str(ROOT / "deploy/Dockerfile"), "--tag", image, str(ROOT)]
        )
