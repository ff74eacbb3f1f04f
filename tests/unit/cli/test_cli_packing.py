"""The artifact: reproducible, complete, and without what does not belong in it."""

import base64
import gzip
import hashlib
import importlib.util
import io
import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequence_cli.project.archive import pack
from sequence_cli.project.deployment import Overrides, prepare_deployment
from sequence_cli.project.tree import SourceFile, read_tree

ROOT = Path(__file__).resolve().parents[3]
NO_OVERRIDES = Overrides(env={})


def unpacked(artifact: bytes) -> dict[str, tuple[bytes, int]]:
    with tarfile.open(fileobj=io.BytesIO(artifact), mode="r:gz") as archive:
        return {m.name: (archive.extractfile(m).read(), m.mode) for m in archive}


def fill(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


segments = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]),
    min_size=1,
    max_size=60,
).filter(lambda text: text not in (".", ".."))
paths = st.lists(segments, min_size=1, max_size=5).map("/".join)


@settings(deadline=None)  # the machine may be busy
@given(st.dictionaries(paths, st.tuples(st.binary(max_size=2000), st.booleans()), max_size=8))
def test_round_trip(tree: dict[str, tuple[bytes, bool]]) -> None:
    files = [SourceFile(path, content, executable) for path, (content, executable) in tree.items()]
    artifact = pack(files)
    expected = {file.path: (file.content, 0o755 if file.executable else 0o644) for file in files}
    assert unpacked(artifact) == expected
    assert pack(reversed(files)) == artifact


def test_same_tree_same_sum(tmp_path: Path) -> None:
    texts = {"Sequence.toml": "[strategy]\nname='x'\n[hosted]\nentrypoint='main.py'\n"}
    texts |= {"main.py": "pass\n", "a/b/c.txt": "c", "a/z.txt": "z", "run.sh": "#!/bin/sh\n"}
    first, second = tmp_path / "first", tmp_path / "second"
    fill(first, texts)
    fill(second, dict(reversed(texts.items())))
    (first / "run.sh").chmod(0o700)
    (second / "run.sh").chmod(0o755)
    (second / "main.py").chmod(0o600)
    (second / "a").chmod(0o700)
    os.utime(second / "main.py", (1, 1))
    one, other = (prepare_deployment(folder, NO_OVERRIDES) for folder in (first, second))
    assert one.artifact_sha256 == other.artifact_sha256
    (second / "main.py").write_text("pass \n")
    assert prepare_deployment(second, NO_OVERRIDES).artifact_sha256 != one.artifact_sha256


def test_header_fields_are_neutral() -> None:
    artifact = pack([SourceFile("a", b"x", False)])
    assert artifact[4:8] == bytes(4)  # gzip: no time
    assert artifact[3] == 0  # gzip: no file name
    with tarfile.open(fileobj=io.BytesIO(artifact)) as archive:
        (member,) = archive.getmembers()
    assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
    assert stat.S_IMODE(member.mode) == 0o644
    # Pinned: whoever changes it changes the sum of everybody's unchanged project.
    assert hashlib.sha256(gzip.decompress(artifact)).hexdigest() == (
        "ca553150ff688376ad7ba31c0131c9720b628d558bcef9681a4c2690f6aa651c"
    )


RULES: list[tuple[dict[str, str], set[str]]] = [
    ({".gitignore": "*.log\n!keep.log", "a.log": "", "keep.log": "", "d/b.log": ""}, {"keep.log"}),
    ({".gitignore": "/top.txt", "top.txt": "", "d/top.txt": ""}, {"d/top.txt"}),
    ({".gitignore": "build/", "build/x": "", "d/build": ""}, {"d/build"}),
    ({".gitignore": "d/**\n!d/keep", "d/keep": "", "d/x": ""}, {"d/keep"}),
    ({".gitignore": "d/\n!d/keep", "d/keep": ""}, set()),
    ({".gitignore": "*\n!*/\n!*.py", "a.txt": "", "d/b.py": "", "d/c.txt": ""}, {"d/b.py"}),
    ({".gitignore": "*.txt", "d/.gitignore": "!a.txt", "d/a.txt": "", "b.txt": ""}, {"d/a.txt"}),
    ({"d/.gitignore": "/x", "d/x": "", "x": "", "d/e/x": ""}, {"x", "d/e/x"}),
    ({".gitignore": "d/*/**/", "d/e/f/x": "", "d/e/y": ""}, {"d/e/y"}),
    ({".gitignore": "\\#x\n#y\n \n\\!z", "#x": "", "#y": "", "!z": ""}, {"#y"}),
    ({".gitignore": "[ab]?\r\n", "a1": "", "c1": ""}, {"c1"}),
    ({".gitignore": "data/", ".sequenceignore": "!data/", "data/m": ""}, {"data/m"}),
    ({".gitignore": "!x", ".sequenceignore": "x", "x": "", "y": ""}, {"y"}),
    ({".gitignore": "!x", "d/.gitignore": "!x", ".sequenceignore": "x", "d/x": ""}, set()),
    ({"d/.sequenceignore": "x", "d/x": ""}, {"d/x"}),
]


@pytest.mark.parametrize(("files", "packed"), RULES, ids=range(len(RULES)))
def test_ignore_rules(files: dict[str, str], packed: set[str], tmp_path: Path) -> None:
    fill(tmp_path, files)
    found = {path for path in read_tree(tmp_path, []).files if not path.endswith("ignore")}
    assert found == packed


def test_never_packed_whatever_the_rules_say(tmp_path: Path) -> None:
    folders = [".git", ".venv", "venv", "__pycache__", ".mypy_cache", ".ruff_cache"]
    folders += [".pytest_cache", ".hypothesis", "node_modules"]
    fill(tmp_path, {f"{base}{name}/x": "" for name in folders for base in ("", "d/")})
    fill(tmp_path, {".env": "", "d/.env": "", ".DS_Store": "", "m.pyc": "", "d/main.py": ""})
    fill(tmp_path, {".sequenceignore": "!*\n"})
    tree = read_tree(tmp_path, [])
    assert set(tree.files) == {"d/main.py", ".sequenceignore"}
    assert tree.ignored["d/node_modules/"] == "node_modules is never packed"


def test_git_file_of_a_worktree_stays_out(tmp_path: Path) -> None:
    fill(tmp_path, {".git": "gitdir: elsewhere", "a": ""})
    assert set(read_tree(tmp_path, []).files) == {"a"}


def test_link_inside_becomes_its_file(tmp_path: Path) -> None:
    fill(tmp_path, {"d/real.txt": "text"})
    (tmp_path / "link.txt").symlink_to("d/real.txt")
    tree = read_tree(tmp_path, [])
    assert tree.files["link.txt"].content == b"text"


def test_ignored_links_and_pipes_do_not_matter(tmp_path: Path) -> None:
    fill(tmp_path, {"a": "", ".gitignore": "/link\n/pipe\n"})
    (tmp_path / "link").symlink_to("/")
    os.mkfifo(tmp_path / "pipe")
    assert set(read_tree(tmp_path, []).files) == {"a", ".gitignore"}


def test_hard_link_to_secrets_is_withheld(tmp_path: Path) -> None:
    fill(tmp_path, {"keys.json": "{}", "a": ""})
    (tmp_path / "copy.json").hardlink_to(tmp_path / "keys.json")
    tree = read_tree(
        tmp_path, [tmp_path / "d" / ".." / "keys.json"] if False else [tmp_path / "keys.json"]
    )
    assert set(tree.files) == {"a"}
    assert tree.withheld == ("copy.json", "keys.json")


def test_client_is_added_byte_for_byte(project: Path) -> None:
    files = unpacked(_artifact(project))
    spec = importlib.util.find_spec("sequence_markets")
    installed = Path(spec.origin).parent
    expected = {
        f"sequence_markets/{path.relative_to(installed)}": path.read_bytes()
        for path in installed.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    added = {path: content for path, (content, _) in files.items() if "sequence_markets" in path}
    assert added == expected
    assert "sequence_markets/client.py" in added


@pytest.mark.parametrize("own", ["sequence_markets.py", "sequence_markets/__init__.py"])
def test_own_client_is_left_alone(own: str, project: Path) -> None:
    fill(project, {own: "# mine\n"})
    added = [path for path in unpacked(_artifact(project)) if "sequence_markets" in path]
    assert added == [own]


def test_client_is_found_without_being_imported(project: Path) -> None:
    program = (
        "import sys; from pathlib import Path;"
        "from sequence_cli.project.deployment import Overrides, prepare_deployment;"
        "prepare_deployment(Path(sys.argv[1]), Overrides(env={}));"
        "sys.exit('sequence_markets' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, project], cwd=ROOT, check=False)
    assert done.returncode == 0


def _artifact(project: Path) -> bytes:
    return base64.b64decode(prepare_deployment(project, NO_OVERRIDES).body["artifact_base64"])
