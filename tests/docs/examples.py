#!/usr/bin/env python3
"""Runs the examples of README.md and docs/, and checks what these pages say against the program and its sources.

Usage: tests/docs/examples.py PROGRAM [PAGE...]

Each page has a folder of its own with a copy of conf/ in it and `rfmd` on the path; its blocks are carried out in order.
What a block is stands in its info string, behind the language, which is all that a reader of the page sees of it:

    ```yaml file=shop.yaml      a file
    ```yaml rules               a file of rules, checked beside a small configuration
    ```sh run [exit=N]          commands
    ```sh kafka [background]    commands that need Kafka and Redis: left to tests/e2e/test_docs.py
    ```text output              their standard output: a line `...` is any lines, `...` in a line is any text

An HTML comment before a table or list names a check of what stands there in backticks:

    <!-- messages -->           first column: a message of the program, `…` for what differs
    <!-- fields FILE PATH -->   first column: all keys of an object in the first line of a file that an example wrote
    <!-- suppressions -->       first column: all reasons for which a trigger is held back
    <!-- protocol -->           first column: all rules of the protocol that a test can leave out

Links within the repository must lead somewhere. Ends with 0 if all is well."""
from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^( *)(```+)([^`]*)$")
RULES_CONFIG = "money: {base_currency: EUR}\npromo: {secret_file: secret}\nrules: [rules.yaml]\n"


class Failure(Exception):
    def __init__(self, page: Path, line: int, text: str):
        super().__init__(f"{page.relative_to(ROOT)}:{line}: {text}")


def blocks_of(text: str):
    """Yields (line, info, content) of each fenced block."""
    opened = None
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        if opened is None and fence:
            opened, content = (number, fence[3].strip(), fence[2]), []
        elif opened is not None and fence and fence[2] == opened[2] and not fence[3].strip():
            yield opened[0], opened[1], "".join(part + "\n" for part in content)
            opened = None
        elif opened is not None:
            content.append(line)


def bare(text: str) -> str:
    """The text without its fenced blocks, lines kept."""
    lines, inside = [], False
    for line in text.splitlines():
        fence = bool(FENCE.match(line))
        lines.append("" if inside or fence else line)
        inside ^= fence
    return "\n".join(lines)


# -- examples


class Sandbox:
    def __init__(self, program: Path, folder: Path):
        self.folder, self.said = folder, None
        (folder / "bin").mkdir()
        (folder / "bin" / "rfmd").symlink_to(program)
        shutil.copytree(ROOT / "conf", folder / "conf")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RFMD_")}
        self.environment = {**kept, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "TZ": "UTC"}

    def shell(self, script: str) -> subprocess.CompletedProcess:
        return subprocess.run(["bash", "-euc", script], cwd=self.folder, env=self.environment, text=True, timeout=60,
                              capture_output=True)

    def write(self, name: str, content: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def carry_out(self, page: Path, line: int, info: str, content: str) -> bool:
        """Whether the block was an example."""
        words = info.split()[1:]
        values = dict(word.split("=", 1) for word in words if "=" in word)
        if "file" in values:
            self.write(values["file"], content)
        elif "rules" in words:
            self.check_rules(page, line, content)
        elif "run" in words:
            done = self.shell(content)
            if done.returncode != int(values.get("exit", 0)):
                raise Failure(page, line, f"ended with {done.returncode}:\n{done.stdout}{done.stderr}")
            self.said = done.stdout
        elif "output" in words:
            self.compare(page, line, content)
        elif "kafka" in words:
            return False
        elif words:
            raise Failure(page, line, f"unknown words in '```{info}'")
        return bool(words)

    def check_rules(self, page: Path, line: int, content: str) -> None:
        self.write("check/rules.yaml", content)
        self.write("check/secret", "an example\n")
        self.write("check/rfmd.yaml", RULES_CONFIG)
        done = self.shell("rfmd check -c check/rfmd.yaml")
        if done.returncode != 0:
            raise Failure(page, line, f"the rules are refused:\n{done.stderr}")

    def compare(self, page: Path, line: int, expected: str) -> None:
        if self.said is None:
            raise Failure(page, line, "output of nothing: no commands before it")
        pattern = "".join("(?:.*\n)*" if each == "..." else
                          ".*".join(re.escape(part) for part in each.split("...")) + " *\n"
                          for each in expected.splitlines())
        if not re.fullmatch(pattern, self.said):
            difference = difflib.unified_diff(expected.splitlines(), self.said.splitlines(), "the page", "the program", lineterm="")
            raise Failure(page, line, "the output is another:\n" + "\n".join(difference))


# -- what pages say


def source_texts() -> str:
    """All text literals of the program, neighbours joined, one a line."""
    literal = r'"((?:[^"\\\n]|\\.)*)"'
    texts = []
    for path in sorted([*ROOT.glob("src/**/*.[ch]"), *ROOT.glob("include/**/*.h")]):
        for joined in re.finditer(rf"{literal}(?:\s*(?:PRI\w+\s*)?{literal})*", path.read_text()):
            parts = re.findall(literal, joined[0])
            texts.append("".join(parts).replace('\\"', '"').replace("\\n", " "))
    return "\n".join(texts)


def first_column(text: str, at: int) -> list[str]:
    """What stands in backticks in the first column of the table at `at`."""
    rows = re.match(r"\s*((?:\|.*\n?)+)", text[at:])
    cells = [re.split(r"(?<!\\)\|", row)[1] for row in rows[1].splitlines()[2:]] if rows else []
    return [code for cell in cells for code in re.findall(r"`([^`]+)`", cell)]


def check_messages(said: list[str], texts: str):
    for message in said:
        for part in re.split(r"\s*…\s*", message):
            if part and part not in texts:
                yield f"no message of the program has '{part}'"


# Tables in the code whose names a page lists.
LISTS = {"suppressions": ("include/rfm/rule/decide.h", "RFM_SUPPRESSIONS"), "protocol": ("src/engine/fault.h", "RFM__FAULTS")}


def check_listed(said: list[str], header: str, table: str):
    listed = re.search(rf"#define {table}\(X\)((?:.*\\\n)*.*)", (ROOT / header).read_text())[1]
    names = re.findall(r"X\(\w+, (\w+)", listed)
    if set(said) != set(names):
        yield f"names differ: only on the page {set(said) - set(names)}, only in the program {set(names) - set(said)}"


def check_fields(said: list[str], record: dict):
    keys = set()
    for name, value in record.items():
        keys.add(name)
        keys.update(f"{name}.{inner}" for inner in value) if isinstance(value, dict) else None
    shown = {name for name in keys if "." not in name}
    if missing := shown - {name.split(".")[0] for name in said}:
        yield f"fields that are not described: {missing}"
    if wrong := {name for name in said if name.split(".")[0] not in shown}:
        yield f"fields that are not there: {wrong}"


def check_sayings(page: Path, text: str, folder: Path, texts: str):
    for comment in re.finditer(r"<!-- (messages|fields|suppressions|protocol)\b ?([^>]*?) ?-->\n", text):
        said = first_column(text, comment.end())
        line = text.count("\n", 0, comment.start()) + 1
        kind = comment[1]
        if kind == "messages":
            wrong = check_messages(said, texts)
        elif kind in LISTS:
            wrong = check_listed(said, *LISTS[kind])
        else:
            wrong = check_fields(said, json.loads((folder / comment[2].strip()).read_text().splitlines()[0]))
        for what in wrong if said else ["no table follows"]:
            yield f"{page.relative_to(ROOT)}:{line}: {what}"


def anchors_of(page: Path) -> set[str]:
    titles = re.findall(r"^#+ +(.*)$", bare(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def check_links(page: Path, text: str):
    for link in re.finditer(r"\]\(([^)\s]+)\)", bare(text)):
        target, _, anchor = link[1].partition("#")
        path = (page.parent / target) if target else page
        if re.match(r"[a-z]+:", target):
            continue
        if not path.exists():
            yield f"{page.relative_to(ROOT)}: link to {link[1]}, which is not there"
        elif anchor and anchor not in anchors_of(path):
            yield f"{page.relative_to(ROOT)}: link to {link[1]}: no such title"


def run_page(page: Path, program: Path, texts: str) -> tuple[int, list[str]]:
    text, count, wrong = page.read_text(), 0, []
    with tempfile.TemporaryDirectory(prefix="rfmd-docs-") as name:
        folder = Path(name)
        sandbox = Sandbox(program, folder)
        try:
            for line, info, content in blocks_of(text):
                count += sandbox.carry_out(page, line, info, content)
            wrong += check_sayings(page, text, folder, texts)
        except Failure as failure:
            wrong.append(str(failure))
        wrong += check_links(page, text)
    return count, wrong


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    program, texts, all_wrong = Path(arguments[0]).resolve(), source_texts(), []
    for page in [Path(name).resolve() for name in arguments[1:]] or PAGES:
        count, wrong = run_page(page, program, texts)
        print(f"{page.relative_to(ROOT)}: {count} examples, {len(wrong)} wrong")
        all_wrong += wrong
    print("\n".join(all_wrong), file=sys.stderr)
    return 1 if all_wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
