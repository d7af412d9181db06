"""What the pages tell a reader to type is typed, and what comes back is what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.docs.pages import PAGES, ROOT, Block, blocks, fenced, server_settings
from tests.support.server import Server
from tests.support.stores import Store

WITH_EXAMPLES = [page for page in PAGES if blocks(page)]
GUIDES = ("long-polling.md", "plain-curl.md", "idempotency.md", "fencing.md")
_END = "\x1e"


@pytest.mark.usefixtures("web_server")
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_example_of_a_page_does_what_the_page_says(page: Path, tmp_path: Path) -> None:
    _follow(page, Server(tmp_path, **server_settings(page)))


def test_the_readme_and_the_guides_hold_over_every_store(
    store: Store, storage_uri: str, tmp_path: Path
) -> None:
    for page in [ROOT / "README.md", *(page for page in WITH_EXAMPLES if page.name in GUIDES)]:
        _follow(page, Server(tmp_path, storage=storage_uri, **server_settings(page)))


def _follow(page: Path, server: Server) -> None:
    with server:
        follow(page, server.url)


def follow(page: Path, url: str) -> None:
    """Type the page's examples, all into one shell, and compare what they print."""
    examples = blocks(page)
    with TemporaryDirectory() as folder:
        Path(folder, ".venv").symlink_to(sys.prefix)  # what `make serve` made for the reader
        printed = _type(examples, url.removeprefix("http://"), Path(folder))
    wrong = [
        f"{block.page}:{block.line}\n{block.commands}\nexpected:\n{block.answer}\ncame:\n{output}"
        for block, output in zip(examples, printed, strict=True)
        if not block.matches(output)
    ]
    assert not wrong, "\n\n".join(wrong)


def _type(examples: list[Block], address: str, folder: Path) -> list[str]:
    """Type all blocks into one shell, so that its variables live on; what each printed, in order."""
    script = "".join(
        f"{block.commands.replace('localhost:8888', address)}\nprintf '{_END}'\n"
        for block in examples
    )
    done = subprocess.run(
        ["bash", "-s"], input=script, cwd=folder, capture_output=True, text=True, timeout=120
    )
    printed = done.stdout.split(_END)
    assert printed.pop() == "", done.stderr
    return printed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_curl_stands_only_in_blocks_that_are_typed(page: Path) -> None:
    elsewhere = [
        line
        for language, text in fenced(page)
        if language != "sh"
        for line in text.splitlines()
        if re.search(r"\bcurl\b.*(localhost|http)", line)
    ]
    assert not elsewhere, f"{page.name}: put these into sh blocks, so that they are tested"


def test_the_guides_of_our_own_additions_begin_with_a_curl_line() -> None:
    for name in GUIDES:
        language, text = fenced(ROOT / "docs" / name)[0]
        assert language == "sh" and text.startswith("curl "), name


@pytest.mark.parametrize(
    ("answer", "kind", "printed", "same"),
    [
        ('{"a": …}', "json", '{"a":12}', True),
        ('{"a": …}', "json", '{"a":12}{"b":1}', False),
        ('{"a": 1}', "json", '{"a":2}', False),
        (
            "HTTP/1.1 201 Created\nlocation: /x",
            "http",
            "HTTP/1.1 201 Created\r\nDate: y\r\nLocation: /x\r\n",
            True,
        ),
        (
            "HTTP/1.1 201 Created\nlocation: /x",
            "http",
            "HTTP/1.1 201 Created\r\nLocation: /y\r\n",
            False,
        ),
        ("HTTP/1.1 204 No Content", "http", "HTTP/1.1 404 Not Found\r\n", False),
        (None, None, "anything", True),
    ],
)
def test_an_answer_is_compared_with_what_the_page_shows(
    answer: str | None, kind: str | None, printed: str, same: bool
) -> None:
    assert Block("page", 1, "", answer, kind).matches(printed) is same
