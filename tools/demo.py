"""The main job, end to end, on real documents: `make demo [DOCS=folder] [QUESTION=text]`.

Everything that it makes lies in `.demo/`: its publisher is trusted there and nowhere else. Where a person must agree,
the demo opens a terminal of its own and types the code shown, as a person would.
"""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
DEMO = REPOSITORY / ".demo"
WORKSPACE, DIST, PUBLISHER, EXPORT = DEMO / "workspace", DEMO / "dist", DEMO / "publisher", DEMO / "export"
BIN = Path(sys.executable).parent
QUESTION = "Why is the audit written before an effect happens?"
PLUGINS = ("cloned-policy-packs", "cloned-vault-file", "cloned-connector-documents", "cloned-skills", "cloned-research")
CODE = re.compile(rb"Type (\d{4}) to agree: $")
TRUST_REFUSED = 5
APPROVAL_REQUIRED = 3


class DemoFailed(Exception):
    """A command did not end as it must."""


def environment() -> dict[str, str]:
    """All user-level state inside the demo's own folder."""
    own = {f"XDG_{kind}_HOME": str(DEMO / "home" / kind.lower()) for kind in ("CONFIG", "STATE", "DATA", "CACHE")}
    kept = {name: os.environ[name] for name in ("PATH", "TERM", "LANG", "LC_ALL", "NO_COLOR") if name in os.environ}
    return {**kept, **own, "HOME": str(DEMO / "home")}


def command(name: str, *arguments: str | Path) -> list[str]:
    """An argument list for one of the two commands of this environment."""
    return [str(BIN / name), *map(str, arguments)]


def say(argv: Sequence[str]) -> None:
    """Show a command before it runs, as a person would type it."""
    words = [Path(argv[0]).name, *(word.replace(f"{REPOSITORY}/", "") for word in argv[1:])]
    print("  $ " + " ".join(f"'{word}'" if " " in word else word for word in words), flush=True)


def run(argv: list[str], *, expect: int = 0, folder: Path = WORKSPACE, shown: bool = True) -> str:
    """Run a command without a terminal; returns what it printed. Raises DemoFailed on another exit code."""
    if shown:
        say(argv)
    done = subprocess.run(argv, cwd=folder, env=environment(), text=True, capture_output=True, check=False)
    if shown:
        print(indented(done.stdout + done.stderr), flush=True)
    if done.returncode != expect:
        raise DemoFailed(f"{' '.join(argv)} ended with {done.returncode}, not {expect}:\n{done.stdout}{done.stderr}")
    return done.stdout


def agree(argv: list[str], *, folder: Path = WORKSPACE) -> None:
    """Run a command on a terminal of its own and type the code that it shows."""
    say(argv)
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execve(argv[0], argv, environment())
    seen = b""
    while chunk := read(terminal):
        seen += chunk
        if (asked := CODE.search(seen)) is not None:
            os.write(terminal, asked[1] + b"\n")
            seen += b"\n"
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(terminal)
    print(indented(seen.decode(errors="replace").replace("\r", "")), flush=True)
    if code != 0:
        raise DemoFailed(f"{' '.join(argv)} ended with {code}")


def read(terminal: int) -> bytes:
    """What the terminal shows next; nothing when its last process has gone (Linux answers EIO)."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def indented(text: str) -> str:
    """Output set off from the commands."""
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines() if line.strip())


def build() -> None:
    """Wheels from the sources, each signed with a key made for this run."""
    key = PUBLISHER / "secret-key.json"
    run(
        command("cloned-sdk", "publisher", "init", "cloned", "--namespace", "cloned", "--kernel", "--out", PUBLISHER),
        folder=DEMO,
    )
    for plugin in PLUGINS:
        run(command("cloned-sdk", "pack", REPOSITORY / "plugins" / plugin, "--out", DIST), folder=DEMO)
    for wheel in sorted(DIST.glob("*.whl")):
        run(command("cloned-sdk", "sign", wheel, "--key", key), folder=DEMO)


def make_workspace() -> None:
    """A folder becomes a workspace; nothing may run in it yet."""
    WORKSPACE.mkdir()
    run(command("cloned", "init", "--type", "personal"))
    run(command("cloned", "policy", "show"))


def install() -> None:
    """Trust, policy, then the rest: each step asks a person."""
    agree(command("cloned", "trust", "add", PUBLISHER / "publisher.json", "--kernel"))
    agree(command("cloned", "plugin", "install", PLUGINS[0], "--from", DIST, "--enable"))
    agree(command("cloned", "policy", "apply", "personal"))
    for plugin in PLUGINS[1:]:
        agree(command("cloned", "plugin", "install", plugin, "--from", DIST, "--enable"))
    run(command("cloned", "plugin", "list", "--why"))


def grant(documents: Path) -> None:
    """The connector sees this folder, read-only, and no other."""
    agree(command("cloned", "plugin", "grant", "cloned-connector-documents", "--folder", f"docs={documents}"))


def research(question: str) -> None:
    """Search, extract, synthesise, save; then wait, because sending the report outside is for a person to decide."""
    inputs = ("--topic", question, "--export-to", EXPORT)
    run(command("cloned", "run", "pipeline.research.report", *inputs, "--dry-run"))
    run(command("cloned", "run", "pipeline.research.report", *inputs), expect=APPROVAL_REQUIRED)


def approve() -> None:
    """The person lets exactly this export happen; the run goes on."""
    run(command("cloned", "approvals", "list"))
    waiting = json.loads(run(command("cloned", "approvals", "list", "--json"), shown=False))["approvals"]
    agree(command("cloned", "approvals", "approve", waiting[0]["id"], "--resume"))
    run(command("cloned", "runs", "list"))
    for report in sorted(EXPORT.glob("**/*.md")):
        print(f"\n  the report, {report.relative_to(REPOSITORY)}:\n")
        print(indented(report.read_text()), flush=True)


def verify() -> None:
    """Everything can be proven afterwards, and a changed plugin is refused by name."""
    for words in (("audit", "verify"), ("artifacts", "verify"), ("plugin", "verify"), ("budgets",), ("doctor",)):
        run(command("cloned", *words))
    store = Path(environment()["XDG_DATA_HOME"]) / "cloned" / "store"
    victim = next(path for path in sorted(store.glob("*/tree/cloned_research/*.py")) if path.stat().st_size)
    sound = victim.read_bytes()
    print(f"\n  one byte of {victim.name} is flipped:", flush=True)
    replace(victim, bytes([sound[0] ^ 1]) + sound[1:])
    run(command("cloned", "plugin", "verify"), expect=TRUST_REFUSED)
    replace(victim, sound)
    print("  and restored:", flush=True)
    run(command("cloned", "plugin", "verify"))


def replace(path: Path, data: bytes) -> None:
    """Change a file that the store keeps read-only, as somebody with the user's rights could."""
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(0o444)


def own_documents() -> Path:
    """The README and the docs of this repository, beside each other."""
    folder = DEMO / "documents"
    shutil.copytree(REPOSITORY / "docs", folder / "docs")
    for name in ("README.md", "CONTRIBUTING.md"):
        shutil.copy(REPOSITORY / name, folder / name)
    return folder


def main() -> int:
    """Run every step and show its time. 0 when all ended as they must."""
    shutil.rmtree(DEMO, ignore_errors=False) if DEMO.exists() else None
    for folder in (DEMO, DIST, PUBLISHER):
        folder.mkdir()
    given = os.environ.get("DOCS")
    documents = Path(given).resolve() if given else own_documents()
    question = os.environ.get("QUESTION") or QUESTION
    steps: list[tuple[str, Callable[[], None]]] = [
        ("build and sign the plugins", build),
        ("make a workspace", make_workspace),
        ("trust the publisher, apply a policy, install", install),
        ("grant a folder of documents", lambda: grant(documents)),
        ("run the research pipeline", lambda: research(question)),
        ("approve the export", approve),
        ("verify everything, then catch a flipped byte", verify),
    ]
    times = []
    for number, (title, step) in enumerate(steps, 1):
        print(f"\n{number}. {title}", flush=True)
        started = time.monotonic()
        try:
            step()
        except DemoFailed as failure:
            print(f"\nThe demo failed: {failure}", file=sys.stderr)
            return 1
        times.append((title, time.monotonic() - started))
        print(f"  ({times[-1][1]:.1f} s)", flush=True)
    print("\nAll steps ended as they must:")
    for title, seconds in times:
        print(f"  {seconds:5.1f} s  {title}")
    print(f"  {sum(seconds for _, seconds in times):5.1f} s  in all")
    own = " ".join(f"{name}={value}" for name, value in environment().items() if name.startswith("XDG_"))
    print(f"\nLook around, with the demo's own user-level state:\n  cd {WORKSPACE}\n  env {own} {BIN}/cloned runs list")
    return 0


if __name__ == "__main__":
    sys.exit(main())
