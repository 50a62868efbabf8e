"""What a page's markup hides from its reader, in HTML and in the raw HTML of Markdown.

Owns the rules of what is hidden and a reader for Markdown that keeps every line. Not a browser: style sheets and
scripts are not applied, so text that only they hide is seen here.
"""

import re

UNSEEN = frozenset(
    {"script", "style", "template", "noscript", "svg", "math", "iframe", "object", "select", "textarea", "canvas"}
)
"""Elements whose content is no text of the page."""
_HIDING_STYLE = re.compile(
    r"display:none|visibility:(?:hidden|collapse)|opacity:0(?![.0-9]*[1-9])|font-size:0(?![.0-9]*[1-9])"
    r"|text-indent:-[0-9]{3}|color:(?:transparent|white|#fff)(?![0-9a-z])"
)

_SHOWN = (
    "a abbr address article aside b bdi bdo big blockquote body br button caption center cite code col colgroup dd del "
    "details dfn dialog div dl dt em fieldset figcaption figure font footer form h1 h2 h3 h4 h5 h6 head header hr html "
    "i img input ins kbd label legend li link main mark meta nav ol option p picture pre q rp rt ruby s samp section "
    "small source span strike strong sub summary sup table tbody td tfoot th thead time title tr tt u ul var video wbr"
)
_ELEMENTS = frozenset(_SHOWN.split()) | UNSEEN
_VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})
_MARK = re.compile(r"`+|~~~+|<(/?)([A-Za-z][A-Za-z0-9]{0,12})((?:[\s/][^<>]{0,2000})?)>")
_STYLE = re.compile(r"\sstyle\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE)
_HIDDEN = re.compile(r"\shidden(?=[\s=/]|$)(?!\s*=\s*[\"']?until-found)", re.IGNORECASE)
_LONGEST_CODE = 2_000
_LONGEST_RUN = 100
_MOST_INDENT = 100
_FENCE = 3


def style_hides(style: str) -> bool:
    """Whether the value of a style attribute hides what it is about."""
    return _HIDING_STYLE.search("".join(style.lower().split())) is not None


def without_html(text: str) -> str:
    """Markdown without its HTML tags and without what they hide; code stays as it is, and so does every line break.

    Tags that HTML does not know stay: a placeholder or a type, such as <name>.
    """
    kept: list[str] = []
    hiding: list[str] = []
    done = 0
    while (mark := _MARK.search(text, done)) is not None:
        kept.append(_seen(text[done : mark.start()], hiding))
        done = mark.end()
        if mark[2] is None:
            done = _end_of_code(text, mark)
            kept.append(_seen(text[mark.start() : done], hiding))
        elif mark[2].lower() in _ELEMENTS:
            _follow(hiding, mark)
            kept.append("\n" * mark.group().count("\n"))
        else:
            kept.append(_seen(mark.group(), hiding))
    return "".join([*kept, _seen(text[done:], hiding)])


def _seen(piece: str, hiding: list[str]) -> str:
    return "\n" * piece.count("\n") if hiding else piece


def _follow(hiding: list[str], mark: "re.Match[str]") -> None:
    """Keep track of the hidden element that is open, and of those of its name within it."""
    name, attributes = mark[2].lower(), mark[3] or ""
    if mark[1]:
        if hiding and name == hiding[0]:
            hiding.pop()
    elif hiding:
        hiding += [name] if name == hiding[0] else []
    elif name not in _VOID and (name in UNSEEN or _hides(attributes)):
        hiding.append(name)


def _hides(attributes: str) -> bool:
    style = _STYLE.search(attributes)
    value = next((part for part in style.groups() if part), "") if style else ""
    return _HIDDEN.search(attributes) is not None or style_hides(value)


def _begins_line(text: str, place: int) -> bool:
    before = text[max(0, place - _MOST_INDENT) : place]
    return not before.rpartition("\n")[2].strip() and ("\n" in before or place <= _MOST_INDENT)


def _end_of_code(text: str, mark: "re.Match[str]") -> int:
    """Where the code ends that a run of backticks or tildes opens; right after the run where it opens none."""
    run, start = mark.group(), mark.end()
    if len(run) > _LONGEST_RUN:
        return start
    if len(run) >= _FENCE and _begins_line(text, mark.start()):
        closing = re.compile(rf"\n[ \t]*{run}").search(text, start)
        return closing.end() if closing else len(text)
    end = text.find(run, start, start + _LONGEST_CODE) if run[0] == "`" else -1
    after = end + len(run)
    exact = end > start and text[end - 1] != "`" and text[after : after + 1] != "`"
    return after if exact else start
