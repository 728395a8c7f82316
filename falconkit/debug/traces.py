"""``/debug/traces``: the slowest and the failed traces of the last minutes, each as a waterfall."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Final

import falcon

from falconkit.debug.door import Door
from falconkit.log.duration import go_duration
from falconkit.tracing.zipkin_json import ZipkinSpan

_HEAD: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>traces</title><style>
body { font: 14px/1.5 system-ui, sans-serif; margin: 2em; color: #222; background: #fff }
summary { cursor: pointer; padding: .2em 0 } .failed { color: #b00020 } .dim { color: #666 }
.row { display: grid; grid-template-columns: 20em 1fr 7em; gap: 1em; align-items: center }
.name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.track { position: relative; height: 1em; background: #f2f2f2 }
.bar { position: absolute; top: 0; bottom: 0; min-width: 2px; background: #8a8f98 }
.SERVER { background: #3367d6 } .CLIENT { background: #0b8043 } .error { background: #b00020 }
.took { text-align: right; font-variant-numeric: tabular-nums }
.tags { grid-column: 1 / 4; font-size: 12px; color: #666; overflow-wrap: anywhere }
</style></head><body><h1>Traces</h1>
<p class="dim">The failed and the slowest of the last minutes, of all workers of this host.</p>
"""


class Traces:
    """A Falcon resource that draws what ``read`` returns.

    Args:
        read: Returns traces, each its spans.
        door: Who may see them; this machine only when None.
    """

    def __init__(
        self, read: Callable[[], Sequence[Sequence[ZipkinSpan]]], door: Door | None = None
    ) -> None:
        self._read = read
        self._door = Door() if door is None else door

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Draw them.

        Raises:
            Forbidden: They are not for everybody, and somebody else asks.
        """
        self._door.check(req)
        resp.content_type = "text/html; charset=utf-8"
        resp.cache_control = ("no-store",)
        # Names and tags come from callers: nothing on the page may run, whatever slipped through.
        resp.set_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        resp.set_header("X-Content-Type-Options", "nosniff")
        resp.text = page(self._read())

    on_head = on_get


def page(traces: Sequence[Sequence[ZipkinSpan]]) -> str:
    """Return the page as HTML."""
    drawn = "".join(waterfall(spans) for spans in traces)
    return f"{_HEAD}{drawn or '<p>None was recorded.</p>'}</body></html>\n"


def waterfall(spans: Sequence[ZipkinSpan]) -> str:
    """Return one trace: a line, and under it a bar for each span where its time was.

    Args:
        spans: At least one.
    """
    began = min(span.timestamp for span in spans)
    whole = max(max(span.timestamp + span.duration for span in spans) - began, 1)
    ordered = list(_from_the_root(spans))
    root = ordered[0][1]
    failed = ' <b class="failed">failed</b>' if any("error" in s.tags for s in spans) else ""
    took = _took(root.duration)
    rows = "".join(_row(span, depth, began, whole) for depth, span in ordered)
    return (
        f"<details><summary><b>{escape(root.local.service)} {escape(root.name)}</b> {took}{failed} "
        f'<span class="dim">{len(spans)} spans, {escape(root.trace_id)}</span></summary>'
        f'<div class="trace" id="t-{escape(root.trace_id)}">{rows}</div></details>\n'
    )


def _from_the_root(spans: Sequence[ZipkinSpan]) -> Iterator[tuple[int, ZipkinSpan]]:
    """Yield each span after its parent, with its depth; those of unknown parents stand at 0."""
    known = {span.id for span in spans}
    children: dict[str, list[ZipkinSpan]] = {}
    for span in spans:
        parent = span.parent_id if span.parent_id in known and span.parent_id != span.id else ""
        children.setdefault(parent, []).append(span)
    left = [(0, span) for span in reversed(children.pop("", []))]
    while left:
        depth, span = left.pop()
        yield depth, span
        left += [(depth + 1, child) for child in reversed(children.pop(span.id, []))]
    # Spans that are each other's parents, which no tracer of ours makes.
    yield from ((0, span) for rest in children.values() for span in rest)


def _row(span: ZipkinSpan, depth: int, began: int, whole: int) -> str:
    left = 100 * (span.timestamp - began) / whole
    width = min(100 * span.duration / whole, 100 - left)
    kind = "error" if "error" in span.tags else escape(span.kind)
    tags = " ".join(f"{name}={value}" for name, value in span.tags.items())
    notes = " ".join(note.value for note in span.annotations)
    told = escape(" ".join(part for part in (tags, notes) if part))
    name = escape(f"{span.local.service} {span.name}")
    return (
        f'<div class="row"><span class="name" style="padding-left:{min(depth, 20)}em" '
        f'title="{name}">{name}</span><span class="track"><i class="bar {kind}" '
        f'style="left:{left:.3f}%;width:{width:.3f}%"></i></span>'
        f'<span class="took">{_took(span.duration)}</span>'
        f'<span class="tags" style="padding-left:{min(depth, 20)}em">{told}</span></div>'
    )


def _took(microseconds: int) -> str:
    return escape(go_duration(microseconds / 1e6))
