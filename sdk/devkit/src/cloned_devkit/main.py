"""The command `cloned-sdk`. Parses, prints and exits; every judgement is made elsewhere.

Exit codes are those of every Cloned command: 0 done, 2 the command or a file must change, 5 refused by trust.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

TRUST_REFUSED = 5
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_ANY = click.Path(exists=True, path_type=Path)
_NEW = click.Path(file_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cloned-devkit")
def main() -> None:
    """Pack, sign and check plugins of Cloned.

    \b
    Example, from a plugin's folder to a wheel that can be installed:
      cloned-sdk publisher init acme --namespace acme --out ~/acme-keys
      cloned-sdk check .
      cloned-sdk pack . --out dist
      cloned-sdk sign dist/acme_weather-1.0.0-py3-none-any.whl --key ~/acme-keys/secret-key.json
    """


@main.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option("--out", metavar="DIST", type=_NEW, required=True, help="Folder for the wheel; made if missing.")
@click.option("--tag", default="py3-none-any", show_default=True, help="Compatibility tag of a wheel with native code.")
def pack(folder: Path, out: Path, tag: str) -> None:
    """Build the wheel of the plugin in DIR: the same files give the same bytes on every machine.

    DIR holds pyproject.toml ([project]), plugin.yaml and src/<package>.

    \b
    Example:
      cloned-sdk pack plugins/acme-weather --out dist
    """
    with _explained():
        from cloned_devkit import pack as packing

        packed = packing.pack(folder, tag)
        place = packing.write(packed, out)
    for path in packed.left_out:
        click.echo(f"left out: src/{path} (hidden, or made by a tool)", err=True)
    click.echo(place)


@main.command()
@click.argument("wheel", type=_FILE)
@click.option("--key", "keys", metavar="FILE", type=_FILE, required=True, multiple=True, help="A secret key's file.")
def sign(wheel: Path, keys: tuple[Path, ...]) -> None:
    """Sign WHEEL and put the signature beside it, as WHEEL.cloned.dsse.json.

    \b
    Example:
      cloned-sdk sign dist/acme_weather-1.0.0-py3-none-any.whl --key ~/acme-keys/secret-key.json
    """
    with _explained():
        from cloned_devkit import signing

        signed = signing.sign(wheel, keys)
    for keyid in signed.keyids:
        click.echo(f"signed with key {keyid}", err=True)
    click.echo(signed.signature)


@main.command()
@click.argument("target", metavar="WHEEL|DIR", type=_ANY)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def check(target: Path, *, as_json: bool) -> None:
    """Judge a wheel, or the plugin in a folder, by the rules that every install and every catalog applies.

    A wheel is judged with the signature that stands beside it; having none is a notice. Exits with 5 when refused.

    \b
    Example:
      cloned-sdk check plugins/acme-weather
      cloned-sdk check dist/acme_weather-1.0.0-py3-none-any.whl --json
    """
    with _explained(as_json=as_json):
        from cloned_devkit import check as checking

        report = checking.check(target)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        for found in report.as_json()["findings"]:
            click.echo(f"{found['severity']} {found['error_id']} {found['subject']}: {found['detail']}")
            click.echo(f"  → {found['repair']}")
        click.echo(f"{report.subject}: {'good' if report.accepted else 'refused'}")
    if not report.accepted:
        sys.exit(TRUST_REFUSED)


@main.group()
def publisher() -> None:
    """Who signs: a publisher's key and record."""


@publisher.command()
@click.argument("publisher_id", metavar="ID")
@click.option("--namespace", "namespaces", metavar="NS", required=True, multiple=True, help="First label of its ids.")
@click.option("--out", metavar="DIR", type=_NEW, required=True, help="Folder for the two files; made if missing.")
@click.option("--name", help="The name that people read; the ID where it is not given.")
@click.option("--kernel", is_flag=True, help="The record asks that its code may run in Cloned's own process.")
def init(publisher_id: str, namespaces: tuple[str, ...], out: Path, name: str | None, *, kernel: bool) -> None:
    """Make a publisher: a secret key (secret-key.json, 0600) and its record (publisher.json) in DIR.

    Replaces nothing. Keep the secret key off the machines that build; give the record to those who shall trust you.

    \b
    Example:
      cloned-sdk publisher init acme --namespace acme --out ~/acme-keys
    """
    with _explained():
        from cloned_devkit import publisher as making

        made = making.init(publisher_id, list(namespaces), out, kernel=kernel, name=name)
    click.echo(f"{made.key}: the secret key; whoever has it can sign as {publisher_id}")
    click.echo(f"{made.record}: the record; others trust it with 'cloned trust add {made.record}'")
    click.echo(f"key id {made.keyid}: compare it when you hand the record over")


@contextmanager
def _explained(*, as_json: bool = False) -> Iterator[None]:
    """Print a mistake as fact and repair, and exit with its family's code."""
    from cloned_devkit.mistakes import Mistake

    try:
        yield
    except Mistake as mistake:
        facts = {"id": mistake.spec.id, "fact": mistake.fact, "repair": mistake.repair}
        if as_json:
            click.echo(json.dumps({"error": facts}, indent=2))
        else:
            click.echo(f"{mistake.spec.id}: {mistake.fact}\n→ {mistake.repair}", err=True)
        sys.exit(mistake.spec.exit_code)
