#!/bin/sh
# Records pytest-rerun.txt, pytest-subtests.txt and pytest-collect.txt anew: what pytest 7 and 9 print of three small projects, each form behind
# a line `#### 9 -v`. Needs python3 and its package index. Was run with pytest 7.4.4 and 9.2.0, pytest-rerunfailures 16.1 and 16.7,
# pytest-subtests 0.15.0 (pytest 9 has its own), and pytest-xdist 3.8.0.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 7 9; do
    more=$([ $version = 7 ] && echo pytest-subtests || true)
    python3 -m venv "$work/$version"
    # shellcheck disable=SC2086
    "$work/$version/bin/pip" install -q "pytest==$version.*" pytest-rerunfailures pytest-xdist $more
done
mkdir -p "$work/shop/tests" "$work/shop/collect/b lank"
cd "$work/shop"
cat > tests/test_again.py <<'PY'
import pytest
tries = {}
def again(name, times):
    tries[name] = tries.get(name, 0) + 1
    print('try', tries[name], 'of', name)
    assert tries[name] > times, 'not yet'
def test_adds(): pass
@pytest.mark.flaky(reruns=2)
def test_flaky(): again('flaky', 1)
@pytest.mark.flaky(reruns=2)
def test_never(): again('never', 9)
class TestCart:
    @pytest.mark.flaky(reruns=3)
    @pytest.mark.parametrize('with_', ['a - b', 'RERUN x'])
    def test_counts(self, with_): again(with_, 2)
@pytest.fixture
def shop(): again('shop', 1)
@pytest.mark.flaky(reruns=2)
def test_setup(shop): pass
@pytest.fixture
def broken(): again('broken', 9)
@pytest.mark.flaky(reruns=1)
def test_broken(broken): pass
@pytest.fixture
def late():
    yield
    again('late', 1)
@pytest.mark.flaky(reruns=2)
def test_late(late): print('in late')
PY
cat > tests/test_parts.py <<'PY'
import unittest, pytest
def test_plain(): pass
def test_breaks(): assert 'plainly' == 'not'
def test_odd(subtests):
    for i in range(4):
        with subtests.test('a message', i=i):
            print('part', i)
            assert i % 2 == 0, 'odd'
def test_bare(subtests):
    with subtests.test(kind='a - b'): assert False, 'with a kind'
    with subtests.test(): assert False, 'with nothing'
    with subtests.test('fine'): pass
def test_skips(subtests):
    with subtests.test('s'): pytest.skip('not here')
    with subtests.test('fine'): pass
def test_both(subtests):
    with subtests.test('one'): assert 1 == 2
    assert 3 == 4
def test_fine(subtests):
    with subtests.test('one [x]'): pass
@pytest.mark.parametrize('x', ['a b', 'c::d (e'])
class TestWith:
    def test_with(self, subtests, x):
        with subtests.test('m (n', k='x::y', z=1): assert 0
        with subtests.test('ok', k='x::y', z=1): pytest.skip('i=1 is (not) there')
class TestUnit(unittest.TestCase):
    def test_unit(self):
        for i in range(3):
            with self.subTest('number', i=i): self.assertNotEqual(i, 1)
    def test_well(self):
        with self.subTest(i=1): pass
PY
echo 'import nosuchmodule' > collect/test_imports.py
echo 'import nosuchmodule' > 'collect/b lank/test_b - c.py'
printf "print('collecting')\nraise ValueError('boom')\n" > collect/test_raises.py
printf "import pytest\n@pytest.mark.parametrize('x', [1])\ndef test_y(y): pass\n" > collect/test_argument.py
printf "def test_good(): pass\ndef test_bad(): assert 0\n" > collect/test_good.py

# What would tell of this machine or differ each time.
plain() {
    sed -E "s#$work/shop#/shop#g; s#(\.\./|$work/)[79]/bin#/usr/bin#g; s#$work/[79]/#/usr/#g; s#/[^ ]*/lib/python3#/usr/lib/python3#g; s#0x[0-9a-f]{8,}#0x7f00#g"
}
record() {
    out=$here/$1
    shift
    : > "$out"
    for version in 7 9; do
        for options in '' -q -qq -v -q_-rA -v_-ra -n2 -n2_-v -n2_-v_-rA -v_--color=yes -rA_--color=yes -q_--tb=no $more; do
            echo "#### $version $options" | tr _ ' ' >> "$out"
            # shellcheck disable=SC2046,SC2086
            "../$version/bin/pytest" -p no:cacheprovider --tb=short $(printf %s "$options" | tr _ ' ') "$@" 2>&1 | plain >> "$out" || true
        done
    done
}
more='-rR -q_-rR -v_-rRfE -q_-rR_--tb=no' record pytest-rerun.txt tests/test_again.py
more='' record pytest-subtests.txt tests/test_parts.py
more='-v_--continue-on-collection-errors -x' record pytest-collect.txt collect
