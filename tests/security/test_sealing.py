"""Sealed bodies: what opens them, what does not, and what they tell."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueing.core.errors import KeyUnavailable
from queueing.security.sealing import MARK, Sealer

BODY = b'{"secret": "attack at dawn"}'
OWNER = b"message-1:project"


@pytest.fixture
def sealer() -> Sealer:
    return Sealer("correct horse")


@given(st.binary(min_size=1), st.binary(), st.text(min_size=1))
def test_what_was_sealed_opens_again(body, owner, secret):
    sealer = Sealer(secret)
    assert sealer.open(sealer.seal(body, owner), owner) == body


def test_sealed_body_is_marked_and_shows_nothing_of_the_body(sealer):
    sealed = sealer.seal(BODY, OWNER)
    assert sealed[0] == MARK
    assert b"attack" not in sealed
    assert len(sealed) == len(BODY) + 34


def test_same_body_is_never_sealed_the_same_way(sealer):
    assert len({sealer.seal(BODY, OWNER) for _ in range(1000)}) == 1000


def test_processes_with_the_same_secret_open_each_others_bodies(sealer):
    assert Sealer("correct horse").open(sealer.seal(BODY, OWNER), OWNER) == BODY


@pytest.mark.parametrize("other", [Sealer(), Sealer("battery staple"), Sealer("correct horse ")])
def test_other_secret_or_none_does_not_open_and_the_refusal_names_the_keys_id_only(sealer, other):
    sealed = sealer.seal(BODY, OWNER)
    with pytest.raises(KeyUnavailable) as failure:
        other.open(sealed, OWNER)
    assert sealed[2:6].hex() in str(failure.value)
    assert sealed[6:].hex() not in str(failure.value)
    assert "correct" not in str(failure.value)


def test_new_secret_seals_while_older_ones_still_open(sealer):
    rotated = Sealer("new secret", "correct horse")
    assert rotated.open(sealer.seal(BODY, OWNER), OWNER) == BODY
    sealed = rotated.seal(BODY, OWNER)
    assert Sealer("new secret").open(sealed, OWNER) == BODY
    with pytest.raises(KeyUnavailable):
        sealer.open(sealed, OWNER)


def test_body_changed_anywhere_does_not_open(sealer):
    sealed = sealer.seal(BODY, OWNER)
    for index in range(len(sealed)):
        changed = bytearray(sealed)
        changed[index] ^= 1
        with pytest.raises(KeyUnavailable):
            sealer.open(bytes(changed), OWNER)


def test_body_cut_short_or_made_longer_does_not_open(sealer):
    sealed = sealer.seal(BODY, OWNER)
    for cut in [*(sealed[:length] for length in range(len(sealed))), sealed + b"x"]:
        with pytest.raises(KeyUnavailable):
            sealer.open(cut, OWNER)


def test_body_put_in_the_place_of_another_does_not_open(sealer):
    with pytest.raises(KeyUnavailable, match="changed"):
        sealer.open(sealer.seal(BODY, OWNER), b"message-2:project")


def test_nothing_is_sealed_without_a_secret():
    with pytest.raises(KeyUnavailable, match="no encryption key is set"):
        Sealer().seal(BODY, OWNER)


WITHOUT_THE_PACKAGE = """
import sys
sys.modules["cryptography"] = None  # as if it were not installed
from queueing.core.errors import SetupError
from queueing.security.sealing import Sealer
Sealer()
try:
    Sealer("secret")
except SetupError as refusal:
    print(refusal)
"""


def test_secret_without_the_package_that_encrypts_is_refused_with_the_line_to_type():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_PACKAGE], capture_output=True, text=True, check=True
    )
    assert "pip install 'queueing[encryption]'" in done.stdout
    assert done.stdout.count("\n") == 1
