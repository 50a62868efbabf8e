"""An author's plugin to pack, sign and check."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cloned_devkit.main import main

PYPROJECT = """\
[project]
name = "acme-weather"
version = "1.2.0"
description = "Weather of the day"
requires-python = ">=3.11"
license = "Apache-2.0"
dependencies = ["cloned-sdk"]
"""

PLUGIN = """\
publisher_id: acme
execution: worker
isolation: sandbox
entry: python:acme_weather.worker:server
tools:
  - id: acme.weather.today@v1
    version: 1.0.0
    summary: The weather of today
    description: Answers with the weather of a place.
    input_schema:
      type: object
      properties: {place: {type: string, description: A town, examples: [Bern]}}
      required: [place]
      additionalProperties: false
    output_schema: {type: object, properties: {text: {type: string}}, required: [text]}
    capability: weather.read
    risk_level: low
    effect: read
    cost: {category: api_requests}
"""


@dataclass(frozen=True)
class Desk:
    """An author's desk: a folder with one plugin, and the command."""

    root: Path

    @property
    def plugin(self) -> Path:
        return self.root / "acme-weather"

    @property
    def package(self) -> Path:
        return self.plugin / "src" / "acme_weather"

    @property
    def dist(self) -> Path:
        return self.root / "dist"

    @property
    def wheel(self) -> Path:
        return self.dist / "acme_weather-1.2.0-py3-none-any.whl"

    def write(self, path: str, text: str) -> Path:
        place = self.plugin / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    def replace(self, path: str, old: str, new: str) -> None:
        text = (self.plugin / path).read_text()
        assert old in text
        (self.plugin / path).write_text(text.replace(old, new))

    def run(self, *arguments: str | Path) -> Result:
        return CliRunner().invoke(main, [str(one) for one in arguments])

    def pack(self) -> Result:
        return self.run("pack", self.plugin, "--out", self.dist)

    def packed(self) -> bytes:
        result = self.pack()
        assert result.exit_code == 0, result.output
        return self.wheel.read_bytes()

    def publisher(self, publisher_id: str = "acme", *more: str) -> Path:
        folder = self.root / f"{publisher_id}-keys"
        result = self.run("publisher", "init", publisher_id, "--namespace", publisher_id, "--out", folder, *more)
        assert result.exit_code == 0, result.output
        return folder / "secret-key.json"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk with a plugin that nothing is wrong with."""
    desk = Desk(tmp_path)
    desk.write("pyproject.toml", PYPROJECT)
    desk.write("plugin.yaml", PLUGIN)
    desk.write("src/acme_weather/__init__.py", '"""Weather."""\n')
    desk.write("src/acme_weather/worker.py", '"""The worker."""\n\nserver = None\n')
    desk.write("src/acme_weather/data/towns.txt", "Bern\n")
    return desk
