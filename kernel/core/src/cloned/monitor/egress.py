"""Which hosts a call may reach. Pure: rules and hosts in, verdict out; nothing is resolved or connected here."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import idna

from cloned_schemas.errors import UserMistake

_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class EgressRule:
    """An exact host, or with `one_label` any single label before `host`."""

    host: str
    one_label: bool = False

    def covers(self, host: str) -> bool:
        """Whether a normalised host is what this rule names."""
        if not self.one_label:
            return host == self.host
        label, _, rest = host.partition(".")
        return rest == self.host and bool(label)


@dataclass(frozen=True, slots=True)
class EgressVerdict:
    """`denied` is the first host that no rule covers; `matched` says which rule covered each of the others."""

    matched: tuple[tuple[str, str], ...]
    denied: str | None = None


def normalise(host: str) -> str:
    """A host as it is compared: lower-case A-labels without a trailing dot, or an IP literal in its shortest form.

    Raises UserMistake EGRESS_RULE for what is neither.
    """
    bare = host.strip().removeprefix("[").removesuffix("]").rstrip(".")
    try:
        return ipaddress.ip_address(bare).compressed
    except ValueError:
        pass
    try:
        name = idna.encode(bare, uts46=True, std3_rules=True).decode("ascii").lower()
    except idna.IDNAError as error:
        raise UserMistake("EGRESS_RULE", f"{host!r} is not a host name: {error}") from error
    if _NUMBER.fullmatch(name.rsplit(".", 1)[-1]):  # resolvers take 0x7f000001 and 127.1 for addresses
        raise UserMistake("EGRESS_RULE", f"{host!r} is neither a name nor an IP address")
    return name


@cache
def parse_rule(text: str) -> EgressRule:
    """A rule as policy writes it. Raises EGRESS_RULE for `*`, `*.com`, public suffixes and stars elsewhere."""
    if not text.startswith("*."):
        if "*" in text:
            raise UserMistake("EGRESS_RULE", f"{text!r}: a star stands only for the first label, as in *.example.com")
        return EgressRule(normalise(text))
    host = normalise(text[2:])
    if "." not in host or _is_public_suffix(host):
        raise UserMistake("EGRESS_RULE", f"{text!r} covers names of many owners; name a host of one owner")
    return EgressRule(host, one_label=True)


def _is_public_suffix(host: str) -> bool:
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415 - the list takes 60 ms to load and few rules need it

    return PublicSuffixList().publicsuffix(host) == host


def judge(hosts: Sequence[str], layers: Iterable[tuple[str, Sequence[str]]]) -> EgressVerdict:
    """Look each host up, layer by layer (tool, connector, everywhere): the first rule that covers it counts.

    `layers` are (where the rules stand, the rules). A host that cannot be normalised is denied.
    """
    known = [(name, rule, parse_rule(rule)) for name, rules in layers for rule in rules]
    matched: list[tuple[str, str]] = []
    for host in hosts:
        target = _target(host)
        found = next((f"{name}: {text}" for name, text, rule in known if rule.covers(target)), None)
        if found is None:
            return EgressVerdict(tuple(matched), denied=host)
        matched.append((host, found))
    return EgressVerdict(tuple(matched))


def _target(host: str) -> str:
    # A declared `*.example.com` asks for every such name, so only the same wildcard covers it.
    return "*." + normalise(host[2:]) if host.startswith("*.") else normalise(host)
