"""All that is generated from the newest raw results: tables, plots, README's short table (`make bench-report`)."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks import edge, history, machine, nodes, plots, readme, results, scale, table

SHORT_TABLES = (machine.ROOT / "README.md", machine.ROOT / "docs" / "explanation" / "comparison.md")


def generate() -> Iterator[tuple[Path, str]]:
    """Make every file that follows from the raw results, and its content."""
    folder = machine.RESULTS
    newest, beside_peers = results.latest("peers", "gateway"), results.latest("peers")
    pictures: list[str] = []
    if beside_peers is not None:
        for page in SHORT_TABLES:
            yield page, readme.replaced(page.read_text(), beside_peers)
        drawings = (
            ("peers.svg", "What each server costs", plots.peers(beside_peers)),
            ("latency.svg", "Latency at a fixed rate", plots.latency(beside_peers)),
        )
        for name, words, drawing in drawings:
            if drawing is not None:
                yield folder / name, drawing
                pictures += [f"![{words}]({name})", ""]
    if newest is not None:
        yield folder / "latest.md", table.render(newest, pictures if newest == beside_peers else [])
    beside_worker = results.latest("worker")
    if beside_worker is not None:
        yield folder / "worker.md", edge.render(beside_worker)
    growing = results.latest("scale")
    if growing is not None:
        yield folder / "scale.md", scale.render(growing)
        for name, series, title in (
            ("scale-connections.svg", scale.BY_CONNECTIONS, "A delivery against connections, one event at a time"),
            ("scale-topics.svg", scale.BY_TOPICS, "A publish to one client against the number of topics"),
            ("scale-size.svg", scale.BY_SIZE, "A delivery against the event's size in bytes, 100 clients"),
        ):
            drawing = plots.growth(growing, series, title)
            if drawing is not None:
                yield folder / name, drawing
    several = results.latest("nodes")
    if several is not None:
        yield folder / "nodes.md", nodes.render(several)
    kept = results.latest("history")
    if kept is not None:
        yield folder / "history.md", history.render(kept)


def stale() -> list[str]:
    """Return the files that do not say what the newest raw results say."""
    return [
        str(file.relative_to(machine.ROOT))
        for file, content in generate()
        if not file.exists() or file.read_text() != content
    ]


def write() -> int:
    """Write them, and say which have changed."""
    for file, content in generate():
        if not file.exists() or file.read_text() != content:
            file.write_text(content)
            print(f"Wrote {file.relative_to(machine.ROOT)}")
    return 0
