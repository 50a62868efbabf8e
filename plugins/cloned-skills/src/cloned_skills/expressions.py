"""Expressions of pipelines: Jinja2's `{{ }}` cut down to reading and shaping JSON values.

Two walls, each enough alone. Before anything is compiled the syntax tree may hold nothing but a short list of node
kinds, and no call, statement or unknown name, filter or test. What is compiled then runs in Jinja2's sandbox with
item access, operators and filters replaced by ones that know JSON values alone. There is no loop and every operator
bounds what it makes, so cost is bounded by the text's size.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment
from jinja2.visitor import NodeTransformer

from cloned_sdk.host import Refused
from cloned_skills.filters import FILTERS, MAX_ITEMS, TESTS, Missing, as_text, concatenated, dig

NAMES = frozenset({"inputs", "steps", "item", "index", "run"})
MAX_SOURCE = 4_000
MAX_TREE = 200
MAX_NESTING = 24
MAX_DEPTH = 32
MAX_WEIGHT = 2_000_000
NUMBER_LIMIT = 2**63
ALLOWED = (
    nodes.Const, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.List, nodes.Tuple,
    nodes.Dict, nodes.Pair, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr, nodes.Filter,
    nodes.Test, nodes.Keyword, nodes.Concat, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod,
    nodes.Neg,
)  # fmt: skip


class _Sandbox(SandboxedEnvironment):
    """Jinja2's sandbox without globals, Python attributes, calls or unbounded operators."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self) -> None:
        super().__init__(undefined=Missing, keep_trailing_newline=True, optimized=False, cache_size=0)
        self.globals.clear()
        self.filters = {**FILTERS, "__text__": _text_of}
        self.tests = dict(TESTS)

    def getattr(self, obj: Any, attribute: str) -> Any:
        return dig(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return dig(obj, argument)

    def call(self, *_args: Any, **_kwargs: Any) -> Any:
        raise TypeError("an expression calls nothing")

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        del context
        for operand in (left, right):
            if isinstance(operand, Missing):
                raise TypeError(operand.told())
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return concatenated([left, right])
        if operator == "+" and isinstance(left, list) and isinstance(right, list):
            if len(left) + len(right) > MAX_ITEMS:
                raise ValueError(f"the list would have more than {MAX_ITEMS} items")
            return left + right
        if not (_number(left) and _number(right)):
            raise TypeError(f"{operator} works on two numbers, + also on two texts or two lists")
        return self.binop_table[operator](left, right)


def _number(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < NUMBER_LIMIT
    )  # nor infinite, nor nan


def _text_of(parts: list[Any]) -> str:
    return concatenated([as_text(part) for part in parts])


@cache
def _sandbox() -> _Sandbox:
    return _Sandbox()


@dataclass(frozen=True, slots=True)
class Expression:
    """One compiled text. `steps` are the earlier steps that it reads, `names` and `inputs` what else it reads."""

    where: str
    steps: frozenset[str]
    names: frozenset[str]
    inputs: frozenset[str]
    run: Callable[[Mapping[str, Any]], Any]

    def value(self, scope: Mapping[str, Any], meter: "Meter | None" = None) -> Any:
        """The JSON value. Raises Refused PIPELINE_INVALID for a missing name, a wrong type or a too large value."""
        try:
            return (meter or Meter()).plain(self.run(scope))
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            raise Refused("PIPELINE_INVALID", f"{self.where}: {error}") from error


class Meter:
    """Counts the characters and values that several expressions make together."""

    def __init__(self, limit: int = MAX_WEIGHT) -> None:
        self._limit = limit
        self._left = limit

    def plain(self, value: Any, depth: int = 0) -> Any:
        """A copy in plain JSON kinds, so that nothing missing or shared leaves an expression.

        Raises TypeError for another kind of value, ValueError when the values grow over the bounds.
        """
        if isinstance(value, Missing):
            raise TypeError(value.told())
        self._left -= len(value) + 1 if isinstance(value, str) else 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise ValueError(f"the values have more than {self._limit} characters or {MAX_DEPTH} levels together")
        if value is None or isinstance(value, bool | str) or _number(value):
            return value
        if isinstance(value, list | tuple):
            return [self.plain(part, depth + 1) for part in value]
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            self._left -= sum(map(len, value))
            return {key: self.plain(part, depth + 1) for key, part in value.items()}
        raise TypeError(f"a {type(value).__name__} of this kind or size is not a JSON value")


def has_expression(text: str) -> bool:
    """Whether a text of a pack is more than itself."""
    return any(mark in text for mark in ("{{", "{%", "{#"))


def compile_text(text: str, where: str) -> Expression:
    """A text with `{{ }}` in it. Alone, an expression keeps its value's kind; between text it becomes text.

    Raises Refused PIPELINE_INVALID for anything outside the cut-down language.
    """
    if len(text) > MAX_SOURCE:
        raise Refused("PIPELINE_INVALID", f"{where}: an expression has at most {MAX_SOURCE} characters")
    try:
        parts = list(_parts(_sandbox().parse(text)))
        reads = _look_over(parts)
        whole = parts[0] if len(parts) == 1 else _as_one_text(parts)
        return Expression(where, **{kind: frozenset(names) for kind, names in reads.items()}, run=_compiled(whole))
    except (TemplateError, ValueError, RecursionError, SyntaxError) as error:
        raise Refused("PIPELINE_INVALID", f"{where}: {error or 'nested too deeply'}") from error


def compile_bare(text: str, where: str) -> Expression:
    """One expression that decides something (`when`, `for_each`): braces may be left out, text around it may not be."""
    bare = text.strip()
    if not has_expression(bare):
        return compile_text("{{ " + bare + " }}", where)
    expression = compile_text(bare, where)
    if not (bare.startswith("{{") and bare.endswith("}}") and bare.count("{{") == 1):
        raise Refused("PIPELINE_INVALID", f"{where}: one expression alone decides, without text around it")
    return expression


def _parts(template: nodes.Template) -> Iterator[nodes.Expr]:
    for output in template.body:
        if not isinstance(output, nodes.Output):
            raise ValueError(f"statements ({type(output).__name__}) are not part of expressions")  # noqa: TRY004 - one kind for all faults of a text
        for part in output.nodes:
            yield nodes.Const(part.data) if isinstance(part, nodes.TemplateData) else part


def _look_over(parts: list[nodes.Expr]) -> dict[str, set[str]]:
    """Admit the tree or raise ValueError; tell what it reads. Walks with its own stack, so depth cannot hurt it."""
    reads: dict[str, set[str]] = {"steps": set(), "names": set(), "inputs": set()}
    left: list[tuple[nodes.Node, int]] = [(part, 0) for part in parts]
    seen = 0
    while left:
        node, depth = left.pop()
        seen += 1
        if seen > MAX_TREE or depth > MAX_NESTING:
            raise ValueError(f"an expression has at most {MAX_TREE} parts and {MAX_NESTING} levels")
        _admit(node)
        if (read := _reads(node)) is not None:
            reads[read[0]].add(read[1])
            reads["names"].add(read[0])
            continue
        if isinstance(node, nodes.Name):
            if node.name in ("steps", "inputs"):
                raise ValueError(f"{node.name} is read by naming one: {node.name}.something")
            reads["names"].add(node.name)
        left.extend((child, depth + 1) for child in node.iter_child_nodes())
    return reads


def _reads(node: nodes.Node) -> tuple[str, str] | None:
    """(`steps` or `inputs`, the name asked of it) where the node is exactly that."""
    if not (isinstance(node, nodes.Getattr | nodes.Getitem) and isinstance(node.node, nodes.Name)):
        return None
    if node.node.name not in ("steps", "inputs"):
        return None
    if isinstance(node, nodes.Getattr):
        return node.node.name, node.attr
    if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        return node.node.name, node.arg.value
    return None


def _admit(node: nodes.Node) -> None:
    if not isinstance(node, ALLOWED):
        raise ValueError(f"{type(node).__name__} is not part of expressions")  # noqa: TRY004 - one kind for all faults of a text
    if isinstance(node, nodes.Const) and isinstance(node.value, int | float) and not abs(node.value) < NUMBER_LIMIT:
        raise ValueError("a number is too large")  # 1e999 would reach the generated code as a name, `inf`
    if isinstance(node, nodes.CondExpr) and node.expr2 is None:
        raise ValueError("an `if` within an expression needs its `else`")
    if isinstance(node, nodes.Name) and node.name not in NAMES:
        raise ValueError(f"{node.name} is not known; there are {', '.join(sorted(NAMES))}")
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        raise ValueError(f"there is no filter {node.name}; there are {', '.join(FILTERS)}")
    if isinstance(node, nodes.Test) and node.name not in TESTS:
        raise ValueError(f"there is no test {node.name}; there are {', '.join(TESTS)}")
    if isinstance(node, nodes.Filter | nodes.Test) and (node.dyn_args or node.dyn_kwargs):
        raise ValueError(f"{node.name} takes no unpacked arguments")


class _Concatenations(NodeTransformer):
    """Turns each `~` into our own bounded join; Jinja2's cannot be intercepted."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - the name that Jinja2's visitor looks for
        self.generic_visit(node)
        return _as_one_text(node.nodes)


def _as_one_text(parts: list[nodes.Expr]) -> nodes.Filter:
    return nodes.Filter(nodes.List(parts), "__text__", [], [], None, None)


def _compiled(expression: nodes.Expr) -> Callable[[Mapping[str, Any]], Any]:
    sandbox = _sandbox()
    value = _Concatenations().visit(expression)
    body: list[nodes.Node] = [nodes.Assign(nodes.Name("result", "store"), value, lineno=1)]
    tree = nodes.Template(body, lineno=1)
    tree.set_lineno(1)
    tree.set_environment(sandbox)
    template = sandbox.from_string(tree)

    def run(scope: Mapping[str, Any]) -> Any:
        context = template.new_context(dict(scope))
        for _ in template.root_render_func(context):
            pass
        return context.vars["result"]

    return run
