#!/bin/sh
# Runs the shim for aarch64 on an emulated processor, whatever machine this is: PYTHON=python3 sh tests/native/arm64/check.sh
#
# It needs qemu-user, gcc-aarch64-linux-gnu and libc6-dev-arm64-cross (names of Debian's packages). On a real one, and for
# the other machine that there is a shim for: MACHINE=aarch64 PREFIX= RUN= ..., and MACHINE=x86-64 PREFIX= RUN= ...
set -eu
cd "$(dirname "$0")/../../.."
PYTHON=${PYTHON:-.venv/bin/python}
MACHINE=${MACHINE:-aarch64} PREFIX=${PREFIX-aarch64-linux-gnu-}
CC=${CC:-${PREFIX}gcc} OBJDUMP=${OBJDUMP:-${PREFIX}objdump} OBJCOPY=${OBJCOPY:-${PREFIX}objcopy} READELF=${READELF:-${PREFIX}readelf}
RUN=${RUN-qemu-aarch64 -L /usr/aarch64-linux-gnu}
here=tests/native/arm64

for tool in "$PYTHON" "$CC" "$OBJDUMP" "$OBJCOPY" "$READELF" ${RUN%% *}; do
  command -v "$tool" >/dev/null || { echo "FAILED: $tool is not here; see the head of $0" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "== the file, as readelf and objdump see it"
"$PYTHON" -m tests.native.assembly $MACHINE "$work/shim.so" >"$work/shim.s"
"$READELF" -aW "$work/shim.so"
"$OBJDUMP" -d "$work/shim.so"

echo "== its code is what the assembler makes of the text beside it"
"$CC" -c "$work/shim.s" -o "$work/shim.o"
"$OBJCOPY" -O binary -j .shim "$work/shim.o" "$work/assembled"
"$OBJCOPY" -O binary -j .text "$work/shim.so" "$work/text"
start=$((0x$("$READELF" -SW "$work/shim.so" | sed -n 's/.* \.text *PROGBITS *\([0-9a-f]*\).*/\1/p')))
length=$(($(wc -c <"$work/assembled") - start))
cmp -n "$length" -i "$start:0" "$work/assembled" "$work/text"
echo "ok: $length bytes are the same"

echo "== it runs (${RUN:-on this processor})"
"$CC" -O2 -Wall -Wextra -pthread "$here/check.c" -o "$work/check" -ldl
"$CC" -O2 -fPIC -shared "$here/component.c" -o "$work/component.so"
$RUN "$work/check" "$work/shim.so" "$work/component.so"
echo "== the shim for $MACHINE works"
