"""What a command of the devkit stops with. Owns no error id: the registry in cloned_schemas does."""

from cloned_schemas import errors
from cloned_schemas.errors import ErrorSpec
from cloned_trust.verdict import Finding, shown

# The registry speaks to whoever installs a wheel; who packs it mends the same findings otherwise.
_AUTHORS_REPAIR = {
    "DIGEST_MISMATCH": "pack it again and leave the wheel as it is",
    "EXTRA_FILE": "build the wheel with 'cloned-sdk pack'; it lists every file",
    "FORBIDDEN_MEMBER": "remove the file from the source tree and pack again",
    "KEY_NOT_FOR_PUBLISHER": "sign with a key of the publisher that plugin.yaml names",
    "MANIFEST_INVALID": "mend plugin.yaml as the message says and pack again",
    "MANIFEST_MISSING": "build the wheel with 'cloned-sdk pack'",
    "MANIFEST_NAME": "keep the file name that 'cloned-sdk pack' gave the wheel",
    "MISSING_FILE": "add the file below src/, or take its name out of plugin.yaml",
    "NAMESPACE_NOT_OWNED": "begin the plugin's id and its tool ids with a namespace of the publisher",
    "NATIVE_CODE": "leave native code out, or require the capability 'native' in plugin.yaml and pack with --tag",
    "RECORD_MISMATCH": "build the wheel with 'cloned-sdk pack'; no other tool may change it afterwards",
    "SIG_INVALID": "sign the wheel again with 'cloned-sdk sign'",
    "SIG_MISSING": "sign the wheel with 'cloned-sdk sign WHEEL --key FILE'",
    "STATEMENT_INVALID": "sign the wheel again with 'cloned-sdk sign'",
    "TOOL_SCHEMA": "mend the tool's schema in plugin.yaml as the message says",
    "TOPLEVEL_NOT_OWNED": "move it below src/<package>; a plugin owns the package of its id alone",
    "ZIP_DUPLICATE": "rename one of the files; some systems do not tell the names apart",
    "ZIP_NAME": "rename the file: letters, digits, '_', '-', '+' and '.'",
    "ZIP_SIZE": "make the release smaller",
}


class Mistake(Exception):  # noqa: N818 - named for who must act
    """A fact with its subject, an error id of the registry, and the next step."""

    def __init__(self, error_id: str, fact: str, repair: str | None = None) -> None:
        self.spec: ErrorSpec = errors.spec(error_id)
        self.fact = shown(fact)
        self.repair = repair or repair_of(error_id)
        super().__init__(f"{error_id}: {self.fact}")


def repair_of(error_id: str) -> str:
    """How an author mends a finding of this id."""
    return _AUTHORS_REPAIR.get(error_id) or errors.spec(error_id).repair


def mistake_from(finding: Finding) -> Mistake:
    """A refusing finding, as what the command stops with."""
    return Mistake(finding.error_id, f"{finding.subject}: {finding.detail}")
