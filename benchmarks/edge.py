"""The Cloudflare Worker in workerd beside the Python gateway on the same machine (`make bench-worker`)."""

from benchmarks import results, table
from benchmarks.figures import medians, ratio, significant
from benchmarks.rows import ROWS

WORKER, PYTHON = "gateway-worker", ("gateway-uvicorn", "gateway-daphne")
SERVERS = (WORKER, *PYTHON)


def render(found: results.Results) -> str:
    """Write the table, and how to read it."""
    servers: list[str] = found["peers"]
    titles: dict[str, str] = found["titles"]
    facts = found["machine"]
    beside = next((name for name in PYTHON if name in servers), None)
    beside_title = "Python" if beside is None else titles[beside]
    lines = [
        "# The Worker beside Python",
        "",
        f"Generated from the raw results; do not edit. Commit {found['commit']}, {found['date']}, "
        f"{facts['processor']}, {facts['cores']} cores. Medians of {_rounds(found)}; events of "
        "200 bytes unless a row says otherwise. "
        f"Noise: other programs used {table.noise(found):.2f} cores (median) beside server and generator.",
        "",
        "The Worker is the bundle of a deployment in bare workerd, the open runtime of Cloudflare's, on one core of",
        "this machine, its objects in SQLite on disk. Nothing of Cloudflare's network is in it: not its distances, not",
        "its many machines, not the copies of what an object writes. The figures say what the code costs, not how fast",
        "a deployment is. Here one thread runs all streams and all objects; deployed, each has one of its own.",
        "",
        "| row | figure | " + " | ".join(titles[name] for name in servers) + f" | Worker to {beside_title} |",
        "|---|---|" + "---|" * (len(servers) + 1),
    ]
    for row_name, rounds in found["rows"].items():
        row = ROWS[row_name]
        for position, figure in enumerate(row.figures):
            cells = []
            for name in servers:
                value = medians(rounds, figure, name)
                failed = sum("error" in each.get(name, {}) for each in rounds)
                text = "failed" if value is None and failed else "—" if value is None else significant(value)
                cells.append(text + (f", {failed} failed" if value is not None and failed else ""))
            share = None if beside is None else ratio(rounds, figure, WORKER, beside)
            cells.append("—" if share is None else significant(share))
            lines.append(f"| {row.title if position == 0 else ''} | {figure.title} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *table.notes(found)]) + "\n"


def _rounds(found: results.Results) -> str:
    """Tell how many rounds there are of each row: a run may have been cut."""
    counts = {len(rounds) for rounds in found["rows"].values() if rounds}
    if counts == {1}:
        return "one round"
    return f"{min(counts)} alternating rounds" if len(counts) == 1 else f"{min(counts)} to {max(counts)} rounds"
