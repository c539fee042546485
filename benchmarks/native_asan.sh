#!/bin/sh
# Replaces components in C under load while AddressSanitizer and UndefinedBehaviorSanitizer, and then valgrind, watch them.
#
#     benchmarks/native_asan.sh          # PYTHON=..., REPLACEMENTS=1000, SECONDS_EACH=240, VALGRIND_REPLACEMENTS=30
#
# It needs lcr with the extra `native` in $PYTHON, gcc and g++ (whose runtimes libasan and libubsan come with them), and
# valgrind; without valgrind that part is left out, and it says so. The interpreter is the usual one: the runtime is preloaded
# into it, and its own allocator is switched off, so that each object is a piece of memory of its own. Leaks are not looked
# for, since the interpreter frees little at its end. Both are first shown a component with a fault, which they must report.
# The exit status is 0 when both have seen nothing else, and no call was lost, doubled or mixed.
set -eu

here=$(dirname "$0")
python=${PYTHON:-python3}
replacements=${REPLACEMENTS:-1000}
seconds=${SECONDS_EACH:-240}
under_valgrind=${VALGRIND_REPLACEMENTS:-30}
export CC="${CC:-gcc}" CXX="${CXX:-g++}" PYTHONMALLOC=malloc
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
failed=0

# Prints what was reported, if anything was; tells whether.
has_reports() {
  ls "$logs"/report* >/dev/null 2>&1 && cat "$logs"/report*
}

echo "== AddressSanitizer and UBSan, $($CC --version | head -n 1), $($python --version)"
flags='-fsanitize=address,undefined -fno-omit-frame-pointer -g'
# The runtime wants to be the first library, and to find that of C++ when it starts, whose exceptions it follows.
preload="$($CC -print-file-name=libasan.so) $($CXX -print-file-name=libstdc++.so)"
# The reports go to files: a process in which a candidate is tried has no standard error of its own.
export ASAN_OPTIONS="detect_leaks=0:log_path=$logs/report-asan" UBSAN_OPTIONS="print_stacktrace=1:log_path=$logs/report-ubsan"

if LD_PRELOAD=$preload "$python" "$here"/native_replace.py --fault --cflags "$flags" >/dev/null 2>&1 ||
  ! has_reports | grep -q heap-buffer-overflow; then
  echo 'a component that writes past the end of its memory was NOT reported: this run would say nothing'
  exit 2
fi
echo 'a component that writes past the end of its memory is reported'
rm -f "$logs"/report*

LD_PRELOAD=$preload "$python" "$here"/native_replace.py --only own --only original \
  --replacements "$replacements" --seconds "$seconds" --cflags "$flags" || failed=1
if has_reports; then failed=1; else echo 'reported: nothing'; fi

if ! command -v valgrind >/dev/null; then
  echo '== valgrind: not installed, left out'
  exit $failed
fi
echo "== $(valgrind --version)"
unset ASAN_OPTIONS UBSAN_OPTIONS
# The processes in which candidates are tried run without it: there are two for each replacement.
watch="valgrind --quiet --fair-sched=yes --leak-check=no --num-callers=20 --error-exitcode=9 --log-file=$logs/valgrind.%p"
status=0
$watch "$python" "$here"/native_valgrind.py --fault --cflags '-g -O1' >/dev/null 2>&1 || status=$?
if [ $status -ne 9 ]; then
  echo "a component that writes past the end of its memory was NOT reported (status $status): this run would say nothing"
  exit 2
fi
echo 'a component that writes past the end of its memory is reported'
rm -f "$logs"/valgrind*

$watch "$python" "$here"/native_valgrind.py --only own --only unload --only original \
  --replacements "$under_valgrind" --seconds "$seconds" --cflags '-g -O1' || failed=1
if grep -h '^==' "$logs"/valgrind*; then failed=1; else echo 'reported: nothing'; fi
exit $failed
