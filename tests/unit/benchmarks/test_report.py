"""What is generated from the raw results, and that what is committed says what they say."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks import ahead, edge, machine, nodes, plots, readme, report, results, scale, svg, table


def delivered(cost: float) -> dict[str, Any]:
    latency = {"p50": cost, "p90": cost * 2, "p99": cost * 3, "p99_9": cost * 4}
    return {"cpu_us_per_delivery": cost, "deliveries_per_second": 1e6 / cost, "delivery_us": latency}


def campaign(**costs: list[float]) -> results.Results:
    """Make results of two rows; a cost for each round of each peer."""
    names = {name.replace("_", "-"): values for name, values in costs.items()}
    found = results.new("peers", {name: name for name in names}, 2, 1.0)
    found |= {"versions": {}, "not_run": {}, "rows": {}}
    for row in ("fan-out-1000", "rate-1000"):
        found["rows"][row] = [{name: delivered(costs[at]) for name, costs in names.items()} for at in range(2)]
    return found


def test_what_is_committed_says_what_the_newest_raw_results_say() -> None:
    assert report.stale() == [], "run `make bench-report`"


def test_the_readme_table_stands_between_its_markers_and_nothing_else_changes() -> None:
    found = campaign(gateway_daphne=[4.0, 6.0], nchan=[10.0, 12.0])
    text = readme.replaced(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n", found)
    assert text.startswith(f"before\n{readme.BEGIN}\n| lower is better | on Daphne | Nchan |\n")
    assert text.endswith(f"\n{readme.END}\nafter\n")
    assert "| a delivery, one event at a time, 1,000 SSE clients, CPU µs | 5 | 11 |" in text
    assert "old" not in text
    assert readme.replaced(text, found) == text


def test_a_readme_without_markers_is_an_error() -> None:
    with pytest.raises(SystemExit, match="markers"):
        readme.replaced("nothing", campaign(nchan=[1.0, 1.0]))


def test_a_peer_that_failed_is_named_so() -> None:
    found = campaign(gateway_daphne=[4.0, 6.0], nchan=[10.0, 12.0])
    for each in found["rows"]["fan-out-1000"]:
        each["nchan"] = {"error": "subscriber 3 has 1 of 2 events"}
    assert "| 5 | failed |" in readme.block(found)
    assert "subscriber 3 has 1 of 2 events" in table.render(found, [])


def test_the_worker_stands_beside_python_and_what_failed_is_named() -> None:
    found = campaign(gateway_worker=[40.0, 60.0], gateway_uvicorn=[4.0, 6.0])
    for each in found["rows"]["rate-1000"]:
        each["gateway-worker"] = {"error": "it cannot keep up"}
    text = edge.render(found)
    assert "| CPU µs per delivery | 50 | 5 | 10 |" in text
    assert "| p50 ms | failed | 0.005 | — |" in text
    assert "it cannot keep up" in text


def test_every_figure_in_which_the_gateway_is_behind_is_listed() -> None:
    found = campaign(gateway_daphne=[4.0, 4.0], mercure=[8.0, 8.0])
    assert ahead.compare(found, "gateway-daphne", "mercure") == (4, [])
    for each in found["rows"]["rate-1000"]:
        each["mercure"] = delivered(2.0)
    count, behind = ahead.compare(found, "gateway-daphne", "mercure")
    assert count == 4
    assert [each.rpartition(", ")[2] for each in behind] == ["p99 ms (2 times)", "p50 ms (2 times)"]


def test_the_plots_are_svg_with_a_point_for_every_server() -> None:
    found = campaign(floor=[3.0, 3.1], gateway_daphne=[4.0, 6.0], nchan=[10.0, 12.0])
    for drawing in (plots.peers(found), plots.latency(found)):
        assert drawing is not None
        root = ET.fromstring(drawing)  # noqa: S314 - drawn a line above
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        classes = {circle.get("class") for circle in root.iter("{http://www.w3.org/2000/svg}circle")}
        assert classes == {"floor", "daphne", "nchan"}


def test_labels_keep_apart_and_inside() -> None:
    places = svg.apart([5.0, 6.0, 90.0, 99.0, 99.5], 10, 0, 100)
    ordered = sorted(places)
    assert all(after - before >= 10 for before, after in itertools.pairwise(ordered))
    assert 0 <= ordered[0] <= ordered[-1] <= 100
    assert places.index(min(places)) == 0


@pytest.mark.parametrize(("low", "high"), [(0.5, 3.0), (10.0, 10.0), (0.02, 900.0)])
def test_decades_hold_their_values(low: float, high: float) -> None:
    bottom, top = svg.decades([low, high])
    assert bottom <= low <= high <= top
    assert bottom < top


def growing(*costs: float) -> results.Results:
    found = results.new("scale", {"floor": "floor", "gateway-daphne": "Daphne"}, 1, 1.0)
    found["points"] = [
        {
            "series": scale.BY_CONNECTIONS,
            "at": at,
            "rounds": [{name: {"cpu_us_per_delivery": cost} for name in ("floor", "gateway-daphne")}],
        }
        for at, cost in zip((10, 100, 1000, 15_000), costs, strict=True)
    ]
    return found


def test_flatness_counts_from_its_first_point_and_names_the_verdict() -> None:
    goal = scale.GOALS[0]
    assert scale.flatness(growing(100.0, 4.0, 5.0, 6.0), goal, "gateway-daphne") == 1.5
    assert f"| {goal.title} | Daphne | ≤ 1.5 | 1.50 | yes |" in scale.render(growing(100.0, 4.0, 5.0, 6.0))
    assert f"| {goal.title} | Daphne | ≤ 1.5 | 1.75 | no |" in scale.render(growing(100.0, 4.0, 5.0, 7.0))
    assert plots.growth(growing(9.0, 4.0, 5.0, 6.0), scale.BY_CONNECTIONS, "title") is not None


def test_a_point_that_failed_leaves_flatness_open() -> None:
    found = growing(100.0, 4.0, 5.0, 6.0)
    found["points"][2]["rounds"] = [{"gateway-daphne": {"error": "lost"}, "floor": {"error": "lost"}}]
    assert scale.flatness(found, scale.GOALS[0], "gateway-daphne") is None
    assert "not measured" in scale.render(found)


def test_nodes_are_compared_with_the_same_minutes_without_redis() -> None:
    found = results.new("nodes", {"daphne": "Daphne", "uvicorn": "uvicorn"}, 2, 1.0)
    found["cost"] = {
        setting.name: [
            {server: {**delivered(cost * factor), "alone_cpu_us_per_delivery": cost} for server in nodes.SERVERS}
            for cost in (4.0, 8.0)
        ]
        for setting, factor in zip(nodes.COST, (1.0, 1.1, 1.2, 1.3, 1.4, 1.5), strict=True)
    }
    found["latency"] = {
        setting.name: [{server: delivered(cost) for server in nodes.SERVERS}] * 2
        for setting, cost in zip(nodes.LATENCY, (100.0, 200.0, 300.0), strict=True)
    }
    found["messages"] = {"daphne": {"per_event_and_holding_node": 1.0}, "uvicorn": {"error": "lost"}}
    text = nodes.render(found)
    assert "| CPU per delivery, 1 node on Redis, to one node without Redis | Daphne | ≤ 1.15 | 1.10 | yes |" in text
    assert "| CPU per delivery, 3 nodes on Redis, to one node without Redis | Daphne | ≤ 1.15 | 1.30 | no |" in text
    assert "| 3 gateways without Redis, side by side | 9 | 1.5 | — | 9 | 1.5 | — |" in text
    assert "| added by the way through Redis to another node | 200 | 600 | 200 | 600 |" in text
    assert "| Daphne | 1 | 1 | yes |" in text


def test_results_are_merged_round_by_round_and_only_of_one_commit(tmp_path: Path) -> None:
    first, second = campaign(nchan=[1.0, 2.0]), campaign(nchan=[3.0, 4.0])
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for file, found in zip(files, (first, second), strict=True):
        file.write_text(json.dumps(found))
    assert len(results.merge(files)["rows"]["fan-out-1000"]) == 4
    files[1].write_text(json.dumps({**second, "commit": "another"}))
    with pytest.raises(SystemExit, match="different commits"):
        results.merge(files)


def test_a_campaign_that_was_cut_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    found = campaign(nchan=[1.0, 2.0])
    found["rows"]["rate-1000"] = found["rows"]["rate-1000"][:1]
    file = results.write(found)
    assert results.read(file) == found
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert results.latest("peers") == found
    assert results.latest("scale") is None
