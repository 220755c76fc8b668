#!/bin/sh
cd /tmp/core; PYTHONPATH=/tmp/core exec /work/main/.venv/bin/python "$@"
