#!/bin/sh
# Make ./.venv (or $VENV) hold exactly what a lock file in requirements/ names, and this project itself.
#
#   scripts/install.sh dev       everything: demo, tests, benchmarks; the project in place (editable)
#   scripts/install.sh server    what production needs; the project as a package
#
# Needs Python 3.11 or newer and nothing else. Does nothing where nothing changed, so it works offline then.
set -eu
cd "$(dirname "$0")/.."

lock="requirements/${1:-dev}.txt"
venv="${VENV:-.venv}"
stamp="$venv/installed-${1:-dev}"
bin="$venv/bin"

say() { printf '%s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

is_new_enough() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (4, 0))' 2>/dev/null
}

find_python() {
    for name in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python; do
        if command -v "$name" >/dev/null 2>&1 && is_new_enough "$name"; then
            command -v "$name"
            return
        fi
    done
    say "notifier needs Python 3.11 or newer; found: $(python3 --version 2>/dev/null || echo none)."
    say "Install it (Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python), or"
    die "name yours: make PYTHON=/path/to/python3.12 install"
}

make_venv() {
    if "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        "$python" -m venv --clear "$venv"
    elif "$python" -m pip --version >/dev/null 2>&1; then
        # Debian splits ensurepip off; another pip can install into the environment.
        "$python" -m venv --clear --without-pip "$venv"
    else
        die "This Python ($python) can make no environments: it lacks venv or ensurepip." \
            "Debian, Ubuntu: apt-get install python3-venv"
    fi
}

into_venv() {
    if "$bin/python" -m pip --version >/dev/null 2>&1; then
        "$bin/python" -m pip install --quiet "$@"
    else
        "$python" -m pip --python "$bin/python" install --quiet "$@"
    fi
}

# What the environment was made from; a change of any of it makes it anew.
wanted() {
    cat "$lock" requirements/uv.txt pyproject.toml scripts/install.sh
    pwd
    [ "$lock" = requirements/dev.txt ] || find notifier workers templates config -type f -exec cat {} +
}

sum=$(wanted | cksum)
if [ -x "$bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ]; then
    exit 0
fi

if ! { [ -x "$bin/python" ] && is_new_enough "$bin/python"; }; then
    python=$(find_python)
    say "Making $venv with $("$python" --version) ..."
    make_venv
fi
python="${python:-$bin/python}"

rm -f "$stamp"
say "Installing $lock ..."
into_venv --require-hashes -r requirements/uv.txt
# pip knows mirrors and proxies from its own settings, which uv does not read: where uv fails, pip may not.
if ! "$bin/python" -m uv pip install --quiet --python "$bin/python" --require-hashes -r "$lock"; then
    say "uv could not get them (above). pip, which knows your mirrors, proxy and certificates, tries now ..."
    into_venv --require-hashes -r "$lock"
fi
if [ "$lock" = requirements/dev.txt ]; then
    "$bin/python" -m uv pip install --quiet --python "$bin/python" --offline --no-deps --no-build-isolation \
        --editable .
else
    # The build back end is no part of production: it comes and goes, in the version the lock names.
    "$bin/python" -m uv pip install --quiet --python "$bin/python" --no-deps \
        --build-constraint requirements/dev.txt .
fi
printf '%s\n' "$sum" >"$stamp"
say "Ready: $venv"
