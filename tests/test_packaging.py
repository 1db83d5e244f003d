"""The wheel, the repository and what the README promises."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
ROOTS = {"plugin", "algorithms", "io", "fitting"}
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def tracked_files():
    result = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        pytest.skip("not a git checkout")
    return [Path(line) for line in result.stdout.splitlines() if (REPOSITORY / line).exists()]


def packaged_files():
    """Files of the four packages that belong into the wheel, as paths in the wheel."""
    return {
        Path("trkx", path)
        for path in tracked_files()
        if path.parts[0] in ROOTS and not path.name.startswith(".")
    }


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for path in tracked_files():
        if path.parts[0] in ROOTS | {"pyproject.toml", "README.md", "LICENSE"}:
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_bytes((REPOSITORY / path).read_bytes())
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True)
    (wheel,) = folder.glob("trkx-*.whl")
    return {Path(name) for name in zipfile.ZipFile(wheel).namelist()}


def test_every_package_is_listed():
    folders = {p.parent for p in tracked_files() if p.parts[0] in ROOTS and p.suffix == ".py"}
    expected = {".".join(("trkx", *folder.parts)) for folder in folders}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == expected


def test_the_wheel_holds_all_packages_and_data(wheel_names):
    assert packaged_files() - wheel_names == set()


def test_the_wheel_holds_nothing_else(wheel_names):
    extra = {name for name in wheel_names - packaged_files() if "dist-info" not in name.parts[0]}
    assert extra == set()
    assert not any(name.parts[0] in ROOTS | {"tests"} for name in wheel_names)


def test_each_package_is_typed_and_the_root_is_a_namespace():
    for root in ROOTS:
        assert (REPOSITORY / root / "py.typed").exists()
    assert not (REPOSITORY / "__init__.py").exists()


def test_constraints_pin_every_dependency_exactly():
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins[0].startswith("torch==")
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins), pins
    pinned = {re.sub(r"[-_.]+", "-", pin.split("==")[0]).lower() for pin in pins}
    project = PROJECT["project"]
    needed = list(project["dependencies"])
    for extra, requirements in project["optional-dependencies"].items():
        if extra != "serve":  # Triton's server is set up by its own target
            needed += requirements
    names = {re.split(r"[\[<>=]", requirement)[0].lower() for requirement in needed}
    assert names - {"trkx"} - pinned == set()


def test_no_absolute_paths_in_tracked_files():
    pattern = re.compile(r"(?<![\w.~$}>])/(?:home|root|work|tmp|opt|Users)/\w")
    offences = []
    for path in tracked_files():
        if path.suffix in {".png", ".npz", ".safetensors", ".root", ".npy", ".gz"}:
            continue
        text = (REPOSITORY / path).read_text(errors="replace")
        offences += [
            f"{path}:{number}"
            for number, line in enumerate(text.splitlines(), start=1)
            if pattern.search(line)
        ]
    assert offences == []


def readme_commands():
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", _readme(), flags=re.DOTALL)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _readme():
    return (REPOSITORY / "README.md").read_text()


def test_the_commands_of_the_readme_exist():
    from trkx.algorithms.cli.main import COMMANDS

    targets = set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    commands = readme_commands()
    assert "make demo" in commands
    assert "make test" in commands
    for command in commands:
        program, *rest = command.split()
        if program == "make":
            assert {word for word in rest if "=" not in word} <= targets, command
        elif program.endswith("trkx"):
            assert rest[0] in COMMANDS or rest[0].startswith("-"), command
        elif program.endswith("python"):
            assert (REPOSITORY / rest[0]).exists(), command


def test_the_job_script_of_the_readme_is_the_example():
    (script,) = re.findall(r"```python\n(.*?)```", _readme(), flags=re.DOTALL)
    example = (REPOSITORY / "examples" / "sequencer_job.py").read_text()
    assert script.strip() == example.split('"""', 2)[2].strip()
    assert len(script.splitlines()) <= 36


def test_the_links_of_the_documents_lead_somewhere():
    for document in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text()):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_result_file_is_described():
    from trkx.algorithms.job_output import RESULT_PATTERNS

    text = (REPOSITORY / "docs" / "outputs.md").read_text()
    for pattern in RESULT_PATTERNS:
        assert f"`{pattern.replace('*', '<finder>')}" in text or pattern.split("*")[0] in text
