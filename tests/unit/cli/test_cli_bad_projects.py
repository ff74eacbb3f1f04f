"""Every project that cannot be deployed, and the message that says why. Nothing is uploaded."""

import os
import socket
from pathlib import Path

import pytest
from cli_samples import MINIMAL_TOML


@pytest.fixture
def fails(api, project: Path, run):
    """Deploy ``project``, which must be refused before a request; the message on stderr."""

    def deploy(*options: object, directory: Path = project) -> str:
        result = run("strategy", "deploy", directory, *options)
        assert result.status == 1, result.err
        assert api.received == []
        assert result.err.startswith("error: ")
        return result.err

    return deploy


def test_no_project_file(fails, project: Path) -> None:
    (project / "Sequence.toml").unlink()
    message = fails()
    assert "has no Sequence.toml: create one" in message
    assert 'entrypoint = "main.py"' in message


def test_no_folder(fails, tmp_path: Path) -> None:
    assert "nowhere is not a folder" in fails(directory=tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    assert "file is not a folder" in fails(directory=tmp_path / "file")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[strategy]\nname = \n", "Sequence.toml:2:8: Invalid value"),
        ("[strategy\n", "Sequence.toml:1:10: "),
        ('[strategy]\nname = "a', "Sequence.toml:2:10: "),
        ('[strategy]\nname = "a"\nname = "b"\n', "Sequence.toml:3:11: Cannot overwrite a value"),
        ("x = " + "[" * 5000, "nested too deeply"),
    ],
)
def test_broken_toml_has_line_and_column(text: str, message: str, fails, project: Path) -> None:
    (project / "Sequence.toml").write_text(text)
    assert message in fails()


def test_toml_that_is_not_utf8(fails, project: Path) -> None:
    (project / "Sequence.toml").write_bytes(b'[strategy]\nname = "caf\xe9"\n')
    assert "Sequence.toml:2:12: the file is not UTF-8 text" in fails()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("[hosted]\nentrypiont = 'm.py'", "unknown key hosted.entrypiont: did you mean "
         "hosted.entrypoint?"),
        ("[strateqy]\nname = 'x'", "unknown key strateqy: did you mean strategy?"),
        ("[hosted.resources]\nmemory = 5", "did you mean hosted.resources.memory_mb?"),
        ("[hosted]\nmemory_mb = 5", "did you mean hosted.resources.memory_mb?"),
        ("[strategy]\nzzz = 5", "unknown key strategy.zzz: known here: strategy.name, "
         "strategy.runtime"),
        ("[strategy]\nname = 5", "strategy.name must be a string, not an integer"),
        ("strategy = 5", "strategy must be a table ([strategy]), not an integer"),
        ("[hosted.resources]\nmemory_mb = '512'", "hosted.resources.memory_mb must be an integer, "
         "not a string"),
        ("[hosted.resources]\nmemory_mb = true", "must be an integer, not a boolean"),
        ("[hosted.resources]\nmemory_mb = 1.5", "must be an integer, not a float"),
        ("[hosted.placement]\nlatency_target = [1]", "must be a string or a list of strings"),
        ("[strategy]\nname = 2026-01-01", "must be a string, not a date or time"),
        ("risk = [1]", "risk must be a table, not a list"),
        ("[hosted.env]\nPORT = 80", "hosted.env.PORT must be a string: put its value in quotes"),
        ("[hosted.secrets]\nON = true", "hosted.secrets.ON must be a string: put its value in"),
        ("[hosted.env]\nA = ['x']", "hosted.env.A must be a string; structured data belongs in"),
        ("[hosted.env]\nSEQUENCE_X = 'a'", "hosted.env.SEQUENCE_X: names that start with "
         "SEQUENCE_ are set by the platform"),
        ("[hosted.secrets]\nSEQUENCE_API_KEY = 'a'", "hosted.secrets.SEQUENCE_API_KEY: names"),
        ("[hosted.env]\n'A-B' = 'a'", "hosted.env.A-B: a variable's name has letters"),
        ("[hosted.env]\nA = \"\\u0000\"", "contains a NUL character"),
    ],
)  # fmt: skip
def test_wrong_keys_and_types(lines: str, message: str, fails, project: Path) -> None:
    (project / "Sequence.toml").write_text(lines + "\n")
    assert message in fails()


def test_all_problems_at_once(fails, project: Path) -> None:
    (project / "Sequence.toml").write_text("[strategy]\nnmae = 'x'\n[hosted]\nentrypoint = 1\n")
    message = fails()
    assert "has 2 problems:" in message
    assert "  unknown key strategy.nmae" in message
    assert "  hosted.entrypoint must be a string" in message


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("[hosted]\nentrypoint = 'main.py'", "strategy.name is missing: add it, or pass --name"),
        ("[strategy]\nname = 'x'", "hosted.entrypoint is missing: add it, or pass --entrypoint"),
    ],
)
def test_missing_keys(lines: str, message: str, fails, project: Path) -> None:
    (project / "Sequence.toml").write_text(lines + "\n")
    assert message in fails()


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_numbers_that_json_lacks(value: str, fails, project: Path) -> None:
    (project / "Sequence.toml").write_text(MINIMAL_TOML + f"[risk]\nlimits = [1.0, {value}]\n")
    assert f"risk.limits[1] is {value}, which JSON cannot hold" in fails()


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--manifest", '{"a": 1,\n  b}', "given.json:2:3: "),
        ("--manifest", "[1]", "given.json: must hold a JSON object"),
        ("--manifest", '{"a": {"b": NaN}}', "a.b is nan, which JSON cannot hold"),
        ("--manifest", '{"a": 1e999}', "a is inf, which JSON cannot hold"),
        ("--secrets-file", '{"T": "hidden-value"', "given.json:1:21: "),
        ("--secrets-file", '"hidden-value"', "given.json: must hold a JSON object"),
        ("--secrets-file", '{"T": ["hidden-value"]}', "given.json: T must be a string"),
        ("--secrets-file", '{"T": 5}', "given.json: T must be a string: put its value in quotes"),
        ("--secrets-file", '{"SEQUENCE_T": "hidden-value"}', "given.json: SEQUENCE_T: names that"),
    ],
)
def test_json_files(option: str, text: str, message: str, fails, tmp_path: Path) -> None:
    path = tmp_path / "given.json"
    path.write_text(text)
    shown = fails(option, path)
    assert message in shown
    assert "hidden-value" not in shown


def test_json_file_that_is_not_there(fails, tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    assert "none.json: cannot be read: No such file" in fails("--manifest", path)
    assert "cannot be read: Is a directory" in fails("--secrets-file", tmp_path)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("SEQUENCE_RUN_ID=1", "--env SEQUENCE_RUN_ID: names that start with SEQUENCE_"),
        ("1A=x", "--env 1A: a variable's name has letters"),
    ],
)
def test_env_option(pair: str, message: str, fails) -> None:
    assert message in fails("--env", pair)


def test_entrypoint_that_is_not_there(fails, project: Path) -> None:
    (project / "main.py").rename(project / "run.py")
    message = fails()
    assert "the entrypoint main.py is not in the artifact; correct hosted.entrypoint" in message
    assert "Python files in it: run.py" in message


@pytest.mark.parametrize(
    ("file", "rules", "message"),
    [
        (".gitignore", "# mine\n*.py\n!run.py\n", "main.py ignored by .gitignore:2 (*.py)"),
        (".sequenceignore", "/main.py\n", "main.py ignored by .sequenceignore:1 (/main.py)"),
    ],
)
def test_entrypoint_that_a_rule_removed(
    file: str, rules: str, message: str, fails, project: Path
) -> None:
    (project / file).write_text(rules)
    (project / "run.py").write_text("")
    shown = fails()
    assert message in shown
    assert "Python files in it: run.py" in shown


def test_entrypoint_in_an_ignored_folder(fails, project: Path) -> None:
    (project / "src").mkdir()
    (project / "src" / ".gitignore").write_text("lib/\n")
    (project / "src" / "lib").mkdir()
    (project / "src" / "lib" / "main.py").write_text("")
    message = fails("--entrypoint", "src/lib/main.py")
    assert "src/lib/ ignored by src/.gitignore:1 (lib/)" in message
    (project / "venv").mkdir()
    (project / "venv" / "main.py").write_text("")
    assert "venv/ venv is never packed" in fails("--entrypoint", "venv/main.py")


@pytest.mark.parametrize("path", ["/main.py", "../main.py", "a/../../main.py", ".", "a\\main.py"])
def test_entrypoint_outside(path: str, fails) -> None:
    assert "must be the path of a file inside the project" in fails("--entrypoint", path)


@pytest.mark.parametrize(
    ("source", "place", "shown"),
    [
        (b"import os\nif True\n    pass\n", "main.py:2:8: expected ':'", "if True\n         ^"),
        (b"\tx = 1\n", "main.py:1:1: unexpected indent", "\tx = 1"),
        (
            b"def f():\n    return )\n",
            "main.py:2:12: unmatched ')'",
            "    return )\n             ^",
        ),
        (b"return 1\n", "main.py:1:1: 'return' outside function", "return 1\n  ^"),
        (b"# coding: latin-1\nx = '\xe9' y\n", "main.py:2:9: ", "x = '\u00e9' y"),
        (b"x = '\xe9'\n", "main.py:1:", ""),
        (b"# coding: klingon\n", "main.py:1:1: ", "klingon"),
        (b"x = 1\0\n", "main.py:1:1: source code string cannot contain null bytes", ""),
        (b"-" * 200_000 + b"1\n", "main.py:1:", ""),
    ],
    ids=range(9),
)
def test_syntax_errors(source: bytes, place: str, shown: str, fails, project: Path) -> None:
    (project / "main.py").write_bytes(source)
    message = fails()
    assert place in message
    assert shown in message
    assert not list(project.rglob("__pycache__"))


def test_checking_does_not_run_the_program(fails, project: Path) -> None:
    (project / "main.py").write_text("open('ran', 'w')\n)")
    fails()
    assert not (project / "ran").exists()
    assert not Path("ran").exists()


@pytest.mark.parametrize("rules", ["", "*\n"])
def test_empty_project(rules: str, fails, project: Path) -> None:
    if rules:
        (project / ".sequenceignore").write_text(rules)
    else:
        (project / "main.py").unlink()
    assert "has no file to deploy" in fails()


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("../outside.py", "points outside the project"),
        ("/etc/hostname", "points outside the project"),
        ("missing.py", "points to nothing"),
        ("link.py", "leads in a circle"),
        ("folder", "points to a folder"),
        (".env", "points to something that is never packed"),
    ],
)
def test_links(target: str, why: str, fails, project: Path) -> None:
    (project.parent / "outside.py").write_text("")
    (project / "folder").mkdir()
    (project / ".env").write_text("TOKEN=1")
    (project / "link.py").symlink_to(target)
    assert f"the symbolic link link.py {why}" in fails()


def test_pipes_and_sockets(fails, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(project / "pipe")
    assert "pipe is a pipe, socket or device" in fails()
    (project / "pipe").unlink()
    monkeypatch.chdir(project)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.sock")
        assert "s.sock is a pipe, socket or device" in fails()


def test_name_that_is_not_utf8(fails, project: Path) -> None:
    Path(os.fsdecode(os.fsencode(project) + b"/caf\xe9.txt")).write_text("")
    assert "the file's name is not UTF-8" in fails()


def test_invalid_ignore_rule(fails, project: Path) -> None:
    (project / ".gitignore").write_text("ok\nx[z-a]y\n")
    assert ".gitignore:2: 'x[z-a]y' is not a valid ignore rule" in fails()


def test_project_above_the_limit(fails, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sequence_cli.project.tree.MAX_PROJECT_BYTES", 2**20)
    (project / "big.bin").write_bytes(bytes(2**20))
    (project / "zz.bin").write_bytes(b"1")
    message = fails()
    assert "more than 1 MiB" in message
    assert ".sequenceignore" in message


def test_missing_client_library(fails, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sequence_cli.project.vendored_client.PACKAGE", "no_such_package")
    assert "the client library is not installed" in fails()
